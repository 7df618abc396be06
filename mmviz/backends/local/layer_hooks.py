"""Counts the layers of a model while it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from torch import nn

from mmviz.backends.layer_progress import layer_listener


def layer_paths(module: nn.Module) -> list[str]:
    """Returns the paths of the layers: the members of the innermost ``nn.ModuleList`` of two or more."""
    lists = [path for path, part in module.named_modules() if isinstance(part, nn.ModuleList) and len(part) > 1]
    inner = [path for path in lists if not any(other.startswith(f"{path}.") for other in lists)]
    return [f"{path}.{number}" for path in inner for number in range(len(module.get_submodule(path)))]  # type: ignore[arg-type]


@contextmanager
def reported_layers(module: nn.Module) -> Iterator[None]:
    """Reports each layer that has run to the callback of `mmviz.backends.layer_progress.report_layers`.

    A layer that runs several times counts once. Without a callback, or layers, nothing is hooked.
    """
    listener = layer_listener()
    paths = layer_paths(module) if listener else []
    done: set[str] = set()

    def note(path: str) -> None:
        if path not in done:
            done.add(path)
            assert listener is not None
            listener(len(done), len(paths))

    with ExitStack() as stack:
        for path in paths:
            handle = module.get_submodule(path).register_forward_hook(lambda *_, path=path: note(path))
            stack.callback(handle.remove)
        yield
