"""Every sentence a user may see, by code; parameters are filled in here. The only place with wording for people.

Stand-ins for characters that cannot be seen (`mmviz.i18n.unicode_display`) are wording too, and are had from here.
"""

from __future__ import annotations

from mmviz.i18n.language import translated
from mmviz.i18n.unicode_display import count_invisible, one_line, visible

__all__ = ["SENTENCES", "count_invisible", "one_line", "sentence", "visible"]

SENTENCES: dict[str, str] = {
    # inputs
    "input-none": "There is nothing to look at. Give a picture, a text or a sound.",
    "file-missing": "There is no file {name} at this path. Check the path and try again.",
    "file-folder": "{name} is a folder. Give the path of one file in it.",
    "file-special": "{name} is not an ordinary file. Save its content as a file and give that.",
    "file-unreadable": "The file {name} cannot be opened. Check that you may read it.",
    "picture-source": "A picture is a path, bytes, a Pillow image or a numpy array, not {kind}.",
    "picture-empty": "The picture holds no pixels at all. Choose another file.",
    "picture-format": "This is a {found} file; mmviz takes PNG, JPEG, WebP and GIF. Save the picture as one of these.",
    "picture-unknown": "This file is not a picture mmviz knows; it takes PNG, JPEG, WebP and GIF. Choose another file.",
    "picture-damaged": "The picture is damaged or cut short and cannot be read. Save it again and try once more.",
    "picture-side": "The picture is {width:,} x {height:,} pixels; mmviz takes at most {limit:,} pixels a side. "
    "Make it smaller and try again.",
    "picture-pixels": "The picture is {width:,} x {height:,} pixels; mmviz takes at most {limit} megapixels. "
    "Make it smaller and try again.",
    "picture-narrow": "The picture is {width:,} x {height:,} pixels; mmviz takes at most {limit} times as long "
    "as wide. Cut a part out and try again.",
    "picture-array": "A picture array is uint8 or float, [height, width] or [height, width, 3 or 4], "
    "not {dtype} of shape {shape}.",
    "picture-values": "The picture's values run from {low:g} to {high:g}, but 0 to {top:g} is expected. "
    "Scale them first.",
    "picture-mode": "The picture's colours are stored as {mode}, which mmviz cannot convert. Save it as RGB.",
    "picture-turned": "The picture was turned upright, as its camera data asks; places are those after the turn.",
    "picture-alpha": "The picture has transparent parts; they were put on white.",
    "picture-palette": "The picture's colour palette was converted to RGB.",
    "picture-grey": "The picture has no colours; its grey was converted to RGB.",
    "picture-cmyk": "The picture's print colours (CMYK) were converted to RGB; they may look a little different.",
    "picture-colours": "The picture's colours were converted from {mode} to RGB.",
    "picture-16-bit": "The picture's 16-bit values were scaled to 8 bits.",
    "picture-float": "The picture's values from 0 to 1 were scaled to 8 bits.",
    "picture-animated": "The picture is animated; mmviz looks at frame {frame} of {frames}.",
    "picture-reduced": "The picture is {width:,} x {height:,} pixels; it was reduced to "
    "{kept_width:,} x {kept_height:,}. Places are still those of the original.",
    "sound-source": "A sound is a path, bytes or a numpy array with its rate, not {kind}.",
    "sound-empty": "The sound file is empty. Choose another file.",
    "sound-format": "This file is not a sound mmviz knows; it takes WAV, FLAC, OGG, MP3, M4A, AAC and WebM. "
    "Save it as one of these.",
    "sound-codec": "The sound in this file is coded as {codec}, which mmviz does not read. Save it as WAV or M4A.",
    "sound-no-track": "There is no sound in this file. Choose one that has a sound track.",
    "sound-changes": "The sound changes its rate or its channels on the way. Save it anew with one of each.",
    "sound-damaged": "The sound is damaged or cut short and cannot be read. Save it again and try once more.",
    "sound-rate": "The sound has {rate:,} samples a second; mmviz takes {low:,} to {high:,}. Convert it and try again.",
    "sound-no-rate": "A sound array needs its rate, the number of samples a second. Give both: (array, rate).",
    "sound-rate-value": "The rate of a sound is a whole number of samples a second, not {rate!r}.",
    "sound-rate-known": "A sound file says its own rate. Give a rate only with an array.",
    "sound-channels": "The sound has {channels:,} channels; mmviz takes 1 to {limit}. Mix it down and try again.",
    "sound-short": "The sound is {seconds:.3f} s long; mmviz needs at least {limit:g} s. Choose a longer one.",
    "sound-long": "The sound is {seconds:,.1f} s long; mmviz takes at most {limit:g} s. Cut a part out and try again.",
    "sound-longer": "The sound is longer than {limit:g} s, the most that mmviz takes. Cut a part out and try again.",
    "sound-array": "A sound array is float, int16 or int32, [sample] or [sample, channel], "
    "not {dtype} of shape {shape}.",
    "sound-sideways": "A sound array is [sample, channel], but this one has the shape {shape}. Transpose it.",
    "sound-not-finite": "The sound holds values that are infinite or not a number. Repair it and try again.",
    "sound-resampled": "The sound was resampled from {rate:,} Hz to {kept:,} Hz.",
    "sound-mixed": "The {channels} channels of the sound were mixed into one.",
    "sound-silent": "The sound is silent, or very nearly so.",
    "sound-cancels": "The {channels} channels of the sound cancel each other; hardly anything is left of the mix. "
    "Give one channel alone.",
    "sound-quieter": "The sound went over full scale ({peak:.2f} times); it was made quieter to fit.",
    "sound-clipped": "The sound is cut off at full scale for {share:.2%} of its time: it was recorded too loud. "
    "Record it again, quieter, if you can.",
    "sound-video": "The file is a video; mmviz listens to its sound and leaves the moving pictures out.",
    "sound-delay": "The file does not say how long its encoder delayed the sound; "
    "moments may lie up to {seconds:.2f} s too late. Save it as WAV where that matters.",
    "sound-gap": "The recording has gaps, {seconds:.2f} s in all, which were left out; "
    "moments after them lie earlier here than in a player.",
    "sound-open-end": "The sound file has no proper end; {seconds:.2f} s were read, and more may be missing. "
    "Save it again, best as WAV.",
    "sound-incomplete": "The sound file should be {promised:.2f} s long, but only {seconds:.2f} s are in it.",
    "text-type": "A text is a string, not {kind}.",
    "text-blank": "The text is blank. Write something, or leave the text out.",
    "text-long": "The text has {length:,} characters; mmviz takes at most {limit:,}. Shorten it and try again.",
    "text-surrogate": "The text holds half a character (a lone surrogate) at place {place:,}. Type that part again.",
    "text-invisible": "Characters in the text that nobody can see, such as zero-width or direction marks: {count:,}. "
    "They are shown in their places.",
    # trios in files
    "trios-folder": "There is no folder {name} that mmviz may look into. Give the path of the folder of the trios.",
    "trios-empty": "The folder {name} holds no trios: neither a trios.json that lists some, nor pictures, sounds and "
    "texts such as cat1.png, cat1.wav and cat1.txt. Put them there and try again.",
    "trios-list": "The file trios.json is no list of trios ({why}). Repair it and try again.",
    "trios-entry": "In trios.json, {key} of trio {number} is of type {kind}, not a string. Put it in quotation marks.",
    "trios-nothing": "The trio {name} has neither picture nor text nor sound. Give it one, or take it out.",
    "trios-twice": "Two trios are called {name}. Give each a name of its own.",
    "trios-same": "The files {one} and {other} are the same part of one trio. Take one away.",
    "trios-file": "The trio {trio} names a file {file} that is not in its folder. Check the name.",
    "trios-outside": "The trio {trio} names {file}, which leads out of its folder. Put the file into the folder.",
    "trios-text": "The file {name} holds no text in UTF-8 of at most {limit:,} characters. Save it as such.",
    "trios-many": "The folder holds {count:,} trios; mmviz takes at most {limit:,} at once. Make several folders.",
    "effect-infinite": "The model finds an answer impossible, or gives none (a probability of 0 or not a number), so "
    "its effect cannot be measured.",
    # models
    "text-cut": "The question is longer than the {limit} word pieces this model reads; the rest was left out.",
    "sound-cut": "The sound is {seconds:.1f} s long; this model hears the first {limit:.0f} s of it.",
    "picture-squeezed": "The picture is {width} x {height}; this model sees it squeezed into a square.",
    "picture-foreign": "This picture looks unlike the drawn scenes this model knows, so its answer means little. "
    "Try a trio of the gallery, or a model made for such pictures.",
    "sound-foreign": "This sound is unlike the single spoken words this model knows, so its answer means little. "
    "Give one spoken word of its list, or try a trio of the gallery.",
    "question-foreign": "This question has none of the wordings this model knows, so its answer means little. "
    "Ask for example: {example}",
    "question-word": "The word {word} is none of the {count} words this model knows, so its answer means little. "
    "Ask for example: {example}",
    "model-unknown": "There is no model called {model!r}. Known models: {known}.",
    "model-needs-text": "The model {model} reads words only, so it needs a text with at least one word.",
    "own-spec": "{spec!r} does not name a factory. Write package.module:factory, such as my_models:make.",
    "own-embedding": "The model has no part {path!r} where tokens could enter. Name one of its modules.",
    "hide-model": "Single tokens cannot be taken out of {model}. Choose mean, blur or noise for what absent means.",
    "effect-model": "The effect cannot be measured: {model} is not to be had here with the weights of this run. "
    "Run it again.",
    "head-missing": "There is no head {head} in attention {map} (both count from 0); {count} attentions were heard.",
    "head-batch": "Heads were switched off for {count} samples, but attention was heard with a batch of {batch}.",
    "norms-projection": "Value-weighted attention is left out: no linear map was seen to follow the heads of {name}.",
    "steps-shape": "The vectors of the steps do not fit together ({part}), so attention cannot be worked out again.",
    "steps-long": "The steps of {name} are left out: they are kept for up to {limit} tokens.",
    "steps-scores": "The steps of {name} are left out: it was not seen how its scores come from queries and keys.",
    "steps-parity": "The steps of {name} are left out: worked out again they differ from the model by {worst:.1e}.",
    "integrated-place": "Integrated gradients are left out: {path} does not give tokens [1, token, width] once a call.",
    "integrated-graph": "Integrated gradients are left out: no gradients reach what {path} gives from the answer.",
    "integrated-model": "Integrated gradients are left out: where tokens enter {model} is not known. "
    "Name the place: Yours(embedding=...).",
    "weights-missing": "The folder {folder} holds no weights.safetensors. Name a folder that mmviz train wrote.",
    "weights-unreadable": "{name} holds no weights of trio, or is damaged. Train or download them again.",
    "own-missing": "There is no module {module}; the working directory ({folder}) and what is installed were searched. "
    "Check the name, or start from the folder it lies in.",
    "own-name": "The module {module} has no {name}; near it: {near}.",
    "own-factory": "{name} cannot be called: it is of type {kind}. Name a function that makes the model.",
    "own-made": "{name}() gave {kind}; a factory gives an mmviz.Yours(module, prepare, answers).",
    "own-module": "A model of your own needs a torch.nn.Module, not {kind}.",
    "own-answers": "A model of your own needs answers: a list with the label of every logit.",
    "own-raised": "{what} failed: {kind}: {words} ({where}).",
    "own-prepare": "prepare gave {kind}, but (inputs, tokens) is expected: what the module takes, and a list "
    "of tokens.",
    "own-output": "The model gave {kind}, but logits are expected: a tensor, something with .logits, or pass logits=.",
    "own-logits": "The model gave logits of shape {shape} for {answers} answers. Give one logit an answer, of one "
    "sample, or pass logits=.",
    # capture and records
    "capture-missing": "Attention was looked for in {looked}, but heard in {heard}. No map is shown.",
    "capture-changed": "Tensors of the attention of {name} were written over after the run. Look at it before the "
    "model runs on, or run it again.",
    "capture-kind": "Attention is heard in a torch.nn.Module, but this is {kind}. Pass the model itself.",
    "capture-script": "A TorchScript module does not say what runs inside it. Listen to the model it was made from.",
    "capture-dropout": "The attention of {name} ran with dropout on, which leaves weights out at random. Call "
    "model.eval() before the model runs.",
    "capture-nothing": "No attention was heard in {model}. Looked for: scaled_dot_product_attention, multi-head "
    "attention of torch, and a softmax that feeds a matrix product. What ran: {ran}.{missed}",
    "capture-not-run": "The model {model} was not run while mmviz listened. Call it inside the with-block.",
    "capture-calls": "The model was called {count} times; choose one with call=0 to {last}: {calls}.",
    "capture-call": "There is no call {call}; the model was called {count} times, counted from 0.",
    "capture-map": "There is no attention {name!r} in this call; there is: {known}.",
    "capture-batch": "There is no sample {batch} in this batch of {count}, counted from 0.",
    "capture-batch-choose": "There are {count} samples in this batch; choose one with batch=0 to {last}.",
    "capture-tokens": "{count} tokens were given ({name}), but attention was heard between: {streams}. Give as many "
    "tokens as one of these has, or a mapping of these names to tokens.",
    "capture-token-kind": "Tokens are a list of strings or of mmviz.Token, not {kind}.",
    "capture-unheard-kernel": "{module} ran {kernel}, which mmviz cannot listen to: its attention is missing here.",
    "capture-unheard-softmax": "{module} made a softmax of shape {shape} that fed no matrix product mmviz knows. If it "
    "is attention, it is missing here.",
    "capture-unheard-module": "{module} ran, and its name says attention, but none was heard in it.",
    "capture-silent": "In {name}, {count} of {of} queries may ask nobody (all their keys are masked): their rows "
    "are 0.",
    "given-nothing": "There is no attention in what was given. Fused kernels return none: run the model inside "
    "mmviz.capture, or with eager attention.",
    "given-steps": "These are the attentions of {steps} steps of generate. Give those of one step: attentions[0].",
    "given-kind": "Attention is an array of torch, JAX or numpy, or a list of one for each layer, not {kind}.",
    "given-shape": "The attention of layer {layer} has the shape {shape}, but [head, query, key] or "
    "[batch, head, query, key] is expected.",
    "given-sizes": "The stream {stream!r} has {size} tokens in one map and {other} in another. Name the streams: "
    "{{('queries', 'keys'): attentions}}.",
    "given-stream": "There are tokens for {name!r}, but the attention is between: {known}.",
    "given-tokens": "{count} tokens were given for {stream!r}, but its attention has {size}.",
    "flow-streams": "The {flow} needs self-attention of one stream in all maps, but there is attention between "
    "{pairs}.",
    "relevance-graph": "Gradients do not reach the attention of {name} from this logit. Run the model with gradients "
    "(no torch.no_grad), and pass a logit of the same run.",
    "map-long": "The attention of {name} is {queries:,} x {keys:,}, too long to hold all its weights. Look at a part: "
    "rows, columns or a zoom.",
    "view-relevance": "A run this long keeps no relevance. Ask mmviz.capture for the rows you need: seen.relevance.",
    "view-flow": "A run this long has no matrix of a flow through all layers. Look at a layer, or at single tokens.",
    "view-gone": "This run is no longer kept where it was made, so only its overview can be shown. Run it again.",
    "view-head": "There is no head {head} to look at; there are {count}, counted from 0.",
    "view-edges": "Edges of bins ascend and lie between 0 and {count}.",
    "view-tokens": "There is no token {token} to look at; there are {count}, counted from 0.",
    "map-keys": "The attention of {name} has {keys} keys for {values} values, so it is not shown.",
    "map-parity": "The attention of {name} does not reproduce its module's output (off by {parity:.1e}), "
    "so it is not shown.",
    "map-shape": "The attention of {name} has the shape {shape}, but [head, query, key] is expected.",
    "run-batch": "This record holds a batch of {count} samples. Choose one: record.row(0).",
    "map-negative": "The attention of {name} holds a weight that is negative or not a number, so it is not shown.",
    "map-rows": "The attention of {name} does not add up to 1 for every query (off by {worst:.1e}), "
    "so it is not shown.",
    "map-tokens": "The attention of {name} is {shape}, but its streams have {expected} tokens.",
    "run-unreadable": "This file is not a run that mmviz saved, or it is damaged. Save the run again.",
    "run-format": "This run was saved in format {found}, but this version of mmviz reads format {known}.",
    "run-way": "The run names a way of looking ({method}) that it has no attention for. Make it again.",
    "run-recording": "This file is a recorded run without its inputs, so it cannot be opened by itself. Give the "
    "folder it lies in to ReplayBackend, or run the inputs again.",
    "npz-large": "This file would fill {size:,.0f} MB once opened; mmviz reads at most {limit:,.0f} MB.",
    "decode-late": "Reading this input took longer than {seconds:g} s, so it was given up. Save it in another "
    "format, or give a smaller one.",
    "decode-died": "Reading this input ended the process that reads it: the file is damaged or made to do harm. Save "
    "it anew, and try again.",
    "decode-memory": "Reading this input needs more memory than mmviz gives it. Give a smaller one.",
    # backends elsewhere
    "wire-unreadable": "What was sent is not a request of mmviz, or it is damaged. Use the same version of mmviz on "
    "both sides.",
    "wire-large": "The request is larger than the {limit:,.0f} MB that this backend takes.",
    "wire-slow": "The request did not arrive within {seconds:.0f} s. Check the connection and try again.",
    "wire-refused": "This address answers requests of mmviz only: {why}.",
    "backend-url": "{url!r} is not the address of a backend. Write https://HOST:PORT; http:// only on this machine.",
    "backend-unreachable": "The backend {host} cannot be reached ({why}). See that it runs (mmviz serve) and that the "
    "address is right.",
    "backend-late": "The backend {host} did not answer within {seconds:.0f} s. Try again, or compute on this machine.",
    "backend-busy": "The backend {host} is busy: {count} runs wait already. Try again in a moment.",
    "backend-stopping": "The backend {host} is starting or stopping. Try again in a moment.",
    "backend-token": "The backend {host} does not take this token. Give the one that it was started with "
    "(--token-file).",
    "backend-answer": "The backend {host} gave an answer that mmviz cannot read ({why}). See that the address is that "
    "of mmviz serve.",
    "backend-version": "The backend {host} speaks version {found} of the protocol, this mmviz version {known}. "
    "Install the same version of mmviz on both sides.",
    "backend-failed": "The backend {host} failed on this run, and says no more to visitors; its own log has the kind "
    "of the error.",
    "backend-resting": "The backend {host} failed {count} times in a row, so it is left alone for {seconds:.0f} s.",
    "memory-smaller": "The GPU ran out of memory; this run was made again without relevance, and what was kept of "
    "earlier runs is gone.",
    "memory-cpu": "The GPU ran out of memory, so this run was made on the CPU.",
    "memory-own": "The GPU ran out of memory on this run. Give a smaller input, or start mmviz with "
    "CUDA_VISIBLE_DEVICES= to run this model on the CPU.",
    "serving": "Serving {models} on {address}, {device}. Stop with Ctrl-C.",
    "app-access": "The page asks visitors for this access token: {token}",
    "app-plain": "Without --tls-cert and --tls-key browsers give other machines neither camera nor microphone, and the "
    "token travels in the clear.",
    "backend-fallback": "Computed on this machine instead. {why}",
    "token-file": "The token file {name} cannot be used: it needs one line of at least {least} characters.",
    "token-needed": "Other machines can reach {host}, so a token is needed: --token-file FILE, with one long line.",
    "tls-pair": "A certificate and its key go together: --tls-cert FILE --tls-key FILE.",
    "replay-not-recorded": "No run of the model {model} with these inputs was recorded. Use one of the gallery's trios "
    "as it is, or a backend that runs the model.",
    "replay-stale": "The recorded run was made with other weights than those of the model {model} here, so it is not "
    "shown. Run the model, or record anew with: python -m mmviz.training.release.record_gallery.",
    "file-unwritable": "The file {name} could not be written: {why}. Choose another place and try again.",
    # figures and commands
    "map-mean": "layer {layer}, mean of heads",
    "map-head": "layer {layer}, head {head}",
    "map-of-layer": "{map}, attention map {number} of the layer",
    "method-pooled": "{method}, means over neighbouring tokens",
    "map-rollout": "rollout, product of (A + I) / 2 over all layers",
    "map-relevance": "gradient relevance of the answer",
    "figure-title": "Answer: {answer} ({probability:.0%})",
    "figure-no-answers": "Attention of a run without answers",
    "figure-caption": "Model {model}, computed on {device}. Attention shows where information was routed, "
    "not why the answer was given.",
    "audit-progress": "Judging trios: {done} of {of}",
    "doctor-machine": "{name} on {system}; devices: {devices}; runs go to {device}; {threads} torch threads.",
    "doctor-columns": "Heads x queries x keys, precision, route, largest difference to eager attention in float64, and "
    "how far attention times values is from the output:",
    "doctor-model": "{model}, {count} attentions heard:",
    "doctor-well": "All within tolerance.",
    "doctor-ill": "Something is beyond tolerance or was refused: do not trust those maps.",
    "extra-missing": "This command needs more than the plain install: pip install 'mmviz[{extra}]'.",
    "speech-missing": "The speech of the world comes from espeak-ng, which is not installed. "
    "On Debian or Ubuntu: apt-get install espeak-ng.",
    "speech-silent": "espeak-ng gave no usable voice. Install its data (espeak-ng-data) and try again.",
    "training": "Training the {stage} stage on {device}; everything goes to {folder}, and running again resumes.",
    "training-small": "Training {model} from nothing; it goes to {folder}. Ctrl-C stops and keeps what was learned.",
    "training-stopped": "Stopped after {done:,} of {of:,} pictures; what was learned by then is kept.",
    "training-accuracy": "Accuracy: {learned:.2f} on the last pictures learned from, {held_out:.2f} on held-out ones.",
    "training-attention": "Attention of the answer token on the drawing: {before:.2f} before training, {after:.2f} "
    "after; the drawing reaches into {area:.2f} of all positions.",
    "train-option": "--{option} is for trio; {model} has no such option. Leave it out.",
}


def sentence(code: str, **parameters: object) -> str:
    """The sentence for ``code``, in the language spoken. Raises ``KeyError`` for a code without one."""
    return translated(SENTENCES[code]).format(**parameters)
