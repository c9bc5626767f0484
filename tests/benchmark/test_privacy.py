"""Privacy of an audit: C_T in cells, patients shown again, membership with its control; false alarms and planted copies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from cxrbench.benchmark.audit import patient_net
from cxrbench.benchmark.audit.own_spaces import last_features
from cxrbench.benchmark.contracts.task import Predictions
from cxrbench.benchmark.data.catalogue import keep
from cxrbench.benchmark.data.dataset import Dataset
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.fidelity import privacy
from cxrbench.benchmark.fidelity.memorisation import COPIES
from cxrbench.benchmark.fidelity.planted import Planted, planted_told, power_sentence
from cxrbench.benchmark.fidelity.privacy import Patients, copying, copying_of, membership, patients_shown, pixels
from cxrbench.benchmark.fidelity.reidentify import ReidentifySettings, fit_patients, patient_vectors, verified
from cxrbench.benchmark.metrics.neighbours import copying_score

from ..toys.toy_films import chests


@pytest.fixture(scope="module")
def people() -> np.ndarray:
    """900 smooth films of 32 pixels, each another."""
    from scipy import ndimage

    rough = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(900, 32, 32)), (0, 3, 3))
    return np.clip(128 + 40 * rough / rough.std(), 0, 255).astype(np.uint8)


def by_pixels(images: np.ndarray) -> np.ndarray:
    """Stands for a network that knows patients again: it knows films again."""
    return pixels(images).astype(np.float64)


# --------------------------------------------------------------------------- C_T


def test_c_t_is_the_mean_of_the_cells_z_scores_weighted_by_held_out_films():
    draw = np.random.default_rng(0)
    held = np.column_stack([np.repeat([0, 1, 2], [30, 60, 30]), draw.random(120)])
    made = np.column_stack([np.repeat([0, 1, 2], [20, 40, 5]), draw.random(65)])  # too few in the third cell
    expected = [copying_score(held[held[:, 0] == cell, 1], made[made[:, 0] == cell, 1]) for cell in (0, 1)]
    value, p = copying_of(held, made)
    assert value == pytest.approx((30 * expected[0] + 60 * expected[1]) / 90)
    assert 0 < p < 1
    with pytest.raises(InputError, match="no cell has 10 held-out"):
        copying_of(held[:5], made)


def test_c_t_in_cells_sees_copies_in_one_place_that_one_cell_does_not():
    """Copies in one cell, films too far away in the other: Meehan et al.'s argument for cells."""
    draw = np.random.default_rng(1)
    held = np.column_stack([np.repeat([0, 1], 100), np.r_[draw.uniform(1, 2, 100), draw.uniform(1, 2, 100)]])
    made = np.column_stack([np.repeat([0, 1], [180, 40]), np.r_[draw.uniform(0, 1, 180), draw.uniform(2, 3, 40)]])
    assert copying_of(held, made)[0] == pytest.approx((_z(100, 180, -1) + _z(100, 40, 1)) / 2, rel=0.01)


def _z(m: int, n: int, side: int) -> float:
    return side * (n * m / 2) / np.sqrt(n * m * (n + m + 1) / 12)


# --------------------------------------------------------------------------- false alarms, short form


def test_no_test_alarms_more_often_than_it_may_in_40_clean_generators(people):
    """Of 40 expected 0.4 a test; five or more are no chance. `bench_privacy` has 200, of real films too."""
    draw, alarms = np.random.default_rng(2), dict.fromkeys(("C_T", "patients", "membership"), 0)
    for _ in range(40):
        rows = draw.permutation(len(people))
        training, held_out, films = people[rows[:200]], people[rows[200:320]], people[rows[320:480]]
        made, learnt, real = pixels(films), pixels(training), pixels(held_out)
        alarms["C_T"] += copying(made, learnt, real, {}, draws=0)[0].alarm
        known = Patients.of(training, np.arange(200), by_pixels)
        alarms["patients"] += patients_shown(films, known, held_out, by_pixels, {}, draws=0).outcome.alarm
        alarms["membership"] += membership(made, learnt, real, {}, draws=0).outcome.alarm
    assert max(alarms.values()) < 5, alarms


def test_each_test_sees_what_it_is_there_for(people):
    training, held_out, films = people[:200], people[200:320], people[320:480]
    copied = np.concatenate([films[:80], training[:80]])
    made, learnt, real = pixels(copied), pixels(training), pixels(held_out)
    assert copying(made, learnt, real, {}, draws=0)[0].alarm
    members = membership(learnt[:160], learnt, real, {}, draws=0)
    assert members.outcome.alarm and members.outcome.value > 0.6 and not members.split_bias
    known = Patients.of(training, np.arange(200), by_pixels)
    shown = patients_shown(np.concatenate([films[:158], training[40:42]]), known, held_out, by_pixels, {}, draws=0)
    assert shown.outcome.alarm and sorted(shown.pairs) == [(158, 40), (159, 41)]


def test_a_split_that_differs_is_said_to_be_bias_and_no_alarm(people):
    """Training patients are like the films and the control, the others are not: the control reaches the same AUC."""
    noise = np.random.default_rng(1).normal(0, 60, (80, 32, 32))
    odd = np.clip(people[:80] + noise, 0, 255).astype(np.uint8)  # as far from one film as from another
    training, films, control = people[100:300], people[300:460], people[460:540]
    rows = np.random.default_rng(0).permutation(160)  # as `membership` halves them: asked, control, asked, ...
    held_out = np.empty((160, 32, 32), dtype=np.uint8)
    held_out[rows[::2]], held_out[rows[1::2]] = odd, control
    found = membership(pixels(films), pixels(training), pixels(held_out), {}, draws=0)
    assert found.split_bias and not found.outcome.alarm
    assert found.outcome.value > 0.7 and found.control > 0.7
    with pytest.raises(InputError, match="expected 20 and 40"):
        membership(pixels(films), pixels(training), pixels(held_out[:30]), {}, draws=0)


# --------------------------------------------------------------------------- planted copies


def test_planted_copies_are_seen_by_re_identification_and_the_line_says_how_few(people):
    training, held_out, films = people[:200], people[200:400], people[400:600]
    copies = {kind: copy(training[:50]) for kind, copy in COPIES.items()}
    known = Patients.of(training, np.arange(200), by_pixels)
    shown = patients_shown(films, known, held_out, by_pixels, copies, draws=20)
    assert {one.share for one in shown.outcome.planted} == {0.005, 0.01, 0.02, 0.05}
    assert {one.kind for one in shown.outcome.planted} == set(COPIES)
    assert power_sentence(shown.outcome.planted, "0") == "would have seen 0.5 % of copies with 95 % power; found 0"


def test_the_line_of_power_names_the_kinds_that_are_not_seen():
    rows = [
        Planted(kind=kind, share=share, copies=1, seen=seen)
        for kind, values in (("plain", (0.5, 0.99)), ("noised", (0.0, 0.2)))
        for share, seen in zip((0.01, 0.05), values, strict=True)
    ]
    said = power_sentence(rows, "0")
    assert said == "would have seen 5 % of plain ones with 95 % power, not 5 % of noised ones; found 0"
    assert power_sentence(rows[2:], "0").startswith("would not have seen 5 % of copies")
    told = planted_told(200, {"plain": 0.5})
    assert [(one.copies, one.seen) for one in told] == [(1, 0.5), (2, 0.75), (4, 0.9375), (10, 1 - 0.5**10)]


# --------------------------------------------------------------------------- knowing patients again


def followed(patients: int, seed: int = 0) -> Dataset:
    """Two films of each of so many bodies: the second moved by two pixels, brighter and noisy."""
    bodies = chests(patients, 0)
    first = np.asarray(bodies.images).astype(float)
    noise = np.random.default_rng(seed).normal(0, 6, first.shape)
    second = np.clip(np.roll(first, 2, axis=2) * 0.9 + 12 + noise, 0, 255)
    images = np.concatenate([first, second]).astype(np.uint8)
    names = np.tile([f"p{number}" for number in range(patients)], 2)
    parts = np.where(np.arange(patients) < 0.6 * patients, "train", "test")
    cases = pd.DataFrame(
        {"id": [f"f{number}" for number in range(2 * patients)], "patient": names, "split": np.tile(parts, 2)}
    )
    return Dataset(bodies.info.changed(name="followed", organs=()), images, cases)


def test_a_network_learns_to_know_patients_again_that_it_never_saw_and_is_kept(monkeypatch):
    films = followed(80)
    keep(films)
    settings = ReidentifySettings(steps=40, patients=16)
    record, folder = patient_net.patient_network("followed", settings)
    assert record.patients == 48 and record.verified_patients == 32
    assert record.low <= record.auc <= record.high and record.auc > 0.8
    monkeypatch.setattr("cxrbench.benchmark.fidelity.reidentify.fit_patients", None)  # is not trained again
    assert patient_net.patient_network("followed", settings)[0] == record
    found = patient_net.recogniser_for("followed")
    assert found is not None and found.auc == record.auc and found.vectors(films.images[:3]).shape == (3, 64)
    (folder / "weights.safetensors").write_bytes(b"damaged")
    assert patient_net.recogniser_for("followed") is None, "damaged weights are not used"


def test_a_network_that_knows_nobody_has_an_auc_of_one_half():
    vectors = np.random.default_rng(0).normal(size=(400, 64))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = verified(vectors, np.repeat(np.arange(200), 2))
    assert found.low < 0.5 < found.high and found.told < 0.06
    with pytest.raises(InputError, match="expected at least 20"):
        verified(vectors[:20], np.repeat(np.arange(10), 2))
    few = followed(12)
    with pytest.raises(InputError, match="12 patients of followed have two films"):
        fit_patients(few, ReidentifySettings(steps=1))


def test_the_same_seed_gives_the_same_vectors():
    films = followed(24)
    one, other = (fit_patients(films, ReidentifySettings(steps=3, patients=8)) for _ in range(2))
    assert np.array_equal(patient_vectors(one, films.images), patient_vectors(other, films.images))


# --------------------------------------------------------------------------- the last layer of a task's model


class Windows(torch.nn.Module):
    """Looks at the left and right half of each film in turn, in batches of two films."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Conv2d(1, 3, 1)
        self.unused = torch.nn.Linear(5, 5)
        self.last = torch.nn.Conv2d(3, 2, 1)


class Looking:
    """A task that predicts so."""

    name = "looking"

    def predict(self, model: Windows, test: Dataset, *, device: str) -> Predictions:
        films = torch.from_numpy(np.asarray(test.images)).float()[:, None] / 255
        half = films.shape[-1] // 2
        with torch.no_grad():
            for start in range(0, len(films), 2):
                for part in (slice(None, half), slice(half, None)):
                    model.last(model.first(films[start : start + 2, ..., part]))
        return Predictions(tuple(test.ids), {})


def test_features_are_the_input_of_the_last_layer_over_windows_and_batches():
    films, model = chests(5, 0), Windows()
    found = last_features(Looking(), model, films)
    with torch.no_grad():
        maps = model.first(torch.from_numpy(np.asarray(films.images)).float()[:, None] / 255)
    assert found == pytest.approx(maps.double().mean(dim=(2, 3)).numpy(), abs=1e-6)
    with pytest.raises(InputError, match="has no layer that gets a row a film"):
        last_features(Looking(), _holding(model), films)
    with pytest.raises(InputError, match="two films or more"):
        last_features(Looking(), model, films.select([0]))


def _holding(model: Windows) -> object:
    """A model of which no layer is run."""

    class Other:
        first, last = model.first, model.last

    return Other()


def test_one_film_a_patient_is_taken(people):
    films = followed(30)
    rows = privacy.one_a_patient(films)
    assert len(rows) == 30 and films.cases["patient"].iloc[rows].nunique() == 30
    assert len(privacy.one_a_patient(replace(films, cases=films.cases.assign(patient="one")))) == 1
