"""Audio formats by the first bytes of a file: those that are read, and the names of those that are not."""

from __future__ import annotations

from typing import BinaryIO

from mmviz.inputs.image_formats import START, image_format
from mmviz.types import InputError

AUDIO_SUFFIXES = frozenset(
    {".wav", ".wave", ".bwf", ".rf64", ".w64", ".flac", ".ogg", ".oga", ".ogv", ".opus", ".spx", ".mp3", ".mp2"}
    | {".m4a", ".m4b", ".m4r", ".aac", ".mp4", ".m4v", ".mov", ".3gp", ".3gpp", ".3g2", ".webm", ".weba", ".mkv"}
    | {".mka", ".aif", ".aiff", ".aifc", ".caf", ".au", ".snd", ".amr", ".awb", ".wma", ".wmv", ".asf"}
)
"""Endings of the files that `mmviz.inputs.audio.load_audio` reads, videos included; their bytes decide."""
VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".3gp", ".3gpp", ".3g2", ".webm", ".mkv", ".wmv", ".asf"})
"""Endings of the videos that `mmviz.inputs.video.load_video` reads."""

_MAGIC = {
    b"fLaC": "FLAC",
    b"OggS": "OGG",
    b"\x1a\x45\xdf\xa3": "WEBM",  # and Matroska
    b"caff": "CAF",
    b".snd": "AU",
    b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0": "W64",
    b"#!AMR\n": "AMR",
    b"#!AMR-WB\n": "AMR",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c": "ASF",
}
"""The first bytes of a file, and the format that they mean."""
_CHUNK_FORMS = {
    b"RIFFWAVE": "WAV",
    b"RF64WAVE": "RF64",
    b"BW64WAVE": "RF64",
    b"FORMAIFF": "AIFF",
    b"FORMAIFC": "AIFF",
}
"""The first four bytes and those from the eighth on of a file in chunks."""
_FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
"""Boxes that MP4 and QuickTime files begin with."""
_OTHER_MAGIC = {
    b"MThd": "MIDI",
    b".RMF": "RealAudio",
    b".ra\xfd": "RealAudio",
    b"DSD ": "DSD",
    b"FRM8": "DSD",
    b"MAC ": "Monkey's Audio",
    b"wvpk": "WavPack",
    b"TTA": "True Audio",
    b"MPCK": "Musepack",
    b"MP+": "Musepack",
    b"OFR ": "OptimFROG",
    b"tBaK": "TAK",
    b"ajkg": "Shorten",
    b"qoaf": "QOA",
    b"ea3\3": "ATRAC",
    b"\x02dss": "DSS",
    b"#!SILK": "SILK",
    b"\x02#!SILK": "SILK",
    b"ADIF": "AAC (ADIF)",
    b"\x0b\x77": "AC-3",
    b"\x7f\xfe\x80\x01": "DTS",
    b"FLV\x01": "Flash video",
    b"\0\0\1\xba": "MPEG program stream",
    b"\0\0\1\xb3": "MPEG video",
    b"RIFX": "RIFX",
    b"2BIT": "AVR",
    b" paf": "PAF",
    b"fap ": "PAF",
    b"\x64\xa3\1\0": "IRCAM",
    b"\x64\xa3\2\0": "IRCAM",
    b"\x64\xa3\3\0": "IRCAM",
    b"\0\1\xa3\x64": "IRCAM",
    b"\0\2\xa3\x64": "IRCAM",
    b"MATLAB 5.0": "MATLAB",
    b"Creative Voice File": "VOC",
    b"NIST_1A": "NIST SPHERE",
    b"Extended Module": "tracker module",
    b"IMPM": "tracker module",
    b"#EXTM3U": "playlist",
    b"[playlist]": "playlist",
    b"ffconcat": "playlist",
}
"""The first bytes of files that are not read, and the names of their formats."""
_OTHER_CHUNK_FORMS = {
    b"RIFFRMID": "MIDI",
    b"RIFFQLCM": "QCP",
    b"RIFFACON": "ANI",
    b"FORM8SVX": "8SVX",
    b"FORM16SV": "IFF 16SV",
}
_TRANSPORT_PACKET = 188
"""Bytes of a packet of an MPEG transport stream, each of which begins with ``G``."""
_MAX_TAGS = 8


def audio_format(file: BinaryIO) -> str:
    """Returns the format of a file by its bytes; an ID3 tag may come first.

    One of ``WAV``, ``RF64``, ``W64``, ``AIFF``, ``CAF``, ``AU``, ``FLAC``, ``OGG``, ``MP3``, ``MP2``, ``AAC``, ``AMR``,
    ``MP4``, ``WEBM`` and ``ASF``.

    Raises ``InputError``: ``audio-empty``; ``audio-format`` for a format that is known and not read; ``audio-unknown``.
    """
    tag_end = after_tags(file)
    file.seek(tag_end)
    start = file.read(START)
    if not start and not tag_end:
        raise InputError("audio-empty")
    name = _chunk_format(start) or _frame_format(start)
    if not name and tag_end:  # the first frame may be broken, or follow some padding
        return "MP3"
    if name:
        return name
    if other := _other_format(start):
        raise InputError("audio-format", format=other)
    raise InputError("audio-unknown")


def after_tags(file: BinaryIO, at: int = 0) -> int:
    """Returns where the ID3v2 tags that begin at ``at`` end: there without one."""
    for _ in range(_MAX_TAGS):
        file.seek(at)
        head = file.read(10)
        if not head.startswith(b"ID3"):
            break
        length = 0
        for byte in head[6:]:  # four times seven bits
            length = length << 7 | byte & 0x7F
        at += 10 + length + (10 if len(head) > 5 and head[5] & 0x10 else 0)  # a footer may follow
    return at


def is_adts(start: bytes) -> bool:
    """Returns whether a frame of AAC begins here."""
    return len(start) > 1 and start[0] == 0xFF and start[1] & 0xF6 == 0xF0


def _chunk_format(start: bytes) -> str:
    """Returns the format of a file with a header, or "" for another."""
    if start[4:8] in _FIRST_BOXES:
        return "MP4" if image_format(start) in ("MP4 or QuickTime", "") else ""
    names = (name for magic, name in _MAGIC.items() if start.startswith(magic))
    return _CHUNK_FORMS.get(start[:4] + start[8:12], next(names, ""))


def _frame_format(start: bytes) -> str:
    """Returns the format of a file of frames without a header, or "" for another."""
    if is_adts(start):
        return "AAC"
    if len(start) < 2 or start[0] != 0xFF or start[1] & 0xE0 != 0xE0:
        return ""
    return {2: "MP3", 4: "MP2"}.get(start[1] & 6, "")


def _other_format(start: bytes) -> str:
    """Returns the name of a format that is not read, or "" for an unknown one."""
    names = (name for magic, name in _OTHER_MAGIC.items() if start.startswith(magic))
    name = _OTHER_CHUNK_FORMS.get(start[:4] + start[8:12]) or next(names, "")
    if not name and start[::_TRANSPORT_PACKET][:3] == b"GGG":
        return "MPEG transport stream"
    return name or image_format(start)
