"""Synthetic films as a folder that may be shared: an archive of pictures, masks and tables, its Croissant metadata and the
card. What lies in the archive is what `--provider folder:` reads (docs/folders.md)."""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .. import digest
from ..data.dataset import Dataset
from ..errors import InputError
from ..files import new_folder
from .croissant import FILE, Packed, Sharing, croissant
from .rows import Card
from .write import as_markdown

README = "README.md"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def share(card: Card, films: Dataset, sharing: Sharing, folder: Path) -> Path:
    """Write the archive, `croissant.json` and `README.md` to a new folder, all or nothing, and return its path. The same
    films give the same bytes. InputError where the folder is there or a film has a name that is none of a file."""
    if folder.exists():
        raise InputError(f"--share {folder} is there already; name a new folder")
    if odd := [name for name in films.ids if not _NAME.fullmatch(name)]:
        raise InputError(f"film {odd[0]!r} has a name that is none of a file: letters, digits, '_', '-' and '.'")
    with new_folder(folder) as draft:
        packed = pack(films, draft / "films.zip")
        (draft / "films.zip").rename(draft / packed.archive)
        said = json.dumps(croissant(card, packed, sharing), indent=1, ensure_ascii=False)
        (draft / FILE).write_text(said + "\n", encoding="utf-8")
        (draft / README).write_text(as_markdown(card), encoding="utf-8")
    return folder


def pack(films: Dataset, path: Path) -> Packed:
    """Films as an archive: `images/ID.png`, `masks/ORGAN/ID.png`, `films.csv` (id and labels), `boxes.csv`."""
    organs = () if films.masks is None else films.organs
    tables = _tables(films)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in tables.items():
            _add(archive, name, content)
        for name, content in _pictures(films, organs):
            _add(archive, name, content)
    shas = {name: hashlib.sha256(content).hexdigest() for name, content in tables.items()}
    return Packed(digest.of_file(path), path.stat().st_size, shas, organs, films.info.findings)


def _tables(films: Dataset) -> dict[str, bytes]:
    """No source ids: they name real cases."""
    columns = ["id", *films.info.findings]
    tables = {"films.csv": films.cases[columns].to_csv(index=False, lineterminator="\n").encode()}
    if films.boxes is not None:
        boxes = films.boxes[["id", "finding", "x", "y", "w", "h"]]
        tables["boxes.csv"] = boxes.to_csv(index=False, lineterminator="\n").encode()
    return tables


def _pictures(films: Dataset, organs: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    for row, name in enumerate(films.ids):
        yield f"images/{name}.png", _png(np.asarray(films.images[row]))
        if organs:
            for organ, mask in zip(organs, films.organ_masks(organs, slice(row, row + 1))[0], strict=True):
                yield f"masks/{organ}/{name}.png", _png(np.where(mask, 255, 0).astype(np.uint8))


def _png(pixels: np.ndarray) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    """A file with the same date and rights whoever packs it."""
    entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, content)
