"""``mmviz app``: the page in a browser."""

from __future__ import annotations

import argparse
import os
import secrets
from pathlib import Path
from typing import Any

from mmviz.backends.openmp_wait_policy import set_thread_wait
from mmviz.cli.listening import check_port, check_tls, port
from mmviz.cli.options import (
    add_backend_options,
    add_tls_options,
    require_extra,
)
from mmviz.cli.processes import run_module
from mmviz.i18n.command_help import help_text
from mmviz.i18n.errors_and_notices import sentence
from mmviz.i18n.language import join_list
from mmviz.types import MmvizError


def add(commands: Any) -> None:
    """Adds the command to the parser of ``mmviz``."""
    parser = commands.add_parser("app", help=help_text("app"), description=help_text("app-description"))
    parser.add_argument("run_file", nargs="?", metavar="FILE", help=help_text("app FILE"))
    parser.add_argument("--model", action="append", metavar="MODEL", help=help_text("app --model"))
    parser.add_argument("--models-on-disk", action="store_true", help=help_text("app --models-on-disk"))
    parser.add_argument("--port", type=port, default=8501, help=help_text("app --port"))
    add_backend_options(parser)
    parser.add_argument("--host", action="append", metavar="NAME", help=help_text("app --host"))
    parser.add_argument("--access-token-file", type=Path, metavar="FILE", help=help_text("app --access-token-file"))
    add_tls_options(parser)
    parser.add_argument("--headless", action="store_true", help=help_text("app --headless"))
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    require_extra("mmviz app", "app", "streamlit", "plotly")
    check_tls(options.tls_cert, options.tls_key)
    _check_partners(options)
    script_arguments, environment = _script_arguments(options), dict(os.environ)
    set_thread_wait(environment)
    if options.token_file:
        from mmviz.cli.token_file import read_token

        environment["MMVIZ_TOKEN"] = read_token(options.token_file)
    script = Path(__file__).parents[2] / "app" / "streamlit_server.py"
    arguments = ["run", str(script), "--server.port", str(options.port), "--server.showEmailPrompt", "false"]
    if options.headless:
        arguments += ["--server.headless", "true"]
    if options.tls_cert:
        arguments += ["--server.sslCertFile", str(options.tls_cert), "--server.sslKeyFile", str(options.tls_key)]
    if options.host:
        arguments += _host_arguments(options, environment)
    else:
        check_port("localhost", options.port)
        environment.pop("MMVIZ_HOSTS", None)  # names would open a page without a token
    return run_module("streamlit", [*arguments, "--", *script_arguments], environment)


def _check_partners(options: argparse.Namespace) -> None:
    """Raises ``MmvizError`` (``option-needs``) for an access token that nothing would ask for."""
    if options.token_file and not options.backend:
        raise MmvizError("option-needs", option="--token-file", needed="--backend")
    if options.access_token_file and not options.host:
        raise MmvizError("option-needs", option="--access-token-file", needed="--host")


def _script_arguments(options: argparse.Namespace) -> list[str]:
    """Returns the arguments of the page's script. What cannot be used is refused here, not on the page."""
    arguments = []
    if options.run_file:
        from mmviz.present import load_run_or_talk

        load_run_or_talk(options.run_file)
        arguments += ["--run", str(Path(options.run_file).resolve())]
    for model in _models(options):
        arguments += ["--model", model]
    if options.backend:
        from mmviz.backends.remote import RemoteBackend

        RemoteBackend(options.backend)
        arguments += ["--backend", options.backend]
    return arguments


def _models(options: argparse.Namespace) -> list[str]:
    """Returns the models of the page, the one that is shown first at the beginning.

    Raises ``MmvizError`` (``model-unknown``) and as `mmviz.models.custom_model_factory.check_spec` does.
    """
    from mmviz.models import CATALOGUE
    from mmviz.models.custom_model_factory import check_spec, is_custom

    models: list[str] = list(options.model or [])
    for model in models:
        if is_custom(model):
            check_spec(model)
        elif model not in CATALOGUE:
            raise MmvizError("model-unknown", model=model, known=", ".join(CATALOGUE))
    if options.models_on_disk:
        from mmviz.models.huggingface.disk_checkpoints import disk_checkpoints

        first = models or [os.environ.get("MMVIZ_MODEL") or "trio"]
        models = [*first, *(checkpoint.spec for checkpoint in disk_checkpoints())]
    return list(dict.fromkeys(models))


def _host_arguments(options: argparse.Namespace, environment: dict[str, str]) -> list[str]:
    """Returns the arguments that open the page to other machines, and puts its access token and the names that it
    answers to into ``environment``, which may hold more of them.

    Raises ``MmvizError``: ``app-host`` for what is no name, ``token-file`` and ``app-access-short``.
    """
    from mmviz.app import allowed_hosts

    given = [*options.host, *environment.get(allowed_hosts.VARIABLE, "").split()]
    hosts = [allowed_hosts.check_host(host) for host in given]
    names, address = allowed_hosts.public_names(hosts), allowed_hosts.listen_address(hosts)
    environment[allowed_hosts.VARIABLE] = " ".join(names)
    shown = _set_access_token(options.access_token_file, environment)
    check_port(address, options.port)
    print(sentence("app-access", token=shown), flush=True)
    if allowed_hosts.is_loopback(address):
        if names:
            print(sentence("app-behind-proxy", names=join_list(names)), flush=True)
    else:
        reached = [*dict.fromkeys([*names, *allowed_hosts.machine_addresses(address)])]
        urls = [allowed_hosts.url(host, options.port, options.tls_cert is not None) for host in reached]
        print(sentence("app-addresses", addresses=join_list(urls)), flush=True)
        if not options.tls_cert:
            print(sentence("app-plain"), flush=True)
    return [
        "--server.address", address,
        "--browser.serverAddress", address if allowed_hosts.is_loopback(address) else (*names, "localhost")[0],
        "--server.allowedHosts", "*",  # the guard in front of Streamlit decides
    ]  # fmt: skip


def _set_access_token(path: Path | None, environment: dict[str, str]) -> str:
    """Puts the access token into ``environment``, unless it is there already, and returns a new one or its source."""
    from mmviz.cli.token_file import MIN_LENGTH, is_token, read_token

    if path is not None:
        environment["MMVIZ_ACCESS"], shown = read_token(path), path.name
    elif token := environment.get("MMVIZ_ACCESS"):
        if not is_token(token):
            raise MmvizError("app-access-short", least=MIN_LENGTH)
        shown = "MMVIZ_ACCESS"
    else:
        environment["MMVIZ_ACCESS"] = shown = secrets.token_urlsafe(12)
    return shown
