"""The findings of NIH ChestX-ray14 (Wang et al. 2017) by their official names.

The order is that of the fusion paper's outputs (Liu et al., SDFN), which every table of findings follows.
"""

from __future__ import annotations

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
