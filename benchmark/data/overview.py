"""What a set of films was understood as, in a few lines to look at before it is trusted: grey range, which way up, organs,
patients, labels, boxes."""

from __future__ import annotations

import numpy as np

from .dataset import Dataset
from .film_rows import Films
from .odd_films import odd_films, odd_words

LOOKED_AT = 2000
"""Pixels of so many films, evenly spread, are looked at; tables of all."""
MUCH = 0.6  # an organ that covers more than this is its background


def overview(films: Dataset, *, of_patients: bool = True) -> list[tuple[str, str]]:
    """(what, what was found), a line each. of_patients: False for generated films, which are of nobody."""
    rows = np.unique(np.linspace(0, len(films) - 1, min(LOOKED_AT, len(films))).round().astype(int))
    looked = films if len(rows) == len(films) else films.select(rows)
    patients = films.cases["patient"].value_counts()
    per_patient = (
        f"{int(patients.min())} to {int(patients.max())}" if patients.min() < patients.max() else patients.max()
    )
    whose = f" of {len(patients)} patients ({per_patient} a patient)" if of_patients else ""
    lines = [
        ("films", f"{len(films)}{whose}"),
        ("pixels", f"{films.resolution} x {films.resolution}"),
        ("grey levels", _grey(looked.images)),
    ]
    if looked.masks is not None:
        lines += _masks(looked)
    lines += [(finding, _share(int(films.cases[finding].sum()), len(films))) for finding in films.info.findings]
    if films.boxes is not None:
        lines.append(("boxes", f"{len(films.boxes)} on {films.boxes['id'].nunique()} films"))
    lines += [("look at", sentence) for found in odd_films(looked).values() for sentence in odd_words(found)]
    return lines


def _grey(images: Films) -> str:
    ends = np.array([(int(film.min()), float(film.mean()), int(film.max())) for film in images])
    low, mean, high = ends[:, 0], ends[:, 1], ends[:, 2]
    return f"darkest pixel {_span(low)}, mean {_span(mean.round())}, brightest {_span(high)} (0 is black, 255 white)"


def _span(values: np.ndarray) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _masks(films: Dataset) -> list[tuple[str, str]]:
    """Coverage of every organ, and which way round the films are where the lungs tell it."""
    lines, centres = [], {}
    columns = np.arange(films.resolution) + 0.5
    for organ in films.organs:
        masks = films.organ_masks([organ])[:, 0]
        covered = masks.mean(axis=(1, 2))
        empty = int((covered == 0).sum())
        said = f"covers {100 * covered.mean():.1f} % ({100 * covered.min():.1f} to {100 * covered.max():.1f} %)"
        said += f", empty in {empty} films" if empty else ""
        much = [str(films.ids[row]) for row in np.flatnonzero(covered > MUCH)]
        first = f" in {len(much)} of {len(films)} films (the first: {much[0]})" if 0 < len(much) < len(films) else ""
        said += f", more than {100 * MUCH:.0f} %{first}: is the mask inside out?" if much else ""
        lines.append((organ, said))
        with np.errstate(invalid="ignore"):
            centres[organ] = (masks.sum(axis=1) @ columns) / masks.sum(axis=(1, 2))
    return lines + _orientation(centres)


def _orientation(centres: dict[str, np.ndarray]) -> list[tuple[str, str]]:
    if not {"left_lung", "right_lung"} <= centres.keys():
        return []
    apart = centres["left_lung"] - centres["right_lung"]
    known = apart[np.isfinite(apart)]
    usual = int((known > 0).sum())
    said = f"left_lung on the right side of the picture in {usual} of {len(known)} films"
    return [("orientation", said if usual == len(known) else f"{said}: are sides or films swapped?")]


def _share(count: int, films: int) -> str:
    return f"{count} films ({100 * count / max(films, 1):.1f} %)"
