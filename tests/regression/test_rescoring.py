"""Tier 1: committed predictions give the committed numbers, and no metric can change a little without the guard seeing."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cxrbench.leaderboard.regression.rerun import rescore

from .sample_entry import SAYS

TREE = Path(__file__).parents[2]
LITTLE = 1 + 1e-5


def test_the_kept_numbers_are_what_the_committed_predictions_give(scored_once):
    """Of all reproduced entries; an entry without numbers, or numbers without their entry, are red too."""
    verdicts = rescore(TREE / "tests" / "regression", TREE / "submissions")
    assert [line for verdict in verdicts if not verdict.passed for line in verdict.lines()] == []


@pytest.mark.parametrize("task", SAYS)
def test_the_sample_gives_its_committed_numbers(task, guard):
    verdicts = guard(task)
    assert verdicts and all(verdict.passed and verdict.compared >= 20 for verdict in verdicts)


# ---------------------------------------------------------------------------------------------------------------- mutants


def scaled(whole: Callable[..., Any], factor: float = LITTLE) -> Callable[..., Any]:
    return lambda *args, **options: whole(*args, **options) * factor


def one_pixel_more(whole):
    def mutant(pred, truth):
        tp, fp, fn = whole(pred, truth)
        return tp, fp + 1, fn

    return mutant


def worse_calibrated(whole):
    def mutant(truth, probability, bins=10):
        found = whole(truth, probability, bins)
        return replace(found, expected_error=found.expected_error * LITTLE)

    return mutant


def worse_brier(whole):
    def mutant(truth, probability, bins=10):
        found = whole(truth, probability, bins)
        return replace(found, brier=found.brier * LITTLE)

    return mutant


def other_patients(whole):
    return lambda patients, resamples, seed, chunk: whole(patients, resamples, seed + 1, chunk)


SEGMENTATION = "cxrbench.tasks.segmentation"
PIXELS = "cxrbench.benchmark.metrics.segmentation"
RANKING = "cxrbench.benchmark.metrics.classification"
BOXES = "cxrbench.benchmark.metrics.localisation"
METRICS = [
    ("scr_official", SEGMENTATION, "dice_from_counts", scaled, "dsc"),
    ("scr_official", SEGMENTATION, "jaccard_from_counts", scaled, "j"),
    ("scr_official", SEGMENTATION, "hausdorff_cases", scaled, "hausdorff"),
    ("scr_official", SEGMENTATION, "confusion", one_pixel_more, "dsc"),
    ("scr_official", PIXELS, "image_diagonal", scaled, "hausdorff"),
    ("scr_3fold", SEGMENTATION, "dice_from_counts", scaled, "dice"),
    ("scr_3fold", SEGMENTATION, "hausdorff_cases", scaled, "hausdorff_stddev"),
    ("nih_classification", RANKING, "auc", scaled, "auc"),
    ("nih_classification", "cxrbench.benchmark.metrics.auc_bootstrap", "patient_weights", other_patients, "auc_low"),
    ("nih_classification", RANKING, "average_precision", scaled, "average_precision"),
    ("nih_classification", RANKING, "calibration", worse_calibrated, "calibration_error"),
    ("nih_classification", RANKING, "calibration", worse_brier, "brier"),
    ("nih_localisation", BOXES, "box_iou", lambda whole: scaled(whole, 0.99), "cl"),
    ("nih_localisation", BOXES, "box_iobb", lambda whole: scaled(whole, 0.99), "cl_iobb"),
    ("nih_localisation", BOXES, "OVERLAP", lambda whole: whole * 1.01, "cl"),
    ("nih_localisation", BOXES, "SCORE", lambda whole: whole + 1e-6, "cl_scored"),
    ("nih_localisation", "cxrbench.tasks.detections", "false_positives_per_image", scaled, "false_positives"),
]


@pytest.mark.parametrize(
    ("task", "module", "name", "mutant", "metric"), METRICS, ids=[f"{one[0]}-{one[2]}-{one[4]}" for one in METRICS]
)
def test_a_metric_that_is_a_little_other_is_red(task, module, name, mutant, metric, guard, monkeypatch):
    home = importlib.import_module(module)
    monkeypatch.setattr(home, name, mutant(getattr(home, name)))
    moved = [words for verdict in guard(task) for words in verdict.moved]
    assert any(f" {metric} of " in words for words in moved)


@pytest.mark.parametrize("task", SAYS)
def test_a_table_that_is_made_otherwise_is_red(task, guard, monkeypatch):
    """A mean over other cases, a stddev with n instead of n - 1: whatever `summarise` does with one number in a hundred."""
    cls = importlib.import_module(f"cxrbench.tasks.{task}")
    (protocol,) = (one for one in vars(cls).values() if isinstance(one, type) and getattr(one, "name", None) == task)
    whole = protocol.summarise

    def mutant(self, scores):
        table = whole(self, scores)
        return table.assign(value=table["value"].where(table.index != len(table) // 2, table["value"] + 1e-5))

    monkeypatch.setattr(protocol, "summarise", mutant)
    assert all(len(verdict.moved) > 0 for verdict in guard(task))


def test_a_film_that_is_left_out_of_the_test_is_red(guard, monkeypatch):
    protocol = importlib.import_module("cxrbench.tasks.nih_classification").NihClassification
    whole = protocol.test_set
    monkeypatch.setattr(protocol, "test_set", lambda *args: whole(*args).select(range(1, 20)))
    (verdict,) = guard("nih_classification")
    assert "cannot be scored" in verdict.moved[0] and len(verdict.moved) > 100


def test_other_films_are_named(guard, monkeypatch):
    films = importlib.import_module("cxrbench.leaderboard.regression.films")
    heart = films.ORGANS["heart"]
    monkeypatch.setitem(films.ORGANS, "heart", heart._replace(grey=heart.grey + 1))
    verdicts = guard("scr_official")
    assert all(not verdict.passed and not verdict.moved for verdict in verdicts)
    for verdict in verdicts:
        assert "the pixels alone differ" in verdict.films and verdict.summary.endswith("; no number moved")
