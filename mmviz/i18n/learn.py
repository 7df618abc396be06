"""Texts of the page Learn, by code, in English. Two lessons, the slides and the glossary have files of their own."""

from __future__ import annotations

from mmviz.i18n.glossary import GLOSSARY
from mmviz.i18n.learn_cost import COST
from mmviz.i18n.learn_slides import LEARN_SLIDES
from mmviz.i18n.learn_training import TRAINING

LEARN: dict[str, str] = {
    "page-learn": "Learn",
    "page-learn-help": "Ten short lessons on attention between picture, text and sound, with live numbers.",
    "learn-inputs": "Change the picture, text or sound of the lessons",
    "learn-answer": "Your answer",
    "learn-show": "Just show me",
    "learn-inputs-heading": "These lessons use:",
    "learn-inputs-answer": "The model answers: {answer}",
    "learn-task": "Task: {task}",
    "learn-example": "Open the example that shows it best",
    "learn-right": "Correct.",
    "learn-wrong": "Not quite. The correct answer: “{option}”.",
    "learn-notice": "What to notice",
    "learn-misleads": "What can mislead",
    "learn-unknown-param": "The link sets {name} to something that this run does not have. The default is shown "
    "instead.",
    "learn-long": "This run is too long to keep all its attention weights. Choose an example from the gallery for this "
    "lesson.",
    "learn-no-steps": "The queries, keys and values of this model are not available. Choose the bundled model for this "
    "lesson.",
    "learn-previous": "← Previous",
    "learn-next": "Next →",
    # 1 tokens
    "learn-tokens-short": "Tokens",
    "learn-tokens-title": "From picture, text and sound to one sequence of tokens",
    "learn-tokens-question": "Attention compares tokens with each other. How can a patch of a picture be compared with "
    "a word?",
    "learn-tokens-option-a": "The picture is first described in words",
    "learn-tokens-option-b": "Each becomes a vector of the same width",
    "learn-tokens-option-c": "By their colours and letters",
    "learn-tokens-because": "Each modality (picture, text, sound) has an encoder that turns its input into tokens: "
    "vectors of the same width, in one common space.",
    "learn-tokens-of-image": "picture: one token per patch, from a convolutional encoder",
    "learn-tokens-of-text": "words: one token per word piece, from an embedding table",
    "learn-tokens-of-audio": "sound: one token per 80 ms of log-mel frames, from a transformer encoder",
    "learn-tokens-of-special": "special: the model's own tokens, such as the answer token",
    "learn-tokens-own-image": "picture: tokens from this model's own encoder of pictures",
    "learn-tokens-own-text": "words: tokens from this model's own tokenizer",
    "learn-tokens-own-audio": "sound: tokens from this model's own encoder of sound",
    "learn-tokens-own-special": "special: the model's own tokens, such as those that open and close a part",
    "learn-tokens-token": "Compare all tokens with",
    "learn-tokens-token-help": "Choose a word, a patch or a moment. The bars show how similar each token is to it.",
    "learn-tokens-near": "Similarity of each token to the chosen one",
    "learn-tokens-near-note": "Cosine of the vectors as they enter the first layer: 1 is the same direction, 0 is "
    "orthogonal, below 0 points rather the opposite way. The chosen token is framed.",
    "learn-tokens-near-axis": "cosine",
    "learn-tokens-count": "Number of tokens",
    "learn-tokens-width": "Width of each token",
    "learn-tokens-nearest": "“{token}” is most similar to “{other}”",
    "learn-tokens-notice": "Where the text names a thing in the picture (“Is there a car?”, “a banana and a [MASK]”), "
    "choose its word: the patches that show the thing are more similar to it than those of the ground, although they "
    "come from another encoder. That is what a common space means. Where the text names nothing, choose a patch.",
    "learn-tokens-misleads": "A token also encodes its position and its modality, so tokens of one modality are "
    "similar for that reason alone. And similar does not yet mean attended to: that takes queries and keys.",
    "learn-tokens-do": "Choose each word of the text in turn. Write down the most similar token, and whether it is of "
    "another modality.",
    # 2 scores
    "learn-scores-short": "Dot products",
    "learn-scores-title": "One query against every key, and why divide by √dₖ",
    "learn-scores-question": "A query (what a token looks for) is compared with a key (what a token offers) by a dot "
    "product: multiply entry by entry and sum. What happens to it where both have more entries, dₖ of them?",
    "learn-scores-option-a": "They shrink",
    "learn-scores-option-b": "They stay the same size",
    "learn-scores-option-c": "They grow",
    "learn-scores-because": "The standard deviation of a sum of dₖ independent terms grows like √dₖ (Vaswani et al. "
    "2017, section 3.2.1). Dividing by √dₖ keeps the dimension alone from saturating the softmax.",
    "learn-scores-layer": "Layer",
    "learn-scores-layer-help": "Layers of the model, in order of execution.",
    "learn-scores-head": "Head",
    "learn-scores-head-help": "Each head has its own queries, keys and values.",
    "learn-scores-query": "Query token",
    "learn-scores-query-help": "The token whose query is compared with all keys.",
    "learn-scores-key": "Key token",
    "learn-scores-key-help": "The key whose dot product is written out below. At first the key with the largest dot "
    "product.",
    "learn-scores-power": "Divide by dₖ to the power of",
    "learn-scores-power-help": "0.50 is the square root, as in the formula. 0 means no scaling.",
    "learn-scores-terms": "q · k = {shown}, and the other {count} terms {rest}",
    "learn-scores-before": "Scores: the dot product of the query with every key",
    "learn-scores-before-note": "One bar per key. The chosen key is framed.",
    "learn-scores-before-axis": "q · k",
    "learn-scores-after": "Attention weights: the softmax of the scaled scores",
    "learn-scores-after-note": "One bar per key; they sum to 1. The chosen key is framed.",
    "learn-scores-after-axis": "weight",
    "learn-scores-depth": "Dimension of a key, dₖ, and its root",
    "learn-scores-spread": "Std of the scores, before → after",
    "learn-scores-largest": "Largest weight",
    "learn-scores-effective": "Effective number of keys, of {of}: exp(entropy)",
    "learn-scores-notice": "Move the power to 0: one or two keys get nearly all weight. Move it to 1: more keys get "
    "some, though far from all. Where one key has nearly all, the softmax is saturated: it hardly follows the scores, "
    "and little can be learned.",
    "learn-scores-misleads": "Trained queries and keys are not independent numbers: training can make them as large as "
    "it needs. The root sets the scale at the start of training; it does not prevent saturation later.",
    "learn-scores-do": "Write down the largest weight at powers 0, 0.5 and 1. At which does one key get almost all?",
    # 3 softmax
    "learn-softmax-short": "Softmax",
    "learn-softmax-title": "From scores to attention weights: softmax, temperature and mask",
    "learn-softmax-question": "The same amount is added to all scores of a query. What happens to its attention "
    "weights?",
    "learn-softmax-option-a": "Nothing",
    "learn-softmax-option-b": "All grow",
    "learn-softmax-option-c": "The largest grows",
    "learn-softmax-because": "The softmax divides exp(score) by the sum of exp(score) over all keys, so a constant "
    "added to all scores cancels. Only differences between scores matter.",
    "learn-softmax-layer": "Layer",
    "learn-softmax-layer-help": "Layers of the model, in order of execution.",
    "learn-softmax-head": "Head",
    "learn-softmax-head-help": "Each head has its own scores.",
    "learn-softmax-query": "Query token",
    "learn-softmax-query-help": "The token whose attention weights are shown.",
    "learn-softmax-temperature": "Temperature",
    "learn-softmax-temperature-help": "Scores are divided by the temperature before the softmax. The model itself uses "
    "1.",
    "learn-softmax-masked": "Masked keys",
    "learn-softmax-masked-help": "The scores of these keys become minus infinity, so their weights are 0.",
    "learn-softmax-all-masked": "All keys are masked, so there is nothing to attend to. Unmask a modality.",
    "learn-softmax-weights": "Attention weights of this query",
    "learn-softmax-weights-note": "One bar per key; they sum to 1.",
    "learn-softmax-weights-axis": "weight",
    "learn-softmax-effective": "Effective number of keys, of {of}: exp(entropy)",
    "learn-softmax-largest": "Largest weight",
    "learn-softmax-share": "Sum of weights: {modality}",
    "learn-softmax-notice": "A low temperature makes the weights sharper, a high one more uniform. A mask does not "
    "only remove a key: its weight is redistributed to the others, so theirs grow.",
    "learn-softmax-misleads": "Weights are relative. A key can get a large weight because it matches well, or because "
    "all the others match badly: the weights sum to 1 even where nothing in the input is relevant.",
    "learn-softmax-do": "Mask the modality with the largest sum. Write down where its weight goes. Then try to give "
    "one key more than 0.9 by temperature alone.",
    # 4 output
    "learn-output-short": "Output",
    "learn-output-title": "The weighted sum of the values, step by step",
    "learn-output-question": "A key has an attention weight of 0.9. What does the query token receive from it?",
    "learn-output-option-a": "0.9 of its key, which the query matches",
    "learn-output-option-b": "0.9 of its value, which it passes on",
    "learn-output-option-c": "0.9 of its score, how well it matches",
    "learn-output-because": "softmax(QKᵀ/√dₖ) V: queries and keys decide how much, values decide what.",
    "learn-output-difference": "Largest difference from the model, over all layers, heads and tokens",
    "learn-output-below": "Choose a layer, a head and a token in the viewer. The attention calculator below it "
    "computes every step.",
    "learn-output-notice": "Every step is recomputed here in the browser from the model's own vectors, and states its "
    "largest difference from the model. Edit a score and follow it to the output.",
    "learn-output-misleads": "A large weight on a value near zero changes little, and the sum is added to the token's "
    "state (the residual connection). So attention weight is not influence.",
    "learn-output-do": "Choose a layer, a head and a token. Mask a modality. How far did the output move, compared "
    "with its own length?",
    # 5 heads
    "learn-heads-short": "Heads",
    "learn-heads-title": "Several heads in parallel",
    "learn-heads-question": "All heads of a layer get the same tokens. Do they attend to the same keys?",
    "learn-heads-option-a": "Yes, they are copies",
    "learn-heads-option-b": "Yes, but some more sharply",
    "learn-heads-option-c": "No, each has its own queries and keys",
    "learn-heads-because": "Each head projects the tokens to queries and keys with its own weights, so each compares "
    "something different.",
    "learn-heads-layer": "Layer",
    "learn-heads-layer-help": "Layers of the model, in order of execution.",
    "learn-heads-query": "Query token",
    "learn-heads-query-help": "The token whose attention is compared across heads.",
    "learn-heads-head": "head",
    "learn-heads-top": "strongest key",
    "learn-heads-effective": "effective number of keys",
    "learn-heads-caption": "Attention from “{token}” to each kind of token, in each head of layer {layer}",
    "learn-heads-mean": "mean",
    "learn-heads-card": "Head {head}",
    "learn-heads-unlike": "Largest distance: heads {first} and {second}",
    "learn-heads-like": "Smallest distance: heads {first} and {second}",
    "learn-heads-notice": "The last row is the mean over heads, which many figures show. Find a head whose row is "
    "nothing like it.",
    "learn-heads-misleads": "A head with sharply focused attention need not matter for the answer. Debug, Heads "
    "ablates each head and measures the effect.",
    "learn-heads-do": "Go through the layers. In which do the heads differ most? The distance is 0 for the same map "
    "and 1 for maps with nothing in common.",
    # 6 cross-modal
    "learn-cross-modal-short": "Cross-modal",
    "learn-cross-modal-title": "Self-attention, cross-attention: which modality attends to which",
    "learn-cross-modal-question": "Picture, words and sound are tokens of one sequence, and attend to each other. Is "
    "that self-attention or cross-attention?",
    "learn-cross-modal-option-a": "Cross-attention, as modalities attend to each other",
    "learn-cross-modal-option-b": "Self-attention, which spans the modalities",
    "learn-cross-modal-option-c": "Neither",
    "learn-cross-modal-because": "Self-attention: queries and keys come from one sequence. Cross-attention: queries "
    "from one sequence, keys from another. In one sequence with all modalities, self-attention works within and across "
    "modalities at once.",
    "learn-cross-modal-map": "Layer",
    "learn-cross-modal-map-help": "Mean over the heads of this layer.",
    "learn-cross-modal-self": "Layer {name}: self-attention over one sequence of {count} tokens.",
    "learn-cross-modal-cross": "Layer {name}: cross-attention, {queries} query tokens attend to {count} key tokens.",
    "learn-cross-modal-caption": "Rows are queries, columns are keys: attention by modality, each row sums to 1",
    "learn-cross-modal-uniform-row": "if uniform",
    "learn-cross-modal-crossing": "Cross-modal attention from picture, text and sound",
    "learn-cross-modal-uniform": "The same under uniform attention",
    "learn-cross-modal-most": "Most across modalities: {from} to {to}",
    "learn-cross-modal-moments": "Words and moments",
    "learn-cross-modal-moments-none": "A model that writes down speech shows words beside the moments of the sound. To "
    "see it here, start the app with one, and give it speech: {command}",
    "learn-cross-modal-moments-caption": "The moment that each word is written from: the strongest weight of the token "
    "before it",
    "learn-cross-modal-head": "Cross-attention heads",
    "learn-cross-modal-head-help": "The model's authors name some heads by which words are aligned with the sound. The "
    "others follow the words less, or not at all.",
    "learn-cross-modal-all-heads": "mean of the {count} alignment heads",
    "learn-cross-modal-alignment-head": "layer {layer}, head {head} (alignment head)",
    "learn-cross-modal-one-head": "layer {layer}, head {head}",
    "learn-cross-modal-word": "written",
    "learn-cross-modal-moment": "strongest moment",
    "learn-cross-modal-weight": "its weight",
    "learn-cross-modal-rising": "Steps from word to word that do not go back in time",
    "learn-cross-modal-notice": "Go through the layers: where does cross-modal attention exceed that of "
    "uniform attention?",
    "learn-cross-modal-misleads": "A modality with many tokens gets a large sum even under uniform attention: compare "
    "each number with the last row before you say that the text attends to the picture.",
    "learn-cross-modal-do": "Write down the cross-modal attention of each layer. Where do the modalities exchange "
    "information?",
    # 7 fusion
    "learn-fusion-short": "Fusion",
    "learn-fusion-title": "Four kinds of fusion, on the same examples",
    "learn-fusion-question": "A question needs picture and sound together: a word is spoken; what is to the left of "
    "that thing? Four architectures: which must fail?",
    "learn-fusion-option-a": "One sequence of all tokens",
    "learn-fusion-option-b": "Pairs of modalities that attend to each other",
    "learn-fusion-option-c": "A few shared tokens between the modalities",
    "learn-fusion-option-d": "Each modality alone, combined at the end",
    "learn-fusion-because": "This is late fusion: it combines what each modality has computed alone. Nothing can tell "
    "the image encoder which thing to look for. The other three can; the lesson compares all four.",
    "learn-fusion-kind": "Kind of fusion",
    "learn-fusion-kind-help": "All four have the same encoders and the same answer head, and were trained on the same "
    "questions.",
    "learn-fusion-kind-trio-reduced": "trio-reduced: one sequence of all tokens",
    "learn-fusion-kind-crossmodal": "crossmodal: cross-attention between pairs (MulT)",
    "learn-fusion-kind-bottleneck": "bottleneck: four shared tokens (MBT)",
    "learn-fusion-kind-late": "late: combined at the end",
    "learn-fusion-attends-trio-reduced": "Every token attends to every token.",
    "learn-fusion-attends-crossmodal": "Each modality attends to each of the two others, in a block for each of the "
    "six pairs; then each attends to itself (Tsai et al. 2019).",
    "learn-fusion-attends-bottleneck": "Each modality attends to itself and to four shared tokens, through which all "
    "cross-modal information must pass (Nagrani et al. 2021).",
    "learn-fusion-attends-late": "Each modality attends to itself only.",
    "learn-fusion-caption": "Accuracy by kind of question ({count} examples each)",
    "learn-fusion-family": "question",
    "learn-fusion-needs": "needs",
    "learn-fusion-this": "this example",
    "learn-fusion-right": "right",
    "learn-fusion-wrong": "wrong",
    "learn-fusion-example-name": "What is this?",
    "learn-fusion-example-heard": "What do you hear?",
    "learn-fusion-example-there": "Is there a cat?",
    "learn-fusion-example-said": "Did someone say cat?",
    "learn-fusion-example-seen": "Is the spoken thing in the picture?",
    "learn-fusion-example-count": "How many things?",
    "learn-fusion-example-rel": "What is left of the cat?",
    "learn-fusion-example-relheard": "What is left of the spoken thing?",
    "learn-fusion-example-mask": "The cat and the [mask].",
    "learn-fusion-example-caption": "The cat is left of the dog: is it?",
    "learn-fusion-example-odd": "cat: which of the three differs?",
    "learn-fusion-answers": "{answer} {probability:.1%}",
    "learn-fusion-single-modality": "Accuracy where one modality is enough",
    "learn-fusion-cross-modal": "Accuracy where modalities must be combined",
    "learn-fusion-time": "Time of a run, one sequence = 1",
    "learn-fusion-notice": "Compare the rows that need one modality with those that need two. The difference is what "
    "cross-modal attention gains.",
    "learn-fusion-misleads": "These are small models with a small training budget, often wrong where trio is right: "
    "longer training or another size may change the order of the first three. It will not change that late fusion "
    "cannot look for what another modality names.",
    "learn-fusion-do": "Which kinds answer this example rightly? Choose each in turn, and write down its answer and "
    "its accuracy where picture and sound must be combined.",
    # 10 limits
    "learn-limits-short": "Limits",
    "learn-limits-title": "What attention does not tell",
    "learn-limits-question": "Most of the answer token's attention goes to the picture. Does the answer depend on the "
    "picture?",
    "learn-limits-option-a": "Yes, most of all",
    "learn-limits-option-b": "No",
    "learn-limits-option-c": "It may: remove it and measure",
    "learn-limits-because": "Attention shows how information is routed. What the answer depends on shows when an input "
    "is removed.",
    "learn-limits-removed": "Remove",
    "learn-limits-removed-help": "The model is run again without it, with its own learned “missing” token as the "
    "baseline.",
    "learn-limits-nothing": "nothing",
    "learn-limits-attention": "Attention to {modality}",
    "learn-limits-with": "p({answer}), all inputs",
    "learn-limits-without": "p({answer}), without {modality}",
    "learn-limits-uniform": "p({answer}), uniform attention",
    "learn-limits-notice": "Find a modality with much attention and little effect, or the other way round. Then read p "
    "under uniform attention: if the answer stayed probable, it would not depend on where attention goes. Attention "
    "here is rollout over all layers, not one head.",
    "learn-limits-misleads": "The effect (in nats, the unit of natural log-probabilities) has limits as well: inputs "
    "without a modality are themselves unusual, and of two modalities with the same information each can seem not to "
    "be needed.",
    "learn-limits-do": "Remove each modality in turn. Does the order of the effects match the order of attention?",
} | COST | GLOSSARY | LEARN_SLIDES | TRAINING  # fmt: skip
