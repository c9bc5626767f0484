"""The findings of NIH ChestX-ray14 (Wang et al. 2017) by their official names.

The order is that of the fusion paper's outputs (Liu et al., SDFN), which every table of findings follows.
"""

from __future__ import annotations

import re
import unicodedata

FINDINGS = (
    "Atelectasis",
    "Cardiomegaly",
    "Effusion",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pneumonia",
    "Pneumothorax",
    "Consolidation",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Pleural_Thickening",
    "Hernia",
)
"""The 14 findings, in order."""

NO_FINDING = "No Finding"
"""A film with none of them; not a finding of its own."""

BOXED = FINDINGS[:8]
"""The findings that the official box list has boxes for."""

LOCALISED = tuple(name for name in BOXED if name not in ("Mass", "Nodule"))
"""The six findings of the localisation protocol (Xing et al. 2019, section 2.2)."""

_OTHER_WORDS = {
    "Atelectasis": ("atelectases", "lung atelectasis", "pulmonary atelectasis"),
    "Cardiomegaly": ("enlarged heart", "cardiac enlargement"),
    "Effusion": ("effusions", "pleural effusion", "pleural effusions"),
    "Infiltration": ("infiltrate", "infiltrates", "infiltrations", "lung infiltration", "pulmonary infiltrate"),
    "Mass": ("masses", "lung mass", "pulmonary mass"),
    "Nodule": ("nodules", "lung nodule", "lung nodules", "pulmonary nodule", "pulmonary nodules"),
    "Pneumonia": ("pneumonias",),
    "Pneumothorax": ("pneumothoraces",),
    "Consolidation": ("consolidations", "lung consolidation"),
    "Edema": ("oedema", "lung edema", "lung oedema", "pulmonary edema", "pulmonary oedema"),
    "Emphysema": ("pulmonary emphysema", "lung emphysema"),
    "Fibrosis": ("pulmonary fibrosis", "lung fibrosis"),
    "Pleural_Thickening": ("thickened pleura", "thickening of the pleura"),
    "Hernia": ("hiatal hernia", "hiatus hernia"),
    NO_FINDING: ("no findings", "normal", "healthy", "no abnormality", "no abnormalities", "nothing found"),
}
"""What other sets call the findings; case, blanks, hyphens and underscores do not count."""


def word_key(name: str) -> str:
    """Letters and digits of a name in small letters: two spellings with the same key are one word."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", name).casefold())


_KNOWN = {word_key(word): name for name, words in _OTHER_WORDS.items() for word in (name, *words)}


def known_finding(name: str) -> str | None:
    """The official name of what is one of the 14 in other words or letters (`pleural effusion` is `Effusion`), or
    `NO_FINDING`; None for any other name.
    """
    return _KNOWN.get(word_key(name))
