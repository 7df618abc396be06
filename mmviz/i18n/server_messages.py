"""The texts of ``mmviz app`` and ``mmviz serve``: in the terminal, and in a page whose visitor is not let in."""

from __future__ import annotations

SERVER_SENTENCES: dict[str, str] = {
    # terminal
    "app-addresses": "Visitors open the page at: {addresses}",
    "app-behind-proxy": "Only this machine can reach the page. Visitors come through its proxy, as: {names}",
    "app-host": "{host!r} is not a host name or an IP address. Write it as in --host lab.example, without http:// and "
    "without a port.",
    "app-access-short": "MMVIZ_ACCESS cannot be used as the access token: it must have at least {least} characters and "
    "no spaces.",
    "app-refused-name": "A visitor opened the page as {visitor}, a name it does not answer to, and was told so. If the "
    "name is right, start the page again with --host {visitor}.",
    "app-refused-proxy": "A visitor opened the page as {visitor}, through a proxy that calls it {host}, and was told "
    "so. If the name is right, start the page again with --host {visitor}.",
    "app-refused-websocket": "A proxy in front of the page does not pass on WebSocket connections, so its visitors "
    "cannot use the page. They are shown the lines for nginx; docs/serving.md has them too.",
    # page
    "refused-title": "This page cannot be used from here yet",
    "refused-name": "You opened it as {visitor}. Its server does not answer to this name, so that no other website can "
    "reach the page through your browser.",
    "refused-proxy": "You opened it as {visitor}, but a proxy on the way calls it {host}. Its server does not know the "
    "first of these names.",
    "refused-websocket": "A proxy on the way to its server does not pass on WebSocket connections, and the page works "
    "through one.",
    "refused-fix-name": "Do you run the server? Stop it, and start it again with this name and the options it had:",
    "refused-fix-proxy": "The proxy must pass on WebSocket connections and the name. For nginx:",
    "refused-visitor": "If someone else runs the server, send them this page's address and these lines.",
}
