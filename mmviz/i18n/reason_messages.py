"""Why a file, an address or an answer cannot be used: the words that stand inside the sentence of an error."""

from __future__ import annotations

REASON_SENTENCES: dict[str, str] = {
    # backends
    "reason-not-http": "it is not HTTP",
    "reason-not-mmviz": "HTTP {status}, not from mmviz",
    "reason-too-long": "it is too long",
    "reason-certificate": "its certificate is not trusted: {problem}",
    "reason-no-machine": "no machine of this name is known",
    "reason-nothing-listens": "nothing listens there",
    "reason-no-answer": "it does not answer",
    "reason-connection-broke": "the connection broke",
    "reason-host": "the Host header names another",
    "reason-origin": "web pages may not call it",
    # files
    "reason-no-folder": "there is no such folder",
    "reason-unopened": "it cannot be opened",
    "reason-megabytes": "it has more than {megabytes:.0f} MB",
    "reason-encoding": "it is neither UTF-8 nor UTF-16 with a byte order mark",
    # lists of examples
    "reason-line": "line {line}, column {column}",
    "reason-bounds": "a number or the nesting in it is out of bounds",
    "reason-list": "a list of objects in braces is expected",
    "reason-columns": "its first line has none of the columns {columns}",
    "reason-column-twice": "its first line names the column {column} twice",
    # archives
    "reason-password": "it has a password",
    "reason-compression": "its method of compression is not that of ordinary .zip files",
    "reason-link": "it contains a link",
    "reason-damaged": "it is damaged, or no .zip file",
    # places of examples
    "reason-places-object": "it is no object with image or audio, or both",
    "reason-places-kilobytes": "the file is larger than {kilobytes:.0f} kB",
    "reason-places-encoding": "the file is neither UTF-8 nor UTF-16 with a byte order mark",
    "reason-places-json": "the file is not JSON",
    "reason-places-list": "{key} is no list of 1 to {most} places",
    "reason-places-box": "{row} of {key} is not left, top, right and bottom, in this order and not empty",
    "reason-places-interval": "{row} of {key} is not start and end, in this order and not empty",
    "reason-places-no-picture": "[{edges}] lies outside, the example has no picture",
    "reason-places-picture": "[{edges}] lies outside, the example has a picture of {width} x {height} pixels",
    "reason-places-no-sound": "[{edges}] lies outside, the example has no sound",
    "reason-places-sound": "[{edges}] lies outside, the example has a sound of {seconds:.2f} s",
}
