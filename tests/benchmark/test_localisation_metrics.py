"""CL@0.1 and false positives per film: twelve cases computed by hand, and the overlap of boxes."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.metrics.localisation import (
    best_detection,
    box_iobb,
    box_iou,
    correct_localisation,
    false_positives_per_image,
)

BOXES = ["id", "finding", "x", "y", "w", "h"]
DETECTIONS = ["id", "finding", "score", "x", "y", "w", "h"]

# Twelve annotations. Films a to k; film d has two findings, film h two boxes of one finding.
ANNOTATIONS = pd.DataFrame(
    [
        ("a", "Mass", 0, 0, 10, 10),
        ("b", "Mass", 0, 0, 10, 10),
        ("c", "Mass", 0, 0, 10, 10),
        ("d", "Mass", 0, 0, 10, 10),
        ("d", "Nodule", 20, 20, 4, 4),
        ("e", "Nodule", 0, 0, 10, 10),
        ("f", "Nodule", 0, 0, 10, 10),
        ("g", "Nodule", 5, 5, 0, 10),
        ("h", "Effusion", 0, 0, 10, 10),
        ("h", "Effusion", 50, 50, 10, 10),
        ("i", "Effusion", 0, 0, 10, 10),
        ("j", "Effusion", 0, 0, 10, 10),
    ],
    columns=BOXES,
)
FOUND = pd.DataFrame(
    [
        # a: the better box has the lower score and does not count
        ("a", "Mass", 0.4, 0, 0, 10, 10),
        ("a", "Mass", 0.9, 8, 8, 10, 10),
        # b: nothing is found.   c: equal scores, the first given counts
        ("c", "Mass", 0.7, 5, 0, 10, 10),
        ("c", "Mass", 0.7, 50, 50, 10, 10),
        # d: two findings; the Nodule detection on the mass is no detection of the mass
        ("d", "Nodule", 0.9, 0, 0, 10, 10),
        ("d", "Mass", 0.2, 0, 0, 10, 10),
        ("d", "Nodule", 0.3, 20, 20, 4, 4),
        # e: IoU is 0.1 exactly: 10 of 10 + 100 - 10.   f: just below it, but well inside by IoBB
        ("e", "Nodule", 0.6, 0, 0, 1, 10),
        ("f", "Nodule", 0.6, 0, 0, 1, 9),
        # g: an annotation of no area.   h: one detection, two boxes of its finding
        ("g", "Nodule", 0.8, 0, 0, 20, 20),
        ("h", "Effusion", 0.5, 52, 50, 10, 10),
        # i: a detection of no area.   j: the detection is on another film (k, healthy)
        ("i", "Effusion", 0.99, 2, 2, 0, 5),
        ("k", "Effusion", 0.9, 0, 0, 10, 10),
    ],
    columns=DETECTIONS,
)
EXPECTED = [  # iou, iobb, score, hit, hit_scored, hit_iobb
    (4 / 196, 4 / 100, 0.9, False, False, False),
    (0, 0, math.nan, False, False, False),
    (50 / 150, 50 / 100, 0.7, True, True, True),
    (1, 1, 0.2, True, False, True),
    (0, 0, 0.9, False, False, False),
    (0.1, 1, 0.6, True, True, True),
    (0.09, 1, 0.6, False, False, True),
    (0, 0, 0.8, False, False, False),
    (0, 0, 0.5, False, False, False),
    (80 / 120, 0.8, 0.5, True, True, True),
    (0, 0, 0.99, False, False, False),
    (0, 0, math.nan, False, False, False),
]


def test_twelve_annotations_by_hand():
    table = best_detection(ANNOTATIONS, FOUND)
    assert list(table.columns) == ["id", "finding", "iou", "iobb", "score", "hit", "hit_scored", "hit_iobb"]
    assert table[["id", "finding"]].equals(ANNOTATIONS[["id", "finding"]])
    for name, values in zip(list(table.columns)[2:], zip(*EXPECTED, strict=True), strict=True):
        assert table[name].tolist() == pytest.approx(list(values), nan_ok=True), name


def test_correct_localisation_by_hand():
    table = best_detection(ANNOTATIONS, FOUND)
    hits = correct_localisation(table)
    assert hits.index.tolist() == ["Mass", "Nodule", "Effusion"]
    assert (hits["k"].tolist(), hits["n"].tolist()) == ([2, 1, 1], [4, 4, 4])
    assert hits["share"].mean() == pytest.approx((0.5 + 0.25 + 0.25) / 3)
    assert correct_localisation(table, "hit_scored")["k"].tolist() == [1, 1, 1]
    assert correct_localisation(table, "hit_iobb")["k"].tolist() == [2, 2, 1]


def test_false_positives_by_hand():
    """With score >= 0.5 and on no box of their finding: a (second), c (second), d (Nodule), f, g, i, k."""
    assert false_positives_per_image(ANNOTATIONS, FOUND, list("abcdefghijk")) == pytest.approx(7 / 11)
    assert false_positives_per_image(ANNOTATIONS, FOUND, list("abcdefghijklmn")) == pytest.approx(7 / 14)
    none_annotated = ANNOTATIONS.iloc[:0]
    assert false_positives_per_image(none_annotated, FOUND, list("abcdefghijk")) == pytest.approx(10 / 11)


def test_a_detection_may_meet_either_of_two_boxes_and_two_detections_may_meet_one():
    twice = pd.concat([FOUND[FOUND["id"] == "h"]] * 2, ignore_index=True)
    assert false_positives_per_image(ANNOTATIONS, twice, ["h"]) == 0


def test_of_equal_scores_the_first_given_counts_whatever_its_index():
    last_first = FOUND[FOUND["id"] == "c"].iloc[::-1]
    table = best_detection(ANNOTATIONS[ANNOTATIONS["id"] == "c"], last_first)
    assert table["hit"].tolist() == [False]
    many = pd.DataFrame([("c", "Mass", 0.7, i, 0, 10, 10) for i in range(100)], columns=DETECTIONS)
    assert best_detection(ANNOTATIONS[ANNOTATIONS["id"] == "c"], many)["iou"].tolist() == [1]


def test_no_detections_at_all_hit_nothing():
    for empty in (FOUND.iloc[:0], pd.DataFrame(columns=DETECTIONS)):
        table = best_detection(ANNOTATIONS, empty)
        assert not table[["hit", "hit_scored", "hit_iobb"]].any(axis=None)
        assert table["score"].isna().all() and (table["iou"] == 0).all()
        assert false_positives_per_image(ANNOTATIONS, empty, list("abc")) == 0
    assert len(best_detection(ANNOTATIONS.iloc[:0], FOUND)) == 0


def test_the_order_of_films_and_further_columns_change_nothing():
    shuffled = FOUND.sample(frac=1, random_state=0).sort_values("score", kind="stable", ascending=False)
    shuffled = pd.concat([shuffled[shuffled["id"] != "c"], FOUND[FOUND["id"] == "c"]])
    noted = ANNOTATIONS.assign(patient="P1", score=1.0)
    pd.testing.assert_frame_equal(best_detection(noted, shuffled), best_detection(ANNOTATIONS, FOUND))
    films = list("abcdefghijk")
    assert false_positives_per_image(noted, shuffled, films) == false_positives_per_image(ANNOTATIONS, FOUND, films)


# ------------------------------------------------------------------------------------------------------- boxes


def test_overlap_by_hand():
    a, b = [0, 0, 10, 10], [5, 5, 10, 20]
    assert box_iou(a, b) == pytest.approx(25 / 275)
    assert box_iobb(a, b) == pytest.approx(25 / 100)
    assert box_iobb(b, a) == pytest.approx(25 / 200)
    assert box_iou(a, [10, 0, 5, 5]) == 0  # touching


def test_all_pairs_by_broadcasting():
    a, b = np.array([[0, 0, 2, 2], [1, 1, 2, 2], [9, 9, 1, 1]]), np.array([[0, 0, 2, 2], [1, 0, 2, 2]])
    expected = [[1, 1 / 3], [1 / 7, 1 / 3], [0, 0]]
    assert box_iou(a[:, None], b) == pytest.approx(np.array(expected))


def test_a_box_of_no_area_overlaps_with_nothing_not_even_itself():
    assert box_iou([1, 1, 0, 5], [1, 1, 0, 5]) == 0
    assert box_iobb([1, 1, 0, 5], [0, 0, 9, 9]) == 0


@given(st.lists(st.integers(0, 12), min_size=8, max_size=8))
def test_overlap_counts_pixels(numbers):
    a, b = numbers[:4], numbers[4:]
    films = np.zeros((2, 30, 30), bool)
    for film, (x, y, w, h) in zip(films, (a, b), strict=True):
        film[y : y + h, x : x + w] = True
    both, either, first = (films[0] & films[1]).sum(), (films[0] | films[1]).sum(), films[0].sum()
    assert box_iou(a, b) == pytest.approx(both / either if either else 0)
    assert box_iobb(a, b) == pytest.approx(both / first if first else 0)
    assert box_iou(a, b) == box_iou(b, a)


# ------------------------------------------------------------------------------------------------------- input


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: box_iou([1, 2, 3], [1, 2, 3, 4]), r"shape \(3,\)"),
        (lambda: box_iou([1, 2, -3, 4], [1, 2, 3, 4]), "negative"),
        (lambda: best_detection(ANNOTATIONS, FOUND.assign(w=math.nan)), "NaN"),
        (lambda: best_detection(ANNOTATIONS, FOUND.drop(columns="score")), "detections need .* missing: score"),
        (lambda: best_detection(ANNOTATIONS.drop(columns=["x", "h"]), FOUND), "annotations need .* missing: x, h"),
        (lambda: best_detection(ANNOTATIONS, FOUND.assign(score=math.nan)), "13 of 13 NaN"),
        (lambda: false_positives_per_image(ANNOTATIONS, FOUND, []), "one film at least"),
        (lambda: false_positives_per_image(ANNOTATIONS, FOUND, list("abcdefghij")), "1 films .* k"),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call()
