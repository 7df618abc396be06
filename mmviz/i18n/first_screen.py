"""The texts of the first screen, by code, in English: its bar of inputs, and the effect beside attention."""

from __future__ import annotations

FIRST_SCREEN: dict[str, str] = {
    # before the page is there
    "loading-page": "The page is being loaded.",
    "loading-recorded": "The page is being loaded. Until then, this is its recorded run.",
    # the bar of inputs
    "panel-examples": "Examples",
    "panel-examples-help": "Pictures, questions and sounds to try, and which of them the model gets wrong.",
    "panel-own": "Your own",
    "panel-own-help": "Give a picture and a sound of your own: files, camera, microphone. A file that is dragged "
    "over the page unfolds this too.",
    "sign-no-image": "no picture",
    "sign-no-audio": "no sound",
    "sign-some-image": "picture",
    "sign-some-audio": "sound",
    "sign-refused-image": "picture refused",
    "sign-refused-audio": "sound refused",
    "link-run-example": "The link names a run that this server no longer keeps. Its example is shown without that "
    "run's settings.",
    "only-last-image": "This model takes one picture. The last of your {count} files is used.",
    "only-last-audio": "This model takes one sound. The last of your {count} files is used.",
    "set-aside-image": "The example's picture is not used with your sound. Tick “{tick}” to use it.",
    "set-aside-audio": "The example's sound is not used with your picture. Tick “{tick}” to use it.",
    # notices
    "notices-one": "1 notice",
    "notices-many": "{count} notices",
    # effect beside attention
    "effect-beside": "Effect beside attention",
    "effect-beside-help": "Attention is routing. The effect is measured: each input is removed alone (the model is "
    "told that it is missing) and the change of the answer's log-probability is taken, in nats. −0.7 nats halve the "
    "probability, −2.3 leave a tenth. The effects of several inputs need not add up.",
    "effect-beside-attention": "attention of the answer token to these inputs: {method}; share, 0 to 100 %",
    "effect-beside-effect": "effect on “{answer}” if removed: nats, 0 to {most}",
    "effect-beside-without": "→ “{answer}”",
    "effect-beside-required": "the model needs it",
    "effect-beside-none": "The effect is not measured yet: “{button}” measures it.",
    "effect-beside-not-held": "This run cannot be made again here, so its effect is not measured.",
    "effect-beside-routes": "Removing {modalities} changes little, while cutting a route of the story takes {size} "
    "nats: a removed input has a baseline in its place and other routes can take over, whereas a cut leaves a hole in "
    "what the model computed.",
    "effect-beside-nats": "{size} nats",
}
