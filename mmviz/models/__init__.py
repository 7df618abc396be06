"""Models that mmviz can show: their protocol, and the catalogue of those that it brings."""

from mmviz.models.catalogue import CATALOGUE, load_model
from mmviz.models.protocol import CaptureTargets, Model, Prepared, SupportsVariants

__all__ = ["CATALOGUE", "CaptureTargets", "Model", "Prepared", "SupportsVariants", "load_model"]
