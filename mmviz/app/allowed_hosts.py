"""Under which names the page may be opened. No Streamlit.

A browser keeps websites apart by their names. A website that points its own name at this machine (DNS rebinding) could
use the page through the browser of whoever visits that website, so the page answers only to names that the operator
gave, and to those that no stranger can own: those of this machine, and addresses in figures.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal
from urllib.parse import urlsplit

from mmviz.backends import LOOPBACK
from mmviz.types import MmvizError

VARIABLE = "MMVIZ_HOSTS"
"""Environment variable with the names that the operator gave, separated by spaces; absent for this machine alone."""
_WILDCARDS = ("0.0.0.0", "::")
_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*", re.ASCII)
_DOCUMENTATION = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}
"""Addresses that belong to nobody (RFC 5737, RFC 3849)."""


@dataclass(frozen=True)
class Refusal:
    """Why a visitor is not let in."""

    kind: Literal["name", "proxy", "websocket"]
    """The page does not answer to the visitor's name for it; a proxy changed that name to one that is unknown, too; or
    a proxy does not pass on WebSocket connections."""
    visitor: str = "NAME"
    """What the visitor's browser calls the page, without the port."""
    host: str = "NAME"
    """What the request calls it."""


@dataclass(frozen=True)
class VisitorAddresses:
    """The names and addresses under which the page may be opened."""

    names: frozenset[str] = LOOPBACK
    """Names and IP addresses that are allowed, each as `check_host` returns it."""
    any_ip: bool = False
    """Whether addresses in figures are allowed, whichever they are: behind Docker or a router, the page does not know
    its own. Such an address cannot be rebound, since the browser connects to just that one."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> VisitorAddresses:
        """Returns what `VARIABLE` says, which ``mmviz app --host`` sets."""
        if VARIABLE not in environment:
            return cls()
        return cls(LOOPBACK | machine_names() | set(environment[VARIABLE].split()), any_ip=True)

    def refusal(self, host: str | None, origin: str | None) -> Refusal | None:
        """Returns why a WebSocket connection with these headers is refused; None where it is let in.

        ``host`` is the Host header, what the request calls the page. ``origin`` is the Origin header, the page that
        opens the connection, which no website can forge; None for what is no browser. Where a proxy renames the page,
        they differ, and the origin must be a name given; otherwise any website could open a connection.
        """
        host_name = _hostname(f"//{host or ''}")
        if origin is None:
            return None if self._has(host_name) else Refusal("name", host_name or "NAME")
        visitor = _hostname(origin)
        if netloc(origin) == host:
            return None if self._has(visitor) else Refusal("name", visitor or "NAME")
        if visitor is not None and visitor in self.names:
            return None
        return Refusal("proxy", visitor or "NAME", host_name or "NAME")

    def _has(self, name: str | None) -> bool:
        return name is not None and (name in self.names or (self.any_ip and _is_ip(name)))


def netloc(origin: str) -> str | None:
    """Returns the name and port in an Origin header; None where it has none."""
    try:
        return urlsplit(origin).netloc or None
    except ValueError:
        return None


def check_host(text: str) -> str:
    """Returns a host name or IP address as browsers write it: lower case, international names in Punycode.

    Raises ``MmvizError`` (``app-host``) for anything else, such as a URL.
    """
    host = text.strip().removeprefix("[").removesuffix("]").rstrip(".").lower()
    if _is_ip(host):
        return str(ip_address(host))
    with suppress(UnicodeError):
        host = host.encode("idna").decode("ascii")
        if _NAME.fullmatch(host) and not host.rpartition(".")[2].isdigit():  # for browsers an IPv4 address (WHATWG)
            return host
    raise MmvizError("app-host", host=text)


def is_loopback(host: str) -> bool:
    """Returns whether a checked host is this machine as seen from itself."""
    return host == "localhost" or (_is_ip(host) and ip_address(host).is_loopback)


def is_secure_context(page_url: str | None) -> bool:
    """Returns whether browsers count the page at this URL as secure, and so give it the camera and the microphone.

    They do so over HTTPS and on the visitor's own machine (W3C Secure Contexts, 3.1). True where the URL is unknown.
    """
    if not page_url:
        return True
    host = _hostname(page_url) or ""
    return page_url.startswith("https:") or is_loopback(host) or host.endswith(".localhost")


def listen_address(hosts: Iterable[str]) -> str:
    """Returns the address to listen on for these checked hosts: of this machine alone where one of them is loopback,
    else of all its networks."""
    hosts = tuple(hosts)
    return next(filter(is_loopback, hosts), "::" if "::" in hosts else "0.0.0.0")


def public_names(hosts: Iterable[str]) -> list[str]:
    """Returns those of the checked ``hosts`` that visitors from elsewhere can type."""
    return [host for host in hosts if host not in _WILDCARDS and not is_loopback(host)]


def machine_names() -> frozenset[str]:
    """Returns the names that this machine has by itself, which its own network knows it by."""
    name = socket.gethostname().lower()
    names = {name, name.partition(".")[0], f"{name.partition('.')[0]}.local"}
    return frozenset(name for name in names if _NAME.fullmatch(name))


def machine_addresses(address: str) -> list[str]:
    """Returns the IP addresses of this machine that others reach it by where it listens on ``address``.

    Those of the default routes, IPv6 where it listens on ``::``. Sends nothing.
    """
    addresses = []
    for family, destination in _DOCUMENTATION.items():
        if family == socket.AF_INET6 and address != "::":
            continue
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((destination, 9))  # for UDP this only chooses the route
            addresses.append(str(probe.getsockname()[0]))
    return addresses


def url(host: str, port: int, is_tls: bool) -> str:
    """Returns the address of a page on ``host``."""
    return f"{'https' if is_tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def _hostname(address: str) -> str | None:
    """Returns the name in a URL, as `check_host` returns it; None where there is none or it is malformed."""
    if not address.isprintable() or "@" in address:
        return None
    try:
        return check_host(urlsplit(address).hostname or "")
    except (ValueError, MmvizError):
        return None


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return "%" not in host
