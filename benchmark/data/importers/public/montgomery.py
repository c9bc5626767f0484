"""Montgomery County chest films (Jaeger et al. 2014, National Library of Medicine): 138 films, 58 with tuberculosis.

`CXR_png/MCUCXR_0001_0.png` (the last number is 1 for tuberculosis) with a mask a lung in `ManualMask/leftMask` and
`ManualMask/rightMask`; every film is of another person. No official split.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from .files import folder_of
from .listing import Listing, PublicOptions
from .lungs import ORGANS
from .shenzhen import FINDING, counts_of, films_of

FILMS, POSITIVE = 138, 58
MASKS = dict(zip(ORGANS, ("leftMask", "rightMask"), strict=True))


def read(source: Path, options: PublicOptions) -> Listing:
    """The films with a mask of each lung; `left_lung` is the patient's."""
    folder = folder_of("montgomery", source, ("CXR_png",))
    manual = folder_of("montgomery", source, ("ManualMask",)) if options.masks else None
    films = list(films_of("montgomery", folder, "MCUCXR"))
    if manual is not None:
        films = [
            replace(film, mask_files={organ: manual / side / film.path.name for organ, side in MASKS.items()})
            for film in films
        ]
    return Listing(
        films=films,
        labels=(FINDING,),
        counts=counts_of(films, FILMS, POSITIVE),
        provenance="Montgomery County (Jaeger et al. 2014), National Library of Medicine, https://data.lhncbc.nlm.nih.gov/public",
        organs=ORGANS if options.masks else (),
        remarks=("left_lung is the patient's, on the right of the film",) if options.masks else (),
    )
