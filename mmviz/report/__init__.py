"""A run for the viewer: all it shows as one block of bytes, and as a document that stands alone."""

from mmviz.report.scene import LIMIT, Scene

__all__ = ["LIMIT", "Scene"]
