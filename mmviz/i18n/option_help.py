"""What ``--help`` says of the options that several commands have."""

from __future__ import annotations

MODEL = (
    "a model of `mmviz models`; hf:OWNER/NAME[@REVISION], hf:FOLDER or hf:PRESET for a checkpoint of Hugging Face; "
    "MODULE:FACTORY for a custom model; or a folder that `mmviz train` wrote"
)
"""What every option for a model takes."""

OPTION_HELP: dict[str, str] = {
    "--words": "which words of a written answer it is about, from 1 (default: all)",
    "--json": "write the whole table as JSON (- for standard output)",
    "--csv": "write the rows as CSV",
    "--control": "run the model with shuffled weights, or with uniform attention",
    "--ablate": "run it with these heads ablated, such as 5:0-2.4,6:1; maps and heads count from 0, maps as they "
    "stand in a run",
    "--cut": "run it with these routes cut, QUERIES:KEYS:STACK:LAYERS:HEADS, of which the end may be missing, such as "
    "text:image,answer:audio::2-3; a group is image, text, audio, special, answer, or tokens such as 3-5.9@",
    "--drop": "run it without these modalities, as it learned to be, or with a baseline in their place, such as "
    "image,audio:mean (mean, blur or noise)",
    "--stack": "measure only {measured} of this stack, as tables and maps name it (default: all)",
    "--layers": "measure only {measured} of these layers, from 0, such as 0,4-7; of the default stack unless --stack "
    "names another",
    "--image": "an image ({formats}); its bytes decide, not its name; several times for a model that takes several",
    "--video": "a video (MP4, MOV, MKV, WebM, WMV) or animated picture, in place of an image",
    "--text": "the question",
    "--audio": "a sound or a video ({formats}); its bytes decide, not its name; several times for a model that takes "
    "several",
    "--system": "system prompt of a model that writes its answer",
    "--new-tokens": "the most tokens that such a model writes",
    "--template": "chat template of such a model (Jinja), in place of its checkpoint's",
    "--model": f"{MODEL} (default: trio)",
    "--backend": "run the model on this `mmviz serve` (default: on this machine)",
    "--token-file": "file with the access token of that backend (or set MMVIZ_TOKEN)",
    "--tls-cert": "TLS certificate, to serve over HTTPS",
    "--tls-key": "private key of the certificate",
    "FOLDER_OR_CSV": "folder of examples, or a CSV file that lists them (default: the gallery that comes with mmviz)",
}
