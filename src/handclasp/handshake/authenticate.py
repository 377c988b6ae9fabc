"""What proving who one is has in common in all versions: limits, the verdict on a chain, signature schemes."""

from __future__ import annotations

import hmac
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from handclasp.crypto import signatures
from handclasp.facts import PeerChecked
from handclasp.handshake.errors import ChainTooLong, FinishedMismatch, IllegalValue, SignerFailed
from handclasp.handshake.flow import Steps, ask
from handclasp.questions import Sign, VerifyPeer
from handclasp.wire.codec import DecodeError
from handclasp.wire.extensions import OCSPStatus
from handclasp.wire.iana import AlertDescription, CertificateStatusType, NamedGroup, ProtocolVersion, SignatureScheme
from handclasp.wire.messages import Finished
from handclasp.wire.messages12 import CertificateStatus
from handclasp.x509 import CertificateError
from handclasp.x509.certificate import shared
from handclasp.x509.errors import UnwantedCertificate
from handclasp.x509.filters import lacking
from handclasp.x509.report import Check, Verdict
from handclasp.x509.text import listed

if TYPE_CHECKING:
    from handclasp.facts import Role
    from handclasp.handshake.side import ServerSide, Side
    from handclasp.x509 import Report
    from handclasp.x509.identity import Identity

__all__ = [
    "check_chain_size",
    "check_verify_data",
    "common_schemes",
    "no_certificate",
    "ocsp_of",
    "signed",
    "verify_peer",
]


def check_chain_size(side: Side[Any], chain: Sequence[bytes]) -> tuple[bytes, ...]:
    """The chain, where it is within `Limits`; connections to one peer hold its bytes once between them."""
    limits = side.config.limits
    if len(chain) > limits.certificate_chain_length:
        raise ChainTooLong(f"The peer sent {len(chain)} certificates; the limit is {limits.certificate_chain_length}.")
    size = sum([len(one) for one in chain])
    if size > limits.certificate_chain_size:
        raise ChainTooLong(f"The peer's certificates have {size} bytes; the limit is {limits.certificate_chain_size}.")
    return tuple([shared(one) for one in chain])


def ocsp_of(status: OCSPStatus | CertificateStatus) -> bytes:
    """The OCSP response in a status, which is the one kind that we ask for (RFC 6066, 8)."""
    if status.status_type != CertificateStatusType.OCSP:
        raise IllegalValue(f"The certificate's status is of type {status.status_type}, which was not asked for.")
    return status.response


def verify_peer(
    side: Side[Any],
    role: Role,
    chain: tuple[bytes, ...],
    ocsp: bytes | None = None,
    scts: tuple[bytes, ...] = (),
    *,
    resumed: bool = False,
) -> Steps[Report]:
    """Steps 13 and 17: ask whether this is the peer we want, and tell the observer of the verdict.

    Of a session that may be `resumed` the observer is told once it is (`recall.note_recalled`).
    """
    name = side.server_name if role == "server" else None
    try:
        report: Report = yield from ask(side, VerifyPeer(role, chain, name, ocsp, scts, side.now(), resumed))
        if role == "client" and side.config.oid_filters:
            check_wanted(side, report)
    except CertificateError as error:
        if not resumed:
            side.note(PeerChecked(error.report))
        raise
    if not resumed:
        side.note(PeerChecked(report))
        side.bound.ocsp_response, side.bound.scts = ocsp, scts
    return report


def signed(side: Side[Any], identity: Identity, scheme: SignatureScheme, content: bytes) -> Steps[bytes]:
    """Our signature over `content`; one that `cryptography` did not make is verified before the peer sees it.

    What an HSM or a service returns may be in another form or by another key, which the peer could not tell from
    a changed handshake.
    """
    signature = yield from ask(side, Sign(identity, scheme, content))
    if type(identity.private_key).__module__.startswith("cryptography.") and not side.config.answers_itself(Sign):
        return bytes(signature)
    if not isinstance(signature, (bytes, bytearray, memoryview)):
        raise SignerFailed(f"Instead of a signature in bytes there came a {type(signature).__name__}.")
    try:
        signatures.verify(scheme, identity.leaf.public_key, bytes(signature), content)
    except signatures.BadSignature as error:
        raise SignerFailed(
            f"What came as a {scheme} signature for {identity.leaf.subject_text} is none by its certificate's key."
        ) from error
    return bytes(signature)


def check_wanted(side: ServerSide, report: Report) -> None:
    """The client's certificate has what we asked for (RFC 8446, 4.2.5)."""
    leaf = report.leaf
    missing = None if leaf is None else lacking(leaf, side.config.oid_filters)
    if leaf is None or missing is None:
        return
    error = UnwantedCertificate(f"The certificate of {leaf.subject_text} lacks {missing}.")
    alert = AlertDescription(error.alert)
    check = Check("purpose", Verdict.FAILED, leaf, "what oid_filters ask for", f"no {missing}", error.section, alert)
    error.report = replace(report, path=None, checks=(*report.checks, check), error=error)
    raise error


def check_verify_data(side: Side[Any], finished: Finished, wanted: bytes) -> None:
    """The peer saw the handshake that we saw (RFC 8446, 4.4.4; RFC 5246, 7.4.9)."""
    if len(finished.verify_data) != len(wanted):
        raise DecodeError(f"Finished has {len(finished.verify_data)} bytes where {len(wanted)} belong.")
    if not hmac.compare_digest(finished.verify_data, wanted):
        side.note_check("Finished", False, "it does not cover the handshake we saw")
        raise FinishedMismatch("The peer's Finished does not cover the handshake that we saw.")
    side.note_check("Finished", True, "it covers the whole handshake")


def common_schemes(
    ours: tuple[SignatureScheme, ...], theirs: Collection[SignatureScheme]
) -> tuple[SignatureScheme, ...]:
    """Schemes that both sides have, ours first."""
    known = frozenset(theirs)
    return tuple([scheme for scheme in ours if scheme in known])


def no_certificate(
    side: Side[Any],
    version: ProtocolVersion,
    offered: Sequence[SignatureScheme],
    curves: Sequence[NamedGroup] = (),
) -> str:
    """Why none of the server's certificates is for this client: what that verifies, what our keys sign with."""
    config = side.config
    made = config.identity_index.schemes(version)
    used = [scheme for scheme in made if scheme in config.signs_with]
    theirs = listed(offered)
    if curves and not frozenset(offered).isdisjoint(used):
        theirs += f", with ECDSA on {listed(curves)}"
    if used:
        ours = f"its certificates' keys sign with {listed(used)}"
    elif made:
        setting = "signature_schemes" if config.signing_schemes is None else "signing_schemes"
        ours = f"its keys' {listed(made)} is left out of its {setting}"
    else:
        ours = "it has none that signs in this version"
    return f"The client verifies {theirs}; this server has no certificate for that: {ours}."
