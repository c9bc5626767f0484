"""The public sets that there are: a line each. A new one is a module with `read(source, options)` and its line here."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ....errors import InputError, unknown

if TYPE_CHECKING:
    from .listing import Listing, PublicOptions


@dataclass(frozen=True)
class PublicSet:
    """name: of the command and, by default, of the dataset. takes: the options that only some sets know."""

    name: str
    title: str
    where: str
    takes: tuple[str, ...] = ()

    def read(self, source: Path, options: PublicOptions) -> Listing:
        """The films that its tables describe. InputError for whatever is not as published."""
        if not source.is_dir():
            raise InputError(f"{self.name}: {source} is no folder; expected the set as downloaded from {self.where}")
        for option, default in (("uncertain", None), ("labels", None), ("readers", "majority"), ("masks", True)):
            if option not in self.takes and getattr(options, option) != default:
                word = "no-masks" if option == "masks" else option
                raise InputError(
                    f"{self.name}: --{word} is for {_those_with(option)}; this set has nothing of the kind"
                )
        if options.views not in ("frontal", "all"):
            raise unknown("--views", options.views, ("frontal", "all"))
        reader = import_module(f".{self.name.replace('-', '_')}", __package__)
        return cast("Listing", reader.read(source, options))


SETS = (
    PublicSet("chexpert", "CheXpert and CheXpert-small", "https://aimi.stanford.edu", ("uncertain",)),
    PublicSet("mimic", "MIMIC-CXR-JPG", "https://physionet.org/content/mimic-cxr-jpg", ("uncertain", "labels")),
    PublicSet("padchest", "PadChest", "https://bimcv.cipf.es/bimcv-projects/padchest"),
    PublicSet("vindr", "VinDr-CXR", "https://physionet.org/content/vindr-cxr", ("readers",)),
    PublicSet("rsna", "RSNA pneumonia detection challenge 2018", "https://www.rsna.org"),
    PublicSet(
        "siim", "SIIM-ACR pneumothorax with masks", "https://www.kaggle.com/c/siim-acr-pneumothorax-segmentation"
    ),
    PublicSet("montgomery", "Montgomery County with lung masks", "https://data.lhncbc.nlm.nih.gov/public", ("masks",)),
    PublicSet("shenzhen", "Shenzhen with its lung masks", "https://data.lhncbc.nlm.nih.gov/public", ("masks",)),
    PublicSet("kermany", "Kermany's paediatric films", "https://doi.org/10.17632/rscbjbr9sj"),
    PublicSet("chestx-det10", "ChestX-Det10", "https://github.com/Deepwise-AILab/ChestX-Det10-Dataset"),
)


def _those_with(option: str) -> str:
    return ", ".join(one.name for one in SETS if option in one.takes)


def public_set(name: str) -> PublicSet:
    """A set by its name; InputError lists them."""
    found = next((one for one in SETS if one.name == name), None)
    if found is None:
        raise unknown("public set", name, [one.name for one in SETS])
    return found
