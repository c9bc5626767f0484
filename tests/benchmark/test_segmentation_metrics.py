"""Dice, Jaccard and Hausdorff against independent libraries, values by hand, and their own symmetries."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.ndimage import binary_erosion, distance_transform_edt
from scipy.spatial import cKDTree
from skimage.metrics import hausdorff_distance
from sklearn.metrics import f1_score, jaccard_score
from torchmetrics.functional.segmentation import dice_score

from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.metrics.segmentation import (
    confusion,
    dice,
    dice_from_counts,
    hausdorff,
    hausdorff_cases,
    image_diagonal,
    jaccard,
    jaccard_from_counts,
    pooled,
)

EXACT = 1e-6


# ------------------------------------------------------------------------------------------ the masks


def square(side, top, left, shape=(40, 40)):
    mask = np.zeros(shape, bool)
    mask[top : top + side, left : left + side] = True
    return mask


def blob(rng, height, width, grain=0.0, specks=0):
    """A lung-like outline; `grain` roughens it, `specks` are small squares anywhere."""
    y, x = np.mgrid[:height, :width].astype(float)
    centre, radius = rng.uniform(0.4, 0.6, 2), rng.uniform(0.15, 0.35, 2)
    v, u = (y / height - centre[0]) / radius[0], (x / width - centre[1]) / radius[1]
    angle, phase = np.arctan2(v, u), rng.uniform(0, 6, 3)
    rim = 1 + 0.15 * np.sin(2 * angle + phase[0]) + 0.08 * np.sin(5 * angle + phase[1])
    mask = np.hypot(u, v) < rim + grain * np.sin(31 * angle + phase[2])
    for _ in range(specks):
        top, left = rng.integers(0, height - 3), rng.integers(0, width - 3)
        mask[top : top + 3, left : left + 3] = True
    return mask


def pairs_of_every_kind():
    """(name, pred, truth): outlines, specks, noise, holes, rings, thin images; neither mask empty."""
    rng = np.random.default_rng(7)
    for i in range(12):
        shape = [(64, 64), (96, 51), (33, 128), (200, 230)][i % 4]
        yield f"outlines {i}", blob(rng, *shape, grain=0.04), blob(rng, *shape)
        yield f"specks {i}", blob(rng, *shape, specks=3), blob(rng, *shape)
        yield f"specks in both {i}", blob(rng, *shape, specks=2), blob(rng, *shape, specks=2)
        truth = blob(rng, *shape)
        yield f"shifted {i}", np.roll(truth, (2, -3), (0, 1)), truth
        yield f"noise {i}", rng.random(shape) < 0.3, rng.random(shape) < 10 ** rng.uniform(-3.5, -0.5)
        yield f"noise inside {i}", truth & (rng.random(shape) < 0.5), truth
        core = binary_erosion(truth, iterations=4)
        yield f"hole {i}", truth & ~core, truth
        if core.any():
            yield f"ring against core {i}", truth & ~core, core
    full = np.ones((30, 47), bool)
    one = np.zeros((30, 47), bool)
    one[3, 40] = True
    yield "full against one pixel", full, one
    yield "one pixel against another", one, one[::-1, ::-1].copy()
    yield "full against full", full, full
    yield "disjoint", square(5, 2, 3), square(9, 25, 28)
    yield "inside one another", square(20, 5, 5), square(4, 20, 8)
    yield "single row", rng.random((1, 90)) < 0.2, rng.random((1, 90)) < 0.05
    yield "single column", rng.random((90, 1)) < 0.2, rng.random((90, 1)) < 0.05
    yield "large rough", blob(rng, 520, 480, grain=0.05, specks=4), blob(rng, 520, 480)
    yield "large halves", np.arange(300)[:, None] < np.full((1, 300), 20), rng.random((300, 300)) < 0.4


EVERY_KIND = [pytest.param(pred, truth, id=name) for name, pred, truth in pairs_of_every_kind()]


def boundary(mask):
    return mask ^ binary_erosion(mask)


def directed(a, b):
    """All distances from the pixels of `a` to the nearest one of `b`, by a search tree."""
    return cKDTree(np.argwhere(b)).query(np.argwhere(a))[0]


# ------------------------------------------------------------------------------------------ overlap


@pytest.mark.parametrize(("pred", "truth"), EVERY_KIND)
def test_dice_and_jaccard_equal_scikit_learn(pred, truth):
    flat = truth.ravel(), pred.ravel()
    assert dice(pred, truth) == pytest.approx(f1_score(*flat), abs=EXACT)
    assert jaccard(pred, truth) == pytest.approx(jaccard_score(*flat), abs=EXACT)


def test_dice_of_many_masks_equals_torchmetrics():
    rng = np.random.default_rng(3)
    pred, truth = rng.random((6, 5, 32, 24)) < 0.4, rng.random((6, 5, 32, 24)) < 0.3
    theirs = dice_score(torch.from_numpy(pred), torch.from_numpy(truth), num_classes=5, average=None)
    np.testing.assert_allclose(dice(pred, truth), theirs.numpy(), atol=EXACT)


def test_counts_by_hand():
    pred = np.array([[1, 1, 0], [0, 1, 0]], bool)
    truth = np.array([[1, 0, 1], [0, 1, 1]], bool)
    assert [int(c) for c in confusion(pred, truth)] == [2, 1, 2]
    assert dice(pred, truth) == pytest.approx(4 / 7)
    assert jaccard(pred, truth) == pytest.approx(2 / 5)


def test_leading_axes_are_kept():
    rng = np.random.default_rng(0)
    pred, truth = rng.random((3, 2, 8, 9)) < 0.5, rng.random((3, 2, 8, 9)) < 0.5
    for count in confusion(pred, truth):
        assert count.shape == (3, 2) and count.dtype == np.int64
    tp, fp, fn = confusion(pred, truth)
    assert (tp == (pred & truth).sum((2, 3))).all()
    assert (fp == (pred & ~truth).sum((2, 3))).all()
    assert (fn == (~pred & truth).sum((2, 3))).all()
    assert dice(pred[:, 0], truth[:, 0]).shape == (3,)
    assert hausdorff_cases(pred, truth).shape == (3, 2)
    assert hausdorff_cases(pred[:0], truth[:0]).shape == dice(pred[:0], truth[:0]).shape == (0, 2)


def test_masks_that_are_not_contiguous_count_the_same():
    rng = np.random.default_rng(0)
    pred, truth = rng.random((20, 30, 4)) < 0.5, rng.random((20, 30, 4)) < 0.5
    views = np.moveaxis(pred, 2, 0), np.moveaxis(truth, 2, 0)
    copies = [np.ascontiguousarray(v) for v in views]
    assert (dice(*views) == dice(*copies)).all()
    assert (hausdorff_cases(*views) == hausdorff_cases(*copies)).all()


def test_both_empty_is_agreement_and_one_empty_is_a_miss():
    empty, some = np.zeros((30, 40), bool), square(4, 3, 3, (30, 40))
    for overlap in (dice, jaccard):
        assert overlap(empty, empty) == 1
        assert overlap(some, empty) == overlap(empty, some) == 0
    assert hausdorff(empty, empty) == 0
    assert hausdorff(some, empty, 2.0) == hausdorff(empty, some, 2.0) == 2 * 50.0


def test_a_miss_is_worse_than_any_hit():
    corner, opposite = square(1, 0, 0, (30, 40)), square(1, 29, 39, (30, 40))
    assert hausdorff(corner, opposite) == pytest.approx(np.hypot(29, 39))
    assert hausdorff(corner, opposite) < hausdorff(corner, np.zeros_like(corner)) == image_diagonal(30, 40)


def test_pooled_scores_come_from_the_sums_and_not_from_the_mean():
    tp, fp, fn = np.array([[90, 5], [1, 5]]), np.array([[10, 0], [0, 5]]), np.array([[0, 5], [9, 0]])
    assert [list(c) for c in pooled(tp, fp, fn)] == [[91, 10], [10, 5], [9, 5]]
    np.testing.assert_allclose(dice_from_counts(*pooled(tp, fp, fn)), [182 / 201, 20 / 30])
    np.testing.assert_allclose(jaccard_from_counts(*pooled(tp, fp, fn)), [91 / 110, 10 / 20])
    assert abs(dice_from_counts(tp, fp, fn).mean(axis=0)[0] - 182 / 201) > 0.3


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_dice_is_2j_over_1_plus_j(tp, fp, fn):
    j = float(jaccard_from_counts(tp, fp, fn))
    assert float(dice_from_counts(tp, fp, fn)) == pytest.approx(2 * j / (1 + j), abs=1e-12)


# ------------------------------------------------------------------------------------------ distance


@pytest.mark.parametrize(("pred", "truth"), EVERY_KIND)
def test_hausdorff_equals_scikit_image(pred, truth):
    assert hausdorff(pred, truth) == pytest.approx(hausdorff_distance(pred, truth), abs=EXACT)


@pytest.mark.parametrize(("pred", "truth"), EVERY_KIND[::3])
def test_hausdorff_equals_simpleitk(pred, truth):
    measure = sitk.HausdorffDistanceImageFilter()
    measure.Execute(*(sitk.GetImageFromArray(m.astype(np.uint8)) for m in (pred, truth)))
    assert hausdorff(pred, truth) == pytest.approx(measure.GetHausdorffDistance(), abs=EXACT)


@pytest.mark.parametrize("shape", [(40, 2100), (2100, 40), (8, 8100)])
@pytest.mark.parametrize("density", [0.0005, 0.02, 0.4])
def test_hausdorff_stays_exact_where_float32_squares_would_not(shape, density):
    rng = np.random.default_rng(5)
    pred, truth = rng.random(shape) < density, rng.random(shape) < density
    longest = np.argmax(shape)
    np.moveaxis(pred, longest, 0)[shape[longest] // 16 :] = False
    np.moveaxis(pred, longest, 0)[:1] = True
    truth[-1, -1] = True
    expected = max(distance_transform_edt(~truth)[pred].max(), distance_transform_edt(~pred)[truth].max())
    assert expected > 1900
    assert hausdorff(pred, truth) == pytest.approx(expected, abs=EXACT)


def test_a_hole_costs_half_its_width_or_its_depth_in_the_mask():
    whole, holed = square(29, 5, 5), square(29, 5, 5) & ~square(9, 15, 15)
    assert hausdorff(whole, holed) == 5  # from the middle of the hole to its rim


@pytest.mark.parametrize("shift", [(0, 1), (3, 0), (3, 4), (-5, 12)])
def test_hausdorff_of_shifted_pixel_is_the_shift(shift):
    pixel = square(1, 15, 15)
    assert hausdorff(np.roll(pixel, shift, (0, 1)), pixel) == pytest.approx(np.hypot(*shift))


@settings(deadline=None)
@given(st.integers(1, 9), st.integers(-9, 9), st.integers(-9, 9))
def test_hausdorff_of_shifted_square_is_the_shift(side, down, right):
    truth = square(side, 12, 12)
    pred = np.roll(truth, (down, right), (0, 1))
    assert hausdorff(pred, truth) == pytest.approx(np.hypot(down, right))


def test_spacing_turns_pixels_into_millimetres():
    pred, truth = square(5, 10, 10), square(5, 13, 14)
    assert hausdorff(pred, truth, 2.8) == pytest.approx(2.8 * hausdorff(pred, truth))
    assert hausdorff(pred, truth, 2.8) == pytest.approx(14.0)


def test_cases_are_one_pair_each():
    rng = np.random.default_rng(1)
    pred = np.stack([blob(rng, 40, 30) for _ in range(4)])
    truth = np.stack([blob(rng, 40, 30) for _ in range(4)])
    each = [hausdorff(p, t, 0.5) for p, t in zip(pred, truth, strict=True)]
    np.testing.assert_array_equal(hausdorff_cases(pred, truth, 0.5), each)


masks = hnp.arrays(bool, st.shared(hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=14), key="shape"))


@settings(max_examples=150, deadline=None)
@given(masks, masks)
def test_metrics_are_symmetric_and_do_not_see_turns_or_margins(a, b):
    margins = [np.pad(m, ((1, 3), (2, 0))) for m in (a, b)]
    for metric in (dice, jaccard, hausdorff):
        value = metric(a, b)
        assert metric(b, a) == value
        assert metric(np.rot90(a), np.rot90(b)) == value
        assert metric(a[::-1], b[::-1]) == value
        if a.any() == b.any():
            assert metric(*margins) == value
    assert hausdorff(a, a) == 0


@settings(max_examples=200, deadline=None)
@given(masks, masks)
def test_hausdorff_equals_a_search_over_all_pixels(a, b):
    if a.any() and b.any():
        assert hausdorff(a, b) == pytest.approx(max(directed(a, b).max(), directed(b, a).max()), abs=EXACT)


@settings(max_examples=60, deadline=None)
@given(masks, masks, masks)
def test_hausdorff_keeps_the_triangle_inequality(a, b, c):
    if a.any() and b.any() and c.any():
        assert hausdorff(a, c) <= hausdorff(a, b) + hausdorff(b, c) + 1e-9


# ------------------------------------------------------------------------------------------ wrong input


def test_wrong_masks_are_refused_in_one_line():
    mask = square(3, 1, 1)
    with pytest.raises(InputError, match=r"\(40, 40\) and truth \(40, 39\)"):
        dice(mask, mask[:, 1:])
    with pytest.raises(InputError, match=r"float64.*threshold"):
        hausdorff(mask.astype(float), mask)
    with pytest.raises(InputError, match="hausdorff_cases"):
        hausdorff(mask[None], mask[None])
    with pytest.raises(InputError, match="spacing"):
        hausdorff(mask, mask, 0.0)
    with pytest.raises(InputError, match="pixels"):
        hausdorff(mask[:0], mask[:0])
    with pytest.raises(InputError, match="H, W"):
        confusion(mask[0], mask[0])
