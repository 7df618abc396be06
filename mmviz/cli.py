"""The command line: ``mmviz app | explain | serve | train | evaluate | doctor | models``."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmviz.backends.token import read_token
from mmviz.explain import Run
from mmviz.texts import sentence
from mmviz.types import MmvizError

if TYPE_CHECKING:
    from mmviz.backends import Backend
    from mmviz.backends.local import LocalBackend
    from mmviz.backends.remote import RemoteBackend


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Exit code 0, or 2 with one line on stderr for input that cannot be used."""
    options = _parser().parse_args(arguments)
    try:
        result: int = options.run(options)
    except MmvizError as refusal:
        print(f"mmviz: {refusal}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("mmviz: stopped.", file=sys.stderr)
        return 130
    return result


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mmviz", description="See how image, text and audio attend to each other.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    app = commands.add_parser("app", help="open the page in a browser")
    app.add_argument("run_file", nargs="?", metavar="RUN.npz", help="a saved run, to be shown first")
    app.add_argument("--model", metavar="MODULE:FACTORY", help="a model of your own (or set MMVIZ_MODEL)")
    app.add_argument("--port", type=int, default=8501)
    app.add_argument("--backend", metavar="URL", help="where runs are made: the address of an mmviz serve")
    app.add_argument("--token-file", type=Path, metavar="FILE", help="the token of that backend")
    app.add_argument("--host", metavar="NAME", help="let other machines in, under this name, with an access token")
    app.add_argument("--access-token-file", type=Path, metavar="FILE", help="that token (default: one is made)")
    _add_tls(app)
    app.add_argument("--headless", action="store_true", help="do not open a browser")
    app.set_defaults(run=_app)

    explain = commands.add_parser("explain", help="run a model on a picture, a text and a sound")
    explain.add_argument("--image", metavar="FILE", help="PNG, JPEG, WebP or GIF")
    explain.add_argument("--text", metavar="TEXT", help="the question")
    explain.add_argument("--audio", metavar="FILE", help="WAV, FLAC, OGG, MP3, M4A, AAC or WebM")
    explain.add_argument("--model", default="trio", help="trio, toy, or MODULE:FACTORY of your own")
    explain.add_argument("--backend", metavar="URL", help="where it runs: the address of an mmviz serve")
    explain.add_argument("--token-file", type=Path, metavar="FILE", help="the token of that backend")
    explain.add_argument("--json", metavar="FILE", help="write the summary (- for standard output)")
    explain.add_argument("--npz", metavar="FILE", help="write the whole run")
    explain.add_argument("--png", metavar="FILE", help="write one picture to show")
    explain.add_argument("--html", metavar="FILE", help="write the linked viewer with this run, one file to open")
    explain.set_defaults(run=_explain)

    train = commands.add_parser("train", help="train the bundled model (resumes what the folder holds)")
    train.add_argument("--out", type=Path, default=Path("runs/trio"), metavar="FOLDER")
    train.add_argument("--stage", choices=("encoders", "whole", "all"), default="all")
    train.add_argument("--scenes", type=int, nargs=2, default=(46_208, 92_000), metavar=("ENCODERS", "WHOLE"))
    train.add_argument("--weights", type=Path, metavar="FILE", help="start from these weights (safetensors)")
    train.add_argument("--seed", type=int, default=1)
    train.add_argument("--device", default="auto")
    train.set_defaults(run=_train)

    evaluate = commands.add_parser("evaluate", help="print the tables of the bundled model, measured afresh")
    evaluate.add_argument("--count", type=int, default=200, help="trios a family")
    evaluate.add_argument("--way", help="way of looking (default: the one the card names)")
    evaluate.add_argument("--choose", action="store_true", help="rank the ways of looking on seeds of their own")
    evaluate.add_argument("--json", type=Path, metavar="FILE", help="write the figures as well")
    evaluate.add_argument("--card", action="store_true", help="note the figures in the model's card")
    evaluate.set_defaults(run=_evaluate)

    doctor = commands.add_parser("doctor", help="tell device, versions and by which route attention is heard")
    doctor.add_argument("--model", default="trio", help="trio, toy, or MODULE:FACTORY of your own")
    doctor.add_argument("--json", action="store_true", help="print the findings as JSON")
    doctor.set_defaults(run=_doctor)

    serve = commands.add_parser("serve", help="run models for pages on other machines")
    serve.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="address to listen on")
    serve.add_argument("--port", type=int, default=8600)
    serve.add_argument("--token-file", type=Path, metavar="FILE", help="needed where other machines can reach it")
    serve.add_argument("--model", metavar="MODULE:FACTORY", help="a model of your own, beside those of mmviz")
    serve.add_argument("--ray", nargs="?", const="here", metavar="ADDRESS",
                       help="run the models by Ray Serve: here, or on a cluster (auto: this machine's)")  # fmt: skip
    serve.add_argument("--replicas", type=int, nargs=2, default=(1, 4), metavar=("FEWEST", "MOST"))
    _add_tls(serve)
    serve.set_defaults(run=_serve)

    models = commands.add_parser("models", help="list the models")
    models.set_defaults(run=_models)
    return parser


def _add_tls(command: argparse.ArgumentParser) -> None:
    command.add_argument("--tls-cert", type=Path, metavar="FILE", help="certificate, for HTTPS")
    command.add_argument("--tls-key", type=Path, metavar="FILE", help="its key")


def _check_tls(options: argparse.Namespace) -> None:
    if (options.tls_cert is None) != (options.tls_key is None):
        raise MmvizError("tls-pair")
    for path in (options.tls_cert, options.tls_key):
        if path is not None and not path.is_file():
            raise MmvizError("file-missing", name=path.name)


def _app(options: argparse.Namespace) -> int:
    _check_tls(options)
    shown, environment = [], dict(os.environ)
    if options.run_file:
        Run.load(options.run_file)  # a file that is none is refused here, not on the page
        shown += ["--run", str(Path(options.run_file).resolve())]
    if options.model:
        from mmviz.models.yours import check_spec

        check_spec(options.model)
        shown += ["--model", options.model]
    if options.backend:
        from mmviz.backends.remote import RemoteBackend

        RemoteBackend(options.backend)  # an address that is none is refused here
        shown += ["--backend", options.backend]
    if options.token_file:
        environment["MMVIZ_TOKEN"] = read_token(options.token_file)
    script = Path(__file__).with_name("app") / "run.py"
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
    import uvicorn

    from mmviz.backends.local import LocalBackend
    from mmviz.backends.server import LOOPBACK, Limits, make_app

    _check_tls(options)
    token = read_token(options.token_file) if options.token_file else None
    if options.host not in LOOPBACK and token is None:
        raise MmvizError("token-needed", host=options.host)
    backend: Backend
    if options.ray:
        from mmviz.backends import on_ray

        address = None if options.ray == "here" else options.ray
        backend, limits = on_ray.start(options.model, address, tuple(options.replicas)), Limits(256, 64)
        device = f"Ray Serve, {options.replicas[0]} to {options.replicas[1]} replicas"
    else:
        local = (_backend(options.model) if options.model else None) or LocalBackend()
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


def _explain(options: argparse.Namespace) -> int:
    from mmviz.explain import explain

    run = explain(
        image=options.image, text=options.text, audio=options.audio, model=options.model,
        backend=_elsewhere(options) or _backend(options.model),
    )  # fmt: skip
    summary = run.summary()
    if options.json == "-":
        print(json.dumps(summary, indent=1))
    else:
        _print_answer(summary)
    if options.json and options.json != "-":
        _write(options.json, json.dumps(summary, indent=1).encode())
    if options.npz:
        _write(options.npz, run.to_bytes())
    if options.png:
        _write(options.png, run.png())
    if options.html:
        _write(options.html, run.to_html().encode())
    return 0


def _elsewhere(options: argparse.Namespace) -> RemoteBackend | None:
    """The backend that was named; None for this machine."""
    if not options.backend:
        return None
    from mmviz.backends.remote import RemoteBackend

    token = read_token(options.token_file) if options.token_file else os.environ.get("MMVIZ_TOKEN")
    return RemoteBackend(options.backend, token)


def _backend(model: str) -> LocalBackend | None:
    """Where a model of one's own runs; None for those of the catalogue."""
    if ":" not in model:
        return None
    from mmviz.backends.local import LocalBackend, best_device
    from mmviz.models.yours import load

    device = best_device()
    return LocalBackend(device, {model: load(model, device)})


def _doctor(options: argparse.Namespace) -> int:
    from mmviz.doctor import examine, is_well, tell

    found = examine(options.model, _backend(options.model))
    print(json.dumps(found, indent=1) if options.json else tell(found))
    return 0 if is_well(found) else 1


def _print_answer(summary: dict[str, Any]) -> None:
    for notice in summary["notices"]:
        print(notice)
    best = list(summary["probabilities"].items())[:5]
    print("answer: " + (" | ".join(f"{label} {probability:.2f}" for label, probability in best) or "none"))
    print(f"computed on {summary['made_by']['device_name']}, looking at {summary['attention']['method']}")


def _write(path: str, data: bytes) -> None:
    try:
        Path(path).write_bytes(data)
    except OSError as problem:
        raise MmvizError("file-unwritable", name=Path(path).name, why=problem.strerror or str(problem)) from problem


def _train(options: argparse.Namespace) -> int:
    from mmviz.backends.local import best_device
    from mmviz.training.art import concepts, styles
    from mmviz.training.speech import default_cache, open_or_build
    from mmviz.training.train import plan, train
    from mmviz.training.trios import World

    device = best_device() if options.device == "auto" else options.device
    stages = ("encoders", "whole") if options.stage == "all" else (options.stage,)
    start: Path | None = options.weights
    world = World(styles(), open_or_build(default_cache(), "train", concepts(), _print_progress))
    for stage, scenes in zip(("encoders", "whole"), options.scenes, strict=True):
        if stage not in stages:
            continue
        print(sentence("training", stage=stage, folder=options.out / stage, device=device))
        with _bar(scenes) as bar:

            def show(done: int, of: int, losses: dict[str, float], bar: Any = bar) -> None:
                bar.n = done
                bar.set_postfix(losses)

            train(plan(stage, scenes), world, options.out / stage, options.seed, device, start, show)
        start = options.out / stage / "weights.safetensors"
    return 0


def _print_progress(done: int, of: int) -> None:
    print(f"\rSpeaking the words: {done} of {of}", end="" if done < of else "\n", file=sys.stderr, flush=True)


def _bar(total: int) -> Any:
    try:
        from tqdm import tqdm
    except ImportError as missing:
        raise MmvizError("extra-missing", extra="train") from missing
    return tqdm(total=total, dynamic_ncols=True)


def _evaluate(options: argparse.Namespace) -> int:
    from mmviz.backends.local import LocalBackend
    from mmviz.training.tables import markdown, measure, rank_ways, trials

    backend = LocalBackend()
    (card,) = (card for card in backend.models() if card.id == "trio")
    with _bar(trials(options.count, options.choose)) as bar:

        def tick(what: str) -> None:
            bar.set_description(what)
            bar.update()

        if options.choose:
            for way, image, audio in rank_ways(backend, "trio", options.count, tick):
                bar.write(f"{way:12} picture {image:.2f}  sound {audio:.2f}")
            return 0
        result = measure(backend, "trio", options.way or card.details["way"], options.count, tick)
    print(markdown(result))
    if options.json:
        _write(str(options.json), json.dumps(result, indent=1).encode())
    if options.card:
        from mmviz.assets_path import assets_dir
        from mmviz.training.ship import note_measured

        note_measured(assets_dir() / "trio", result)
    return 0


def _models(options: argparse.Namespace) -> int:
    from mmviz.backends.local import LocalBackend

    for card in LocalBackend().models():
        print(f"{card.id:8} {card.about} (weights {card.weights_digest[:12]})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
