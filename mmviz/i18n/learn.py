"""The sentences and labels of the page Learn, by code; those of two lessons stand in files of their own."""

from __future__ import annotations

from mmviz.i18n.learn_cost import COST
from mmviz.i18n.learn_training import LEARNING

LEARN: dict[str, str] = {
    "page-learn": "Learn",
    "page-learn-help": "Ten short lessons on attention between picture, words and sound, on live numbers.",
    "learn-inputs": "Change the picture, text or sound that the lessons work on",
    "learn-answer": "Your answer",
    "learn-show": "Just show me",
    "learn-given": "These lessons work on:",
    "learn-given-answer": "The model answers: {answer}",
    "learn-task": "Do: {task}",
    "learn-right": "Yes.",
    "learn-wrong": "Not quite. Rather: “{option}”.",
    "learn-notice": "What to notice",
    "learn-misleads": "Where it misleads",
    "learn-odd": "The link sets {name} to something this run does not have; the usual is shown instead.",
    "learn-long": "This run is too long to hold all its weights; choose a trio of the gallery for this lesson.",
    "learn-no-steps": "Queries, keys and values of this model cannot be had; choose the bundled model for this lesson.",
    "learn-sheet": "Sheet to print",
    "learn-sheet-help": "One page: the question, what to do, the numbers as they stand now, and room for notes.",
    "learn-sheet-numbers": "Numbers of this run",
    "learn-sheet-notes": "Notes",
    "learn-sheet-before": "Before you look",
    "learn-sheet-do": "What to do",
    "learn-sheet-run": "Model {model}, weights {weights}. Text: “{text}”. Answer: {answer}.",
    "learn-before": "← Previous",
    "learn-next": "Next →",
    # 1 tokens
    "learn-tokens-short": "Tokens",
    "learn-tokens-title": "From picture, words and sound to one list of tokens",
    "learn-tokens-question": "Attention compares things with each other. How can a patch of a picture be compared "
    "with a word?",
    "learn-tokens-option-a": "The picture is first described in words",
    "learn-tokens-option-b": "Each becomes a vector of the same width",
    "learn-tokens-option-c": "By their colours and letters",
    "learn-tokens-because": "An encoder for each modality (picture, text, sound) turns its input into tokens: "
    "vectors, lists of numbers, of one length, in one common space.",
    "learn-tokens-of-image": "picture: one token a patch, from a convolutional encoder",
    "learn-tokens-of-text": "words: one token a word piece, from a table of vectors",
    "learn-tokens-of-audio": "sound: one token every 80 ms of log-mel, from a convolutional encoder",
    "learn-tokens-of-special": "special: tokens of the model's own, such as the one that answers",
    "learn-tokens-token": "Compare all tokens with",
    "learn-tokens-token-help": "Choose a word, a patch or a moment. Bars: how alike the others are to it.",
    "learn-tokens-near": "How alike each token is to the chosen one",
    "learn-tokens-near-note": "Cosine of their vectors as they enter the first layer: 1 the same direction, 0 "
    "nothing in common, below 0 rather opposite. The chosen token is framed.",
    "learn-tokens-near-axis": "cosine",
    "learn-tokens-count": "Tokens in all",
    "learn-tokens-width": "Numbers in each",
    "learn-tokens-nearest": "“{token}” is nearest to “{other}”",
    "learn-tokens-notice": "Where the text names a thing of the picture (“Is there a car?”, “a banana and a "
    "[MASK]”), choose its word: the patches that show the thing stand out, at about 0.25 where the others are near "
    "0, although they came through another encoder. That is what a common space means. Where the text names "
    "nothing, choose a patch.",
    "learn-tokens-misleads": "A token also carries where it is and of which kind it is, so tokens of one modality "
    "are alike for that alone. Alike is not yet attended to: that takes queries and keys.",
    "learn-tokens-do": "Choose each word of the text in turn. Write down its nearest token, and whether it is of "
    "another modality.",
    # 2 scores
    "learn-scores-short": "Dot products",
    "learn-scores-title": "One query against every key, and why by √dₖ",
    "learn-scores-question": "A query (what a token looks for) is compared with a key (what a token offers): "
    "multiply number by number and add up. What happens to these sums where both have more numbers, dₖ of them?",
    "learn-scores-option-a": "They shrink",
    "learn-scores-option-b": "They stay the same size",
    "learn-scores-option-c": "They grow",
    "learn-scores-because": "A sum of dₖ terms that are independent spreads like √dₖ (Vaswani et al. 2017, section "
    "3.2.1); dividing by √dₖ keeps the softmax from being decided by the length alone.",
    "learn-scores-layer": "Layer",
    "learn-scores-layer-help": "Of the model, in order of execution.",
    "learn-scores-head": "Head",
    "learn-scores-head-help": "Each head has queries, keys and values of its own.",
    "learn-scores-query": "Query: who asks",
    "learn-scores-query-help": "The token whose query is compared with all keys.",
    "learn-scores-key": "Key: worked out in full",
    "learn-scores-key-help": "At first the key with the largest dot product.",
    "learn-scores-power": "Divide by dₖ to the power of",
    "learn-scores-power-help": "0.50 is the square root, as in the formula. 0 does not divide at all.",
    "learn-scores-terms": "q · k = {shown} and the other {count} together {rest}",
    "learn-scores-after": "What softmax makes of the divided scores",
    "learn-scores-after-note": "A bar a key, all add up to 1. The key above is framed.",
    "learn-scores-after-axis": "weight",
    "learn-scores-depth": "Numbers in a key, dₖ, and its root",
    "learn-scores-spread": "Spread of the scores, before → after",
    "learn-scores-largest": "Largest weight",
    "learn-scores-effective": "Keys that count, of {of}: exp of the entropy",
    "learn-scores-notice": "Move the power to 0: one or two keys take nearly all. Move it to 1: more keys count, "
    "though far from all. Where one key has nearly everything, the softmax hardly changes when scores change, and "
    "little can be learned.",
    "learn-scores-misleads": "Trained queries and keys are not independent numbers: they can be as large as training "
    "wants. The root sets the scale at the start of training; it does not keep weights soft for ever.",
    "learn-scores-do": "Write down the largest weight at powers 0, 0.5 and 1. At which does one key win almost alone?",
    # 3 softmax
    "learn-softmax-short": "Softmax",
    "learn-softmax-title": "From scores to shares: softmax, temperature and mask",
    "learn-softmax-question": "All scores of a query go up by the same amount. What happens to the weights?",
    "learn-softmax-option-a": "Nothing",
    "learn-softmax-option-b": "All grow",
    "learn-softmax-option-c": "The largest grows",
    "learn-softmax-because": "Softmax divides exp(score) by the sum of all of them; a common summand cancels. Only "
    "differences count.",
    "learn-softmax-layer": "Layer",
    "learn-softmax-layer-help": "Of the model, in order of execution.",
    "learn-softmax-head": "Head",
    "learn-softmax-head-help": "Each head has scores of its own.",
    "learn-softmax-query": "Query: who asks",
    "learn-softmax-query-help": "The token whose weights are shown.",
    "learn-softmax-temperature": "Temperature",
    "learn-softmax-temperature-help": "Scores are divided by it before the softmax. 1 is what the model does.",
    "learn-softmax-masked": "Masked",
    "learn-softmax-masked-help": "The scores of these keys become minus infinity: their weight is 0.",
    "learn-softmax-all-masked": "All keys are masked: there is nothing left to share. Take one mask away.",
    "learn-softmax-weights": "Weights of this query",
    "learn-softmax-weights-note": "A bar a key, all add up to 1.",
    "learn-softmax-weights-axis": "weight",
    "learn-softmax-effective": "Keys that count, of {of}: exp of the entropy",
    "learn-softmax-largest": "Largest weight",
    "learn-softmax-share": "Share: {modality}",
    "learn-softmax-notice": "A low temperature sharpens, a high one evens out. A mask does not only take a key away: "
    "what it had is shared among the others, so their weights grow.",
    "learn-softmax-misleads": "Weights are relative. A key can have a large weight because it fits well, or because "
    "all the others fit badly: something always gets the attention, even if nothing in the input is meant.",
    "learn-softmax-do": "Mask the modality with the largest share. Write down where its share goes. Then try to make "
    "one key get more than 0.9 by temperature alone.",
    # 4 output
    "learn-output-short": "Output",
    "learn-output-title": "The weighted sum, worked out in front of you",
    "learn-output-question": "A key has a weight of 0.9. What does the query's token receive from it?",
    "learn-output-option-a": "0.9 of its key, what it is found by",
    "learn-output-option-b": "0.9 of its value, what it holds",
    "learn-output-option-c": "0.9 of its score, how well it fits",
    "learn-output-because": "softmax(QKᵀ/√dₖ) V: queries and keys decide how much, values decide what.",
    "learn-output-difference": "Largest difference to the model, over all layers, heads and tokens",
    "learn-output-below": "Choose layer, head and token in the viewer; every step of their attention is worked out "
    "below it.",
    "learn-output-notice": "Every step is computed again from the model's own vectors, here in the browser; the line "
    "at each step says how far it is from what the model itself computed. Edit a score and follow it to the output.",
    "learn-output-misleads": "A large weight on a value near zero moves little, and the sum is added to what the "
    "token held before. So weight is not influence.",
    "learn-output-do": "Choose a layer, a head and a token. Mask a modality. How far did the output move, compared "
    "with its own length?",
    # 5 heads
    "learn-heads-short": "Heads",
    "learn-heads-title": "Several heads ask at once",
    "learn-heads-question": "The heads of one layer see the same tokens. Do they look at the same things?",
    "learn-heads-option-a": "Yes, they are copies",
    "learn-heads-option-b": "Yes, but some look harder",
    "learn-heads-option-c": "No, each has its own queries and keys",
    "learn-heads-because": "Each head projects the tokens in its own way, so each compares something else.",
    "learn-heads-layer": "Layer",
    "learn-heads-layer-help": "Of the model, in order of execution.",
    "learn-heads-query": "Query: who asks",
    "learn-heads-query-help": "The token whose heads are compared.",
    "learn-heads-head": "head",
    "learn-heads-top": "asks most",
    "learn-heads-counts": "keys that count",
    "learn-heads-caption": "What each head of layer {layer} gives to picture, words, sound and special tokens, asked "
    "by “{token}”",
    "learn-heads-mean": "mean",
    "learn-heads-card": "Head {head}",
    "learn-heads-unlike": "Largest distance: heads {first} and {second}",
    "learn-heads-like": "Smallest distance: heads {first} and {second}",
    "learn-heads-notice": "The last row is the mean over heads, which many pictures show. Find a head whose row "
    "looks nothing like it.",
    "learn-heads-misleads": "A head that looks at a clear place need not matter for the answer. Debug, Heads "
    "switches each off and measures.",
    "learn-heads-do": "Go through the layers. In which are the heads most unlike? The distance is 0 for the same "
    "map, 1 for nothing in common.",
    # 6 asks
    "learn-asks-short": "Who asks whom",
    "learn-asks-title": "Self-attention, cross-attention: who asks whom",
    "learn-asks-question": "In this model all tokens stand in one list, and each asks all. Is that self-attention or "
    "cross-attention?",
    "learn-asks-option-a": "Cross-attention, as modalities ask each other",
    "learn-asks-option-b": "Self-attention, in which modalities meet",
    "learn-asks-option-c": "Neither",
    "learn-asks-because": "Self-attention: queries and keys come from one list. Cross-attention: queries from one, "
    "keys from another. In one list with all modalities, self-attention does both at once.",
    "learn-asks-map": "Layer",
    "learn-asks-map-help": "Mean over the heads of this layer.",
    "learn-asks-self": "Layer {name}: self-attention, of one list of {count} tokens.",
    "learn-asks-cross": "Layer {name}: cross-attention, {queries} tokens ask {count} others.",
    "learn-asks-caption": "Rows ask, columns are asked: share of attention, each row adds up to 1",
    "learn-asks-evenly": "if even",
    "learn-asks-crossing": "Attention that crosses, of picture, words and sound",
    "learn-asks-even": "The same if attention were even",
    "learn-asks-most": "Most across: {from} asks {to}",
    "learn-asks-notice": "Go through the layers: where does what crosses rise above what even attention would give?",
    "learn-asks-misleads": "A modality with many tokens gets a large share even from even attention: compare each "
    "number with the last row before you say that words look at the picture.",
    "learn-asks-do": "Write down what crosses in each layer. Where do the modalities meet?",
    # 7 fusion
    "learn-fusion-short": "Ways to fuse",
    "learn-fusion-title": "Four ways to fuse, on the same trios",
    "learn-fusion-question": "A question needs picture and sound together: someone says a word; what stands to the "
    "left of that thing? Three ways to build a model: which must fail?",
    "learn-fusion-option-a": "One list of all tokens",
    "learn-fusion-option-b": "Pairs that ask each other",
    "learn-fusion-option-c": "Each modality alone, joined at the end",
    "learn-fusion-because": "This is late fusion: it joins what each modality has found alone. Nobody could tell the "
    "picture's part which thing to look for. The lesson compares it with three others.",
    "learn-fusion-kind": "MapRef to fuse",
    "learn-fusion-kind-help": "All four have the same encoders, the same answer head, and saw the same questions.",
    "learn-fusion-kind-trio-reduced": "trio-reduced: one list of all tokens",
    "learn-fusion-kind-crossmodal": "crossmodal: pairs ask each other (MulT)",
    "learn-fusion-kind-bottleneck": "bottleneck: four shared tokens (MBT)",
    "learn-fusion-kind-late": "late: joined at the end",
    "learn-fusion-who-trio-reduced": "Every token asks every token.",
    "learn-fusion-who-crossmodal": "Each modality asks each of the two others, in a block for each of the six pairs; "
    "then each asks itself (Tsai et al. 2019).",
    "learn-fusion-who-bottleneck": "Each modality asks itself and four tokens that all share: what crosses must fit "
    "into them (Nagrani et al. 2021).",
    "learn-fusion-who-late": "Each modality asks itself only.",
    "learn-fusion-caption": "Right answers by kind of question ({count} trios each)",
    "learn-fusion-family": "question",
    "learn-fusion-needs": "needs",
    "learn-fusion-asks-name": "What is this?",
    "learn-fusion-asks-heard": "What do you hear?",
    "learn-fusion-asks-there": "Is there a cat?",
    "learn-fusion-asks-said": "Did someone say cat?",
    "learn-fusion-asks-seen": "Is the spoken thing in the picture?",
    "learn-fusion-asks-count": "How many things?",
    "learn-fusion-asks-rel": "What is left of the cat?",
    "learn-fusion-asks-relheard": "What is left of the spoken thing?",
    "learn-fusion-asks-mask": "The cat and the [mask].",
    "learn-fusion-asks-caption": "The cat is left of the dog: is it?",
    "learn-fusion-asks-odd": "cat: which of the three is another thing?",
    "learn-fusion-answers": "{answer} {probability:.1%}",
    "learn-fusion-apart": "Right, where one modality is enough",
    "learn-fusion-meet": "Right, where modalities must meet",
    "learn-fusion-time": "Time of a run, single list = 1",
    "learn-fusion-notice": "Compare the rows that need one modality with those that need two. What attention across "
    "modalities buys is the difference.",
    "learn-fusion-misleads": "These are small models with a small budget, and often wrong where trio is right: a "
    "longer training or another size may change the order of the first three. That late fusion cannot look for "
    "what another modality names will not change.",
    "learn-fusion-do": "Choose each way to fuse in turn. Write down its answer to this trio, and its share of right "
    "answers where picture and sound must meet.",
    # 10 limits
    "learn-limits-short": "What it does not tell",
    "learn-limits-title": "What attention does not tell",
    "learn-limits-question": "The answer token gives most of its attention to the picture. Does the answer depend on "
    "the picture?",
    "learn-limits-option-a": "Yes, most of all",
    "learn-limits-option-b": "No",
    "learn-limits-option-c": "It may: take it away and measure",
    "learn-limits-because": "Attention says how information is routed. What the answer depends on shows when "
    "something is taken away.",
    "learn-limits-gone": "Take away",
    "learn-limits-gone-help": "The model is run again without it, with its own learned “absent” token in its place.",
    "learn-limits-nothing": "nothing",
    "learn-limits-looks": "Attention to {modality}",
    "learn-limits-with": "p({answer}), all there",
    "learn-limits-without": "p({answer}), without {modality}",
    "learn-limits-evened": "p({answer}), attention made even",
    "learn-limits-notice": "Look for a modality with much attention and little effect, or the other way round. Then "
    "read p with attention made even: if the answer stayed likely, it would not depend on where attention goes. "
    "Attention is rollout here, all layers together, not one head.",
    "learn-limits-misleads": "The effect (in nats: natural logarithms of probabilities) has its limits as well: "
    "taking away is itself an unusual input, and two modalities that say the same can each seem not to be needed.",
    "learn-limits-do": "Take each modality away in turn. Does the order of the effects match the order of attention?",
} | COST | LEARNING  # fmt: skip
