"""Networks that know patients again, kept by key under `home()/patients`: trained once, used by every audit."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from .. import digest
from ..data.catalogue import find_dataset, is_drawn
from ..data.dataset import Dataset
from ..data.splits import patient_split
from ..errors import StoreError
from ..fidelity.privacy_report import Recogniser
from ..files import new_folder, write_text
from ..home import home
from ..plain_files import read_plain_json
from ..progress import Progress
from ..runs.record import DataIdentity
from ..schema import Strict, utc_now

if TYPE_CHECKING:
    from ..fidelity.reidentify import PatientNet, ReidentifySettings

SCHEMA = 1
RECORD, WEIGHTS = "record.json", "weights.safetensors"
TRAINED = 0.7  # of the patients, where no column says who trains
SIDE = 64


class PatientRecord(Strict):
    """What a network learnt from, and how well it knows patients that it never saw (`reidentify.Verification`)."""

    schema_version: int = Field(default=SCHEMA, alias="schema")
    key: str
    data: DataIdentity
    settings: dict[str, Any]
    code: str
    packages: dict[str, str]
    films: int
    patients: int
    auc: float
    low: float
    high: float
    verified_patients: int
    threshold: float
    told: float
    seconds: float
    weights_sha256: str
    created: str


def patient_network(
    data: str, settings: ReidentifySettings, *, device: str = "cpu", progress: Progress | None = None
) -> tuple[PatientRecord, Path]:
    """The kept network of these films and settings, trained first where there is none; its record and folder. It
    learns from the films of the split `train` (without such a column from 70 % of the patients) and is measured on
    other patients. InputError for too few patients with two films."""
    from safetensors.torch import save_file

    from ..fidelity import reidentify
    from ..training.loop import seeded

    progress = progress or Progress()
    films = find_dataset(data, SIDE if is_drawn(data) else None, progress.part("films", 0.0, 0.2)).resized(SIDE)
    identity: dict[str, Any] = {
        "data": DataIdentity(name=films.info.name, digest=films.digest, provenance=films.info.provenance).model_dump(),
        "settings": asdict(settings) | {"maps": list(settings.maps)},
        "code": digest.of_code(Path(reidentify.__file__)),
        "packages": digest.of_packages(),
    }
    key = digest.of_json(identity)
    folder = home() / "patients" / key[:24]
    kept = _record(folder)
    if kept is not None:
        return kept, folder
    training, others = _apart(films)
    start = time.perf_counter()
    with _one_thread(), seeded(settings.seed):
        network = reidentify.fit_patients(
            training, settings, device=device, progress=progress.part("training", 0.2, 1.0)
        )
        vectors = reidentify.patient_vectors(network, others.images)
    found = reidentify.verified(vectors, others.cases["patient"].astype(str).to_numpy())
    with new_folder(folder) as draft:
        save_file({name: value.contiguous() for name, value in network.state_dict().items()}, draft / WEIGHTS)
        record = PatientRecord(
            key=key,
            **identity,
            films=len(training),
            patients=int(training.cases["patient"].nunique()),
            auc=found.auc,
            low=found.low,
            high=found.high,
            verified_patients=found.patients,
            threshold=found.threshold,
            told=found.told,
            seconds=round(time.perf_counter() - start, 1),
            weights_sha256=digest.of_file(draft / WEIGHTS),
            created=utc_now(),
        )
        write_text(draft / RECORD, record.model_dump_json(by_alias=True, indent=1) + "\n")
    return record, folder


def _apart(films: Dataset) -> tuple[Dataset, Dataset]:
    """Films to learn from and films of other patients."""
    patients = films.cases["patient"].astype(str)
    if "split" in films.cases and set(films.cases["split"].astype(str)) >= {"train", "test"}:
        parts = films.cases["split"].astype(str).to_numpy()
    else:
        parts = np.array(patient_split(list(patients), TRAINED, "reidentify"))
    learnt = parts == "train"
    return films.select(learnt), films.select((parts == "test") & ~np.isin(patients, patients[learnt]))


@contextmanager
def _one_thread() -> Iterator[None]:
    """The same numbers whatever the machine has."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _record(folder: Path) -> PatientRecord | None:
    """The record of a folder whose weights are what they were; None, and the folder removed, where they are not."""
    if not folder.is_dir():
        return None
    try:
        found = read_plain_json(folder / RECORD, PatientRecord, SCHEMA)
        if digest.of_file(folder / WEIGHTS) == found.weights_sha256:
            return found
    except (StoreError, OSError):
        pass
    shutil.rmtree(folder, ignore_errors=True)
    return None


def recogniser_for(name: str) -> Recogniser | None:
    """The network for an audit of films like those of a dataset: the newest that learnt from this one, else the
    newest of all whose films are of its kind (phantoms know no real patients); None where none is kept."""
    from ..data.dataset import is_phantom

    found = [(record, folder) for folder in sorted((home() / "patients").glob("*")) if (record := _record(folder))]
    suits = [one for one in found if is_phantom(one[0].data.name, one[0].data.provenance) == is_phantom(name, "")]
    if not suits:
        return None
    record, folder = max(suits, key=lambda one: (one[0].data.name == name, one[0].created, one[0].key))
    network = _loaded(folder, record)

    def vectors(images: Any) -> np.ndarray:
        from ..fidelity.reidentify import patient_vectors

        return patient_vectors(network(), images)

    return Recogniser(vectors, record.data.name, record.auc, record.low, record.high)


def _loaded(folder: Path, record: PatientRecord) -> Any:
    made: list[PatientNet] = []

    def network() -> PatientNet:
        if not made:
            from safetensors.torch import load_file

            from ..fidelity.reidentify import PatientNet

            fresh = PatientNet(tuple(record.settings["maps"]))
            fresh.load_state_dict(load_file(folder / WEIGHTS))
            made.append(fresh.eval())
        return made[0]

    return network
