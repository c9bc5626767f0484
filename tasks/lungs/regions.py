"""Where the lungs are: the lung region generator of the fusion paper (Liu et al., SDFN, section B.2).

A U-Net finds the lungs, rules from anatomy make one box of them, and the box is cropped from the original film. The
U-Net is trained on any films with lung masks and kept under `home()/lung_regions`, under a key of all that made it: it
belongs to no provider and no run. Fitting imports torch.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...benchmark import digest
from ...benchmark.data.catalogue import find_dataset
from ...benchmark.data.dataset import Dataset
from ...benchmark.data.organs import lung_organs
from ...benchmark.data.splits import hold_out_patients
from ...benchmark.errors import InputError, StoreError
from ...benchmark.files import new_folder, write_text
from ...benchmark.home import home
from ...benchmark.progress import Progress
from ...benchmark.runs.record import DataIdentity
from ...benchmark.schema import read_json, utc_now
from ...benchmark.settings import added, keyed
from .record import SCHEMA, LungRecord

if TYPE_CHECKING:
    from ...benchmark.training.history import History
    from .unet import LungRegions

HELD_OUT = 0.10  # share of the training films that choose the best network; the paper does not say what does


@dataclass(frozen=True)
class LungSettings:
    """How the lung U-Net is made and trained; the defaults are the paper's."""

    resolution: int = 256
    width: float = 1.0
    """Factor on the numbers of maps."""
    rate: float = 1e-3
    batch: int = 8
    epochs: int = 100
    angle: float = 10.0
    """Augmentation: degrees; then shares of the side, and of the size."""
    shift: float = 0.1
    zoom: float = 0.2
    threshold: float = 0.5
    least_share: float = 0.02
    """Regions and holes below this share of the film are removed."""
    threads: int = 1
    """CPU threads: part of the numbers, so that they do not depend on the machine."""
    seed: int = 0
    most_steps: int = added(0)
    """Where not 0, at most so many steps."""


PAPER = LungSettings()
QUICK = LungSettings(resolution=64, width=0.125, rate=3e-3, epochs=16)
PRESETS: Mapping[str, LungSettings] = {"quick": QUICK, "standard": replace(PAPER, epochs=40), "paper": PAPER}


@dataclass(frozen=True)
class LungRegionGenerator:
    """A fitted generator: `regions.boxes(films)` makes boxes (see `boxes_of`); `record` says where it is from."""

    regions: LungRegions
    record: LungRecord
    folder: Path


def lung_region_generator(
    settings: LungSettings = QUICK,
    data_name: str = "phantom",
    device: str = "cpu",
    progress: Progress | None = None,
) -> LungRegionGenerator:
    """The kept generator of these settings and films, on the CPU; fitted first where there is none.

    InputError where the dataset is unknown or has no lung masks.
    """
    progress = progress or Progress()
    films = films_with_lungs(settings, data_name, progress.part("films", 0.0, 0.05))
    folder, identity = _place(settings, films, device)
    kept = _kept(folder)
    if kept is not None:
        return kept
    with threads(settings.threads):
        start = time.perf_counter()
        regions, history, held = fit(settings, films, device=device, progress=progress.part("training", 0.05, 1.0))
        seconds = time.perf_counter() - start
    with new_folder(folder) as draft:
        from ..models.saved import save_weights

        save_weights(regions, draft / "weights.safetensors")
        record = LungRecord(
            **identity,
            films=len(films) - held,
            held_out_films=held,
            held_out_loss=min(row["validation"] for row in history.rows if "validation" in row),
            parameters=sum(weight.numel() for weight in regions.parameters()),
            precision=history.precision,
            seconds=round(seconds, 3),
            weights_sha256=digest.of_file(draft / "weights.safetensors"),
            created=utc_now(),
        )
        write_record(record, draft)
    made = _kept(folder)
    if made is None:
        raise StoreError(f"{folder}: the lung region generator that was just written is not readable; run it again")
    return made


def generator_key(settings: LungSettings, data_name: str, device: str = "cpu") -> str:
    """The key of a generator, made or not: it changes with everything that can change a lung region."""
    return str(_place(settings, films_with_lungs(settings, data_name, Progress()), device)[1]["key"])


def films_with_lungs(settings: LungSettings, data_name: str, progress: Progress) -> Dataset:
    """The films that a generator learns from; InputError where they have no lung masks."""
    films = find_dataset(data_name, settings.resolution, progress)
    if films.masks is None or not lung_organs(films.organs):
        found = ", ".join(films.organs) or "no masks"
        raise InputError(f"lung regions: expected lung masks in dataset {films.info.name}, found {found}; try phantom")
    return films


def _place(settings: LungSettings, films: Dataset, device: str) -> tuple[Path, dict[str, Any]]:
    """Where a generator lies or would lie, and the part of its record that its key is made of."""
    data = DataIdentity(name=films.info.name, digest=films.digest, provenance=films.info.provenance)
    identity = {
        "settings": keyed(settings),
        "data": data.model_dump(),
        "code": digest.of_code(Path(__file__)),
        "packages": digest.of_packages(),
        "device": device.split(":")[0],
    }
    key = digest.of_json(identity)
    return home() / "lung_regions" / key[:24], {**identity, "key": key}


def _kept(folder: Path) -> LungRegionGenerator | None:
    """The generator in a folder; None, and the folder removed, where it is not whole."""
    from ..models.saved import load_weights

    if not folder.is_dir():
        return None
    weights = folder / "weights.safetensors"
    try:
        record = read_json(folder / "record.json", LungRecord, SCHEMA)
        intact = digest.of_file(weights) == record.weights_sha256
    except (StoreError, OSError):
        intact = False
    if not intact:  # damaged: what made it is known, so it is made again
        shutil.rmtree(folder, ignore_errors=True)
        return None
    settings = LungSettings(**record.settings)
    regions = untrained(settings)
    load_weights(regions, weights)
    return LungRegionGenerator(regions, record, folder)


def write_record(record: LungRecord, folder: Path) -> None:
    """Keep a record beside the weights, in place of an older one."""
    write_text(folder / "record.json", record.model_dump_json(by_alias=True, indent=1) + "\n")


@contextmanager
def threads(count: int) -> Iterator[None]:
    """So many CPU threads for torch, and then as many as before."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


# ---------------------------------------------------------------------- fitting


def untrained(settings: LungSettings) -> LungRegions:
    """The network of these settings before training, on the CPU; the weights depend on the seed alone."""
    from ...benchmark.training.loop import seeded
    from .unet import LungRegions

    with seeded(digest.derive_seed("lung regions", "weights", settings.seed)):
        return LungRegions(
            resolution=settings.resolution,
            width=settings.width,
            threshold=settings.threshold,
            least_share=settings.least_share,
        )


def lungs_of(films: Dataset) -> np.ndarray:
    """The union of the lung masks: bool (N, H, W)."""
    return np.asarray(films.organ_masks(lung_organs(films.organs)).any(axis=1))


def fit(settings: LungSettings, films: Dataset, *, device: str, progress: Progress) -> tuple[LungRegions, History, int]:
    """(the trained network on the CPU, how it went, number of films held out to choose the best)."""
    from ...benchmark.training.loop import train
    from ...benchmark.training.stopping import Patience, Validation
    from .unet import LungTraining, Warped, held_out_loss, prepared

    s = settings
    films = films.resized(s.resolution)
    rows, held = hold_out_patients(films, HELD_OUT, seed=s.seed)
    given, lungs = prepared(np.asarray(films.images), s.resolution), lungs_of(films)
    regions = untrained(s)
    regions.learn_scale(given[rows])
    every = -(-len(rows) // s.batch)
    history = train(
        LungTraining(regions, rate=s.rate, batch=s.batch),
        Warped(given[rows], lungs[rows], angle=s.angle, shift=s.shift, zoom=s.zoom),
        steps=min(s.epochs * every, s.most_steps or s.epochs * every),
        seed=digest.derive_seed("lung regions", "training", s.seed),
        device=device,
        progress=progress,
        validation=Validation(
            measure=lambda: held_out_loss(regions, given[held], lungs[held]),
            every=every,
            stop=Patience(s.epochs),
        ),
    )
    return regions.cpu(), history, len(held)
