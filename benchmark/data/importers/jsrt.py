"""JSRT films with SCR masks, from the official downloads.

Films: Shiraishi et al., AJR 174 (2000), 71-74: 247 headerless big-endian 16 bit files of 2048 x 2048 pixels,
12 bit used, 0.175 mm a pixel, dark where the film is bright. Masks: van Ginneken, Stegmann, Loog, Medical
Image Analysis 10 (2006), 19-40: one GIF of 1024 x 1024 pixels per organ and film, in folders named after the
organ. "Left" is the patient's left. Neither may be redistributed; both owners give them to those who
register.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ...errors import InputError
from ...progress import Progress
from .. import splits
from ..dataset import Dataset, DatasetInfo
from ..resize import resample, resize_masks
from .sources import Entry, decode_all, entries

ORGANS = ("left_lung", "right_lung", "heart", "left_clavicle", "right_clavicle")
FILM_SIDE, MASK_SIDE = 2048, 1024
FILM_PIXEL_MM = 0.175
WHITE = 4095  # 12 bit
NAME = "jsrt_scr"
_WHERE_FILMS = "register at db.jsrt.or.jp to get the JSRT films"
_WHERE_MASKS = (
    "register at the SCR page of the Image Sciences Institute (isi.uu.nl, Research, Databases, SCR) to "
    "get the masks "
    "and name them with --scr"
)


@dataclass(frozen=True)
class _Case:
    """The files of one film: the raw image and a mask per organ."""

    id: str
    film: Entry
    masks: tuple[Entry, ...]


def import_jsrt(
    source: Path,
    scr: Path | None = None,
    resolution: int = 512,
    *,
    name: str = NAME,
    progress: Progress | None = None,
    side: int = FILM_SIDE,
    mask_side: int = MASK_SIDE,
    ids: Sequence[str] = splits.JSRT_IDS,
) -> Dataset:
    """All 247 films at `resolution` (area mean) with five organs, the official split and the three folds.

    source: folder or zip with the .IMG files at any depth. scr: the same for the masks; None: they are below
    `source`. side, mask_side, ids: what the official files have; other values serve tests. InputError, and
    nothing imported, where a film or mask is missing, twice there, truncated, of another size or not what the
    format says.
    """
    progress = progress or Progress()
    if not 16 <= resolution <= side:
        raise InputError(f"jsrt: the resolution must be 16 to {side} pixels, found {resolution}")
    for path, where in ((source, _WHERE_FILMS), (scr or source, _WHERE_MASKS)):
        if not path.exists():
            raise InputError(f"jsrt: {path} does not exist; {where}")
    with entries(source, ".img") as films, entries(scr or source, ".gif") as gifs:
        cases = list(_pair(_films(films, source, ids, side), _masks(gifs, scr or source)))

        def decode(case: _Case) -> tuple[np.ndarray, np.ndarray]:
            film = _decode_film(case.film, side, resolution)
            return film, _decode_masks(case.masks, mask_side, resolution)

        images = np.empty((len(cases), resolution, resolution), dtype=np.uint8)
        masks = np.empty_like(images)
        for row, (film, bits) in enumerate(decode_all(cases, decode, progress, "films")):
            images[row], masks[row] = film, bits
    info = DatasetInfo(
        name=name,
        resolution=resolution,
        organs=ORGANS,
        pixel_mm=FILM_PIXEL_MM * side / resolution,
        provenance="JSRT films with SCR masks, imported from the official files; not to be redistributed",
    )
    return Dataset(
        info=info,
        images=images,
        masks=masks,
        cases=pd.DataFrame(splits.scr_columns([case.id for case in cases])),
    )


def _films(found: list[Entry], source: Path, ids: Sequence[str], side: int) -> dict[str, Entry]:
    """The .IMG files by id: each expected one exactly once and of the right size."""
    if not found:
        raise InputError(f"jsrt: no .IMG file in {source}; {_WHERE_FILMS}")
    films: dict[str, Entry] = {}
    for entry in found:
        name = entry.path.stem.upper()
        if name in films:
            raise InputError(f"jsrt: {name} is there twice: {films[name].path} and {entry.path}. Nothing was imported.")
        films[name] = entry
    if set(films) != set(ids):
        nodules = sum(name.startswith("JPCLN") for name in ids)
        raise InputError(
            f"jsrt: {len(films)} films found, expected {len(ids)} ({nodules} JPCLN and "
            f"{len(ids) - nodules} JPCNN)"
            f"{splits.difference(set(ids), set(films))}. Nothing was imported."
        )
    expected = side * side * 2
    for name in ids:
        if films[name].size != expected:
            why = "truncated download" if films[name].size < expected else "another format"
            raise InputError(
                f"jsrt: {films[name].path.name} has {films[name].size:,} bytes, expected {expected:,} "
                f"({side} x {side}, 16 bit): {why}? Nothing was imported."
            )
    return {name: films[name] for name in sorted(ids)}


def _masks(found: list[Entry], scr: Path) -> dict[tuple[str, str], Entry]:
    """The .gif files by id and organ; the organ is the name of the folder."""
    masks: dict[tuple[str, str], Entry] = {}
    for entry in found:
        organ = entry.path.parent.name.lower().replace(" ", "_")
        if organ not in ORGANS:
            continue
        key = (entry.path.stem.upper(), organ)
        if key in masks:
            raise InputError(
                f"jsrt: the {organ} mask of {key[0]} is there twice: {masks[key].path} and {entry.path}. "
                "Nothing was imported."
            )
        masks[key] = entry
    if not masks:
        raise InputError(f"jsrt: no SCR masks in {scr} (such as fold1/masks/left lung/JPCLN001.gif); {_WHERE_MASKS}")
    return masks


def _pair(films: dict[str, Entry], masks: dict[tuple[str, str], Entry]) -> Iterator[_Case]:
    missing = [f"{name} ({organ})" for name in films for organ in ORGANS if (name, organ) not in masks]
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise InputError(f"jsrt: missing SCR masks: {', '.join(missing[:5])}{more}. Nothing was imported.")
    for name, film in films.items():
        yield _Case(name, film, tuple(masks[name, organ] for organ in ORGANS))


def _decode_film(entry: Entry, side: int, resolution: int) -> np.ndarray:
    """1 - raw / 4095 as uint8 (resolution, resolution)."""
    data = entry.read()
    if len(data) != side * side * 2:
        raise InputError(f"jsrt: {entry.path} changed while it was read. Nothing was imported.")
    raw = np.frombuffer(data, dtype=">u2").reshape(side, side)
    highest = int(raw.max())
    if highest > WHITE:
        raise InputError(
            f"jsrt: {entry.path.name} has values up to {highest}, expected at most {WHITE} (12 bit, "
            f"big-endian): "
            "not an official file? Nothing was imported."
        )
    mean = resample(raw.astype(np.uint16), resolution)
    return np.rint(255.0 * (1.0 - mean / WHITE)).astype(np.uint8)


def _decode_masks(files: Sequence[Entry], mask_side: int, resolution: int) -> np.ndarray:
    """Bit flags uint8 (resolution, resolution); bit i is organ i."""
    bits = np.zeros((mask_side, mask_side), dtype=np.uint8)
    for bit, entry in enumerate(files):
        bits |= _decode_gif(entry, mask_side).astype(np.uint8) << np.uint8(bit)
    return resize_masks(bits[None], resolution, len(files))[0]


def _decode_gif(entry: Entry, mask_side: int) -> np.ndarray:
    from PIL import Image

    place = "/".join(entry.path.parts[-2:])
    try:
        with Image.open(io.BytesIO(entry.read())) as gif:
            grey = np.asarray(gif.convert("L"))
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise InputError(f"jsrt: mask {place} cannot be read as a GIF ({error}). Nothing was imported.") from None
    if grey.shape != (mask_side, mask_side):
        raise InputError(
            f"jsrt: mask {place} is {grey.shape[1]} x {grey.shape[0]}, expected {mask_side} x {mask_side}. "
            "Nothing was imported."
        )
    values = np.unique(grey)
    if len(values) != 2 or values[0] != 0:
        shown = ", ".join(str(value) for value in values[:4])
        raise InputError(
            f"jsrt: mask {place} must have two values, background 0 and the organ; found {len(values)} "
            f"({shown}). "
            "Nothing was imported."
        )
    return grey != 0
