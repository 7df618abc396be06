"""Audio formats by the first bytes of a file: those that are read, and the names of those that are not."""

from __future__ import annotations

AUDIO_SUFFIXES = frozenset(
    {".wav", ".wave", ".bwf", ".rf64", ".w64", ".flac", ".ogg", ".oga", ".ogv", ".opus", ".spx", ".mp3", ".mp2"}
    | {".m4a", ".m4b", ".m4r", ".aac", ".mp4", ".m4v", ".mov", ".3gp", ".3gpp", ".3g2", ".webm", ".weba", ".mkv"}
    | {".mka", ".aif", ".aiff", ".aifc", ".caf", ".au", ".snd", ".amr", ".awb", ".wma", ".wmv", ".asf"}
)
"""Endings of the files that `mmviz.inputs.audio.load_audio` reads, videos included; their bytes decide."""
