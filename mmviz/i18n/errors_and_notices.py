"""The texts of every error and notice, by code, and those that commands and figures show."""

from __future__ import annotations

from mmviz.i18n.averages import AVERAGE_SENTENCES
from mmviz.i18n.capture_messages import CAPTURE_SENTENCES
from mmviz.i18n.command_messages import COMMAND_SENTENCES
from mmviz.i18n.custom_model_messages import CUSTOM_MODEL_SENTENCES
from mmviz.i18n.explain_folder import EXPLAIN_FOLDER_SENTENCES
from mmviz.i18n.huggingface_messages import HUGGINGFACE_SENTENCES
from mmviz.i18n.input_messages import INPUT_SENTENCES
from mmviz.i18n.language import translate
from mmviz.i18n.lens_messages import LENS_SENTENCES
from mmviz.i18n.model_backend_messages import BACKEND_SENTENCES
from mmviz.i18n.present import PRESENT_SENTENCES
from mmviz.i18n.preset_messages import PRESET_SENTENCES
from mmviz.i18n.reason_messages import REASON_SENTENCES
from mmviz.i18n.server_messages import SERVER_SENTENCES
from mmviz.i18n.tables import TABLE_SENTENCES

SENTENCES: dict[str, str] = {
    **AVERAGE_SENTENCES,
    **BACKEND_SENTENCES,
    **CAPTURE_SENTENCES,
    **COMMAND_SENTENCES,
    **CUSTOM_MODEL_SENTENCES,
    **EXPLAIN_FOLDER_SENTENCES,
    **HUGGINGFACE_SENTENCES,
    **INPUT_SENTENCES,
    **LENS_SENTENCES,
    **PRESENT_SENTENCES,
    **PRESET_SENTENCES,
    **REASON_SENTENCES,
    **SERVER_SENTENCES,
    **TABLE_SENTENCES,
    # models
    "text-cut": "The question is longer than the {limit} tokens that this model reads. The rest was left out.",
    "audio-cut": "The audio is {seconds:.1f} s long. This model uses only the first {limit:.0f} s.",
    "image-squeezed": "The image is {width} x {height}. This model squeezes it into a square.",
    "image-out-of-distribution": "In this image the model finds nothing that it clearly knows, so its answer means "
    "little. Show one to five things from its list of words, large and in good light, or try an example from the "
    "gallery.",
    "audio-out-of-distribution": "In this audio the model hears no word that it clearly knows, so its answer means "
    "little. Speak one English word from its list, close to the microphone, or try an example from the gallery.",
    "answer-unsure": "The model is not sure. Its likeliest answers are {first} ({first_probability:.1%}), {second} "
    "({second_probability:.1%}) and {third} ({third_probability:.1%}).",
    "question-out-of-distribution": "This question matches none of the wordings that this model was trained on, so "
    "its answer means little. Try for example: {example}",
    "question-word": "The word {word} is not among the {count} words that this model knows, so its answer means "
    "little. Try for example: {example}",
    "model-unknown": "There is no model called {model!r}. Known models: {known}.",
    "model-needs-text": "The model {model} reads text only, so it needs a text with at least one word.",
    "own-spec": "{spec!r} does not name a factory. Write package.module:factory, for example my_models:make.",
    "own-embedding": "The model has no module {path!r} whose output could be the input tokens. Give the name of one "
    "of its modules.",
    "hide-model": "{model} cannot mask individual tokens. Choose mean, blur or noise as the baseline.",
    "effect-model": "The effect cannot be measured: {model} is not available here with the weights of this run. Run "
    "it again.",
    "head-missing": "There is no head {head} in attention map {map} (both count from 0). Attention calls captured: "
    "{count}.",
    "head-module": "There is no head {head} in {name!r} (heads count from 0). Attention was captured in: {known}.",
    "head-batch": "Heads are ablated for {count} samples, but the captured attention has a batch size of {batch}.",
    "norms-projection": "Value-weighted attention is left out: no linear projection was found after the heads of "
    "{name}.",
    "norms-windows": "Value-weighted attention is left out: it is computed for whole sequences, and {name} attends "
    "within windows.",
    "steps-windows": "The steps are left out: they are shown for whole sequences, and {name} attends within windows.",
    "steps-shape": "The shapes of the recorded vectors do not match ({part}), so the attention steps cannot be "
    "recomputed.",
    "steps-long": "The steps of {name} are left out: they are kept for up to {limit} tokens.",
    "steps-scores": "The steps of {name} are left out: mmviz could not trace how its scores are computed from queries "
    "and keys.",
    "steps-parity": "The steps of {name} are left out: recomputed, they differ from the model by {worst:.1e}.",
    "integrated-place": "Integrated gradients are left out: {path} does not output tokens of shape [1, token, width] "
    "once per call.",
    "integrated-graph": "Integrated gradients are left out: no gradients of the answer reach the output of {path}.",
    "integrated-model": "Integrated gradients are left out: mmviz does not know where tokens enter {model}. Name the "
    "module: mmviz.CustomModel(..., embedding=NAME).",
    "weights-missing": "The folder {folder} has no weights.safetensors. Give a folder written by mmviz train.",
    "weights-unreadable": "{name} does not contain weights of trio, or is damaged. Train or download them again.",
    "own-missing": "There is no module {module}. The working directory ({folder}) and the installed packages were "
    "searched. Check the name, or start mmviz in the folder of the module.",
    "own-name": "The module {module} has no {name}. Similar names: {near}.",
    "own-factory": "{name} cannot be called: it is of type {kind}. Name a function that makes the model.",
    "own-made": "{name}() returned {kind}. A factory returns an mmviz.CustomModel(module, prepare, answers).",
    "own-module": "mmviz.CustomModel needs a torch.nn.Module, not {kind}.",
    "own-answers": "mmviz.CustomModel needs answers: a list with the label of each logit.",
    "own-raised": "{what} failed: {kind}: {words} ({where}).",
    "own-exit": "{what} tried to exit the program ({kind}: {words}; {where}). Remove the call of sys.exit, and parse "
    "the command line only under if __name__ == '__main__'.",
    "own-prepare": "prepare returned {kind}, but (inputs, tokens) is expected: the inputs of the module and a list of "
    "tokens.",
    "own-output": "The model returned {kind}, but logits are expected: a tensor, an object with .logits, or pass "
    "logits=.",
    "own-logits": "The model returned logits of shape {shape} for {answers} answers. Return one logit per answer for "
    "one sample, or pass logits=.",
    # capture and records
    "capture-missing": "Attention was expected in {expected}, but captured in {captured}. No map is shown.",
    "capture-changed": "Tensors of the attention in {name} were overwritten after the run. Read its maps before the "
    "model runs on, or run it again.",
    "capture-kind": "Attention is captured from a torch.nn.Module, but this is {kind}. Pass the model itself.",
    "capture-pattern": "No module matches {pattern!r}. Patterns are globs on module paths, such as: {known}.",
    "capture-script": "A TorchScript module does not expose what runs inside it. Capture the model that it was made "
    "from.",
    "capture-dropout": "The attention of {name} ran with dropout, which drops weights at random. Call model.eval() "
    "before running the model.",
    "capture-meta": "{name} ran on the meta device, which computes shapes alone. Run the model on a CPU or GPU.",
    "map-lse": "The log-sum-exp of {name} differs by {worst:.2g} from that of its queries, keys and mask. What was "
    "captured is not what its kernel computed.",
    "capture-nothing": "No attention was captured in {model}. mmviz captures scaled_dot_product_attention, torch's "
    "multi-head attention, and a softmax that feeds a matrix product. Modules that ran: {ran}.{uncaptured_notices}",
    "capture-not-run": "The model {model} did not run inside the capture. Call it inside the with block.",
    "capture-calls": "The model was called {count} times. Choose a call with call=0 to {last}: {calls}.",
    "capture-call": "There is no call {call}. The model was called {count} times, counted from 0.",
    "capture-map": "There is no attention map {name!r} in this call. There are: {known}.",
    "capture-batch": "There is no sample {batch} in this batch of {count}, counted from 0.",
    "capture-batch-choose": "This batch has {count} samples. Choose one with batch=0 to {last}.",
    "capture-tokens": "{count} tokens were given ({name}), but the captured attention is between: {streams}. Give as "
    "many tokens as one of these has, or a mapping from these names to tokens.",
    "capture-token-kind": "Tokens must be a list of strings or of mmviz.Token, not {kind}.",
    "uncaptured-kernel": "{module} ran {kernel}, which mmviz cannot capture. Its attention is missing here.",
    "attention-over-features": "{module} attends over features (channels), not over tokens. Its weights belong to no "
    "token and are not shown.",
    "uncaptured-softmax": "{module} computed a softmax of shape {shape}, but it feeds no matrix product that "
    "mmviz recognizes. If it is attention, it is missing here.",
    "softmax-without-scores": "{module} computed a softmax of shape {shape} whose scores are no product of queries and "
    "keys, and multiplied by it. It is not shown as attention.",
    "uncaptured-weights": "{module} turned scores into weights by {function} instead of a softmax. mmviz cannot show "
    "such attention, and it is missing here.",
    "uncaptured-module": "{module} ran and is named like an attention module, but no attention was captured in it.",
    "fully-masked": "In {name}, {count} of {of} queries are fully masked: their rows are 0.",
    "arrays-none": "The input contains no attention. Fused kernels return none: run the model inside mmviz.capture, "
    "or with eager attention.",
    "arrays-nested": "These are the attentions of {steps} generation steps. Give those of one step: attentions[0].",
    "arrays-type": "Attention must be a torch, JAX or numpy array, or a list with one per layer, not {kind}.",
    "arrays-shape": "The attention of layer {layer} has the shape {shape}, but [head, query, key] or "
    "[batch, head, query, key] is expected.",
    "arrays-names": "Each key of the mapping must be the name of a token stream, or a pair (queries, keys) of names, "
    "not {names!r}.",
    "arrays-sizes": "The stream {stream!r} has {size} tokens in one map and {other} in another. Name the streams: "
    "{{('queries', 'keys'): attentions}}.",
    "arrays-stream": "There are tokens for {name!r}, but the attention is between: {known}.",
    "arrays-tokens": "{count} tokens were given for {stream!r}, but its attention has {size}.",
    "flow-name": "There is no stream {name!r}. The streams of this call are: {known}.",
    "flow-route": "No route from {queries} to {keys} can be followed: neither attention nor functions that move, join "
    "or merge tokens lead there.",
    "flow-lost": "The tokens of {source} go into those of {stream} through {function}, which cannot be followed, so "
    "rollout and relevance end there.",
    "flow-parts": "Parts of a stream attend by themselves, so rollout and relevance cannot be followed from one stream "
    "to another.",
    "flow-rows": "The streams ran with different numbers of rows ({counts}), so rollout and relevance cannot be "
    "followed from one to another.",
    "flow-samples": "Between {queries} and {keys} tokens of several samples of the batch are joined, so nothing flows "
    "within a single one.",
    "flow-cache": "{name} attends to tokens of earlier calls, whose own layers are not part of this call, so nothing "
    "can be followed through all layers. Run the model on the whole sequence in one call.",
    "fork-torch": "This process was forked after torch had computed, and has none of its threads, so torch would wait "
    "for ever. Start it with multiprocessing.get_context('spawn'), or fork before the first run.",
    "backend-pickle": "A backend belongs to the process that made it. Make one in the other process: "
    "mmviz.LocalBackend().",
    "capture-pickle": "A capture belongs to the process and the model that it was made with. Pickle or copy its record "
    "instead: result.record().",
    "relevance-graph": "Gradients of this logit do not reach the attention of {name}. Run the model with gradients "
    "(without torch.no_grad), and pass a logit of the same run.",
    "map-long": "The attention of {name} is {queries:,} x {keys:,}, too long to keep all weights. Read a part of it: "
    "rows, columns or a zoomed region.",
    "view-relevance": "This run has no gradients, which relevance needs. Run the inputs again with relevance=True "
    "where the model is.",
    "view-flow": "A run this long has no matrix of rollout or relevance through all layers. Choose a layer, or single "
    "tokens.",
    "view-gone": "This run is no longer kept by the backend that computed it, so only its overview can be shown. Run "
    "it again.",
    "keep-elsewhere": "The queries and keys of this run are on the machine that computed it. Save the run there, with "
    "keep='exact'.",
    "keep-large": "With its queries and keys this run takes {size:,.0f} MB, and mmviz reads files of at most "
    "{limit:,.0f} MB. Save it without them, or run a shorter input.",
    "keep-numbers": "The queries, keys or mask of {name} hold numbers that are not finite, so they cannot be kept. "
    "Save the run without them.",
    "view-head": "There is no head {head}. There are {count}, counted from 0.",
    "view-edges": "Bin edges must ascend and lie between 0 and {count}.",
    "view-tokens": "There is no token {token}. There are {count}, counted from 0.",
    "map-keys": "The attention of {name} has {keys} keys but {values} values, so it is not shown.",
    "map-parity": "The attention of {name} does not reproduce its module's output (off by {parity:.1e}), "
    "so it is not shown.",
    "map-shape": "The attention of {name} has the shape {shape}, but [head, query, key] is expected.",
    "run-stopped": "The run was stopped before it was finished. Run it again to have its result.",
    "run-no-maps": "This record contains no attention maps, so there is no run to show. Record attention with "
    "Request(maps=True) or mmviz.capture.",
    "run-batch": "This record holds a batch of {count} samples. Choose one: record.sample(0).",
    "map-dtype": "The attention of {name} has the unknown dtype {dtype!r}. Use one of: {known}.",
    "map-negative": "The attention of {name} has a weight that is negative or not a number, so it is not shown.",
    "map-rows": "The attention of {name} does not sum to 1 for every query (off by {worst:.1e}), so it is not shown.",
    "map-tokens": "The attention of {name} has the shape {shape}, but its streams have {expected} tokens.",
    "run-unreadable": "This file is not a run saved by mmviz, or it is damaged. Save the run again.",
    "stories-unreadable": "The file {name} with the stories of recorded runs is missing or damaged. Record them again.",
    "run-format": "This run was saved in format {format}, but this version of mmviz reads format {known}.",
    "run-map-ref": "The run names the map {map_ref}, which it does not contain. Make the run again.",
    "widget-selection": "This run has no such selection. Give indices of its tokens, a map such as {map_ref}, "
    "direction from or to, style spotlight or heat, scale view or map.",
    "run-recording": "This file is a recorded run without its inputs and cannot be opened by itself. Give its folder "
    "to ReplayBackend, or run the inputs again.",
    "own-talk-room": "The slides of this file do not fit: a talk on the page holds up to {slides} slides of {runs} "
    "runs. Remove some first, or open the file alone by `mmviz app FILE`.",
    "npz-large": "This file would take {size:,.0f} MB in memory. mmviz reads at most {limit:,.0f} MB.",
    "decode-late": "Reading this input took longer than {seconds:g} s and was stopped. Save it in another format, or "
    "give a smaller one.",
    "decode-died": "The process that reads inputs ended while it read this file, which may be damaged, malicious, or "
    "of a kind that a decoder fails on. Save it in another format and retry.",
    "decode-memory": "Reading this input needs more memory than mmviz allows. Give a smaller one.",
    "file-unwritable": "The file {name} could not be written: {why}. Choose another place and try again.",
    "depends-on-long": "In a run this long, {method} is computed when you choose it in the viewer, so it is not shown "
    "beside the attention.",
    "depends-on-uniform": "Under uniform attention there are no gradients, so {method} is not shown.",
    "depends-on-not-recorded": "This run does not hold {method}: it was not requested (relevance=True or --relevance), "
    "or the model does not allow it.",
    # figures and commands
    "map-mean": "layer {layer}, mean of heads",
    "map-head": "layer {layer}, head {head}",
    "map-of-layer": "{map}, attention map {number} of the layer",
    "map-of-stack": "{stack}, {map}",
    "stack-fusion": "fusion",
    "stack-encoder-image": "picture encoder",
    "stack-encoder-text": "text encoder",
    "stack-encoder-audio": "sound encoder",
    "method-pooled": "{method}, means over neighbouring tokens",
    "map-rollout": "rollout, product of (A + I) / 2 over all layers",
    "map-relevance": "gradient relevance for the answer",
    "map-value": "value-weighted attention of the last layer",
    "map-integrated": "integrated gradients of the answer",
    "map-to": "{map}, to {stream}",
    "figure-title-written": "Answer: {answer} (log-probability {total:.1f} nats, {count} tokens)",
    "figure-title-unsure": "Not sure: {answers}",
    "figure-title": "Answer: {answer} ({probability:.1%})",
    "figure-no-answers": "Attention of a run without answers",
    "figure-caption": "Model {model}, computed on {device}. Attention shows how information is routed, not why the "
    "answer was given.",
    "doctor-machine": "{name} on {system}; devices: {devices}; runs use {device}; {threads} torch threads.",
    "doctor-columns": "Heads x queries x keys, precision, route, largest difference from eager attention in float64, "
    "and largest difference between attention times values and the output:",
    "doctor-model": "{model}, {count} attention calls captured:",
    "doctor-meaning": "What its maps show: stack and layer, queries to keys with their numbers of tokens, heads, "
    "samples and windows; then what is left out:",
    "doctor-memory": "Memory: {weights} for the weights, and {kept} that capture keeps of this run.",
    "doctor-memory-maps": "With {tokens:,} tokens in {stack}, capture would keep {kept}, and the maps take {maps}.",
    "doctor-memory-longer": "With {tokens:,} tokens in {stack}, capture would keep {kept}; the maps are summaries.",
    "doctor-well": "All within tolerance.",
    "doctor-unclear": "Some attention is left out, or contradicts the number of heads that its module names, or the "
    "batch of the inputs. Name its streams, or leave modules out: mmviz.CustomModel(..., streams=..., exclude=...).",
    "doctor-ill": "Some maps are beyond tolerance or were refused. Do not trust those maps.",
    "extra-missing": "{command} needs more than the base install. Type: pip install 'mmviz[{extra}]'",
    "frame-pandas": "A data frame needs pandas, which is not installed. Type: pip install pandas",
    "speech-missing": "The training speech is made with espeak-ng, which is not installed. On Debian or Ubuntu: "
    "apt-get install espeak-ng.",
    "speech-silent": "No voice says all words. Install espeak-ng with its data (espeak-ng-data) and try again.",
    "speech-engine": "{engine} is not installed here, or its voice is not. Type: {command}",
    "speech-changed": "{file} is not the file that was tried with mmviz. Install the version that mmviz[voices] names.",
    "speech-engines": "Voices: {voices}. Left out, as they are not installed: {missing}. To install: {commands}",
    "features": "Features of {count:,} {kind}, kept in {folder}. Running the command again resumes.",
    "training": "Training stage {stage} on {device}. Everything is written to {folder}; running the command again "
    "resumes.",
    "training-small": "Training {model} from scratch, into {folder}. Ctrl-C stops and keeps the weights trained so "
    "far.",
    "training-stopped": "Stopped after {done:,} of {of:,} images. The weights trained so far are kept.",
    "training-accuracy": "Accuracy: {learned:.2f} on the last training images, {held_out:.2f} on held-out ones.",
    "training-attention": "Attention of the answer token to the drawing: {before:.2f} before training, {after:.2f} "
    "after. The drawing covers {area:.2f} of all positions.",
    "train-option": "--{option} is an option of trio only; {model} does not have it. Leave it out.",
}


def sentence(code: str, **parameters: object) -> str:
    """Returns the message ``code`` in the current language, with its parameters filled in.

    Raises ``KeyError`` for an unknown code.
    """
    return translate(SENTENCES, code, **parameters)
