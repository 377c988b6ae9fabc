"""The roots of every error that handclasp raises.

One class for each cause. The classes live with the layer that finds the cause; only their
roots are here. A `PeerError` is something the other side did, and knows the alert to answer
with; the connection turns it into that alert in one place. A `UsageError` is something our
caller did, and never reaches the wire.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = ["ConfigError", "HandclaspError", "PeerError", "UsageError"]


class HandclaspError(Exception):
    """The root of all errors raised on purpose by handclasp."""


class UsageError(HandclaspError):
    """The caller asked for something that cannot be: a call out of order, a bad argument."""


class ConfigError(UsageError):
    """A configuration that contradicts itself; the message names the field and the mend."""


class PeerError(HandclaspError):
    """Something the peer sent, or did not send, that ends the connection.

    `alert` is the code of the alert we answer with (an `AlertDescription`), `section` the text
    that the peer broke ("RFC 8446, 4.4.4"), `mend` one sentence on how to put it right, and
    `step` the number of the handshake step (1 to 22) where it is found, where one is certain.
    """

    alert: ClassVar[int]
    section: ClassVar[str]
    mend: ClassVar[str] = ""
    step: ClassVar[int | None] = None
