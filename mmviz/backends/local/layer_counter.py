"""Counts the layers of a model while it runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from torch import nn

from mmviz.backends.layer_progress import layer_listener
from mmviz.models.encoders.encoder_cache import report_kept


def layer_paths(module: nn.Module) -> list[str]:
    """Returns the paths of the layers: the members of the innermost ``nn.ModuleList`` of two or more."""
    lists = [path for path, part in module.named_modules() if isinstance(part, nn.ModuleList) and len(part) > 1]
    inner = [path for path in lists if not any(other.startswith(f"{path}.") for other in lists)]
    return [f"{path}.{number}" for path in inner for number in range(len(module.get_submodule(path)))]  # type: ignore[arg-type]


@contextmanager
def reported_layers(module: nn.Module) -> Iterator[None]:
    """Reports each layer that has run to the callback of `mmviz.backends.layer_progress.report_layers`.

    A layer that runs several times counts once; those of an encoder whose outputs are kept count at once. Without a
    callback, or layers, nothing is hooked.
    """
    listener = layer_listener()
    layers = {path: module.get_submodule(path) for path in layer_paths(module)} if listener else {}
    done: set[str] = set()

    def note(*paths: str) -> None:
        if not done.issuperset(paths):
            done.update(paths)
            assert listener is not None
            listener(len(done), len(layers))

    def note_kept(modules: Sequence[nn.Module]) -> None:
        kept = {part for encoder in modules for part in encoder.modules()}
        note(*(path for path, layer in layers.items() if layer in kept))

    with ExitStack() as stack:
        for path, layer in layers.items():
            handle = layer.register_forward_hook(lambda *_, path=path: note(path))
            stack.callback(handle.remove)
        if layers:
            stack.enter_context(report_kept(note_kept))
        yield
