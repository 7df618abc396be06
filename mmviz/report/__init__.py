"""A run for the viewer: all it shows as one block of bytes, and as a document that stands alone."""

from mmviz.report.viewer_data import LIMIT, ViewerData

__all__ = ["LIMIT", "ViewerData"]
