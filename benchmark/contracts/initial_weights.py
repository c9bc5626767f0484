"""What a paper's system starts from, declared by the class of a provider or task: where a run has no such weights, its
header, table and report say so. Nothing is ever downloaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class InitialWeights:
    """Weights that a setting names a file of.

    `setting`: dotted, as `--set` knows it; None there means without. `part`: what starts from them, `paper`: what the paper
    starts from. `without`: what becomes of the part without them. `warning`: what that means for the numbers. `where`: the
    (setting, value) that must hold for all this to matter.
    """

    setting: str
    part: str
    paper: str = "ImageNet"
    without: str = "from scratch"
    warning: str = ""
    where: tuple[tuple[str, Any], ...] = ()

    def missing(self, settings: Mapping[str, Any]) -> bool:
        """Whether settings, as JSON values, lack them."""
        return _at(settings, self.setting) is None and all(_at(settings, key) == value for key, value in self.where)

    @property
    def sentence(self) -> str:
        """`encoder from scratch (paper: ImageNet)`."""
        said = f"{self.part} {self.without} (paper: {self.paper})"
        return f"{said}: {self.warning}" if self.warning else said


def from_scratch(declared: Iterable[InitialWeights], settings: Mapping[str, Any]) -> tuple[str, ...]:
    """A sentence for each of the declared weights that the settings do not give."""
    return tuple(one.sentence for one in declared if one.missing(settings))


def _at(settings: Any, key: str) -> Any:
    for name in key.split("."):
        settings = settings[name]
    return settings
