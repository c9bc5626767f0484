"""Predictions made from those of another cell, and honest ones."""

from __future__ import annotations

import re

import numpy as np
import pytest

from cxrbench.benchmark.contracts.task import Predictions
from cxrbench.benchmark.metrics.changes import Changes, label_changes, rank_changes
from cxrbench.benchmark.metrics.precision import Detections, FilmBoxes
from cxrbench.leaderboard import checks
from cxrbench.leaderboard.checks import check_entry
from cxrbench.leaderboard.checks.outline import BOXES, MAPS, SCORES, apart, outline
from cxrbench.leaderboard.entry import load_entry


def with_one_pixel(real: np.ndarray, truth: np.ndarray) -> np.ndarray:
    said = real.copy()
    said[0, 0, 0] = (said[0, 0, 0] + 1) % 3
    return said


def half_of_the_errors_mended(real: np.ndarray, truth: np.ndarray) -> np.ndarray:
    wrong = np.argwhere(real != truth)[::2]
    said = real.copy()
    said[tuple(wrong.T)] = truth[tuple(wrong.T)]
    return said


def a_third_of_the_changes_wrong(real: np.ndarray, truth: np.ndarray) -> np.ndarray:
    said = half_of_the_errors_mended(real, truth)
    right = np.argwhere(real == truth)[:: real.size // max(1, int((said != real).sum() // 2))]
    said[tuple(right.T)] = (truth[tuple(right.T)] + 1) % 3
    return said


def of_the_seed_before(real: np.ndarray, truth: np.ndarray, kept: list[np.ndarray] = []) -> np.ndarray:  # noqa: B006
    """REAL of another seed with a pixel changed."""
    kept.append(real)
    return with_one_pixel(kept[-2], truth) if len(kept) > 1 else a_third_of_the_changes_wrong(real, truth)


def eight_errors_mended(real: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Too few to tell of one seed."""
    wrong = np.argwhere(real != truth)[:8]
    said = real.copy()
    said[tuple(wrong.T)] = truth[tuple(wrong.T)]
    return said


def found(folder, sources) -> list[str]:
    verdict = check_entry(folder, sources=sources)
    return [one.message for one in verdict.findings if one.check == "beside_real" and one.level == "review"]


def test_predictions_of_real_with_a_pixel_changed_wait_for_a_review(pack_system, sources):
    (words,) = found(pack_system(forged=with_one_pixel), sources)
    assert "it differs from real in 0.05% of what it predicts; two trainings differ in at least 0.1%" in words


def test_without_the_films_too_few_changes_are_seen(pack_system, without_films):
    assert len(found(pack_system(forged=with_one_pixel), without_films)) == 1


def test_predictions_of_real_with_errors_mended_wait_for_a_review(pack_system, sources):
    (words,) = found(pack_system(forged=half_of_the_errors_mended), sources)
    assert "of what it predicts otherwise than real (" in words and "100% is right" in words


def test_predictions_of_real_of_another_seed_wait_for_a_review(pack_system, sources):
    words = found(pack_system(forged=of_the_seed_before), sources)
    assert any(
        re.search(r"it differs from real full fold all seed \d in 0\.05% of what it predicts", one) for one in words
    )


def test_errors_mended_in_every_seed_are_counted_together(pack_system, sources):
    assert found(pack_system(forged=eight_errors_mended, seeds=2), sources) == []
    (words,) = found(pack_system("other", draw=1, forged=eight_errors_mended), sources)
    assert "than real over 3 seeds (0.4%) 100% is right" in words


def test_honest_predictions_and_those_that_err_in_both_directions_pass(pack_system, sources):
    assert found(pack_system(), sources) == []
    assert found(pack_system("other", draw=1, forged=a_third_of_the_changes_wrong), sources) == []


def test_a_real_training_that_failed_accuses_nobody(pack_system, sources):
    """An arm is right nearly wherever it differs from a model that found nothing: that is much, and no forgery."""
    assert found(pack_system(wrong={"real": 0.4, "synthetic": 0.002}), sources) == []


def test_a_shared_key_has_one_content_on_one_kind_of_processor(pack_system, sources):
    pack_system("first", share=True)
    worse = {"real": 0.05, "synthetic": 0.06}
    verdict = check_entry(pack_system("other", draw=3, wrong=worse), sources=sources)
    (words,) = [one.message for one in verdict.findings if "the keys of shared ones" in one.message]
    assert verdict.status == "refused" and words.startswith("6 of its cells without a provider have the keys of shared")
    verdict = check_entry(pack_system("away", draw=4, processor="another"), sources=sources)
    (words,) = [one.message for one in verdict.findings if "the keys of shared ones" in one.message]
    assert verdict.status == "needs review" and words.endswith("and other contents, of another processor (another)")


def test_cells_that_are_the_shared_ones_are_not_packed_again(pack_system, sources):
    pack_system("first", share=True)
    folder = pack_system("second", draw=0, wrong={"real": 0.02, "synthetic": 0.1})
    (run,) = load_entry(folder).runs
    assert {home.folder.parent.name for key, home in run.homes.items() if run.records[key].cell.provider is None} == {
        "shared"
    }


@pytest.mark.parametrize(("truth", "judged", "right"), [(None, 0, 0), ([[0, 1, 2, 2]], 2, 1)])
def test_changes_of_label_maps(truth, judged, right):
    said, other = np.array([[0, 1, 1, 2]]), np.array([[0, 0, 2, 2]])
    assert label_changes(said, other, None if truth is None else np.array(truth)) == Changes(4, 2, judged, right)


def test_changes_of_ranks_ignore_the_scale_and_ask_for_the_direction():
    truth = np.array([[0], [1], [0], [1]])
    other = np.array([[0.1], [0.2], [0.3], [0.4]])
    assert rank_changes(10 * other - 3, other, truth) == Changes(4, 0, 0, 0)
    assert rank_changes(other + truth, other, truth) == Changes(4, 2, 2, 2)  # 1 goes past 2
    assert rank_changes(-other, other, truth) == Changes(4, 4, 4, 2)


# ------------------------------------------------------------------------------------------------ how far apart two are


def distance(form, one, other) -> float | None:
    first, second = (outline(*one), outline(*other))
    assert first is not None and second is not None and first.form is second.form is form
    return apart(first, second)


def said(**arrays: np.ndarray) -> Predictions:
    length = len(next(iter(arrays.values())))
    return Predictions(tuple(f"film{row}" for row in range(length)), arrays)


def test_scores_with_another_scale_and_a_little_noise_are_no_other_scores():
    """Spearman's correlation; the ranks themselves nearly all change."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(500, 3))
    noisy = np.exp(scores + 0.05 * rng.normal(size=scores.shape))
    assert rank_changes(noisy, scores, None).changed > 0.9 * scores.size
    assert distance(SCORES, [said(logits=scores)], [said(logits=noisy)]) < SCORES.least / 4
    other = scores + rng.normal(size=scores.shape)
    assert distance(SCORES, [said(logits=scores)], [said(logits=other)]) > 0.25
    assert distance(SCORES, [said(logits=np.zeros((4, 2)))], [said(logits=np.ones((4, 2)))]) is None


def test_maps_are_apart_by_their_organs_alone():
    one = np.zeros((2, 10, 10), np.uint8)
    one[:, :2, :5] = 1
    other = one.copy()
    other[0, 0, 0], other[1, 9, 9] = 0, 2
    assert distance(MAPS, [said(labels=one)], [said(labels=other)]) == 2 / 21
    nothing = [said(labels=np.zeros_like(one))]
    assert distance(MAPS, nothing, nothing) is None  # two models that learnt nothing


def test_of_large_maps_a_part_is_compared(monkeypatch):
    one = np.random.default_rng(0).integers(0, 2, (4, 64, 64)).astype(np.uint8)
    other = np.where(np.random.default_rng(1).random(one.shape) < 0.1, 2, one)
    whole = distance(MAPS, [said(labels=one)], [said(labels=other)])
    monkeypatch.setattr(checks.outline, "MOST", 2048)
    assert outline(said(labels=one)).values.size == 2048
    assert distance(MAPS, [said(labels=one)], [said(labels=other)]) == pytest.approx(whole, rel=0.15)


def test_boxes_that_are_pushed_a_little_are_no_other_boxes():
    boxes = np.array([[10.0, 10, 20, 20], [40, 40, 10, 20], [5, 50, 30, 10]])

    def found(moved: np.ndarray) -> Detections:
        films = [FilmBoxes([box, [0, 0, 1, 1]], [0.9, 0.1], ["Mass", "Mass"], np.empty((0, 4)), []) for box in moved]
        return Detections(films)

    here = said(image=np.arange(3))
    assert distance(BOXES, [here, found(boxes)], [here, found(boxes + np.array([1, 1, 0, 0]))]) == 0
    pushed = boxes + np.array([[1, 1, 0, 0], [15, 0, 0, 0], [0, 9, 0, 0]])
    assert distance(BOXES, [here, found(boxes)], [here, found(pushed)]) == pytest.approx(2 / 3)
