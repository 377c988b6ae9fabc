"""Clients that other people wrote: each sends a request and prints what comes back."""

from __future__ import annotations

import contextlib
import os
import socket
from abc import ABC, abstractmethod

from tests.interop.harness import BUILD, PROGRAMS, Command, Files, missing, run
from tests.interop.servers import build_go, build_java, build_rust, nss_database, number

from handclasp import ProtocolVersion

TLS13 = ProtocolVersion.TLS13
REQUEST = b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n"


class Client(ABC):
    """One program as a client."""

    name: str
    can: frozenset[str] = frozenset({"simple", "mutual", "resumed", "retry", "key update"})

    @abstractmethod
    def unavailable(self) -> str | None:
        """Why it can't be run here, or None."""

    @abstractmethod
    def get(self, files: Files, port: int, version: ProtocolVersion, *, mutual: bool, times: int = 1) -> str:
        """So many requests, each over a connection of its own, resumed where it can; all output."""


class OpenSSL(Client):
    name = "openssl"

    def unavailable(self) -> str | None:
        return missing("openssl", "openssl")

    def get(self, files: Files, port: int, version: ProtocolVersion, *, mutual: bool, times: int = 1) -> str:
        command: Command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "localhost"]
        command.append("-ign_eof")
        command += ["-CAfile", files.root, "-verify_return_error", f"-tls{number(version).replace('.', '_')}"]
        if mutual:
            command += ["-cert", files.client_cert, "-key", files.client_key, "-cert_chain", files.client_cert]
        session = files.folder / f"session-{port}"
        output = ""
        for _ in range(times):
            known: Command = ["-sess_in", session] if session.exists() else []
            output += run([*command, "-sess_out", session, *known], stdin=REQUEST)
        return output


class GnuTLS(Client):
    name = "gnutls"

    def unavailable(self) -> str | None:
        return missing("gnutls-cli", "gnutls-bin")

    def get(self, files: Files, port: int, version: ProtocolVersion, *, mutual: bool, times: int = 1) -> str:
        command: Command = ["gnutls-cli", "--port", str(port), "--x509cafile", files.root]
        command += ["--sni-hostname", "localhost"]
        command += ["--verify-hostname", "localhost", "--priority", f"NORMAL:-VERS-ALL:+VERS-TLS{number(version)}"]
        if mutual:
            command += ["--x509certfile", files.client_cert, "--x509keyfile", files.client_key]
        if times > 1:
            command.append("--resume")
        return run([*command, "127.0.0.1"], stdin=REQUEST)


class _Program(Client):
    """A peer of our own making on somebody else's library: see `programs/`."""

    def command(self) -> Command:
        raise NotImplementedError

    def identity(self, files: Files) -> Command:
        return [files.client_cert, files.client_key]

    def get(self, files: Files, port: int, version: ProtocolVersion, *, mutual: bool, times: int = 1) -> str:
        arguments: Command = ["client", str(port), number(version), files.root, str(times)]
        return run([*self.command(), *arguments, *(self.identity(files) if mutual else [])])


class Go(_Program):
    name = "go"

    def unavailable(self) -> str | None:
        return missing("go", "golang-go") or build_go()

    def command(self) -> Command:
        return [BUILD / "go-peer"]


class Java(_Program):
    name = "java"

    def unavailable(self) -> str | None:
        return missing("java", "default-jdk-headless") or build_java()

    def command(self) -> Command:
        return ["java", "-cp", BUILD / "java", "Peer"]

    def identity(self, files: Files) -> Command:
        return [files.client_p12]


class Node(_Program):
    name = "node"

    def unavailable(self) -> str | None:
        return missing("node", "nodejs")

    def command(self) -> Command:
        return ["node", PROGRAMS / "peer.js"]


class Rustls(_Program):
    name = "rustls"

    def unavailable(self) -> str | None:
        return missing("cargo", "cargo") or build_rust()

    def command(self) -> Command:
        return [BUILD / "rust/release/peer"]


class Curl(Client):
    name = "curl"

    def unavailable(self) -> str | None:
        return missing("curl", "curl")

    def get(self, files: Files, port: int, version: ProtocolVersion, *, mutual: bool, times: int = 1) -> str:
        command: Command = [
            "curl",
            "--silent",
            "--show-error",
            "--cacert",
            files.root,
            "--resolve",
            f"localhost:{port}:127.0.0.1",
        ]
        command += [f"--tlsv{number(version)}", "--tls-max", number(version)]
        if mutual:
            command += ["--cert", files.client_cert, "--key", files.client_key]
        return run([*command, *[f"https://localhost:{port}/"] * times])


class NSS(Client):
    name = "nss"

    def unavailable(self) -> str | None:
        return missing("tstclnt", "libnss3-tools")

    def get(self, files: Files, port: int, version: ProtocolVersion, *, mutual: bool, times: int = 1) -> str:
        name = f"tls{number(version)}"
        command: Command = ["tstclnt", "-d", f"sql:{nss_database(files)}", "-h", "127.0.0.1", "-a", "localhost"]
        command += ["-p", str(port)]
        command += ["-V", f"{name}:{name}", "-u", "-G", "-4"]
        request = files.folder / "request"
        request.write_bytes(REQUEST)
        command += ["-A", request]
        if mutual:
            command += ["-n", "client"]
        if times > 1:
            command += ["-L", str(times)]
        return run(command)


class PyOpenSSL(Client):
    """OpenSSL 4, which the wheel of `cryptography` carries, through pyOpenSSL."""

    name = "pyopenssl"

    def unavailable(self) -> str | None:
        return None

    def get(self, files: Files, port: int, version: ProtocolVersion, *, mutual: bool, times: int = 1) -> str:
        from OpenSSL import SSL

        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_min_proto_version(int(version))
        context.set_max_proto_version(int(version))
        context.load_verify_locations(str(files.root))
        context.set_verify(SSL.VERIFY_PEER, lambda *given: bool(given[-1]))
        if mutual:
            context.use_certificate_chain_file(str(files.client_cert))
            context.use_privatekey_file(str(files.client_key))
        output, session = b"", None
        for _ in range(times):
            with socket.create_connection(("127.0.0.1", port)) as sock:
                connection = SSL.Connection(context, sock)
                connection.set_tlsext_host_name(b"localhost")
                if session is not None:
                    connection.set_session(session)
                connection.set_connect_state()
                connection.do_handshake()
                connection.sendall(REQUEST)
                with contextlib.suppress(SSL.ZeroReturnError):
                    while True:
                        output += connection.recv(4096)
                connection.shutdown()
                session = connection.get_session()
        return output.decode()


class S2N(Client):
    """s2n, which awscrt carries."""

    name = "s2n"
    can = frozenset({"simple", "mutual", "retry", "key update"})

    def unavailable(self) -> str | None:
        return None

    def get(self, files: Files, port: int, version: ProtocolVersion, *, mutual: bool, times: int = 1) -> str:
        from awscrt import http, io

        options = io.TlsContextOptions()
        if mutual:
            options = io.TlsContextOptions.create_client_with_mtls_from_path(
                str(files.client_cert), str(files.client_key)
            )
        options.override_default_trust_store_from_path(None, str(files.root))
        options.min_tls_ver = io.TlsVersion.TLSv1_3 if version == TLS13 else io.TlsVersion.TLSv1_2
        tls = io.ClientTlsContext(options).new_connection_options()
        tls.set_server_name("localhost")
        group = io.EventLoopGroup(1)
        bootstrap = io.ClientBootstrap(group, io.DefaultHostResolver(group))
        connection = http.HttpClientConnection.new("127.0.0.1", port, bootstrap, tls_connection_options=tls).result(20)
        body: list[bytes] = []
        request = http.HttpRequest("GET", "/", http.HttpHeaders([("Host", "localhost")]))
        stream = connection.request(request, on_body=lambda chunk, **_: body.append(bytes(chunk)))
        stream.activate()
        stream.completion_future.result(20)
        connection.close().result(20)
        return b"".join(body).decode()


class BoringSSL(Client):
    """BoringSSL, which curl_cffi carries, with Chrome's hello."""

    name = "boringssl"

    def unavailable(self) -> str | None:
        return None

    def get(self, files: Files, port: int, version: ProtocolVersion, *, mutual: bool, times: int = 1) -> str:
        from curl_cffi import CurlSslVersion, requests

        fixed = CurlSslVersion.TLSv1_3 if version == TLS13 else CurlSslVersion.TLSv1_2
        output = ""
        shown = (str(files.client_cert), str(files.client_key)) if mutual else None
        with requests.Session(verify=str(files.root), impersonate="chrome", cert=shown) as session:  # type: ignore[arg-type]  # or a path
            from curl_cffi import CurlOpt

            most = {CurlSslVersion.TLSv1_3: 7 << 16, CurlSslVersion.TLSv1_2: 6 << 16}[fixed]
            session.curl_options = {
                CurlOpt.SSLVERSION: int(fixed) | most,
                CurlOpt.RESOLVE: [f"localhost:{port}:127.0.0.1"],
                CurlOpt.FORBID_REUSE: 1,
            }
            for _ in range(times):
                output += session.get(f"https://localhost:{port}/").text
        return output


class Chromium(Client):
    """Headless Chromium, which loads a page and prints it."""

    name = "chromium"
    can = frozenset({"simple", "retry", "key update"})

    def unavailable(self) -> str | None:
        return missing("chromium", "chromium") or missing("certutil", "libnss3-tools")

    def get(self, files: Files, port: int, version: ProtocolVersion, *, mutual: bool, times: int = 1) -> str:
        home = files.folder / f"chromium-{port}"
        database = home / ".pki/nssdb"
        database.mkdir(parents=True)
        run(["certutil", "-N", "-d", f"sql:{database}", "--empty-password"])
        run(["certutil", "-A", "-d", f"sql:{database}", "-n", "root", "-t", "C,,", "-i", files.root])
        command: Command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"]
        command.append("--no-first-run")
        command += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
        command += ["--disable-dev-shm-usage", f"--user-data-dir={home / 'profile'}", "--dump-dom"]
        if version != TLS13:
            command.append("--ssl-version-max=tls1.2")
        return run([*command, f"https://localhost:{port}/"], env={"HOME": str(home)})


CLIENTS: tuple[Client, ...] = (
    OpenSSL(),
    PyOpenSSL(),
    GnuTLS(),
    Go(),
    Java(),
    Node(),
    Curl(),
    Rustls(),
    NSS(),
    S2N(),
    BoringSSL(),
    Chromium(),
)

os.environ.setdefault("NSS_DEFAULT_DB_TYPE", "sql")
