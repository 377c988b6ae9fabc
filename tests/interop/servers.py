"""Servers that other people wrote: each answers a request with a few bytes of HTTP."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import MappingProxyType

from tests.interop.harness import (
    BUILD,
    PROGRAMS,
    Command,
    Files,
    Running,
    free_port,
    missing,
    run,
    serving,
    serving_apart,
)

from handclasp import ProtocolVersion

TLS13 = ProtocolVersion.TLS13


class Server(ABC):
    """One program as a server."""

    name: str
    can: frozenset[str] = frozenset({"simple", "mutual", "resumed", "retry", "key update"})
    """What the program can do; the matrix shows the rest as not possible."""
    needs: Mapping[str, object] = MappingProxyType({})
    """What our client's config has to leave out for it."""

    @abstractmethod
    def unavailable(self) -> str | None:
        """Why it can't be run here, or None."""

    @abstractmethod
    def start(self, files: Files, version: ProtocolVersion, *, mutual: bool) -> AbstractContextManager[Running]:
        """Run it on a free port of 127.0.0.1, with this version alone."""


def number(version: ProtocolVersion) -> str:
    return "1.3" if version == TLS13 else "1.2"


class OpenSSL(Server):
    name = "openssl"

    def unavailable(self) -> str | None:
        return missing("openssl", "openssl")

    def start(self, files: Files, version: ProtocolVersion, *, mutual: bool) -> AbstractContextManager[Running]:
        port = free_port()
        command: Command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-www", "-cert", files.server_cert]
        command += [
            "-key",
            files.server_key,
            "-cert_chain",
            files.server_cert,
            f"-tls{number(version).replace('.', '_')}",
        ]
        if mutual:
            command += ["-Verify", "3", "-CAfile", files.root, "-verify_return_error"]
        return serving(command, port)


class GnuTLS(Server):
    name = "gnutls"

    def unavailable(self) -> str | None:
        return missing("gnutls-serv", "gnutls-bin") or missing("unshare", "util-linux")

    def start(self, files: Files, version: ProtocolVersion, *, mutual: bool) -> AbstractContextManager[Running]:
        command: Command = ["gnutls-serv", "--port", "4433", "--http", "--x509certfile", files.server_cert]
        command += ["--x509keyfile", files.server_key, "--priority", f"NORMAL:-VERS-ALL:+VERS-TLS{number(version)}"]
        command += ["--x509cafile", files.root, "--require-client-cert"] if mutual else ["--disable-client-cert"]
        return serving_apart(command, 4433)


class Go(Server):
    name = "go"

    def unavailable(self) -> str | None:
        return missing("go", "golang-go") or build_go()

    def start(self, files: Files, version: ProtocolVersion, *, mutual: bool) -> AbstractContextManager[Running]:
        port = free_port()
        command: Command = [
            BUILD / "go-peer",
            "server",
            str(port),
            number(version),
            files.server_cert,
            files.server_key,
        ]
        return serving([*command, *([files.root] if mutual else [])], port)


class Java(Server):
    name = "java"

    def unavailable(self) -> str | None:
        return missing("java", "default-jdk-headless") or build_java()

    def start(self, files: Files, version: ProtocolVersion, *, mutual: bool) -> AbstractContextManager[Running]:
        port = free_port()
        command: Command = [
            "java",
            "-cp",
            BUILD / "java",
            "Peer",
            "server",
            str(port),
            number(version),
            files.server_p12,
        ]
        return serving([*command, *([files.root] if mutual else [])], port)


class Node(Server):
    name = "node"

    def unavailable(self) -> str | None:
        return missing("node", "nodejs")

    def start(self, files: Files, version: ProtocolVersion, *, mutual: bool) -> AbstractContextManager[Running]:
        port = free_port()
        command: Command = ["node", PROGRAMS / "peer.js", "server", str(port), number(version)]
        command += [files.server_cert, files.server_key]
        return serving([*command, *([files.root] if mutual else [])], port)


class Rustls(Server):
    name = "rustls"

    def unavailable(self) -> str | None:
        return missing("cargo", "cargo") or build_rust()

    def start(self, files: Files, version: ProtocolVersion, *, mutual: bool) -> AbstractContextManager[Running]:
        port = free_port()
        command: Command = [BUILD / "rust/release/peer", "server", str(port), number(version)]
        command += [files.server_cert, files.server_key]
        return serving([*command, *([files.root] if mutual else [])], port)


NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols TLSv{version};
    ssl_session_cache shared:SSL:1m;
    {mutual}
    location / {{ return 200 "hello from nginx\\n"; }}
  }}
}}
"""


NGINX_MUTUAL = "ssl_verify_client on; ssl_client_certificate {root}; ssl_verify_depth 3;"


class Nginx(Server):
    name = "nginx"

    def unavailable(self) -> str | None:
        return missing("nginx", "nginx-light")

    @contextlib.contextmanager
    def start(self, files: Files, version: ProtocolVersion, *, mutual: bool) -> Iterator[Running]:
        port = free_port()
        folder = files.folder / f"nginx-{port}"
        folder.mkdir()
        config = folder / "nginx.conf"
        config.write_text(
            NGINX.format(
                folder=folder,
                port=port,
                cert=files.server_cert,
                key=files.server_key,
                version=number(version),
                mutual=NGINX_MUTUAL.format(root=files.root) if mutual else "",
            )
        )
        with serving(["nginx", "-p", folder, "-c", config, "-e", "stderr"], port) as running:
            yield running


LIGHTTPD_MUTUAL = """
ssl.ca-file = "{root}"
ssl.verifyclient.activate = "enable"
ssl.verifyclient.enforce = "enable"
ssl.verifyclient.depth = 3
"""


class Lighttpd(Server):
    """wolfSSL, behind lighttpd."""

    name = "wolfssl"
    can = frozenset({"simple", "mutual", "resumed", "retry", "key update"})
    needs = MappingProxyType({"request_ocsp": False})
    """lighttpd 1.4.69 with wolfSSL drops whoever asks for an OCSP response, `openssl s_client -status` too."""

    def unavailable(self) -> str | None:
        found = Path("/usr/lib/lighttpd/mod_wolfssl.so").exists()
        return missing("lighttpd", "lighttpd") or (
            None if found else "mod_wolfssl is missing; install lighttpd-mod-wolfssl"
        )

    @contextlib.contextmanager
    def start(self, files: Files, version: ProtocolVersion, *, mutual: bool) -> Iterator[Running]:
        port = free_port()
        folder = files.folder / f"lighttpd-{port}"
        folder.mkdir()
        (folder / "index.html").write_text("hello from wolfSSL\n")
        config = folder / "lighttpd.conf"
        config.write_text(
            f'server.document-root = "{folder}"\nserver.port = {port}\nserver.bind = "127.0.0.1"\n'
            'server.modules = ("mod_wolfssl")\nindex-file.names = ("index.html")\n'
            f'ssl.engine = "enable"\nssl.pemfile = "{files.folder / "both.pem"}"\n'
            f'ssl.openssl.ssl-conf-cmd = ("MinProtocol" => "TLSv{number(version)}", '
            f'"MaxProtocol" => "TLSv{number(version)}")\n' + (LIGHTTPD_MUTUAL.format(root=files.root) if mutual else "")
        )
        with serving(["lighttpd", "-D", "-f", config], port) as running:
            yield running


class NSS(Server):
    """NSS's own test server."""

    name = "nss"

    def unavailable(self) -> str | None:
        return missing("selfserv", "libnss3-tools") or missing("unshare", "util-linux")

    @contextlib.contextmanager
    def start(self, files: Files, version: ProtocolVersion, *, mutual: bool) -> Iterator[Running]:
        database = nss_database(files)
        name = f"tls{number(version)}"
        command: Command = [
            "selfserv",
            "-d",
            f"sql:{database}",
            "-n",
            "server",
            "-p",
            "4433",
            "-V",
            f"{name}:{name}",
            "-u",
        ]
        command += ["-r", "-r"] if mutual else []
        with serving_apart(command, 4433) as running:
            yield running


class PyOpenSSL(Server):
    """OpenSSL 4, which the wheel of `cryptography` carries, through pyOpenSSL."""

    name = "pyopenssl"
    can = frozenset({"simple", "mutual", "resumed", "retry", "key update"})

    def unavailable(self) -> str | None:
        return None

    @contextlib.contextmanager
    def start(self, files: Files, version: ProtocolVersion, *, mutual: bool) -> Iterator[Running]:
        from OpenSSL import SSL

        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(int(version))
        context.set_max_proto_version(int(version))
        context.use_certificate_chain_file(str(files.server_cert))
        context.use_privatekey_file(str(files.server_key))
        context.set_session_id(b"handclasp")
        if mutual:
            context.load_verify_locations(str(files.root))
            context.set_verify(
                SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *arguments: bool(arguments[-1])
            )
        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=_serve_with_pyopenssl, args=(listener, context), daemon=True)
            thread.start()
            yield Running(listener.getsockname()[:2], files.folder / "pyopenssl.log")
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve_with_pyopenssl(listener: socket.socket, context: object) -> None:
    from OpenSSL import SSL

    assert isinstance(context, SSL.Context)
    while True:
        try:
            sock, _ = listener.accept()
        except OSError:
            return
        with sock:
            connection = SSL.Connection(context, sock)
            connection.set_accept_state()
            with contextlib.suppress(SSL.Error):
                connection.do_handshake()
                connection.recv(4096)
                connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nhello from OpenSSL 4\n")
                connection.shutdown()
                sock.settimeout(5)
                while connection.recv(4096):
                    pass


SERVERS: tuple[Server, ...] = (
    OpenSSL(),
    PyOpenSSL(),
    GnuTLS(),
    Go(),
    Java(),
    Node(),
    Nginx(),
    Rustls(),
    NSS(),
    Lighttpd(),
)


def build_go() -> str | None:
    return build_once(BUILD / "go-peer", ["go", "build", "-o", BUILD / "go-peer", "."], PROGRAMS / "go")


def build_java() -> str | None:
    command: Command = ["javac", "-d", BUILD / "java", PROGRAMS / "Peer.java"]
    return missing("javac", "default-jdk-headless") or build_once(BUILD / "java/Peer.class", command, PROGRAMS)


def build_rust() -> str | None:
    command: Command = ["cargo", "build", "--quiet", "--release", "--target-dir", BUILD / "rust"]
    return build_once(BUILD / "rust/release/peer", command, PROGRAMS / "rust")


_failed: dict[Path, str] = {}


def build_once(target: Path, command: Command, folder: Path) -> str | None:
    """Build once for all tests, whichever process comes first; why it can't be, or None."""
    if target.exists() or target in _failed:
        return _failed.get(target)
    import fcntl

    BUILD.mkdir(exist_ok=True)
    with (BUILD / f"{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            done = subprocess.run([str(part) for part in command], cwd=folder, capture_output=True, check=False)
            if done.returncode or not target.exists():
                _failed[target] = (
                    f"{command[0]} could not build the peer: {done.stderr.decode(errors='replace')[-300:]}"
                )
    return _failed.get(target)


def nss_database(files: Files) -> Path:
    """NSS's database with both identities and the root, made once."""
    folder = files.folder / "nss"
    if not folder.exists():
        folder.mkdir()
        database = f"sql:{folder}"
        run(["certutil", "-N", "-d", database, "--empty-password"])
        run(["certutil", "-A", "-d", database, "-n", "root", "-t", "CT,C,C", "-i", files.root])
        for identity in (files.server_p12, files.client_p12):
            run(["pk12util", "-i", identity, "-d", database, "-W", "password", "-K", ""])
    return folder


os.environ.setdefault("NSS_DEFAULT_DB_TYPE", "sql")
