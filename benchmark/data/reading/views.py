"""The view of a film in the words of headers and tables: DICOM's codes (CID 4010), what sets write, several words."""

from __future__ import annotations

import re

FRONTAL = ("PA", "AP", "FRONTAL")
"""Views that a frontal film has."""

_LONG = (
    (re.compile(r"POSTER(?:O|IOR)[\W_]*ANTERIOR"), "PA"),
    (re.compile(r"ANTER(?:O|IOR)[\W_]*POSTERIOR"), "AP"),
    (re.compile(r"\bP[\W_]A\b"), "PA"),
    (re.compile(r"\bA[\W_]P\b"), "AP"),
    (re.compile(r"\b(PA|AP)(?=(SUPINE|ERECT|HORIZONTAL|PORTABLE|PA|AP)\b)"), r"\1 "),
)
_CODES = {
    **dict.fromkeys(("LL", "RL", "LAT", "LATL", "LATR", "LLAT", "RLAT"), "LATERAL"),
    **dict.fromkeys(("LLD", "RLD"), "DECUBITUS"),
    **dict.fromkeys(("LLO", "RLO", "LAO", "RAO", "LPO", "RPO"), "OBLIQUE"),
}
_KINDS = {"DECUB": "DECUBITUS", "OBL": "OBLIQUE", "LATERO": "LATERAL", "LATERAL": "LATERAL"}  # beginnings of words


def view_of(text: str) -> str | None:
    """PA, AP, FRONTAL, LATERAL, OBLIQUE or DECUBITUS; None where a text names none of them.

    Beside another view PA and AP are how that was taken: `PA OBLIQUE` is oblique, `AP Supine` is AP.
    """
    plain = text.upper().replace("_", " ")
    for pattern, short in _LONG:
        plain = pattern.sub(short, plain)
    words = re.findall(r"[A-Z]+", plain)
    for start, kind in _KINDS.items():
        if any(word.startswith(start) or word in (f"LEFT{start}", f"RIGHT{start}") for word in words):
            return kind
    coded = next((_CODES[word] for word in words if word in _CODES), None)
    if coded or words in (["L"], ["R"]):
        return coded or "LATERAL"
    return next((word for word in words if word in FRONTAL), None)
