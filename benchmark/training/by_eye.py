"""Trainings that a person ends by looking at samples, as Ciano et al. 2021 ended theirs ("stopped by visually examining the
generated samples during the training phase", section 4.1).

Inside `by_eye` a training keeps, at every moment of its samples, a picture of them and its networks in a folder. A training
that a person chose a step of ends after it, with the weights that the whole training has there: its schedule is that of the
whole one. What the folder has of that step is taken from there, else the training is done again up to it.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from .history import History
    from .rate import Rate
    from .recipe import Recipe

UNNAMED = "training"
"""What a training without a name is called."""


@dataclass(frozen=True)
class ByEye:
    """`folder`: where moments are kept (with `keeps`) and taken from. `ends`: the step that was chosen, by the name of the
    training. `done`: the trainings that came by, filled by them."""

    folder: Path | None = None
    ends: Mapping[str, int] = field(default_factory=dict)
    keeps: bool = False
    done: list[str] = field(default_factory=list)

    def end(self, name: str, steps: int) -> int:
        """After which step a training of `steps` steps ends. InputError for one that it has not."""
        name = _plain(name)
        self.done.append(name)
        chosen = self.ends.get(name, steps)
        if not 0 < chosen <= steps:
            raise InputError(f"step {chosen} of training '{name}' cannot be kept: it has {steps} steps")
        return chosen

    def take(self, name: str, identity: str, step: int, recipe: Recipe, history: History) -> bool:
        """Put back what was kept after a step of the same training; False where there is no such moment."""
        path = self._weights(name, identity, step)
        if path is None or not path.is_file():
            return False
        from safetensors import SafetensorError, safe_open

        from .checkpoint import digest_of

        try:
            with safe_open(path, framework="pt") as kept:
                header = json.loads(kept.metadata()["moment"])
                tensors = {key: kept.get_tensor(key) for key in kept.keys()}  # noqa: SIM118  # no mapping
            if header["digest"] != digest_of(tensors):
                return False
            said = header["history"]
            rows, seen, rate = said["rows"], int(said["images_seen"]), float(said["images_per_second"])
        except (SafetensorError, OSError, KeyError, TypeError, ValueError):
            return False
        for part, network in recipe.networks().items():
            network.load_state_dict(_below(f"network/{part}/", tensors))
        recipe.restore(_below("recipe/", tensors))
        history.rows, history.images_seen, history.steps, history.images_per_second = rows, seen, step, rate
        return True

    def moment(
        self, name: str, identity: str, recipe: Recipe, history: History, losses: Mapping[str, Tensor], rate: Rate
    ) -> None:
        """Keep what a training is after the steps of its history, with the losses of the last one and its rate, if it took
        samples there. A disk that is full ends no training."""
        pictures = recipe.samples_after(history.steps) if self.keeps and self.folder is not None else None
        if pictures is None or self.folder is None:
            return
        from safetensors import SafetensorError

        with suppress(OSError, SafetensorError):
            self.folder.mkdir(parents=True, exist_ok=True)
            picture, path = (
                self.folder / picture_name(name, history.steps),
                self._weights(name, identity, history.steps),
            )
            if not picture.is_file():
                _write_strip(pictures, picture)
            if path is not None and history.steps and not path.is_file():
                index = float(history.steps - 1)
                rows = [row for row in history.rows if row["step"] != index] + [
                    {"step": index, **{key: float(value.detach()) for key, value in losses.items()}}
                ]
                kept = replace(history, rows=rows, images_per_second=rate.median() or history.images_per_second)
                _write_weights(recipe, kept, path)

    def _weights(self, name: str, identity: str, step: int) -> Path | None:
        return None if self.folder is None else self.folder / f"{_plain(name)}-{step:08d}-{identity}.safetensors"


NOBODY = ByEye()
_block: ContextVar[ByEye] = ContextVar("by_eye", default=NOBODY)


def of_block() -> ByEye:
    """Who looks at the trainings now."""
    return _block.get()


@contextmanager
def by_eye(one: ByEye) -> Iterator[ByEye]:
    """Every training inside the block is looked at."""
    token = _block.set(one)
    try:
        yield one
    finally:
        _block.reset(token)


def picture_name(name: str, step: int) -> str:
    """The file of the samples of a training after a step."""
    return f"{_plain(name)}-{step:08d}.png"


def shown(folder: Path) -> dict[str, list[int]]:
    """The moments of which a folder has pictures, ascending, by the name of the training, in the order of the trainings."""
    found: dict[str, list[int]] = {}
    pictures = sorted(folder.glob("*-????????.png"), key=lambda path: path.stat().st_mtime_ns)
    for path in pictures:
        if match := re.fullmatch(r"(.+)-(\d{8})", path.stem):
            found.setdefault(match[1], []).append(int(match[2]))
    return {name: sorted(steps) for name, steps in found.items()}


def strip(pictures: np.ndarray) -> np.ndarray:
    """Samples uint8 (S, H, W) side by side as one picture (H, S x W)."""
    return np.concatenate(list(pictures), axis=1)


def _plain(name: str) -> str:
    return re.sub(r"[^0-9A-Za-z_.]+", "_", name) or UNNAMED


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def _write_strip(pictures: np.ndarray, path: Path) -> None:
    from PIL import Image

    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        Image.fromarray(strip(pictures)).save(draft, format="PNG")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _write_weights(recipe: Recipe, history: History, path: Path) -> None:
    from safetensors.torch import save_file

    from .checkpoint import digest_of

    tensors = {
        f"network/{part}/{key}": value.detach().cpu().contiguous().clone()
        for part, network in recipe.networks().items()
        for key, value in network.state_dict().items()
    }
    tensors |= {f"recipe/{key}": value.contiguous() for key, value in recipe.state().items()}
    said = {"history": asdict(history), "digest": digest_of(tensors)}
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        save_file(tensors, draft, metadata={"moment": json.dumps(said)})
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
