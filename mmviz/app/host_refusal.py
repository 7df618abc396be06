"""What a page shows whose visitor is not let in: what happened, and the lines that mend it. No Streamlit."""

from __future__ import annotations

from html import escape

from mmviz.app.allowed_hosts import Refusal
from mmviz.i18n.errors_and_notices import sentence
from mmviz.i18n.language import TAGS, current_language

NGINX = """proxy_http_version 1.1;
proxy_set_header Upgrade $http_upgrade;
proxy_set_header Connection "upgrade";
proxy_set_header Host $http_host;"""
"""The lines of nginx that pass on WebSocket connections and the visitor's name for the page."""
_STYLE = """
#mmviz-refusal { position: fixed; inset: 0; z-index: 2147483647; overflow: auto; box-sizing: border-box;
  padding: 12vh 24px 24px; color-scheme: light dark; background: #fff; color: #262730;
  font: 18px/1.55 "Source Sans", system-ui, sans-serif }
#mmviz-refusal > div { max-width: 640px; margin: 0 auto }
#mmviz-refusal h1 { font-size: 28px; line-height: 1.25; margin: 0 0 16px; padding: 0;
  text-wrap: balance }
#mmviz-refusal p { margin: 0 0 12px; overflow-wrap: anywhere }
#mmviz-refusal pre { margin: 0 0 20px; padding: 12px 16px; border: 1px solid #d9dce3; border-radius: 6px;
  background: #f4f5f8; color: inherit; font: 15px/1.6 ui-monospace, monospace; white-space: pre-wrap;
  overflow-wrap: anywhere }
@media (max-width: 480px) { #mmviz-refusal pre { font-size: 12.5px } }
@media (prefers-color-scheme: dark) {
  #mmviz-refusal { background: #0e1117; color: #fafafa }
  #mmviz-refusal pre { background: #191e29; border-color: #343a48 }
}
"""


def refusal_html(refusal: Refusal) -> str:
    """Returns the HTML of a layer that covers the page, in the current language."""
    reason = sentence(f"refused-{refusal.kind}", visitor=refusal.visitor, host=refusal.host)
    parts = [f"<h1>{escape(sentence('refused-title'))}</h1>", _paragraph(reason)]
    if refusal.kind != "websocket":
        parts += [_paragraph(sentence("refused-fix-name")), _code(f"mmviz app --host {refusal.visitor}")]
    if refusal.kind != "name":
        parts += [_paragraph(sentence("refused-fix-proxy")), _code(NGINX)]
    parts.append(_paragraph(sentence("refused-visitor")))
    language = TAGS[current_language()]
    return (
        f"<style>{_STYLE}</style><div id='mmviz-refusal' role='alert' lang='{language}'>"
        f"<div>{''.join(parts)}</div></div>"
    )


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def _code(text: str) -> str:
    return f"<pre tabindex='0'>{escape(text)}</pre>"
