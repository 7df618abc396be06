"""Every public function and method has a docstring, and every field of a public class has one of its own below it.

Names that begin with an underscore, and what is defined within a function, are no part of the interface.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "mmviz"


def is_docstring(node: ast.stmt | None) -> bool:
    """Whether a statement is a string with something in it."""
    text = node.value.value if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) else None
    return isinstance(text, str) and bool(text.strip())


def undocumented(body: list[ast.stmt], owner: str = "") -> Iterator[str]:
    """Yields line and name of each public function, and field of a public class, that has no docstring.

    ``owner``: the class whose body it is, with a dot behind it; "" for a module.
    """
    for node, following in zip_longest(body, body[1:]):
        name, has_docstring = "_", True
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            name, has_docstring = node.name, is_docstring(node.body[0])
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and owner:
            name, has_docstring = node.target.id, is_docstring(following)
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from undocumented(node.body, f"{owner}{node.name}.")
        elif isinstance(node, ast.If):
            yield from undocumented([*node.body, *node.orelse], owner)
        if not name.startswith("_") and not has_docstring:
            yield f"{node.lineno}: {owner}{name}"


def test_every_public_function_and_field_has_a_docstring() -> None:
    modules = sorted(PACKAGE.rglob("*.py"))
    assert len(modules) > 600
    missing = [
        f"{path.relative_to(PACKAGE.parent)}:{entry}"
        for path in modules
        for entry in undocumented(ast.parse(path.read_text("utf-8")).body)
    ]
    assert missing == []


def test_what_lacks_a_docstring_is_named_and_nothing_else() -> None:
    code = '''
def told():
    """Returns nothing."""
    def inner(): ...

def untold(): ...

_width: int = 3
height: int = 4

class Shape:
    """A shape. ``side`` is its side, in pixels."""

    side: int
    area: float = 0.0
    """In square pixels."""
    empty: int
    """ """
    _own: int = 0

    def __len__(self): ...
    def _cut(self): ...
    @property
    def edge(self): ...

    class Part:
        size: int

class _Hidden:
    size: int
    def grow(self): ...

if height:
    async def late(): ...
'''
    names = [entry.partition(": ")[2] for entry in undocumented(ast.parse(code).body)]
    assert names == ["untold", "Shape.side", "Shape.empty", "Shape.edge", "Shape.Part.size", "late"]
