"""Fills in one chat template, in a process of its own. Template, variables and text are JSON.

It imports jinja2 alone, so that it starts within a tenth of a second. See `mmviz.models.huggingface.template_limits`.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from datetime import datetime
from typing import Any


def filled_in(template: str, variables: dict[str, Any]) -> str:
    """Returns the text of a chat template, in the same sandbox as transformers has. Raises what Jinja raises."""
    from jinja2 import TemplateError, ext, nodes
    from jinja2.exceptions import SecurityError
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from jinja2.utils import Namespace

    class Generation(ext.Extension):
        """``{% generation %}`` marks what an assistant wrote; only training asks where that is."""

        tags = {"generation"}  # noqa: RUF012  # as Jinja declares it

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
            return nodes.CallBlock(self.call_method("_text"), [], [], body).set_lineno(line)

        def _text(self, caller: Any) -> Any:
            return caller()

    class PlainNamespace(Namespace):
        """A namespace without names that could lead out of the sandbox."""

        def __init__(*args: Any, **kwargs: Any) -> None:
            self, values = args[0], dict(*args[1:], **kwargs)
            for name in values:
                _check_name(name)
            Namespace.__init__(self, values)

        def __setitem__(self, name: str, value: Any) -> None:
            _check_name(name)
            super().__setitem__(name, value)

    def _check_name(name: Any) -> None:
        if isinstance(name, str) and name.startswith("_"):
            raise SecurityError(f"a namespace takes no name that begins with an underscore: {name!r}")

    def raise_exception(message: str) -> None:
        raise TemplateError(message)

    def tojson(
        value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
    ) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    sandbox = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, ext.loopcontrols]
    )
    sandbox.filters["tojson"] = tojson
    sandbox.globals |= {
        "raise_exception": raise_exception, "namespace": PlainNamespace,
        "strftime_now": lambda form: datetime.now().strftime(form),
    }  # fmt: skip
    return sandbox.from_string(template).render(**variables)


def _limit_memory(memory: int) -> None:
    try:
        import resource
    except ImportError:  # not on Windows
        return
    limits = {resource.RLIMIT_AS: memory, resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: 0}  # it writes no file
    for kind, limit in limits.items():
        with suppress(OSError, ValueError):  # macOS refuses some; elsewhere a stricter limit may stand already
            resource.setrlimit(kind, (limit, limit))


def main() -> None:
    """Writes ``text``, or ``error``, which is "" where it needs more memory or characters than it may have."""
    _limit_memory(int(sys.argv[1]))
    try:
        text = filled_in(*json.load(sys.stdin))
        reply = {"text": text} if len(text) <= int(sys.argv[2]) else {"error": ""}
    except (MemoryError, OverflowError):
        reply = {"error": ""}
    except Exception as problem:  # Jinja and the template itself raise what they like
        reply = {"error": f"{type(problem).__name__}: {problem}"[:200]}
    sys.stdout.write(json.dumps(reply))


if __name__ == "__main__":
    main()
