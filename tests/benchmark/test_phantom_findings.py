"""Findings on phantom films: each changes what its disease changes, where its box says, and the JSRT-like set stays."""

import dataclasses
import hashlib

import numpy as np
import pytest

from cxrbench.benchmark.data.findings import BOXED, FINDINGS
from cxrbench.benchmark.data.phantom.anatomy import draw_anatomy
from cxrbench.benchmark.data.phantom.developing import draw_exposure
from cxrbench.benchmark.data.phantom.film import ORGANS
from cxrbench.benchmark.data.phantom.findings import BOX_AREA, SIGNS, draw_area, draw_sign, take_film
from cxrbench.benchmark.data.phantom.jsrt_like import jsrt_like_case
from cxrbench.benchmark.data.phantom.shadows import box_of
from cxrbench.benchmark.draws import Draw

SIDE = 96


def organ(masks, name):
    return (masks >> ORGANS.index(name) & 1).astype(bool)


def films(finding, seed, severity=0.9, area=None, resolution=SIDE):
    """The same person, exposure and noise without and with a finding: two films, two masks, the box."""
    rng = Draw(seed)
    person, exposure = draw_anatomy(rng), dataclasses.replace(draw_exposure(rng), detail=0.0, scatter=0.0)
    sign = draw_sign(finding, Draw(seed, 1), severity, area)
    plain, mask, none = take_film(person, [], resolution, Draw(2), exposure)
    ill, ill_mask, boxes = take_film(person, [(finding, sign)], resolution, Draw(2), exposure)
    assert none == []
    assert [box.finding for box in boxes] == [finding]
    return plain.astype(int), ill.astype(int), mask, ill_mask, boxes[0]


def inside(box, shape):
    rows, columns = np.indices(shape) + 0.5
    return (columns > box.x) & (columns < box.x + box.w) & (rows > box.y) & (rows < box.y + box.h)


@pytest.mark.parametrize(
    ("resolution", "expected"),
    [
        (64, "c78f9e3b06d4f9f0d816c2dd63dd133b67466f70b3b5a692b7b23400b839f19d"),
        (96, "05a213d3209acb35062fa0d88e80e7bcef323f966af9541de9825b460e484a0b"),
    ],
)
def test_findings_left_the_jsrt_like_films_as_they_were(resolution, expected):
    drawn = hashlib.sha256()
    for case_id in ("PHLN001", "PHLN037", "PHNN002", "PHNN093"):
        for array in jsrt_like_case(case_id, resolution):
            drawn.update(array.tobytes())
    assert drawn.hexdigest() == expected


def test_every_finding_is_drawn_and_in_the_official_order():
    assert tuple(SIGNS) == FINDINGS
    assert set(BOXED) <= set(BOX_AREA)


@pytest.mark.parametrize("finding", FINDINGS)
def test_a_finding_changes_the_film_most_inside_its_box(finding):
    for seed in range(4):
        plain, ill, _, _, box = films(finding, seed)
        assert box.x >= 0.0 and box.x + box.w <= SIDE and box.y >= 0.0 and box.y + box.h <= SIDE
        assert box.w > 1.0 and box.h > 1.0
        change = np.abs(ill - plain)
        within = inside(box, change.shape)
        assert change[within].mean() > 2.0 * change[~within].mean(), (finding, seed)


@pytest.mark.parametrize("finding", FINDINGS)
def test_the_more_severe_the_plainer(finding):
    faint, plain = [], []
    for seed in range(5):
        for severity, found in ((0.05, faint), (1.0, plain)):
            without, ill, _, _, _ = films(finding, seed, severity)
            found.append(np.abs(ill - without).mean())
    assert np.mean(plain) > 1.5 * np.mean(faint)


@pytest.mark.parametrize("finding", BOXED)
def test_a_box_does_not_depend_on_the_resolution(finding):
    for seed in range(3):
        *_, small = films(finding, seed, area=BOX_AREA[finding][0], resolution=64)
        *_, large = films(finding, seed, area=BOX_AREA[finding][0], resolution=192)
        for name in ("x", "y", "w", "h"):
            assert 3.0 * getattr(small, name) == pytest.approx(getattr(large, name), abs=0.05 * 192), (
                finding,
                seed,
                name,
            )


@pytest.mark.parametrize("finding", [name for name in BOXED if name != "Cardiomegaly"])
def test_a_larger_area_gives_a_larger_box(finding):
    sizes = []
    for factor in (0.6, 1.7):
        boxes = [films(finding, seed, area=factor * BOX_AREA[finding][0])[-1] for seed in range(5)]
        sizes.append(np.median([box.w * box.h for box in boxes]))
    assert sizes[1] > 1.5 * sizes[0]


def test_a_nodule_is_under_3_cm_and_a_mass_above():
    rng = Draw(0)
    cm = {name: 36.0 * np.sqrt([draw_area(name, rng) for _ in range(300)]) for name in ("Nodule", "Mass")}
    assert cm["Nodule"].max() < 3.0 < cm["Mass"].min()


def test_cardiomegaly_widens_the_heart_and_its_box_is_the_heart():
    for seed in range(4):
        _, _, before, after, box = films("Cardiomegaly", seed)
        columns = np.flatnonzero(organ(after, "heart").any(axis=0))
        assert len(columns) > 1.1 * organ(before, "heart").any(axis=0).sum()
        assert (box.x, box.x + box.w) == pytest.approx((columns[0], columns[-1] + 1), abs=1.5)


def test_an_effusion_whitens_one_costophrenic_angle():
    for seed in range(4):
        plain, ill, mask, _, box = films("Effusion", seed)
        lung = organ(mask, "right_lung" if box.x + box.w / 2 < SIDE / 2 else "left_lung")
        rows = np.flatnonzero(lung.any(axis=1))
        gain = (ill - plain) * lung
        low, high = rows[0] + int(0.75 * len(rows)), rows[0] + int(0.25 * len(rows))
        assert gain[low:].sum() / lung[low:].sum() > 10.0
        assert abs(gain[:high].sum() / lung[:high].sum()) < 4.0


def test_gas_beside_the_lung_is_darker_and_the_lung_itself_is_not():
    for seed in range(4):
        plain, ill, mask, _, _ = films("Pneumothorax", seed, severity=1.0, area=0.05)
        lungs = organ(mask, "right_lung") | organ(mask, "left_lung")
        change = (ill - plain)[lungs]
        assert np.percentile(change, 1) < -12
        assert np.median(change) >= -1


def test_emphysema_makes_long_dark_lungs_and_a_narrow_heart():
    for seed in range(4):
        plain, ill, before, after, _ = films("Emphysema", seed, severity=1.0)
        lungs = organ(before, "right_lung") & organ(after, "right_lung")
        assert (ill - plain)[lungs].mean() < -3
        assert organ(after, "right_lung").sum() > organ(before, "right_lung").sum()
        assert organ(after, "heart").any(axis=0).sum() < organ(before, "heart").any(axis=0).sum()


def test_oedema_whitens_both_lungs_about_the_hila_more_than_the_periphery():
    for seed in range(4):
        plain, ill, mask, _, box = films("Edema", seed)
        for name in ("right_lung", "left_lung"):
            lung = organ(mask, name)
            centre = inside(box, lung.shape)
            change = ill - plain
            assert change[lung & centre].mean() > 2.0 * max(change[lung & ~centre].mean(), 1.0)


def test_a_hernia_has_gas_above_fluid_behind_the_heart():
    seen = 0
    for seed in range(8):
        plain, ill, _, _, box = films("Hernia", seed, severity=1.0)
        change = np.where(inside(box, plain.shape), ill - plain, 0)
        assert abs(box.x + box.w / 2 - SIDE / 2) < 0.2 * SIDE
        dark, white = np.argwhere(change < -8), np.argwhere(change > 8)
        if len(dark):
            seen += 1
            assert dark[:, 0].mean() < white[:, 0].mean()
    assert seen >= 4


def test_a_box_reaches_from_crossing_to_crossing():
    shown = np.zeros((8, 10), np.float32)
    shown[2:5, 3:7] = 1.0
    # Half of the maximum lies half-way between the last pixel outside and the first inside: on the pixel's border.
    assert box_of(shown, 0.5) == pytest.approx((3.0, 2.0, 4.0, 3.0))
    assert box_of(np.ones((8, 8), np.float32), 0.5) == pytest.approx((0.5, 0.5, 7.0, 7.0))
