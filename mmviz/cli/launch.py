"""What stays up until it is stopped: the page (``mmviz app``) and the service (``mmviz serve``)."""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmviz.backends import LOOPBACK
from mmviz.backends.access_token import read_token
from mmviz.explain import Run
from mmviz.i18n.messages import sentence
from mmviz.types import MmvizError

if TYPE_CHECKING:
    from mmviz.backends import Backend


def add(commands: Any) -> None:
    """Add both commands to those of ``mmviz``."""
    app = commands.add_parser("app", help="open the page in a browser")
    app.add_argument("run_file", nargs="?", metavar="RUN.npz", help="a saved run, to be shown first")
    app.add_argument(
        "--model", metavar="MODULE:FACTORY", help="a model of your own, or a folder of mmviz train (or set MMVIZ_MODEL)"
    )
    app.add_argument("--port", type=int, default=8501)
    app.add_argument("--backend", metavar="URL", help="where runs are made: the address of an mmviz serve")
    app.add_argument("--token-file", type=Path, metavar="FILE", help="the token of that backend")
    app.add_argument("--host", metavar="NAME", help="let other machines in, under this name, with an access token")
    app.add_argument("--access-token-file", type=Path, metavar="FILE", help="that token (default: one is made)")
    _add_tls(app)
    app.add_argument("--headless", action="store_true", help="do not open a browser")
    app.set_defaults(run=_app)

    serve = commands.add_parser("serve", help="run models for pages on other machines")
    serve.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="address to listen on")
    serve.add_argument("--port", type=int, default=8600)
    serve.add_argument("--token-file", type=Path, metavar="FILE", help="needed where other machines can reach it")
    serve.add_argument(
        "--model",
        metavar="MODULE:FACTORY",
        help="a model of your own, or a folder of mmviz train, beside those of mmviz",
    )
    serve.add_argument("--ray", nargs="?", const="here", metavar="ADDRESS",
                       help="run the models by Ray Serve: here, or on a cluster (auto: this machine's)")  # fmt: skip
    serve.add_argument("--replicas", type=int, nargs=2, default=(1, 4), metavar=("FEWEST", "MOST"))
    _add_tls(serve)
    serve.set_defaults(run=_serve)


def _add_tls(command: argparse.ArgumentParser) -> None:
    command.add_argument("--tls-cert", type=Path, metavar="FILE", help="certificate, for HTTPS")
    command.add_argument("--tls-key", type=Path, metavar="FILE", help="its key")


def _check_tls(options: argparse.Namespace) -> None:
    if (options.tls_cert is None) != (options.tls_key is None):
        raise MmvizError("tls-pair")
    for path in (options.tls_cert, options.tls_key):
        if path is not None and not path.is_file():
            raise MmvizError("file-missing", name=path.name)


def _patient(environment: MutableMapping[str, str]) -> MutableMapping[str, str]:
    """Torch's threads are to sleep while they wait for each other, not to spin: beside other work, which a page and its
    browser are, a run then takes a quarter of the time. It has to be said before torch is loaded."""
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return environment


def _app(options: argparse.Namespace) -> int:
    _check_tls(options)
    shown, environment = [], _patient(dict(os.environ))
    if options.run_file:
        Run.load(options.run_file)  # a file that is none is refused here, not on the page
        shown += ["--run", str(Path(options.run_file).resolve())]
    if options.model:
        from mmviz.models.custom import check_spec

        check_spec(options.model)
        shown += ["--model", options.model]
    if options.backend:
        from mmviz.backends.remote import RemoteBackend

        RemoteBackend(options.backend)  # an address that is none is refused here
        shown += ["--backend", options.backend]
    if options.token_file:
        environment["MMVIZ_TOKEN"] = read_token(options.token_file)
    script = Path(__file__).parent.parent / "app" / "streamlit_script.py"
    command = [sys.executable, "-m", "streamlit", "run", str(script), "--server.port", str(options.port)]
    if options.headless:
        command += ["--server.headless", "true"]
    if options.tls_cert:
        command += ["--server.sslCertFile", str(options.tls_cert), "--server.sslKeyFile", str(options.tls_key)]
    if options.host:
        given = options.access_token_file
        environment["MMVIZ_ACCESS"] = read_token(given) if given else secrets.token_urlsafe(12)
        command += ["--server.address", "0.0.0.0", "--browser.serverAddress", options.host]
        command += ["--server.allowedHosts", options.host]
        print(sentence("app-access", token=given.name if given else environment["MMVIZ_ACCESS"]), flush=True)
        if not options.tls_cert:
            print(sentence("app-plain"), flush=True)
    return subprocess.run([*command, "--", *shown], check=False, env=environment).returncode


def _serve(options: argparse.Namespace) -> int:
    _patient(os.environ)
    import uvicorn

    from mmviz.backends.local import this_machine
    from mmviz.backends.server import Limits, make_app

    _check_tls(options)
    token = read_token(options.token_file) if options.token_file else None
    if options.host not in LOOPBACK and token is None:
        raise MmvizError("token-needed", host=options.host)
    backend: Backend
    if options.ray:
        from mmviz.backends import ray as on_ray

        address = None if options.ray == "here" else options.ray
        backend, limits = on_ray.start(options.model, address, tuple(options.replicas)), Limits(256, 64)
        device = f"Ray Serve, {options.replicas[0]} to {options.replicas[1]} replicas"
    else:
        local = this_machine(options.model)
        backend, limits, device = local, Limits(), str(local.about()["name"])
    scheme = "https" if options.tls_cert else "http"
    listed = ", ".join(card.id for card in backend.models())
    place = f"{scheme}://{options.host}:{options.port}"
    print(sentence("serving", models=listed, address=place, device=device), flush=True)
    app = make_app(backend, token, LOOPBACK if options.host in LOOPBACK else None, limits)
    uvicorn.run(
        app, host=options.host, port=options.port, log_level="warning", access_log=False, server_header=False,
        http="h11", ws="none", timeout_keep_alive=5, timeout_graceful_shutdown=30, limit_concurrency=256,
        ssl_certfile=options.tls_cert, ssl_keyfile=options.tls_key,
    )  # fmt: skip
    return 0
