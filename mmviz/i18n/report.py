"""The texts of a report on one run."""

from __future__ import annotations

REPORT: dict[str, str] = {
    "report-inputs": "Inputs",
    "report-sound": "{seconds:.1f} s of sound; each column of the spectrogram is a moment, low sounds are below.",
    "report-answers": "Answers",
    "report-maps": "Attention, and what the answer depends on",
    "report-notices": "Notices",
    "report-card": "Model",
    "report-card-measured": "Measured figures of the model's card",
    "report-versions": "How it was computed",
    "report-again": "The command that makes it again",
    "report-not-measured": "Not measured: {why}",
    "report-routes-cell": "Each cell: the change of the answer's log-probability in nats where these tokens do not "
    "read those, in these layers; in brackets the share of their attention that goes there. Below 0, the answer needs "
    "the route.",
    "report-methods-cell": "Deletion and insertion: areas under the curves of the answer's probability while tokens "
    "are removed or added in the order of the method. 0 over chance is a random order, 1 the best there is.",
}
