"""Under which names the page may be opened, by the headers of the connection: every case, and what browsers send."""

from __future__ import annotations

import socket

import pytest
from processes import ROOT

from mmviz.app.allowed_hosts import (
    VARIABLE,
    Refusal,
    VisitorAddresses,
    check_host,
    is_secure_context,
    listen_address,
    machine_addresses,
    public_names,
)
from mmviz.app.host_refusal import NGINX, refusal_html
from mmviz.i18n.errors_and_notices import sentence
from mmviz.i18n.language import LANGUAGES, Language, use_language
from mmviz.types import MmvizError

ALONE = VisitorAddresses.from_environment({})
OPEN = VisitorAddresses.from_environment({VARIABLE: ""})
NAMED = VisitorAddresses.from_environment({VARIABLE: "lab.example xn--bcher-kva.example 203.0.113.7"})
MACHINE = socket.gethostname().lower()


@pytest.mark.parametrize(
    ("addresses", "host", "origin"),
    [
        (ALONE, "localhost:8501", "http://localhost:8501"),
        (ALONE, "127.0.0.1:8501", "http://127.0.0.1:8501"),
        (ALONE, "[::1]:8501", "http://[::1]:8501"),
        (ALONE, "localhost:8501", None),
        (ALONE, "localhost:8501", "http://localhost"),  # a proxy of this machine
        (OPEN, "192.168.1.5:8501", "http://192.168.1.5:8501"),
        (OPEN, "[fd00::5]:8501", "http://[fd00::5]:8501"),
        (OPEN, "localhost:8501", "http://localhost:8501"),
        (OPEN, f"{MACHINE}:8501", f"http://{MACHINE}:8501"),
        (NAMED, "lab.example", "https://lab.example"),
        (NAMED, "LAB.EXAMPLE.:8501", "http://LAB.EXAMPLE.:8501"),
        (NAMED, "127.0.0.1:8501", "https://lab.example"),  # a proxy that sets Host
        (NAMED, "mmviz:8501", "https://lab.example"),  # one that calls the page by the name of its container
        (NAMED, "lab.example", "https://lab.example:8443"),  # one that drops the port
        (NAMED, "127.0.0.1:8501", "https://xn--bcher-kva.example"),
        (NAMED, "127.0.0.1:8501", "http://203.0.113.7"),
    ],
)
def test_visitors_under_a_known_name_are_let_in(addresses: VisitorAddresses, host: str, origin: str | None) -> None:
    assert addresses.refusal(host, origin) is None


@pytest.mark.parametrize(
    ("addresses", "host", "origin", "refusal"),
    [
        (ALONE, "evil.example", "http://evil.example", Refusal("name", "evil.example")),  # DNS rebinding
        (OPEN, "evil.example", "http://evil.example", Refusal("name", "evil.example")),
        (NAMED, "evil.example", "http://evil.example", Refusal("name", "evil.example")),
        (NAMED, "lab.example.evil.example", "http://lab.example.evil.example",
         Refusal("name", "lab.example.evil.example")),
        (OPEN, "192.168.1.5:8501", "http://evil.example", Refusal("proxy", "evil.example", "192.168.1.5")),
        (OPEN, "192.168.1.5:8501", "http://6.6.6.6", Refusal("proxy", "6.6.6.6", "192.168.1.5")),  # a website's own
        (ALONE, "192.168.1.5:8501", "http://192.168.1.5:8501", Refusal("name", "192.168.1.5")),
        (ALONE, "127.0.0.1:8501", "null", Refusal("proxy", "NAME", "127.0.0.1")),
        (ALONE, None, None, Refusal("name")),
        (OPEN, "", "", Refusal("proxy")),
        (OPEN, "a@127.0.0.1", None, Refusal("name")),
        (OPEN, "<script>", "http://<script>", Refusal("name")),
        (OPEN, "x\ny", None, Refusal("name")),
        (OPEN, "[", "http://[", Refusal("proxy")),
        (OPEN, "127.0.0.1:8501", "http://" + "a" * 300, Refusal("proxy", "NAME", "127.0.0.1")),
    ],
)  # fmt: skip
def test_others_are_refused_and_no_odd_name_is_repeated(
    addresses: VisitorAddresses, host: str | None, origin: str | None, refusal: Refusal | None
) -> None:
    assert addresses.refusal(host, origin) == refusal


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("Lab.Example", "lab.example"), ("lab.example.", "lab.example"), ("[::1]", "::1"), ("0:0::1", "::1"),
        ("bücher.example", "xn--bcher-kva.example"), ("10.0.0.7", "10.0.0.7"), ("a_b-c", "a_b-c"),
    ],
)  # fmt: skip
def test_a_name_is_written_as_browsers_write_it(text: str, host: str) -> None:
    assert check_host(text) == host


@pytest.mark.parametrize(
    "text",
    [
        "http://lab.example",
        "lab.example:8501",
        "lab.example/page",
        "",
        " ",
        "-x",
        "a..b",
        "*",
        "*.example",
        "fe80::1%e0",
    ],
)
def test_what_is_no_name_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(MmvizError) as refused:
        check_host(text)
    assert refused.value.code == "app-host" and "--host lab.example" in str(refused.value)


@pytest.mark.parametrize(
    ("hosts", "address", "names"),
    [
        (["0.0.0.0"], "0.0.0.0", []),
        (["::"], "::", []),
        (["lab.example"], "0.0.0.0", ["lab.example"]),
        (["localhost"], "localhost", []),
        (["lab.example", "127.0.0.1"], "127.0.0.1", ["lab.example"]),
        (["::", "lab.example"], "::", ["lab.example"]),
    ],
)
def test_a_loopback_host_keeps_the_page_on_this_machine(hosts: list[str], address: str, names: list[str]) -> None:
    assert (listen_address(hosts), public_names(hosts)) == (address, names)
    assert not [text for text in machine_addresses("0.0.0.0") if ":" in text]


@pytest.mark.parametrize(
    ("url", "is_secure"),
    [
        ("https://lab.example", True), ("http://lab.example", False), ("http://192.168.1.5:8501/", False),
        ("http://localhost:8501", True), ("http://127.0.0.2:8501", True), ("http://[::1]:8501/", True),
        ("http://page.localhost", True), ("http://localhost.evil.example", False), (None, True),
    ],
)  # fmt: skip
def test_a_page_is_secure_over_https_and_on_the_visitors_own_machine(url: str | None, is_secure: bool) -> None:
    assert is_secure_context(url) == is_secure


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", ["name", "proxy", "websocket"])
def test_a_refusal_says_which_lines_to_type(language: Language, kind: str) -> None:
    with use_language(language):
        shown = refusal_html(Refusal(kind, "lab.example", "127.0.0.1"))  # type: ignore[arg-type]
        assert sentence("refused-title") in shown
    assert ("mmviz app --host lab.example" in shown) == (kind != "websocket")
    assert ("proxy_set_header Host $http_host;" in shown) == (kind != "name")


def test_the_docs_have_the_lines_that_the_page_shows() -> None:
    documented = {line.partition("#")[0].strip() for line in (ROOT / "docs/serving.md").read_text().splitlines()}
    assert set(NGINX.splitlines()) <= documented
