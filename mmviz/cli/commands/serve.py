"""``mmviz serve``: models as a service for pages on other machines."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmviz.backends import LOOPBACK
from mmviz.backends.openmp_wait_policy import set_thread_wait
from mmviz.cli.listening import bound_sockets, check_tls, port
from mmviz.cli.options import add_tls_options, require_extra
from mmviz.i18n.command_help import help_text
from mmviz.i18n.errors_and_notices import sentence
from mmviz.types import MmvizError

if TYPE_CHECKING:
    from mmviz.backends import Backend
    from mmviz.backends.server import Limits

GRACE = 40.0
"""Seconds from the request to end until the process ends itself, whatever a model still computes."""
_RUNS_GRACE = 30
"""Seconds for which responses may still be sent."""


def add(commands: Any) -> None:
    """Adds the command to the parser of ``mmviz``."""
    parser = commands.add_parser("serve", help=help_text("serve"), description=help_text("serve-description"))
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help=help_text("serve --host"))
    parser.add_argument("--port", type=port, default=8600, help=help_text("serve --port"))
    parser.add_argument("--token-file", type=Path, metavar="FILE", help=help_text("serve --token-file"))
    parser.add_argument("--model", metavar="MODEL", help=help_text("serve --model"))
    parser.add_argument("--ray", nargs="?", const="local", metavar="ADDRESS", help=help_text("serve --ray"))
    parser.add_argument("--replicas", type=int, nargs=2, metavar=("FEWEST", "MOST"), help=help_text("serve --replicas"))
    add_tls_options(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    require_extra("mmviz serve", "serve", "starlette", "uvicorn", "prometheus_client")
    if options.ray:
        require_extra("mmviz serve --ray", "ray", "ray")
    set_thread_wait(os.environ)
    from mmviz.app.allowed_hosts import url
    from mmviz.backends.server import make_app
    from mmviz.cli.token_file import read_token

    check_tls(options.tls_cert, options.tls_key)
    token = read_token(options.token_file) if options.token_file else None
    if options.host not in LOOPBACK and token is None:
        raise MmvizError("token-needed", host=options.host)
    _check_replicas(options)
    with ExitStack() as stack:
        sockets = [stack.enter_context(bound) for bound in bound_sockets(options.host, options.port)]
        backend, limits, device = _backend(options)
        model_ids = ", ".join(card.id for card in backend.models())
        address = url(options.host, options.port, options.tls_cert is not None)
        print(sentence("serving", models=model_ids, address=address, device=device), flush=True)
        _serve(make_app(backend, token, LOOPBACK if options.host in LOOPBACK else None, limits), sockets, options)
    return 0


def _check_replicas(options: argparse.Namespace) -> None:
    """Raises ``MmvizError``: ``option-needs`` where Ray is not used, ``serve-replicas`` for impossible numbers."""
    if options.replicas is None:
        options.replicas = (1, 4)
    elif not options.ray:
        raise MmvizError("option-needs", option="--replicas", needed="--ray")
    fewest, most = options.replicas
    if not 1 <= fewest <= most:
        raise MmvizError("serve-replicas", fewest=fewest, most=most)


def _backend(options: argparse.Namespace) -> tuple[Backend, Limits, str]:
    """Returns the backend, the limits of the service in front of it, and the name of the device."""
    from mmviz.backends.server import Limits

    if options.ray:
        from mmviz.backends import ray

        fewest, most = options.replicas
        replicas = ray.start(options.model, None if options.ray == "local" else options.ray, (fewest, most))
        return replicas, Limits(queue=256, workers=64), f"Ray Serve, {fewest} to {most} replicas"
    from mmviz.backends.local.backend import this_machine

    backend = this_machine(options.model)
    return backend, Limits(), str(backend.machine()["name"])


def _serve(app: Any, sockets: list[socket.socket], options: argparse.Namespace) -> None:
    """Serves on bound ``sockets`` until SIGTERM, SIGINT or SIGHUP. The process ends `GRACE` seconds later at most."""
    import uvicorn

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: Any) -> None:
            timer = threading.Timer(GRACE, os._exit, (1,))
            timer.daemon = True
            timer.start()
            super().handle_exit(sig, frame)

    if hasattr(signal, "SIGHUP"):  # the terminal was closed
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False,
        http="h11", ws="none", timeout_keep_alive=5, timeout_graceful_shutdown=_RUNS_GRACE, limit_concurrency=256,
        ssl_certfile=options.tls_cert, ssl_keyfile=options.tls_key,
    )  # fmt: skip
    with suppress(KeyboardInterrupt):  # which uvicorn raises again after it has ended
        Server(config).run(sockets)
