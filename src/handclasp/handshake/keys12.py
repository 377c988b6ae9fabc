"""The master secret of TLS 1.2 and the keys and proofs made with it; both roles use this."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from handclasp.crypto import prf12
from handclasp.crypto.protection import Opener12, Sealer12
from handclasp.crypto.suites import SuiteParameters
from handclasp.handshake.authenticate import check_verify_data
from handclasp.handshake.established import Established, Peer
from handclasp.handshake.flow import Steps, expect, expect_change_cipher_spec
from handclasp.wire.iana import NamedGroup, ProtocolVersion
from handclasp.wire.messages import Finished

if TYPE_CHECKING:
    from handclasp.facts import Role
    from handclasp.handshake.side import Side

__all__ = ["Exporter12", "Keys12"]


class Exporter12:
    """Keys for others (RFC 5705)."""

    __slots__ = ("_hash_name", "_master", "_randoms")

    def __init__(self, hash_name: str, master: bytes, randoms: bytes) -> None:
        self._hash_name = hash_name
        self._master = master
        self._randoms = randoms

    def export(self, label: bytes, context: bytes | None, length: int) -> bytes:
        """`length` bytes for this label; no context and an empty one differ."""
        return prf12.exporter_value(self._hash_name, self._master, self._randoms, label, context, length)


class Keys12:
    """The keys of one TLS 1.2 session in one connection."""

    __slots__ = ("_block", "_role", "client_random", "master", "server_random", "suite")

    def __init__(
        self, side: Side[Any], suite: SuiteParameters, master: bytes, client_random: bytes, server_random: bytes
    ) -> None:
        self.suite = suite
        self.master = master
        self.client_random = client_random
        self.server_random = server_random
        self._role: Role = side.role
        self._block = prf12.key_block(suite, master, client_random, server_random)
        side.note_secret("CLIENT_RANDOM", master)

    def __repr__(self) -> str:
        return f"<Keys12 {self.suite.suite}>"

    @classmethod
    def agreed(
        cls,
        side: Side[Any],
        suite: SuiteParameters,
        premaster: bytes,
        randoms: tuple[bytes, bytes],
        extended: bool,
    ) -> Keys12:
        """From the key exchange; `extended` binds the secret to the transcript so far (RFC 7627, 4)."""
        if extended:
            master = prf12.extended_master_secret(suite.hash_name, premaster, side.transcript.digest())
        else:
            master = prf12.master_secret(suite.hash_name, premaster, *randoms)
        return cls(side, suite, master, *randoms)

    def exporter(self) -> Exporter12:
        """Makes keys for others from this session's."""
        return Exporter12(self.suite.hash_name, self.master, self.client_random + self.server_random)

    def send_finished(self, side: Side[Any]) -> bytes:
        """Our change_cipher_spec and Finished (RFC 5246, 7.1 and 7.4.9); the answer is its content."""
        block, ours = self._block, self._role == "client"
        key, iv = (block.client_key, block.client_iv) if ours else (block.server_key, block.server_iv)
        side.send_change_cipher_spec()
        side.write_with(Sealer12(self.suite, key, iv), "application", self.suite.suite)
        content = prf12.verify_data(self.suite.hash_name, self.master, self._role, side.transcript.digest())
        side.send(Finished(content))
        return content

    def check_finished(self, side: Side[Any]) -> Steps[bytes]:
        """The peer's change_cipher_spec and Finished; the answer is its content."""
        peer: Role = "server" if self._role == "client" else "client"
        block = self._block
        key, iv = (block.client_key, block.client_iv) if peer == "client" else (block.server_key, block.server_iv)
        yield from expect_change_cipher_spec()
        side.read_with(Opener12(self.suite, key, iv), "application", self.suite.suite)
        wanted = prf12.verify_data(self.suite.hash_name, self.master, peer, side.transcript.digest())
        finished = yield from expect(Finished)
        check_verify_data(side, finished, wanted)
        return wanted

    def establish(
        self,
        side: Side[Any],
        peer: Peer,
        group: NamedGroup | None,
        alpn: str | None,
        *,
        finished_bytes: bytes,
        session_id: bytes = b"",
        resumed: bool = False,
    ) -> Established:
        """All that stays."""
        return Established(
            version=ProtocolVersion.TLS12,
            cipher_suite=self.suite.suite,
            group=group,
            signature_scheme=peer.scheme,
            alpn=alpn,
            server_name=side.server_name,
            resumed=resumed,
            peer_chain=peer.chain,
            peer_report=peer.report,
            bound=side.bound,
            exporter=self.exporter(),
            session_id=session_id,
            finished_bytes=finished_bytes,
        )
