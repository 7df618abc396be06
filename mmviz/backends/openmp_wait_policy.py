"""How torch's threads wait for each other; imports no torch."""

from __future__ import annotations

from collections.abc import MutableMapping


def set_thread_wait(environment: MutableMapping[str, str]) -> None:
    """Makes torch's threads sleep while they wait for each other, unless ``environment`` says otherwise.

    Threads that spin take four times as long beside other work, such as a page and its browser. The variable takes
    effect only if it is set before torch is imported.
    """
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
