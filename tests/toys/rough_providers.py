"""Providers that keep the contract and are rough with what is around them, each in one way."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from cxrbench.benchmark.contracts.provider import Batch, Provider
from cxrbench.benchmark.data.dataset import Annotation, Dataset
from cxrbench.benchmark.progress import Progress


class Copies(Provider):
    """The training films again."""

    produces = frozenset({Annotation.MASKS})

    def fit(self, train: Dataset, *, seed: int, progress: Progress) -> None:
        self.images, self.masks = np.array(train.images), train.organ_masks()
        self.rough(train)

    def rough(self, train: Dataset) -> None:
        """What it does besides."""

    def sample(self, n: int, *, seed: int) -> Iterator[Batch]:
        rows = np.random.default_rng(seed).integers(0, len(self.images), n)
        yield Batch(self.images[rows, None].astype(np.float32) / 255, self.masks[rows])


class InPlace(Copies):
    """Normalises its training set in place, as numpy allows."""

    def rough(self, train: Dataset) -> None:
        train.images[:] = train.images // 2


class InPlaceByTorch(Copies):
    """Normalises its training set in place, past numpy's flag."""

    def rough(self, train: Dataset) -> None:
        torch.from_numpy(train.images).div_(2, rounding_mode="floor")


class OtherTable(Copies):
    """Calls its training cases by other names, in the table that it was given."""

    def rough(self, train: Dataset) -> None:
        train.cases["id"] = "nobody"
        for sources in train.cases.get("source_ids", ()):
            sources.clear()


class OtherFolder(Copies):
    """Works in a folder of its own."""

    def rough(self, train: Dataset) -> None:
        os.chdir("/")


class Reads(Copies):
    """Asks whoever sits at the terminal."""

    def rough(self, train: Dataset) -> None:
        assert sys.stdin.read() == "" and os.read(0, 10) == b""


class PrintsMuch(Copies):
    """Prints 300 MB."""

    def rough(self, train: Dataset) -> None:
        for _ in range(300):
            os.write(1, b"x" * (1 << 20))


class LeavesProcess(Copies):
    """Starts a program that leaves its session, and forgets it."""

    def rough(self, train: Dataset) -> None:
        subprocess.Popen(["sleep", "7531"], start_new_session=True)


class RaisesMuch(Copies):
    """Raises 20 MB of words with escape codes, line breaks and half a character."""

    def rough(self, train: Dataset) -> None:
        raise RuntimeError("\x1b[31mred\x1b[0m\r\n\udc80half\x07" + "long " * (4 << 20) + "\nthe end")


class SaysMuch(Copies):
    """Has 20 MB of words for a record."""

    def facts(self) -> dict[str, float | int | str]:
        return {"note": "long " * (4 << 20)}


class NamesMuch(Copies):
    """Has learnt from a case with an id of 20 MB."""

    def trained_on(self) -> list[str]:
        return ["x" * (20 << 20)]


class SaysEscapes(Copies):
    """Would clear the screen of whoever reads its record."""

    def facts(self) -> dict[str, float | int | str]:
        return {"mood": "\x1b[2J\x1b[31mred\nline"}


class SaysHalf(Copies):
    """Says half a character."""

    def facts(self) -> dict[str, float | int | str]:
        return {"mood": "\udc80half"}


class WeightsOfEscapes(Copies):
    """Names its initial weights in red."""

    def rough(self, train: Dataset) -> None:
        self.weights_used = "\x1b[31mred"


class CannotSay(Copies):
    """Raises an error that cannot be shown."""

    def rough(self, train: Dataset) -> None:
        class Silent(Exception):
            def __str__(self) -> str:
                raise TypeError("not even this")

        raise Silent


class HoldsInterpreter(Copies):
    """Holds the interpreter for an hour, in one call."""

    def rough(self, train: Dataset) -> None:
        (Path(os.environ["CXRBENCH_HOME"]) / "held").touch()
        sum(range(1 << 45))


class Untold(Copies):
    """Has networks, and does not say how their training is cut short."""

    def build(self, films):
        return {"generator": torch.nn.Identity()}
