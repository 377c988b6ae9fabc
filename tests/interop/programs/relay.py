"""Run a server in a network of its own, and carry connections to it from a Unix socket.

    unshare --net python relay.py SOCKET PORT COMMAND...

For servers that can't be told to listen on one address only: in here there is none but loopback.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import subprocess
import sys
import threading

SIOCSIFFLAGS, IFF_UP = 0x8914, 1


def loopback_up() -> None:
    with socket.socket() as sock:
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", IFF_UP))


def carry(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        target.close()


def main() -> None:
    path, port, *command = sys.argv[1:]
    loopback_up()
    child = subprocess.Popen(command, stdin=subprocess.PIPE)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    try:
        while child.poll() is None:
            outer, _ = listener.accept()
            try:
                inner = socket.create_connection(("127.0.0.1", int(port)))
            except OSError:
                outer.close()
                continue
            threading.Thread(target=carry, args=(outer, inner), daemon=True).start()
            threading.Thread(target=carry, args=(inner, outer), daemon=True).start()
    finally:
        child.kill()


main()
