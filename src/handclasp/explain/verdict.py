"""Why a handshake failed: which step, which side, what, and how to mend it (mission row S26)."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass, replace

from handclasp.endings import DECLINED, ONE_HANDSHAKE, PeerAlert, Truncated
from handclasp.errors import HandclaspError, PeerError
from handclasp.explain.steps import STEPS, StepTrace
from handclasp.facts import Role
from handclasp.text import printable
from handclasp.wire.iana import AlertDescription as A

__all__ = ["Explanation", "explain"]

NEXT_STEP = {1: 2, 5: 6, 8: 9, 12: 14, 16: 20, 19: 16, 20: 22, 21: 22}
"""After the last step seen, the one that was to come, where it is not simply the next number."""

PEER_REASONS: dict[A, tuple[int | None, str, str]] = {
    A.CLOSE_NOTIFY: (None, "it closed the connection and gave no reason", "Look into the peer's own log."),
    A.UNEXPECTED_MESSAGE: (None, "a message came at no place where it may", "Update both sides' TLS software."),
    A.BAD_RECORD_MAC: (
        None,
        "a record did not open with its keys",
        "Something changes data on its way, or keys differ; try without what sits between the two.",
    ),
    A.HANDSHAKE_FAILURE: (
        7,
        "it finds no cipher suite, group, signature or certificate that both sides can use",
        "Compare what the two offer: cipher suites, groups and the kind of certificate key.",
    ),
    A.BAD_CERTIFICATE: (
        None,
        "it does not accept our certificate",
        "Check the certificate that we show: whether it has the name that the peer connects to, and what signed it.",
    ),
    A.UNSUPPORTED_CERTIFICATE: (
        None,
        "our certificate is of a kind, or for a use, that it does not take",
        "Show a certificate whose key usage and extended key usage fit.",
    ),
    A.CERTIFICATE_REVOKED: (None, "our certificate is revoked", "Have a new one issued, with a new key."),
    A.CERTIFICATE_EXPIRED: (
        None,
        "our certificate is past its last day, or not yet valid by the peer's clock",
        "Renew the certificate; compare the clocks of both machines.",
    ),
    A.CERTIFICATE_UNKNOWN: (
        None,
        "it does not accept our certificate for a reason of its own",
        "Look into the peer's log for the reason.",
    ),
    A.ILLEGAL_PARAMETER: (None, "a value we sent is not allowed here", "Update both sides' TLS software."),
    A.UNKNOWN_CA: (
        None,
        "it does not trust the authority of our certificate",
        "Add our root to the peer's trusted authorities, or send the intermediates with the certificate.",
    ),
    A.ACCESS_DENIED: (None, "it knows us and does not let us in", "Have the peer's operator allow this identity."),
    A.DECODE_ERROR: (None, "it could not read a message of ours", "Update both sides' TLS software."),
    A.DECRYPT_ERROR: (
        None,
        "a signature or Finished of ours does not hold for it",
        "Check that our private key belongs to our certificate.",
    ),
    A.PROTOCOL_VERSION: (7, "it speaks none of the versions offered", "Enable a version that both sides have."),
    A.INSUFFICIENT_SECURITY: (
        7,
        "what was offered is too weak for it",
        "Offer stronger cipher suites, groups or keys, and in TLS 1.2 the extended master secret (RFC 7627).",
    ),
    A.INTERNAL_ERROR: (None, "something in it failed", "Look into the peer's own log."),
    A.INAPPROPRIATE_FALLBACK: (7, "it speaks a newer version than this fallback", "Do not fall back."),
    A.USER_CANCELED: (None, "its user gave up", "Try again."),
    A.NO_RENEGOTIATION: (None, "it makes no second handshake on a connection", "Open a new connection."),
    A.MISSING_EXTENSION: (None, "our message lacks an extension", "Update both sides' TLS software."),
    A.UNSUPPORTED_EXTENSION: (None, "we answered with an extension it did not offer", "Update our TLS software."),
    A.UNRECOGNIZED_NAME: (
        7,
        "it does not know the server name that was asked for",
        "Connect by a name that the server has, or configure that name there.",
    ),
    A.BAD_CERTIFICATE_STATUS_RESPONSE: (13, "our stapled OCSP response is not good", "Renew the OCSP response."),
    A.UNKNOWN_PSK_IDENTITY: (7, "it does not know the pre-shared key", "Use a key that both sides have."),
    A.CERTIFICATE_REQUIRED: (
        14,
        "it requires a certificate and got none",
        "Configure a client certificate of an authority that the server named in step 11.",
    ),
    A.NO_APPLICATION_PROTOCOL: (
        7,
        "it speaks none of the application protocols offered",
        "Offer a protocol by ALPN that the server has, or none.",
    ),
}
"""For each alert: the step where it belongs if that is certain, what it means, and the mend."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """A failure in a form to show."""

    step: int | None
    refused_by: str
    """Either "us" or "the peer", or "the network"."""
    what: str
    mend: str
    section: str
    alert: str | None
    side: Role | None = None
    """Whether it was the client or the server that refused; None where neither did, or it is not known."""

    def __post_init__(self) -> None:
        for name in ("what", "mend"):  # a peer, or its certificate, may have chosen words in them
            object.__setattr__(self, name, printable(getattr(self, name)))

    def __str__(self) -> str:
        where = "" if self.step is None else f" at step {self.step} ({STEPS[self.step][0]} {STEPS[self.step][1]})"
        return f"Refused by {self.refused_by}{where}: {self.what} {self.mend}".strip()

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "step": self.step,
            "refused_by": self.refused_by,
            "side": self.side,
            "what": self.what,
            "mend": self.mend,
            "section": self.section,
            "alert": self.alert,
        }


def explain(error: BaseException, trace: StepTrace | None = None) -> Explanation:
    """Explain the error that ended a handshake; with the trace it is known how far it came, and who we are."""
    role: Role = trace.role if trace is not None else "client"
    found = _explain(error, role, trace)
    if trace is None or found.refused_by == "the network":
        return found
    other: Role = "server" if role == "client" else "client"
    return replace(found, side=role if found.refused_by == "us" else other)


def _explain(error: BaseException, role: Role, trace: StepTrace | None) -> Explanation:
    reached = _reached(trace)
    if isinstance(error, PeerAlert | Truncated) and error.declined:
        # It wanted what belongs to step 11: the client's certificate, most likely.
        alert = str(error.description) if isinstance(error, PeerAlert) else None
        step = 11 if role == "client" else reached
        return Explanation(step, "the peer", str(error), error.mend or "", "RFC 5246, 7.4.1.1", alert)
    if isinstance(error, PeerAlert):
        return _explain_alert(error, role, trace)
    if isinstance(error, PeerError):
        step = error.step if error.step is not None else reached
        step = OTHER_ROLES_STEP.get((step, role), step)
        alert = str(A(error.alert))
        return Explanation(step, "us", str(error), error.mend or BROKEN_PEER, error.section, alert)
    if isinstance(error, Truncated):
        what, mend = "The connection was cut without a word.", error.mend or ""
        return Explanation(reached, "the peer", what, mend, error.section or "", None)
    if isinstance(error, HandclaspError):
        return Explanation(reached, "us", str(error), error.mend or OUR_OWN, "", None)
    if isinstance(error, OSError):
        who, what, mend = _explain_os_error(error)
        if trace is not None and trace.declined:
            step, what = 11 if role == "client" else reached, f"{what} {DECLINED}"
            return Explanation(step, who, what, ONE_HANDSHAKE, "RFC 5246, 7.4.1.1", None)
        return Explanation(reached or 1, who, what, mend, "", None)
    return Explanation(reached, "us", f"{type(error).__name__}: {error}", BUG, "", None)


OTHER_ROLES_STEP: dict[tuple[int | None, Role], int] = {(6, "server"): 2, (7, "client"): 8, (13, "server"): 17}
"""Where the other role finds what an error class has the step of."""

BROKEN_PEER = "The peer's TLS software does not keep to the standard here: update it, and give its makers the trace."
OUR_OWN = "Put the configuration right as the message says; nothing that the peer sent is at fault."
BUG = "This is a bug of handclasp's, or of a function that was given to it; the error has the place."


def _explain_os_error(error: OSError) -> tuple[str, str, str]:
    """Who refused, what happened, and the mend."""
    if isinstance(error, ConnectionRefusedError):
        return "the peer", "Nobody listens on that port.", "Check host and port, and that the server runs."
    if isinstance(error, ConnectionResetError | ConnectionAbortedError | BrokenPipeError):
        mend = "Look into the peer's log; it may want something else than TLS on this port, or not take our address."
        return "the peer", "It reset the connection without a word.", mend
    if isinstance(error, TimeoutError):
        mend = "Check host, port and firewalls; the peer may wait for something else than TLS."
        return "the peer", "It did not answer in time.", mend
    if isinstance(error, socket.gaierror):
        mend = "Check how the host's name is spelled, and this machine's name service."
        return "the network", f"The host's name leads nowhere: {error.strerror}.", mend
    text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)
    if error.errno in UNREACHABLE:
        return "the network", f"{text}.", "Check the address, the routes and the firewalls between the two."
    return "the network", f"{text}.", "The system of this machine refused something; put right what it names."


UNREACHABLE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL}


def _reached(trace: StepTrace | None) -> int | None:
    if trace is None:
        return None
    last = trace.last
    if last is None:
        return 2 if trace.role == "server" else None
    if last.number == 15 and not trace.has(9):
        return 9  # TLS 1.3 makes its first keys before it
    if last.number == 12 and not trace.has(11):
        return 16 if trace.has(19) else 15
    return NEXT_STEP.get(last.number, min(last.number + 1, 22))


def _explain_alert(error: PeerAlert, role: Role, trace: StepTrace | None) -> Explanation:
    alert = reason = error.description
    if alert == A.HANDSHAKE_FAILURE and trace is not None and trace.why_none:
        reason = A.CERTIFICATE_REQUIRED  # for which TLS 1.2 has no alert of its own (RFC 5246, 7.4.6)
    known = PEER_REASONS.get(reason)
    step, why, mend = known or (None, "it gave a reason that has no name yet", "Look into the peer's own log.")
    if reason in CERTIFICATE_ALERTS:
        step = 17 if role == "client" else 13
    if step == 7 and role == "server":
        step = 8  # the client hears there what this server chose
    elif step == 7 and trace is not None and trace.has(7):
        step = None if trace.has(9) else 9  # the server has chosen, and refuses something later
    name = str(alert)
    what = f"It sent the alert {name}: {why}.{_what_it_had(reason, trace)}"
    return Explanation(step or _reached(trace), "the peer", what, mend, "RFC 8446, 6.2", name)


def _what_it_had(reason: A, trace: StepTrace | None) -> str:
    """What this client offered of that which was refused, and what the server said it takes."""
    if trace is None or trace.role == "server":
        return ""
    if reason == A.CERTIFICATE_REQUIRED:
        asked = [step.decision for step in trace.steps if step.number == 11]
        return f" It asked for one {asked[-1]}; we have {trace.why_none or 'shown one'}." if asked else ""
    kinds = REFUSED.get(reason, ())
    if trace.has(7):
        kinds = ("signatures",) if reason == A.HANDSHAKE_FAILURE and not trace.has(9) else ()
    had = [f"{kind} {trace.offered[kind]}" for kind in kinds if trace.offered.get(kind)]
    return f" It was offered {'; '.join(had)}." if had else ""


REFUSED: dict[A, tuple[str, ...]] = {
    A.PROTOCOL_VERSION: ("versions",),
    A.HANDSHAKE_FAILURE: ("versions", "cipher suites", "groups", "signatures"),
    A.INSUFFICIENT_SECURITY: ("cipher suites", "groups", "signatures"),
    A.UNRECOGNIZED_NAME: ("name",),
    A.NO_APPLICATION_PROTOCOL: ("protocols",),
}
"""What an alert may be about, of that which a hello offers."""

CERTIFICATE_ALERTS = frozenset(
    {
        A.BAD_CERTIFICATE,
        A.UNSUPPORTED_CERTIFICATE,
        A.CERTIFICATE_REVOKED,
        A.CERTIFICATE_EXPIRED,
        A.CERTIFICATE_UNKNOWN,
        A.UNKNOWN_CA,
        A.ACCESS_DENIED,
    }
)
"""Alerts about our certificate: the peer's steps 13 or 17."""
