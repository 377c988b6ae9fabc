"""The extensions of a received message, looked at together: where each may be, and its form (RFC 8446, 4.2).

Whatever comes is decoded here before anything depends on it, so that a peer which is wrong hears so at once, in
clear where it spoke in clear, and not in the middle of what follows.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from functools import lru_cache

from handclasp.handshake.errors import ExtensionNotAllowed, ExtensionUnasked
from handclasp.wire.codec import DecodeError
from handclasp.wire.iana import ExtensionType
from handclasp.wire.places import PLACES, Place

__all__ = ["check_answers", "check_extensions"]

REMEMBERED = frozenset(
    {
        ExtensionType.SUPPORTED_GROUPS,
        ExtensionType.SIGNATURE_ALGORITHMS,
        ExtensionType.SIGNATURE_ALGORITHMS_CERT,
        ExtensionType.APPLICATION_LAYER_PROTOCOL_NEGOTIATION,
        ExtensionType.PSK_KEY_EXCHANGE_MODES,
        ExtensionType.STATUS_REQUEST,
    }
)
"""Lists that peers of one kind send again and again: that one is well-formed is remembered."""
SMALL = 128
"""Bytes of such a list, at most."""


NONE: frozenset[ExtensionType] = frozenset()


def check_extensions(
    place: Place, extensions: Mapping[ExtensionType, bytes], decoded: frozenset[ExtensionType] = NONE
) -> None:
    """Each known extension may be in this message and is well-formed there; unknown ones are passed over.

    `decoded`: those that may be there and that the caller decodes before it goes on.
    """
    for kind, body in extensions.items():
        if kind in decoded:
            continue
        if kind in REMEMBERED and len(body) <= SMALL:
            _remembered(place, kind, body)
        else:
            _check(place, kind, body)


def check_answers(
    place: Place,
    extensions: Mapping[ExtensionType, bytes],
    asked: Container[ExtensionType],
    decoded: frozenset[ExtensionType] = NONE,
) -> None:
    """The same for a message that answers: nothing is in it that was not asked for, known or not."""
    for kind in extensions:
        if kind not in asked:
            raise ExtensionUnasked(f"The peer answers with {kind} in its {place}, which was not asked for.")
    check_extensions(place, extensions, decoded)


def _check(place: Place, kind: ExtensionType, body: bytes) -> None:
    places = PLACES.get(kind)
    if places is None:
        return
    if place not in places:
        raise ExtensionNotAllowed(f"The peer put {kind} into its {place}, where it has no place.")
    decode = places[place]
    if decode is not None:
        decode(body)
    elif body:
        raise DecodeError(f"{kind} has a body of {len(body)} bytes, where it has none.")


_remembered = lru_cache(maxsize=256)(_check)
