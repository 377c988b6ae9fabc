"""The secrets of TLS 1.3 that a handshake goes through, and the session they end in; both roles use this."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from handclasp.crypto.protection import Opener13, Sealer13
from handclasp.crypto.schedule13 import EarlySecret, HandshakeSecret, MasterSecret, TrafficSecret
from handclasp.crypto.suites import SuiteParameters
from handclasp.handshake.after13 import After13, Exporter13
from handclasp.handshake.established import Established, Peer
from handclasp.sessions import Session
from handclasp.wire.iana import NamedGroup, ProtocolVersion

if TYPE_CHECKING:
    from handclasp.handshake.side import Side

__all__ = ["ApplicationKeys", "Keys13"]


@dataclass(slots=True)
class ApplicationKeys:
    """What the transcript up to the server's Finished gives; the client's key is made at the end."""

    master: MasterSecret = field(repr=False)
    covered: bytes = field(repr=False)
    server: TrafficSecret = field(repr=False)


@dataclass(slots=True)
class Keys13:
    """What the hellos have settled, and the handshake's secrets (RFC 8446, 7.1)."""

    suite: SuiteParameters
    group: NamedGroup | None
    session: Session | None = field(repr=False)
    """The one that is resumed."""
    handshake: HandshakeSecret = field(repr=False)
    client: TrafficSecret = field(repr=False)
    server: TrafficSecret = field(repr=False)

    @classmethod
    def agreed(
        cls,
        side: Side[Any],
        suite: SuiteParameters,
        group: NamedGroup | None,
        session: Session | None,
        early: EarlySecret,
        shared: bytes | None,
    ) -> Keys13:
        """From a PSK or a key exchange or both, over the transcript up to the ServerHello."""
        secret = early.handshake(shared)
        covered = side.transcript.digest()
        keys = cls(suite, group, session, secret, secret.client_traffic(covered), secret.server_traffic(covered))
        side.note_secret("CLIENT_HANDSHAKE_TRAFFIC_SECRET", keys.client.secret)
        side.note_secret("SERVER_HANDSHAKE_TRAFFIC_SECRET", keys.server.secret)
        return keys

    def application(self, side: Side[Any]) -> ApplicationKeys:
        """Once the server's Finished is in the transcript: the server may write data from here on."""
        master = self.handshake.master()
        covered = side.transcript.digest()
        server = master.server_traffic(covered)
        side.note_secret("SERVER_TRAFFIC_SECRET_0", server.secret)
        return ApplicationKeys(master, covered, server)

    def establish(self, side: Side[Any], keys: ApplicationKeys, peer: Peer, alpn: str | None) -> Established:
        """Once the client's Finished is in the transcript: its own data may follow, and this is what stays."""
        client = keys.master.client_traffic(keys.covered)
        exporter = Exporter13(self.suite.hash_name, keys.master.exporter(keys.covered))
        side.note_secret("CLIENT_TRAFFIC_SECRET_0", client.secret)
        side.note_secret("EXPORTER_SECRET", exporter.secret)
        suite = self.suite
        if side.role == "client":
            reads, writes = keys.server, client
            side.write_with(Sealer13(suite, *writes.key_iv(suite)), "application", suite.suite)
        else:
            reads, writes = client, keys.server
            side.read_with(Opener13(suite, *reads.key_iv(suite)), "application", suite.suite)
        return Established(
            version=ProtocolVersion.TLS13,
            cipher_suite=suite.suite,
            group=self.group,
            signature_scheme=peer.scheme,
            alpn=alpn,
            server_name=side.server_name,
            resumed=self.session is not None,
            peer_chain=peer.chain,
            peer_report=peer.report,
            bound=side.bound,
            exporter=exporter,
            after=After13(
                role=side.role,
                suite=suite,
                reads=reads,
                writes=writes,
                resumption=keys.master.resumption(side.transcript.digest()),
                since=peer.since or side.now_ms(),
            ),
        )
