"""Shenzhen chest films (Jaeger et al. 2014, National Library of Medicine): 662 films, 336 with tuberculosis.

`CXR_png/CHNCXR_0001_0.png` (the last number is 1 for tuberculosis). The lung masks are a set of their own (Stirenko et al.
2018, 566 films): `mask/CHNCXR_0001_0_mask.png`, one file for both lungs. Every film is of another person. No official split.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ....errors import InputError
from ...parts import films_in_words
from .files import folder_of, optional_folder
from .listing import Count, Listing, PublicFilm, PublicOptions

FILMS, POSITIVE, MASKED = 662, 336, 566
FINDING, ORGAN = "Tuberculosis", "lungs"


def films_of(which: str, folder: Path, prefix: str) -> Iterator[tuple[Path, str]]:
    """The films of a folder by name and "1" where the name says tuberculosis; InputError for another name."""
    for path in sorted(folder.glob("*.png")):
        match = re.fullmatch(rf"{prefix}_\d{{4}}_([01])", path.stem)
        if path.name.startswith("."):
            continue
        if match is None:
            raise InputError(f"{which}: {path} is no film of the set: expected names such as {prefix}_0001_0.png")
        yield path, match[1]


def read(source: Path, options: PublicOptions) -> Listing:
    """The films that have a mask (`lungs`: both in one), or with `masks` off, or where there are none, all films."""
    folder = folder_of("shenzhen", source, ("CXR_png",))
    masks = optional_folder(source, ("mask", "masks", "ManualMask")) if options.masks else None
    films = []
    for film, sick in films_of("shenzhen", folder, "CHNCXR"):
        mask = None if masks is None else masks / f"{film.stem}_mask.png"
        films.append(
            PublicFilm(
                id=film.stem,
                path=film,
                patient=film.stem,
                labels={FINDING: sick},
                mask_files={} if mask is None else {ORGAN: mask},
            )
        )
    positive = sum(film.labels[FINDING] == "1" for film in films)
    counts = [Count("films", len(films), (FILMS,)), Count("films with tuberculosis", positive, (POSITIVE,))]
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
