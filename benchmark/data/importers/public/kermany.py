"""Kermany's paediatric films (Kermany, Zhang and Goldbaum 2018, doi:10.17632/rscbjbr9sj): 5,856 films of children of one to
five years from Guangzhou, healthy or with pneumonia by bacteria or a virus.

`chest_xray/{train,test}/{NORMAL,PNEUMONIA}/`: `IM-0115-0001.jpeg` and `NORMAL2-IM-0927-0001.jpeg`,
`person1_bacteria_1.jpeg`, `person10_virus_35.jpeg`. The number behind `person` or `IM` is the child's; it is counted anew in
each part, whose children are others (says the paper). The copy on Kaggle has taken 16 films of `train` into a folder `val`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from ....errors import InputError
from ...parts import films_in_words
from .files import folder_of, folders
from .listing import Count, Listing, PublicFilm, PublicOptions

NAME = "kermany"
PARTS = {"train": "train", "val": "train", "test": "test"}
"""The split of each folder."""
PNEUMONIA, BACTERIAL, VIRAL = "Pneumonia", "Bacterial Pneumonia", "Viral Pneumonia"
OFFICIAL = {
    ("train", "NORMAL"): 1349,
    ("train", "bacteria"): 2538,
    ("train", "virus"): 1345,
    ("test", "NORMAL"): 234,
    ("test", "bacteria"): 242,
    ("test", "virus"): 148,
}
_NORMAL = re.compile(r"(?:NORMAL2-)?IM-(\d+)-\d{4}(?:-\d{4})?")
_ILL = re.compile(r"person(\d+)_(bacteria|virus)_\d+")


def read(source: Path, options: PublicOptions) -> Listing:
    """All films, with the official split."""
    if (source / "metadata.csv").is_file() and (source / "masks").is_dir():
        raise InputError(f"{NAME}: {source} has metadata.csv and masks/: `cxrbench data import kermany-lungs` reads it")
    root = next((place for place in folders(source) if (place / "train").is_dir()), source)
    folder_of(NAME, root, ("train",))
    folder_of(NAME, root, ("test",))
    films, counts, remarks = list[PublicFilm](), Counter[tuple[str, str]](), list[str]()
    for folder, split in PARTS.items():
        found = list(_films(root / folder, split))
        films += [film for film, _ in found]
        counts.update((split, kind) for _, kind in found)
        if folder == "val" and found:
            remarks.append(f"{films_in_words(len(found))} of the folder val train, as in the official set")
    return Listing(
        films=films,
        labels=(PNEUMONIA, BACTERIAL, VIRAL),
        counts=[
            Count(f"{kind.lower()} films in {split}", counts[split, kind], (official,))
            for (split, kind), official in OFFICIAL.items()
        ],
        provenance="Kermany et al. 2018, https://doi.org/10.17632/rscbjbr9sj (CC BY 4.0); children of 1 to 5 years",
        remarks=remarks,
    )


def _films(folder: Path, split: str) -> Iterator[tuple[PublicFilm, str]]:
    """The films of a part with what is said of each; InputError for a name that the set does not have."""
    for name in ("NORMAL", "PNEUMONIA"):
        for path in sorted((folder / name).glob("*.*")):
            if path.name.startswith("."):
                continue
            match = (_NORMAL if name == "NORMAL" else _ILL).fullmatch(path.stem)
            if match is None:
                expected = "IM-0115-0001.jpeg" if name == "NORMAL" else "person1_bacteria_1.jpeg"
                raise InputError(f"{NAME}: {path} is no film of the set: expected names such as {expected}")
            kind = name if name == "NORMAL" else match[2]
            child = f"{split}-{'normal' if name == 'NORMAL' else 'person'}{int(match[1])}"
            ill = {PNEUMONIA: kind != "NORMAL", BACTERIAL: kind == "bacteria", VIRAL: kind == "virus"}
            labels = {finding: str(int(there)) for finding, there in ill.items()}
            yield PublicFilm(id=f"{split}-{path.stem}", path=path, patient=child, labels=labels, split=split), kind
