"""handclasp: a complete TLS in Python that says why a handshake failed, and how to mend it.

    import handclasp

    with handclasp.connect(("example.com", 443)) as tls:
        tls.sendall(b"...")

The engine without I/O is `ClientConnection` and `ServerConnection`; who the peer is lies in
`handclasp.x509`, a small CA in `handclasp.ca`.
"""

from handclasp.config import ClientAuth, ClientConfig, Limits, ServerConfig
from handclasp.connection import ClientConnection, ServerConnection
from handclasp.endings import DeliveryUncertain, PeerAlert, Truncated
from handclasp.errors import ConfigError, HandclaspError, PeerError, UsageError
from handclasp.io.sockets import Listener, connect, listen
from handclasp.io.tls_socket import TlsSocket
from handclasp.wire.iana import CipherSuite, NamedGroup, ProtocolVersion, SignatureScheme
from handclasp.x509 import CertificateError, TrustStore
from handclasp.x509.identity import Identity

__version__ = "0.1.0"

__all__ = [
    "CertificateError",
    "CipherSuite",
    "ClientAuth",
    "ClientConfig",
    "ClientConnection",
    "ConfigError",
    "DeliveryUncertain",
    "HandclaspError",
    "Identity",
    "Limits",
    "Listener",
    "NamedGroup",
    "PeerAlert",
    "PeerError",
    "ProtocolVersion",
    "ServerConfig",
    "ServerConnection",
    "SignatureScheme",
    "TlsSocket",
    "Truncated",
    "TrustStore",
    "UsageError",
    "connect",
    "listen",
]
