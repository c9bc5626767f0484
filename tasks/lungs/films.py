"""Which films the lung region generator learns from where nobody says: real ones for real films, else the phantom."""

from __future__ import annotations

from ...benchmark.data.catalogue import dataset_folder, datasets_folder, is_drawn
from ...benchmark.data.dataset import read_info
from ...benchmark.errors import InputError

PHANTOM = "phantom"
REAL = ("jsrt_scr", "kermany_lungs")
"""Real films with lung masks by the names that their importers give them; JSRT, the paper's, before others."""


def lung_data_for(*, phantom: bool) -> str:
    """The dataset that finds the lungs of films which are procedural or not: the first of `REAL` that was imported.

    InputError where real films have none: a U-Net that saw procedural films alone finds the lungs of real ones badly, so it
    is taken where it is named, and never by itself.
    """
    if phantom:
        return PHANTOM
    for name in REAL:
        if (datasets_folder() / name).is_dir():
            return name
    raise InputError(
        f"lung regions of real films: expected real films with lung masks, found neither {' nor '.join(REAL)}; import one "
        "(cxrbench data import jsrt FOLDER, or kermany-lungs FOLDER), or name a dataset with lung masks: "
        f"--set task.classifier.lung_data=NAME ({PHANTOM}: a U-Net that saw procedural films alone)"
    )


def said_of(name: str) -> str:
    """The films of a generator in words: their name, and whose they are."""
    if is_drawn(name):
        return f"{name} (procedural films: not for lungs of real ones)"
    try:
        provenance = read_info(dataset_folder(name)).provenance
    except InputError:
        return name
    return f"{name} ({provenance})" if provenance else name
