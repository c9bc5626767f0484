"""Montgomery County chest films (Jaeger et al. 2014, National Library of Medicine): 138 films, 58 with tuberculosis.

`CXR_png/MCUCXR_0001_0.png` (the last number is 1 for tuberculosis) with a mask a lung in `ManualMask/leftMask` and
`ManualMask/rightMask`; every film is of another person. No official split.
"""

from __future__ import annotations

from pathlib import Path

from .files import folder_of
from .listing import Count, Listing, PublicFilm, PublicOptions
from .lungs import ORGANS
from .shenzhen import FINDING, films_of

FILMS, POSITIVE = 138, 58
MASKS = dict(zip(ORGANS, ("leftMask", "rightMask"), strict=True))


def read(source: Path, options: PublicOptions) -> Listing:
    """The films with a mask of each lung; `left_lung` is the patient's."""
    folder = folder_of("montgomery", source, ("CXR_png",))
    manual = folder_of("montgomery", source, ("ManualMask",)) if options.masks else None
    films = []
    for film, sick in films_of("montgomery", folder, "MCUCXR"):
        masks = {} if manual is None else {organ: manual / side / film.name for organ, side in MASKS.items()}
        films.append(
            PublicFilm(
                id=film.stem,
                path=film,
                patient=film.stem,
                labels={FINDING: sick},
                mask_files=masks,
            )
        )
    positive = sum(film.labels[FINDING] == "1" for film in films)
    return Listing(
        films=films,
        labels=(FINDING,),
        counts=[Count("films", len(films), (FILMS,)), Count("films with tuberculosis", positive, (POSITIVE,))],
        provenance="Montgomery County (Jaeger et al. 2014), National Library of Medicine, https://data.lhncbc.nlm.nih.gov/public",
        organs=ORGANS if options.masks else (),
        remarks=("left_lung is the patient's, on the right of the film",) if options.masks else (),
    )
