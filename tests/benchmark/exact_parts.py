"""Everything that is held to exact digests across machines, computed once: name and sha256 of its bytes.

`python exact_parts.py` prints them as JSON; `python exact_parts.py --write` puts them into `same_bits.json` beside it, which
is right only after a new version of what they are of. `test_same_bits.py` computes them under other instruction sets.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from cxrbench.baselines.controls import Classical, CopyTrain, Degraded, Noise
from cxrbench.benchmark import exact
from cxrbench.benchmark.data.augmentation import elastic_field, paper_augmentation, warp
from cxrbench.benchmark.data.near_copies import difference_hash, near_copies
from cxrbench.benchmark.data.phantom import boxes_like, cohort, hard, jsrt_like, nih_like
from cxrbench.benchmark.data.reading.films import Square, read_film
from cxrbench.benchmark.data.reading.mask_files import Wanted, read_mask_file
from cxrbench.benchmark.data.resize import resample, resize_films, resize_masks
from cxrbench.benchmark.draws import Draw
from cxrbench.benchmark.metrics import classification, localisation, segmentation
from cxrbench.benchmark.progress import Progress
from cxrbench.leaderboard.regression.films import fingerprint_films

KEPT = Path(__file__).with_name("same_bits.json")
DIGITS = 9
"""Scores are compared to 1e-6; here to the ninth digit after the point."""


def phantom_films(draw: Callable[[str, int], object], ids: list[str]) -> Iterator[bytes]:
    """A few films of a set at two sizes."""
    for name in ids:
        for side in (64, 150):
            film = draw(name, side)
            image, masks, boxes = film if isinstance(film, tuple) else (film.image, film.masks, film.boxes)
            yield image.tobytes() + masks.tobytes() + repr(boxes).encode()


def jsrt(name: str, side: int) -> tuple[np.ndarray, np.ndarray, tuple[()]]:
    """A case of the JSRT-like set."""
    return (*jsrt_like.jsrt_like_case(name, side), ())


def functions() -> Iterator[bytes]:
    """The functions of `exact` on numbers that whole-number arithmetic makes."""
    x = (np.arange(20000.0) - 10000.0) / 37.0
    for function in (exact.exp, exact.sin, exact.cos):
        yield function(x).tobytes()
    positive = (np.arange(1.0, 20001.0)) / 20002.0
    for values in (exact.log(positive), exact.normal_quantile(positive), exact.power(positive, 0.37)):
        yield values.tobytes()
    yield exact.normal_share(x / 60.0).tobytes()
    plane = Draw(1).noise(100, 100)
    for picture in (exact.box_mean(plane, 9, 2), exact.smooth(plane, 3.3), exact.gaussian_blur(plane, 1.1, 3)):
        yield picture.tobytes()
    yield exact.cubic(plane, 64).tobytes()
    yield exact.interp(x, np.arange(5.0), np.array([0.0, 3.0, 1.0, 7.0, 2.0])).tobytes()


def augmentation() -> Iterator[bytes]:
    """Warped and bent films, and the paper's copies."""
    films = fingerprint_films(64)
    bend = elastic_field(64, amplitude=1.5, smoothness=6.4, rng=Draw(5))
    assert films.masks is not None
    for angle in (0.0, 1.7, -33.0):
        film, mask = warp(films.images[3], films.masks[3], angle=angle, shift_x=0.02, scale=1.1, displacement=bend)
        yield film.tobytes() + (b"" if mask is None else mask.tobytes())
    copies = paper_augmentation(films.select(range(6)), seed=3)
    yield copies.images.tobytes() + np.asarray(copies.masks).tobytes()


def resizing() -> Iterator[bytes]:
    """Films and masks at whole and broken ratios, up and down."""
    films = fingerprint_films(100)
    for side in (9, 32, 50, 64, 150):
        yield resize_films(films.images, side).tobytes() + resize_masks(np.asarray(films.masks), side, 3).tobytes()
    deep = (np.arange(200 * 200).reshape(200, 200) * 257 % 65536).astype(np.uint16)
    yield resample(deep, 64).tobytes()


def nearness() -> Iterator[bytes]:
    """Hashes, distances and findings of near copies."""
    films = fingerprint_films(64)
    yield difference_hash(films.images).tobytes()
    found = near_copies(films.select(range(0, 20)), films.select(range(10, 40)), films.select(range(40, 64)))
    yield json.dumps(found.to_json() | {"p": round(found.p, DIGITS)}).encode()


def controls() -> Iterator[bytes]:
    """What the controls that train nothing make of a training set with masks, findings and boxes."""
    train = fingerprint_films(64)
    for control in (CopyTrain(), Classical(), Degraded(), Noise()):
        control.fit(train, seed=0, progress=Progress())
        for batch in control.sample(40, seed=2):
            yield batch.images.tobytes() + np.asarray(batch.masks).tobytes() + np.asarray(batch.labels).tobytes()
            yield repr([[(name, *map(float, box)) for name, *box in film] for film in batch.boxes or ()]).encode()


def importers() -> Iterator[bytes]:
    """Files as they are read and fitted into a square (no JPEG: another libjpeg may decode a grey level otherwise)."""
    from PIL import Image

    films = fingerprint_films(100)
    deep = films.images[1].astype(np.uint16) * 250 + 99
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        Image.fromarray(films.images[0][:80]).save(place / "grey.png")
        Image.fromarray(np.stack([films.images[row] for row in (0, 1, 2)], axis=-1)).save(place / "colour.png")
        Image.fromarray(deep).save(place / "deep.png")
        for name in ("grey.png", "colour.png", "deep.png"):
            pixels = read_film(place / name).pixels
            yield Square(*pixels.shape, 64).film(pixels).tobytes()
        Image.fromarray(np.asarray(films.masks)[0]).save(place / "mask.png")
        mask = read_mask_file(place / "mask.png", Wanted.LABELS).values.astype(np.uint8)
        yield Square(*mask.shape, 64).masks(mask, 3).tobytes()
        yield from dicom(place / "film.dcm", deep)


def dicom(path: Path, pixels: np.ndarray) -> Iterator[bytes]:
    """A DICOM film under each kind of window."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = (
        ExplicitVRLittleEndian,
        DigitalXRayImageStorageForPresentation,
    )
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    for shape in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        data = FileDataset(io.BytesIO(), {}, file_meta=meta, preamble=b"\0" * 128)
        data.Rows, data.Columns, data.SamplesPerPixel = *pixels.shape, 1
        data.PhotometricInterpretation, data.PixelRepresentation = "MONOCHROME2", 0
        data.BitsAllocated, data.BitsStored, data.HighBit = 16, 16, 15
        data.WindowCenter, data.WindowWidth, data.VOILUTFunction = 30000, 41000, shape
        data.PixelData = pixels.tobytes()
        data.save_as(path, enforce_file_format=True)
        film = read_film(path).pixels
        yield Square(*film.shape, 64).film(film).tobytes()


def scores() -> Iterator[bytes]:
    """Scores of predictions that nobody trained, to the ninth digit."""
    films = fingerprint_films(64)
    masks = films.organ_masks()
    moved = np.roll(masks, (2, 1), axis=(2, 3))
    rows = [
        measure(masks[film, organ], moved[film, organ])
        for film in range(12)
        for organ in range(3)
        for measure in (segmentation.dice, segmentation.jaccard, segmentation.hausdorff)
    ]
    truth = films.labels().astype(bool)
    logits = Draw(9).noise(*truth.shape) + truth
    rows += [classification.auc(truth[:, column], logits[:, column]) for column in range(truth.shape[1])]
    boxes = np.abs(Draw(8).noise(40, 4)) * 20 + 1
    rows += localisation.box_iou(boxes[:20], boxes[20:]).ravel().tolist()
    yield json.dumps([round(float(row), DIGITS) for row in rows]).encode()


PARTS: dict[str, Callable[[], Iterator[bytes]]] = {
    "functions": functions,
    "phantom": lambda: phantom_films(jsrt, jsrt_like.jsrt_like_ids()[::12]),
    "phantom_hard": lambda: phantom_films(hard.hard_film, jsrt_like.jsrt_like_ids()[::9]),
    "phantom_nih": lambda: phantom_films(nih_like.nih_like_film, cohort.film_ids(2000)[::90]),
    "phantom_nih, table": lambda: iter([repr(nih_like.case_table(cohort.film_ids(2000)).to_numpy().tolist()).encode()]),
    "phantom_boxes": lambda: phantom_films(boxes_like.boxed_film, list(boxes_like._plan())[:880:40]),
    "augmentation": augmentation,
    "resizing": resizing,
    "near copies": nearness,
    "controls": controls,
    "importers": importers,
    "scores": scores,
    "truth": lambda: iter([replace(fingerprint_films(64), folder=None).truth.encode()]),
}


def digests() -> dict[str, str]:
    """sha256 of every part."""
    found = {}
    for name, part in PARTS.items():
        hasher = hashlib.sha256()
        for piece in part():
            hasher.update(piece)
        found[name] = hasher.hexdigest()
    return found


if __name__ == "__main__":
    text = json.dumps(digests(), indent=1) + "\n"
    if sys.argv[1:] == ["--write"]:
        KEPT.write_text(text, encoding="utf-8")
    else:
        print(text, end="")
