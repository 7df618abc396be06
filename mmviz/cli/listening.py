"""What a server needs before it starts: a port that is free, and a certificate that is one."""

from __future__ import annotations

import argparse
import errno
import os
import socket
import ssl
from contextlib import ExitStack
from pathlib import Path

from mmviz.i18n.errors_and_notices import sentence
from mmviz.types import MmvizError

MAX_PORT = 65_535


def port(text: str) -> int:
    """Returns the port that an option names. Raises ``ArgumentTypeError`` for what is no port."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_PORT):
        raise argparse.ArgumentTypeError(sentence("port-range", port=text, most=MAX_PORT))
    return int(text)


def bound_sockets(host: str, port: int) -> list[socket.socket]:
    """Returns a socket for each address of ``host``, bound to ``port`` and not listening yet.

    Raises ``MmvizError``: ``port-used``, or ``listen-refused`` for a host that is not this machine's, and for a port
    that only an administrator may use.
    """
    with ExitStack() as stack:
        try:
            places = dict.fromkeys(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE))
            sockets = []
            for family, kind, protocol, _, address in places:
                try:
                    bound = stack.enter_context(socket.socket(family, kind, protocol))
                except OSError:  # a machine without IPv6
                    continue
                sockets.append(bound)
                if os.name == "posix":  # elsewhere this would share a port in use
                    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                try:
                    bound.bind(address)
                except OSError as problem:  # ::1 as the second address of localhost, on a machine without it
                    if problem.errno != errno.EADDRNOTAVAIL or len(places) == 1:
                        raise
                    sockets.remove(bound)
        except (OSError, UnicodeError) as problem:
            if isinstance(problem, OSError) and problem.errno == errno.EADDRINUSE:
                raise MmvizError("port-used", port=port) from None
            why = getattr(problem, "strerror", None) or str(problem)
            raise MmvizError("listen-refused", host=host, port=port, why=why) from None
        if not sockets:
            raise MmvizError("listen-refused", host=host, port=port, why=os.strerror(errno.EADDRNOTAVAIL))
        stack.pop_all()
    return sockets


def check_port(host: str, port: int) -> None:
    """Raises what `bound_sockets` raises, and leaves the port free for a child process."""
    for bound in bound_sockets(host, port):
        bound.close()


def check_tls(certificate: Path | None, key: Path | None) -> None:
    """Checks a certificate and its key, which are both None where the server uses no TLS.

    Raises ``MmvizError``: ``tls-pair`` for one without the other, ``file-missing``, and ``tls-files`` for files that
    are no certificate with its key, in PEM and without a passphrase.
    """
    if certificate is None and key is None:
        return
    if certificate is None or key is None:
        raise MmvizError("tls-pair")
    for path in (certificate, key):
        if not path.is_file():
            raise MmvizError("file-missing", name=path.name)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except (OSError, ValueError):  # ssl.SSLError is an OSError
        raise MmvizError("tls-files", certificate=certificate.name, key=key.name) from None
