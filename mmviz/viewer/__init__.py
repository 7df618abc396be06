"""The linked viewer: its container (`container`, `quantization`, `thumbnails`), and its JavaScript as one (`pack`)."""
