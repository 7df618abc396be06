"""Reports of a run: the viewer's data, a PNG, a summary for JSON, the audit and the lesson sheet."""

from mmviz.report.viewer_data import MAX_BYTES, ViewerData

__all__ = ["MAX_BYTES", "ViewerData"]
