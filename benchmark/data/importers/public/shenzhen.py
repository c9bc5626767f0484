"""Shenzhen chest films (Jaeger et al. 2014, National Library of Medicine): 662 films, 336 with tuberculosis.

`CXR_png/CHNCXR_0001_0.png` (the last number is 1 for tuberculosis). The lung masks are a set of their own (Stirenko et al.
2018, 566 films): `mask/CHNCXR_0001_0_mask.png`, one file for both lungs. Every film is of another person. No official split.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ....errors import InputError
from ...parts import films_in_words
from .files import folder_of, optional_folder
from .listing import Count, Listing, PublicFilm, PublicOptions

FILMS, POSITIVE, MASKED = 662, 336, 566
FINDING, ORGAN = "Tuberculosis", "lungs"


def films_of(which: str, folder: Path, prefix: str) -> Iterator[PublicFilm]:
    """The films of a folder, each of another person, with tuberculosis where the name ends in 1. InputError for others."""
    for path in sorted(folder.glob("*.png")):
        match = re.fullmatch(rf"{prefix}_\d{{4}}_([01])", path.stem)
        if path.name.startswith("."):
            continue
        if match is None:
            raise InputError(f"{which}: {path} is no film of the set: expected names such as {prefix}_0001_0.png")
        yield PublicFilm(id=path.stem, path=path, patient=path.stem, labels={FINDING: match[1]})


def counts_of(films: Sequence[PublicFilm], official: int, positive: int) -> list[Count]:
    """Films and films with tuberculosis, beside the official numbers."""
    sick = sum(film.labels[FINDING] == "1" for film in films)
    return [Count("films", len(films), (official,)), Count("films with tuberculosis", sick, (positive,))]


def read(source: Path, options: PublicOptions) -> Listing:
    """The films that have a mask (`lungs`: both in one), or with `masks` off, or where there are none, all films."""
    folder = folder_of("shenzhen", source, ("CXR_png",))
    masks = optional_folder(source, ("mask", "masks", "ManualMask")) if options.masks else None
    films = list(films_of("shenzhen", folder, "CHNCXR"))
    if masks is not None:
        films = [replace(film, mask_files={ORGAN: masks / f"{film.id}_mask.png"}) for film in films]
    counts = counts_of(films, FILMS, POSITIVE)
    remarks = [] if masks or not options.masks else ["no folder 'mask' with the lung masks: films with labels alone"]
    if masks is not None:
        with_mask = [film for film in films if film.mask_files[ORGAN].is_file()]
        counts.append(Count("masks", len(with_mask), (MASKED,)))
        if len(with_mask) < len(films):
            remarks.append(
                f"{films_in_words(len(films) - len(with_mask))} without a mask left out (--no-masks takes all)"
            )
        films = with_mask
    return Listing(
        films=films,
        labels=(FINDING,),
        counts=counts,
        provenance="Shenzhen (Jaeger et al. 2014), National Library of Medicine, https://data.lhncbc.nlm.nih.gov/public"
        + ("; lung masks by Stirenko et al. 2018" if masks else ""),
        organs=(ORGAN,) if masks else (),
        remarks=remarks,
    )
