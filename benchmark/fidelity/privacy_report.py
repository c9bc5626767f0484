"""Memorisation and privacy in an audit: copies, C_T, patients shown again, membership, each with what it would have
seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydantic import Field

from ..data.dataset import Dataset
from ..errors import InputError
from ..metrics.neighbours import authentic
from ..progress import Progress
from ..schema import Strict
from .memorisation import LEAST, memorised
from .planted import Planted, planted_told, power_sentence
from .privacy import Patients, Vectors, copies_of, copying, membership, one_a_patient, patients_shown, pixels

NO_RECOGNISER = (
    "films are not asked which patients they show: the store has no network that knows patients again; "
    "`cxrbench reidentify {data}` trains one (on films of patients with follow-ups)"
)


class CopyPower(Strict):
    """Of copies of a kind: the share that is told, and the smallest share of the films that would have been seen
    with 95 % power (None: not seen)."""

    kind: str
    told: float
    share: float | None


class Copies(Strict):
    """Training films among the films (`fidelity.memorisation`), AuthPct and C_T with those of held-out films
    beside.

    `copying`: C_T over `copying_cells` cells, its p-value and its line; `planted`, `copying_planted`: how often
    copies that were put among the films are seen."""

    films: int
    training: int
    held_out: int
    copies: int
    p: float
    pairs: list[tuple[str, str]]
    power: list[CopyPower]
    sentence: str
    authentic: float
    authentic_real: float
    copying: float
    copying_cells: int = 1
    copying_p: float = 1.0
    copying_alarm: bool = False
    copying_sentence: str = ""
    planted: list[Planted] = Field(default_factory=list)
    copying_planted: list[Planted] = Field(default_factory=list)


class PatientsShown(Strict):
    """Films whose nearest training patient is nearer, to a network that knows patients again (trained on `network`,
    its AUC on patients that it never saw), than the threshold that `false_alarms` of the held-out patients pass:
    how many (`above`), their share, its p-value, and the pairs that are certain (film, training film)."""

    network: str
    auc: float
    auc_low: float
    auc_high: float
    held_out: int
    false_alarms: float
    above: int
    share: float
    p: float
    alarm: bool
    certain: int
    pairs: list[tuple[str, str]]
    planted: list[Planted]
    sentence: str


class MembershipFound(Strict):
    """AUC with which nearness to the films tells training patients from others, and the control's, whose score
    knows of no member. `split_bias`: the control reaches it too."""

    members: int
    others: int
    auc: float
    control: float
    p: float
    alarm: bool
    split_bias: bool
    planted: list[Planted]
    sentence: str


@dataclass(frozen=True)
class Recogniser:
    """A network that knows patients again: its vectors of films, the data that it learnt from, its AUC with an
    interval."""

    vectors: Vectors
    trained_on: str
    auc: float
    low: float
    high: float


@dataclass(frozen=True)
class Privacy:
    """What was found, and a line for each thing that could not be asked."""

    copies: Copies | None
    patients: PatientsShown | None
    membership: MembershipFound | None
    left_out: tuple[str, ...]

    def alarms(self) -> list[str]:
        """What is conspicuous, a line each."""
        found = []
        copies, patients, members = self.copies, self.patients, self.membership
        if copies is not None and copies.copies:
            found.append(f"{copies.copies} copies of training films (p = {copies.p:.1g})")
        if copies is not None and copies.copying_alarm:
            found.append(f"C_T {copies.copying:.1f}: nearer to the training films than held-out films are")
        if patients is not None and patients.alarm:
            found.append(
                f"{patients.above} films show a training patient to a network that knows patients again "
                f"({100 * patients.share:.1f} %, of held-out patients {100 * patients.false_alarms:.1f} %; "
                f"{patients.certain} for certain)"
            )
        if members is not None and members.alarm:
            found.append(
                f"membership: AUC {members.auc:.2f} between training patients and others (control {members.control:.2f})"
            )
        return found


def privacy(
    films: Dataset,
    training: Dataset | None,
    held_out: Dataset | None,
    recogniser: Recogniser | None,
    name: str,
    progress: Progress | None = None,
) -> Privacy:
    """All four tests of films against those that were learnt from and those of other patients. `name`: of the real
    films."""
    progress = progress or Progress()
    if training is None or held_out is None or min(len(training), len(held_out)) < LEAST:
        why = (
            "copies of training films are not sought: it takes real films that were learnt from and others that were not, "
            f"{LEAST} of each; a column `split` of train and test in the real films says which"
        )
        return Privacy(None, None, None, (why,))
    planted = copies_of(training.images)
    small = {kind: pixels(some) for kind, some in planted.items()}
    others = held_out.select(one_a_patient(held_out))
    made, learnt, real = (pixels(one.images) for one in (films, training, others))
    copies = _copies(films, training, held_out)
    progress.update(0.4)
    left_out = []
    try:
        found, cells = copying(made, learnt, real, small)
        copies = copies.model_copy(
            update={
                "copying": found.value,
                "copying_cells": cells,
                "copying_p": found.p,
                "copying_alarm": found.alarm,
                "copying_planted": found.planted,
                "copying_sentence": power_sentence(found.planted, f"{found.value:+.1f} (p = {found.p:.2g})"),
            }
        )
    except InputError as error:
        left_out.append(f"C_T is left out: {error}")
    progress.update(0.6)
    shown = None
    if recogniser is None:
        left_out.append(NO_RECOGNISER.format(data=name))
    elif len(others) < LEAST:
        left_out.append(
            f"films are not asked which patients they show: {len(others)} held-out patients, expected {LEAST}"
        )
    else:
        shown = _patients(films, training, others, recogniser, planted)
    progress.update(0.8)
    members = None
    try:
        members = _membership(made, pixels(training.images[one_a_patient(training)]), real, small)
    except InputError as error:
        left_out.append(str(error))
    return Privacy(copies, shown, members, tuple(left_out))


def _copies(films: Dataset, training: Dataset, held_out: Dataset) -> Copies:
    found = memorised(films.images, training.images, held_out.images)
    vectors = [pixels(one.images) for one in (training, films, held_out)]
    return Copies(
        films=found.films,
        training=found.training,
        held_out=found.held_out,
        copies=found.copies,
        p=found.p,
        pairs=[(films.ids[row], training.ids[other]) for row, other in found.pairs[:10]],
        power=[CopyPower(kind=one.kind, told=one.told, share=one.share) for one in found.power],
        sentence=found.sentence(),
        authentic=float(authentic(vectors[0], vectors[1]).mean()),
        authentic_real=float(authentic(vectors[0], vectors[2]).mean()),
        copying=0.0,
        planted=planted_told(len(films), {one.kind: one.told for one in found.power}),
    )


def _patients(
    films: Dataset, training: Dataset, others: Dataset, recogniser: Recogniser, planted: dict[str, np.ndarray]
) -> PatientsShown:
    known = Patients.of(training.images, training.cases["patient"].to_numpy(), recogniser.vectors)
    found = patients_shown(films.images, known, others.images, recogniser.vectors, planted)
    outcome = found.outcome
    return PatientsShown(
        network=recogniser.trained_on,
        auc=recogniser.auc,
        auc_low=recogniser.low,
        auc_high=recogniser.high,
        held_out=len(others),
        false_alarms=found.rate,
        above=found.above,
        share=outcome.value,
        p=outcome.p,
        alarm=outcome.alarm,
        certain=len(found.pairs),
        pairs=[(films.ids[row], training.ids[other]) for row, other in found.pairs[:10]],
        planted=outcome.planted,
        sentence=power_sentence(outcome.planted, str(len(found.pairs))),
    )


def _membership(
    made: np.ndarray, members: np.ndarray, others: np.ndarray, planted: dict[str, np.ndarray]
) -> MembershipFound:
    found = membership(made, members, others, planted)
    outcome = found.outcome
    return MembershipFound(
        members=found.members,
        others=found.others,
        auc=outcome.value,
        control=found.control,
        p=outcome.p,
        alarm=outcome.alarm,
        split_bias=found.split_bias,
        planted=outcome.planted,
        sentence=power_sentence(outcome.planted, f"AUC {outcome.value:.2f}"),
    )
