"""The store: fitted providers, synthetic datasets and records, each under its key. Resume = plan - store.

Every entry is a folder that appears whole (written beside, then renamed) and holds `entry.json` with the sha256 of its
files, so that a damaged entry is noticed and made again.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from .. import digest
from ..errors import StoreError
from ..files import new_folder, write_text
from ..schema import read_json
from .record import SCHEMA, Failure, Fit, Record, Sampled

if TYPE_CHECKING:
    import pandas as pd

    from ..contracts.task import Predictions
    from ..data.dataset import Dataset


FIT, SAMPLED, MODEL = "fit.json", "synthetic.json", "model.safetensors"


class Level(StrEnum):
    """The three levels of the store."""

    FITS = "fits"
    SYNTHETIC = "synthetic"
    RECORDS = "records"


class Store:
    """A folder of results by key."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, level: Level, key: str) -> Path:
        """Where an entry lies or would lie."""
        return self.root / level.value / key[:2] / key

    @contextmanager
    def adding(self, level: Level, key: str) -> Iterator[Path]:
        """A draft folder that becomes the entry when the block ends without an error."""
        with new_folder(self.path(level, key)) as draft:
            yield draft
            files = {
                path.relative_to(draft).as_posix(): digest.of_file(path)
                for path in sorted(draft.rglob("*"))
                if path.is_file()
            }
            entry = {"files": files, "digest": digest.of_json(files)}
            (draft / "entry.json").write_text(json.dumps(entry), encoding="utf-8")
        self._failure_path(key).unlink(missing_ok=True)

    def sound(self, level: Level, key: str, *, skip: frozenset[str] = frozenset()) -> bool:
        """Whether an entry is there and every file (but the skipped names) is what it was; a damaged one is removed."""
        folder = self.path(level, key)
        if not folder.is_dir():
            return False
        try:
            entry = json.loads((folder / "entry.json").read_bytes())
            files = entry["files"]
            intact = entry["digest"] == digest.of_json(files) and all(
                digest.of_file(folder / name) == expected for name, expected in files.items() if name not in skip
            )
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError, ValueError, KeyError, TypeError):
            intact = False
        except OSError as error:  # of the disk or the system, not of the entry: it may be readable later
            raise StoreError(f"cannot read {folder}: {error.strerror or error}") from None
        if not intact:
            shutil.rmtree(folder, ignore_errors=True)
        return intact

    def record(self, key: str) -> Record:
        """The record of a cell; StoreError when it is missing, not valid or of another schema."""
        return read_json(self.path(Level.RECORDS, key) / "record.json", Record, SCHEMA)

    def fit(self, key: str) -> Fit:
        """What a fit took and left; StoreError when it is missing or not valid."""
        return read_json(self.path(Level.FITS, key) / FIT, Fit)

    def sampled(self, key: str) -> Sampled:
        """How synthetic films were sampled; StoreError when that is missing or not valid."""
        return read_json(self.path(Level.SYNTHETIC, key) / SAMPLED, Sampled)

    def checkpoints(self, key: str) -> Path:
        """The folder in which the trainings of a running step keep their states."""
        return self.root / "checkpoints" / key

    def moments(self, key: str) -> Path:
        """The folder with samples and networks along the trainings of a fit that a person looks at (`training.by_eye`)."""
        return self.root / "moments" / key

    def progress(self, key: str) -> Path:
        """The file in which a running step says how far it is."""
        return self.root / "progress" / f"{key}.json"

    def scores(self, key: str) -> pd.DataFrame:
        """The case scores of a cell: columns case, structure, metric, value."""
        import pandas as pd

        return pd.read_parquet(self.path(Level.RECORDS, key) / "scores.parquet")

    def predictions(self, key: str) -> Predictions:
        """The predictions of a cell."""
        from ..contracts.task import Predictions

        return Predictions.load(self.path(Level.RECORDS, key) / "predictions.npz")

    def synthetic(self, key: str) -> Dataset:
        """A synthetic dataset."""
        from ..data.dataset import load_dataset

        return load_dataset(self.path(Level.SYNTHETIC, key) / "dataset")

    def _failure_path(self, key: str) -> Path:
        return self.root / "failures" / f"{key}.json"

    def fail(self, failure: Failure) -> None:
        """Keep the reason of a failed step."""
        write_text(self._failure_path(failure.key), failure.model_dump_json(indent=1))

    def failure(self, key: str) -> Failure | None:
        """Why a step failed last time, if it did."""
        try:
            return read_json(self._failure_path(key), Failure)
        except StoreError:
            return None
