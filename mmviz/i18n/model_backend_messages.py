"""What is said of the machine that runs a model: requests, access, memory, and recorded runs in its place."""

from __future__ import annotations

BACKEND_SENTENCES: dict[str, str] = {
    "wire-unreadable": "The data received is not a request of mmviz, or is damaged. Use the same version of mmviz on "
    "both sides.",
    "wire-large": "The request is larger than the {limit:,.0f} MB that this backend accepts.",
    "wire-slow": "The request did not arrive within {seconds:.0f} s. Check the connection and try again.",
    "wire-refused": "This address answers only requests of mmviz: {why}.",
    "backend-url": "{url!r} is not the address of a backend. Write https://HOST:PORT; http:// is allowed only on this "
    "machine.",
    "backend-unreachable": "The backend {host} cannot be reached ({why}). Check that it is running (mmviz serve) and "
    "that the address is right.",
    "backend-late": "The backend {host} did not answer within {seconds:.0f} s. Try again, or compute on this machine.",
    "backend-busy": "The backend {host} is busy: {count} runs are waiting. Try again in a moment.",
    "backend-stopping": "The backend {host} is starting or stopping. Try again in a moment.",
    "backend-token": "The backend {host} does not accept this access token. Give the one it was started with "
    "(--token-file).",
    "backend-answer": "The backend {host} sent an answer that mmviz cannot read ({why}). Check that this is the "
    "address of mmviz serve.",
    "backend-version": "The backend {host} uses protocol version {version}, this mmviz uses version {known}. Install "
    "the same version of mmviz on both sides.",
    "backend-failed": "The backend {host} failed on this run. The kind of the error is in its log only.",
    "backend-resting": "The backend {host} failed {count} times in a row, so mmviz does not call it for {seconds:.0f} "
    "s.",
    "memory-smaller": "The GPU ran out of memory. This run was repeated without relevance, and the data kept of "
    "earlier runs was freed.",
    "memory-cpu": "The GPU ran out of memory, so this run was computed on the CPU.",
    "memory-own": "The GPU ran out of memory on this run. Give a smaller input, or start mmviz with "
    "CUDA_VISIBLE_DEVICES= to run this model on the CPU.",
    "serving": "Serving {models} on {address}, {device}. Stop with Ctrl-C.",
    "app-access": "The page requires this access token from visitors: {token}",
    "app-plain": "Without --tls-cert and --tls-key, browsers on other machines allow neither camera nor microphone, "
    "and the token is sent unencrypted.",
    "backend-fallback": "The run was computed on this machine instead. {why}",
    "token-file": "The token file {name} cannot be used: it must be one line of at least {least} characters.",
    "token-needed": "Other machines can reach {host}, so a token is required: --token-file FILE, a file with one long "
    "line.",
    "tls-pair": "A certificate and its key must be given together: --tls-cert FILE --tls-key FILE.",
    "replay-not-recorded": "There is no recorded run of the model {model} with these inputs. Use an unchanged example "
    "from the gallery, or a backend that runs the model.",
    "replay-stale": "The recorded run was made with other weights than those of the model {model} here, so it is not "
    "shown. Run the model, or record again: python -m mmviz.training.release.record_gallery.",
}
