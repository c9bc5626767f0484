"""The films of the report's page: samples, samples along the training, and test films with what each arm found."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.contact_sheet import organ_colours
from ..errors import InputError
from ..results import folder as run_folder
from ..results.rows import Results
from .pictures import INDEX, TRUTH, Picture, PictureIndex

if TYPE_CHECKING:
    from PIL import Image

JPEG_QUALITY = 86
MOST_SIDE = 4096
MOST_PICTURES = 2_000


@dataclass(frozen=True)
class Shot:
    """A film as two data URIs: plain and with outlines."""

    alt: str
    caption: str
    plain: str
    outlined: str


def film_context(results: Results, folder: Path) -> dict[str, Any]:
    """What the template shows of a run's films: samples, timelines, test films with predictions, and their colours."""
    films, index = folder / run_folder.FILMS, film_index(folder)
    if index is None:
        return {"samples": [], "timelines": [], "cases": [], "seen": [], "organ_legend": [], "case_legend": []}
    samples = []
    for info in results.sizes:
        mine = [picture for picture in index.pictures if picture.size == info.size]
        groups = [
            (
                words_of,
                [_shot(films, picture, f"{group} film {picture.case}") for picture in mine if picture.group == group],
            )
            for group, words_of in (("real", "Real training films"), ("synthetic", "Synthetic films"))
        ]
        samples.append((info.size, [(title, shots) for title, shots in groups if shots]))
    return {
        "samples": [(size, groups) for size, groups in samples if groups],
        "timelines": [(info.size, *one) for info in results.sizes for one in _timelines(films, index, info.size)],
        "cases": [(info.size, cases) for info in results.sizes if (cases := _case_rows(films, index, info.size))],
        "seen": [(info.size, seen) for info in results.sizes if (seen := _seen(films, index, info.size))],
        "organ_legend": _colours(index.organs),
        "case_legend": _colours(index.case_organs),
    }


def film_index(folder: Path) -> PictureIndex | None:
    """What pictures of films a run's folder has; None where it has none. InputError for an index that names other files than
    PNGs beside it, or too many."""
    films = folder / run_folder.FILMS
    if not (films / INDEX).is_file():
        return None
    index = run_folder.load_index(folder, PictureIndex)
    names = [name for one in index.pictures for name in (one.plain, one.outlined)]
    if odd := [name for name in names if Path(name).name != name or not name.endswith(".png")]:
        raise InputError(f"{films / INDEX} names {odd[0][:80]!r}; expected the names of PNG files beside it")
    if len(names) > MOST_PICTURES:
        raise InputError(f"{films / INDEX} names {len(names):,} pictures; at most {MOST_PICTURES:,} are shown")
    return index


def _timelines(films: Path, index: PictureIndex, size: str) -> list[tuple[str, list[tuple[str, list[Shot]]]]]:
    """(training, each step with the samples at it) of a size; the training is nameless where there is one alone."""
    every = [picture for picture in index.pictures if (picture.size, picture.group) == (size, "timeline")]
    found = []
    for training in dict.fromkeys(picture.caption for picture in every):
        mine = [picture for picture in every if picture.caption == training]
        steps = dict.fromkeys(picture.column for picture in mine)
        shots = [
            (step, [_shot(films, p, f"sample {p.case} at step {step}") for p in mine if p.column == step])
            for step in steps
        ]
        found.append((training, shots))
    return found


def _seen(films: Path, index: PictureIndex, size: str) -> list[tuple[str, list[Shot]]]:
    """(arm, the pictures of what its model does) of a size."""
    mine = [picture for picture in index.pictures if (picture.size, picture.group) == (size, "illustration")]
    arms = dict.fromkeys(picture.column for picture in mine)
    return [(arm, [_shot(films, p, f"{arm}, {p.caption}") for p in mine if p.column == arm]) for arm in arms]


def _colours(organs: Sequence[str]) -> list[tuple[str, str]]:
    return [
        (organ, "#{:02x}{:02x}{:02x}".format(*colour))
        for organ, colour in zip(organs, organ_colours(organs), strict=True)
    ]


def _case_rows(films: Path, index: PictureIndex, size: str) -> list[tuple[str, str, list[tuple[str, Shot]]]]:
    """(case, which it is, its films: the truth, then each arm's prediction) of every test film shown."""
    mine = [picture for picture in index.pictures if (picture.size, picture.group) == (size, "case")]
    rows = []
    for case in dict.fromkeys(picture.case for picture in mine):
        row = [picture for picture in mine if picture.case == case]
        rank = next((picture.caption for picture in row if picture.column == TRUTH), "")
        shots = [(p.column, _shot(films, p, f"test film {case}, {p.column}: {p.caption}")) for p in row]
        rows.append((case, rank, shots))
    return rows


def _shot(folder: Path, picture: Picture, alt: str) -> Shot:
    return Shot(alt, picture.caption, _data_uri(folder / picture.plain), _data_uri(folder / picture.outlined))


def read_picture(path: Path) -> Image.Image:
    """The picture of a PNG file. InputError where it cannot be read, or is too large to be shown."""
    from PIL import Image

    try:
        with Image.open(path, formats=["PNG"]) as picture:
            if max(picture.size) > MOST_SIDE:
                sides = f"{picture.width} x {picture.height}"
                raise InputError(f"{path} has {sides} pixels; at most {MOST_SIDE} a side are shown")
            picture.load()
            return picture
    except InputError:
        raise
    except Exception as error:  # a damaged picture can raise anything
        words = str(error).splitlines()[:1] or [type(error).__name__]
        raise InputError(f"{path}: not readable as a PNG ({words[0]}); `cxrbench run` writes it again") from None


def _data_uri(path: Path) -> str:
    """A PNG file as a JPEG data URI (a fifth of the size; the exact pixels are in `figures/films`)."""
    buffer = io.BytesIO()
    picture = read_picture(path)
    try:
        picture.save(buffer, format="JPEG", quality=JPEG_QUALITY, subsampling=0, optimize=True)
    except OSError as error:
        raise InputError(
            f"{path}: not a picture in grey or colours ({error}); `cxrbench run` writes it again"
        ) from None
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
