"""An audit of synthetic films against real ones: every space, diversity, copies; as plain values for a table, a
page and a file. Nothing is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import Field

from ..data.dataset import Dataset
from ..errors import InputError
from ..metrics.frechet import LEAST, same_count
from ..metrics.neighbours import resampled
from ..progress import Progress
from ..schema import Strict
from .anatomy import PER_ORGAN
from .compare import Agreement, InSpace, Share, compare
from .networks import MISSING, imagenet_space
from .privacy_report import Copies, MembershipFound, PatientsShown, Recogniser, privacy
from .repeats import repeats
from .spaces import ANATOMY, GREY, TEXTURE, Space, comparable

SCHEMA = 1
REPEATED = 0.02
"""A share of repeated films this much above that of real ones is an alarm."""
NO_SSIM = 'MS-SSIM is left out: torchmetrics is not installed; pip install "cxrbench[fidelity]"'


class Films(Strict):
    """What was compared: its name, where it comes from, how many films, how large (pixels)."""

    name: str
    made_by: str
    count: int
    resolution: int
    digest: str


class Audit(Strict):
    """All that an audit found. `alarms`: what is conspicuous, a line each; `left_out`: what could not be asked, and
    why."""

    schema_version: int = Field(default=SCHEMA, alias="schema")
    films: Films
    real: Films
    compared: int
    spaces: list[InSpace]
    alike: Share | None = None
    """MS-SSIM of pairs; high: the films are alike."""
    repeats: float
    repeats_real: float
    copies: Copies | None = None
    patients: PatientsShown | None = None
    membership: MembershipFound | None = None
    agreement: list[Agreement] = Field(default_factory=list)
    alarms: list[str] = Field(default_factory=list)
    left_out: list[str] = Field(default_factory=list)

    def numbers(self) -> dict[str, float]:
        """What thresholds may name: the worst over spaces, and that of each space as `fd_ratio:anatomy`."""
        found = {f"fd_ratio:{one.space}": one.frechet.ratio for one in self.spaces}
        found |= {"fd_ratio": max(one.frechet.ratio for one in self.spaces)}
        for name in ("precision", "recall", "density", "coverage"):
            shares = {one.space: getattr(one, name).value for one in self.spaces}
            found |= {f"{name}:{space}": value for space, value in shares.items()} | {name: min(shares.values())}
        found |= {"repeats": self.repeats, "alarms": float(len(self.alarms))}
        if self.alike is not None:
            found["ms_ssim"] = self.alike.value
        if self.copies is not None:
            found |= {
                "copies": float(self.copies.copies),
                "authentic": self.copies.authentic,
                "copying": self.copies.copying,
            }
        if self.patients is not None:
            found |= {"patients": float(self.patients.certain), "patients_share": self.patients.share}
        if self.membership is not None:
            found["membership"] = self.membership.auc
        if self.agreement:
            found["agreement"] = min(one.value for one in self.agreement)
        return found

    def intervals(self) -> dict[str, tuple[float, float]]:
        """95 % intervals of the `numbers` that have one, by their names; of the worst over spaces the worst of each
        end."""
        ends = {f"fd_ratio:{one.space}": (one.frechet.low, one.frechet.high) for one in self.spaces}
        found = ends | {"fd_ratio": _worst(max, ends.values())}
        for name in ("precision", "recall", "density", "coverage"):
            shares = {f"{name}:{one.space}": getattr(one, name) for one in self.spaces}
            ends = {title: (share.low, share.high) for title, share in shares.items()}
            found |= ends | {name: _worst(min, ends.values())}
        if self.alike is not None:
            found["ms_ssim"] = (self.alike.low, self.alike.high)
        if self.agreement:
            found["agreement"] = _worst(min, [(one.low, one.high) for one in self.agreement])
        return found


def _worst(choose: Callable[..., float], ends: Iterable[tuple[float, float]]) -> tuple[float, float]:
    lows, highs = zip(*ends, strict=True)
    return choose(lows), choose(highs)


@dataclass(frozen=True)
class Sides:
    """Synthetic films and real ones of the same size; of the real ones those that were learnt from and those that
    were not, where that is known."""

    films: Dataset
    real: Dataset
    training: Dataset | None = None
    held_out: Dataset | None = None


def with_common_masks(sides: Sides) -> bool:
    """Whether both sides have masks, some of the same organs."""
    common = set(sides.real.organs) & set(sides.films.organs)
    return sides.films.masks is not None and sides.real.masks is not None and bool(common)


def default_spaces(sides: Sides) -> tuple[list[Space], list[str]]:
    """The spaces that these films can be compared in without a model, and a line for each that they cannot."""
    spaces, left_out = [GREY, TEXTURE], []
    if not with_common_masks(sides):
        whose = "the films" if sides.films.masks is None else "the real films" if sides.real.masks is None else "both"
        left_out.append(f"the space anatomy is left out: it needs masks of the same organs, and {whose} have none")
    else:
        spaces.append(ANATOMY)
    network = imagenet_space()
    if network is None:
        left_out.append(MISSING)
    else:
        spaces.append(network)
    return spaces, left_out


def make_audit(
    sides: Sides,
    made_by: str,
    more: Sequence[Space] = (),
    progress: Progress | None = None,
    *,
    recogniser: Recogniser | None = None,
) -> Audit:
    """The audit of films. `more`: spaces besides those that need no model; `recogniser`: a network that knows
    patients again. InputError for too few films or for sizes that differ."""
    progress = progress or Progress()
    films, real = _common_organs(sides.films, sides.real)
    if films.resolution != real.resolution:
        raise InputError(
            f"films of {films.resolution} pixels and real films of {real.resolution}: expected the same size"
        )
    chosen = same_count(len(real), len(films))[2]
    spaces, left_out = default_spaces(sides)
    found = []
    for index, space in enumerate([*spaces, *more]):
        total = len(spaces) + len(more)
        part = progress.part(space.name, 0.8 * index / total, 0.8 * (index + 1) / total)
        try:
            found.append(_in_space(space, real, films, part))
        except InputError as error:
            if space.unseen is None:
                raise
            left_out.append(f"the space {space.name} is left out: {error}")
    known = privacy(
        films, sides.training, sides.held_out, recogniser, real.info.name, progress.part("copies", 0.8, 1.0)
    )
    alike, no_ssim = alike_beside(films, real, len(chosen))
    again = repeats(films.images), repeats(real.images)
    alarms = [line for one in found for line in one.alarms()]
    alarms += known.alarms() + _alarms(alike, *again)
    return Audit(
        films=_about(films, made_by),
        real=_about(real, real.info.provenance),
        compared=len(chosen),
        spaces=found,
        alike=alike,
        repeats=again[0],
        repeats_real=again[1],
        copies=known.copies,
        patients=known.patients,
        membership=known.membership,
        alarms=alarms,
        left_out=[*left_out, *known.left_out, *no_ssim],
    )


def _about(films: Dataset, made_by: str) -> Films:
    return Films(
        name=films.info.name,
        made_by=made_by,
        count=len(films),
        resolution=films.resolution,
        digest=films.digest,
    )


def _common_organs(films: Dataset, real: Dataset) -> tuple[Dataset, Dataset]:
    """Both with masks of the organs that both have, in the same order; as they are where there are none."""
    common = tuple(organ for organ in real.organs if organ in films.organs)
    if films.masks is None or real.masks is None or not common:
        return films, real
    return _with_organs(films, common), _with_organs(real, common)


def _with_organs(films: Dataset, organs: tuple[str, ...]) -> Dataset:
    from dataclasses import replace

    from ..data.dataset import pack_masks

    if films.organs == organs:
        return films
    return replace(films, info=films.info.changed(organs=organs), masks=pack_masks(films.organ_masks(organs)))


def _in_space(space: Space, real: Dataset, films: Dataset, progress: Progress) -> InSpace:
    if space.unseen is not None:
        real = real.select(np.array([name in space.unseen for name in real.ids]))
        same_count(len(real), len(films))  # too few films: before any work
    vectors = [
        space.features(one, progress.part("", low, high)) for one, low, high in ((real, 0, 0.5), (films, 0.5, 0.9))
    ]
    a, b = comparable(space, *vectors)
    organs = films.organs if space is ANATOMY else space.organs
    columns = {organ: slice(index * PER_ORGAN, (index + 1) * PER_ORGAN) for index, organ in enumerate(organs)}
    return compare(space.name, space.about, a, b, columns=columns, groups=_with_findings(real, films))


def _with_findings(real: Dataset, films: Dataset) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Rows of both sides with a finding, by finding, where both have labels and films enough with it."""
    found = {}
    for name in (one for one in real.info.findings if one in films.info.findings):
        rows, others = (np.flatnonzero(side.cases[name].to_numpy() == 1) for side in (real, films))
        if len(rows) >= 2 * LEAST and len(others) >= LEAST:
            found[name.replace("_", " ")] = (rows, others)
    return found


def alike_beside(films: Dataset, real: Dataset, count: int) -> tuple[Share | None, list[str]]:
    """MS-SSIM of pairs among so many films, beside that of as many real ones; or None and the line why not."""
    from ..metrics.diversity import WINDOW, alike

    if films.resolution < 2 * WINDOW:
        return None, [f"MS-SSIM is left out: films of {films.resolution} pixels, expected {2 * WINDOW} or more"]
    try:
        ours, theirs = (
            alike(
                np.asarray(one.images[np.linspace(0, len(one) - 1, count).round().astype(int)]),
                pairs=min(300, 3 * count),
            )
            for one in (films, real)
        )
    except ImportError:
        return None, [NO_SSIM]
    (low, high), (real_low, real_high) = resampled(ours), resampled(theirs)
    values: dict[str, Any] = {"value": float(ours.mean()), "real": float(theirs.mean())}
    return Share(**values, low=low, high=high, real_low=real_low, real_high=real_high), []


def _alarms(alike: Share | None, again: float, again_real: float) -> list[str]:
    found = []
    if again > again_real + REPEATED:
        found.append(
            f"{100 * again:.0f} % of the films are shown more than once ({100 * again_real:.0f} % of real ones)"
        )
    if alike is not None and alike.low > alike.real_high + 0.05:
        found.append(f"MS-SSIM {alike.value:.2f}, of real films {alike.real:.2f}: the films are alike")
    return found
