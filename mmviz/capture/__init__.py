"""Listening to attention in torch modules. Knows no model by name; torch tensors in, `AttentionMap` out."""

from mmviz.capture.gate import attention_map
from mmviz.capture.heard import Heard
from mmviz.capture.listen import listening
from mmviz.capture.relevance import relevance

__all__ = ["Heard", "attention_map", "listening", "relevance"]
