"""The phantom: the right cases, the same every time, with the anatomy of adults on frontal films."""

import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from cxrbench.benchmark.data.phantom.anatomy import draw_anatomy
from cxrbench.benchmark.data.phantom.depths import Opacity
from cxrbench.benchmark.data.phantom.developing import draw_exposure
from cxrbench.benchmark.data.phantom.film import ORGANS, render
from cxrbench.benchmark.data.phantom.jsrt_like import jsrt_like, jsrt_like_case, jsrt_like_ids
from cxrbench.benchmark.data.phantom.raster import Drawing, ribbons
from cxrbench.benchmark.draws import Draw
from cxrbench.benchmark.errors import InputError

SOME = jsrt_like_ids()[::19]


def organ(masks, name):
    return (masks >> ORGANS.index(name) & 1).astype(bool)


@pytest.fixture(scope="module")
def all_cases():
    return jsrt_like(64)


def as_is(x, y):
    return x, y


def square(x, y, side):
    return np.array([(x, y), (x + side, y), (x + side, y + side), (x, y + side)])


# Ids and folds


def test_ids_mirror_jsrt_and_the_official_split():
    ids = jsrt_like_ids()
    numbers = [int(case_id[-3:]) for case_id in ids]
    assert len(set(ids)) == 247
    assert sum(case_id.startswith("PHLN") for case_id in ids) == 154
    assert sum(case_id.startswith("PHNN") for case_id in ids) == 93
    assert sum(number % 2 == 1 for number in numbers) == 124
    assert sum(number % 2 == 0 for number in numbers) == 123
    assert not any(case_id.startswith("JPC") for case_id in ids)


@pytest.mark.parametrize("case_id", ["JPCLN001", "PHLN000", "PHLN155", "PHNN094", ""])
def test_unknown_id_is_an_input_error(case_id):
    with pytest.raises(InputError, match="PHLN001"):
        jsrt_like_case(case_id, 64)


def test_too_small_a_resolution_is_an_input_error():
    with pytest.raises(InputError, match="at least 16"):
        jsrt_like_case("PHLN001", 8)


# A case depends on its id alone


def test_a_case_is_the_same_every_time_whatever_was_drawn_before(all_cases):
    ids, images, masks = all_cases
    for index in (246, 3, 120):
        image, mask = jsrt_like_case(ids[index], 64)
        np.testing.assert_array_equal(image, images[index])
        np.testing.assert_array_equal(mask, masks[index])


def test_no_two_cases_are_alike(all_cases):
    _, images, masks = all_cases
    assert len({image.tobytes() for image in images}) == 247
    assert len({mask.tobytes() for mask in masks}) == 247


@pytest.mark.parametrize("resolution", [64, 97, 128])
def test_the_person_does_not_depend_on_the_resolution(resolution):
    small_clavicles, large_clavicles = [], []
    for case_id in SOME:
        _, masks = jsrt_like_case(case_id, resolution)
        _, reference = jsrt_like_case(case_id, 256)
        for name in ("left_lung", "right_lung", "heart"):
            area, expected = organ(masks, name).mean(), organ(reference, name).mean()
            assert area == pytest.approx(expected, rel=0.03), (case_id, name)
        for name in ("left_clavicle", "right_clavicle"):
            small_clavicles.append(organ(masks, name).mean())
            large_clavicles.append(organ(reference, name).mean())
    assert np.mean(small_clavicles) == pytest.approx(np.mean(large_clavicles), rel=0.03)


def test_a_small_film_is_the_reduced_large_film():
    alike = []
    for case_id in SOME:
        small, _ = jsrt_like_case(case_id, 64)
        large, _ = jsrt_like_case(case_id, 256)
        reduced = large.reshape(64, 4, 64, 4).mean(axis=(1, 3))
        alike.append(np.corrcoef(small.ravel(), reduced.ravel())[0, 1])
    assert min(alike) > 0.98 and np.median(alike) > 0.99


# Anatomy


def test_every_organ_is_inside_the_picture_and_lungs_and_heart_are_in_one_piece(all_cases):
    ids, images, masks = all_cases
    assert images.dtype == masks.dtype == np.uint8
    assert masks.max() < 1 << len(ORGANS)
    for case_id, mask in zip(ids, masks, strict=True):
        for name in ORGANS:
            shape = organ(mask, name)
            assert shape.sum() >= 15, (case_id, name)
            assert not (shape[[0, -1]].any() or shape[:, [0, -1]].any()), (case_id, name)
        for name in ("left_lung", "right_lung", "heart"):
            assert ndimage.label(organ(mask, name))[1] == 1, (case_id, name)


def test_the_patients_left_is_on_the_right_of_the_picture(all_cases):
    _, _, masks = all_cases
    for mask in masks:
        column = {name: ndimage.center_of_mass(organ(mask, name))[1] for name in ORGANS}
        assert column["right_lung"] < column["heart"] < column["left_lung"]
        assert column["right_clavicle"] < column["left_clavicle"]
        lungs = np.flatnonzero((organ(mask, "left_lung") | organ(mask, "right_lung")).any(axis=0))
        heart = np.flatnonzero(organ(mask, "heart").any(axis=0))
        # The apex points to the patient's left: less room on the right of the picture.
        assert lungs[-1] - heart[-1] < heart[0] - lungs[0]


def test_lung_fields_spare_heart_and_mediastinum_and_clavicles_cross_them(all_cases):
    _, _, masks = all_cases
    lungs = organ(masks, "left_lung") | organ(masks, "right_lung")
    assert (lungs & organ(masks, "heart")).sum() < 0.02 * organ(masks, "heart").sum()
    assert not (organ(masks, "left_lung") & organ(masks, "right_lung")).any()
    clavicles = organ(masks, "left_clavicle") | organ(masks, "right_clavicle")
    assert (clavicles & lungs).any(axis=(1, 2)).all()


def dome_row(lung, from_outer_edge):
    """Lower border of a lung, between costophrenic angle and heart: `from_outer_edge` lists its columns."""
    column = from_outer_edge[round(0.3 * len(from_outer_edge))]
    return int(np.flatnonzero(lung[:, column])[-1]), column


def test_the_right_dome_is_higher_than_the_left_on_the_whole(all_cases):
    _, _, masks = all_cases
    drops = []
    for mask in masks:
        right, left = organ(mask, "right_lung"), organ(mask, "left_lung")
        right_row, _ = dome_row(right, np.flatnonzero(right.any(axis=0)))
        left_row, column = dome_row(left, np.flatnonzero(left.any(axis=0))[::-1])
        if not organ(mask, "heart")[left_row + 1, column]:  # a wide heart may hide the left dome there
            drops.append(left_row - right_row)
    assert len(drops) > 200
    assert np.mean(drops) > 1.0


def test_lung_area_and_cardiothoracic_ratio_are_those_of_adults_and_differ_between_people(all_cases):
    _, _, masks = all_cases
    lungs = organ(masks, "left_lung") | organ(masks, "right_lung")
    heart = organ(masks, "heart")
    area = lungs.mean(axis=(1, 2))
    ratio = heart.any(axis=1).sum(axis=1) / np.array([np.ptp(np.flatnonzero(row)) + 1 for row in lungs.any(axis=1)])
    assert 0.24 < area.mean() < 0.32 and area.min() > 0.13 and area.max() < 0.46
    assert area.std() > 0.025
    assert 0.43 < ratio.mean() < 0.53 and ratio.min() > 0.33 and ratio.max() < 0.66
    assert ratio.std() > 0.03


def test_lungs_are_darker_than_the_heart_and_air_is_darkest(all_cases):
    _, images, masks = all_cases
    lungs = organ(masks, "left_lung") | organ(masks, "right_lung")
    heart = organ(masks, "heart")
    for image, lung, cardiac in zip(images, lungs, heart, strict=True):
        assert image[lung].mean() + 30 < image[cardiac].mean()
        assert np.percentile(image, 1) < 35 < image[lung & ~cardiac].mean() + 10
    assert np.std([image[lung].mean() for image, lung in zip(images, lungs, strict=True)]) > 8


# Findings have room: layers and changed persons


def test_a_layer_brightens_its_place_and_nothing_else():
    rng = Draw(5)
    person, exposure = draw_anatomy(rng), draw_exposure(rng)
    exposure = dataclasses.replace(exposure, detail=0.0, scatter=0.0)
    spot = Opacity(x=-0.2, y=0.45, radius_x=0.02, radius_y=0.02, depth_cm=2.0)
    plain, masks = render(person, 128, Draw(1), exposure=exposure)
    marked, same_masks = render(person, 128, Draw(1), [spot], exposure)
    gain = marked.astype(int) - plain
    np.testing.assert_array_equal(masks, same_masks)
    row, column = np.unravel_index(np.argmax(gain), gain.shape)
    assert gain.max() > 15
    assert organ(masks, "right_lung")[row, column]
    assert np.abs(gain[:, 64:]).max() <= 2


def test_a_larger_cardiothoracic_ratio_widens_the_heart_and_narrows_the_lungs():
    person = draw_anatomy(Draw(8))
    _, before = render(dataclasses.replace(person, cardiothoracic_ratio=0.42), 128, Draw(1))
    _, after = render(dataclasses.replace(person, cardiothoracic_ratio=0.62), 128, Draw(1))
    widths = [organ(mask, "heart").any(axis=0).sum() for mask in (before, after)]
    assert widths[1] / widths[0] == pytest.approx(0.62 / 0.42, rel=0.06)
    assert organ(after, "left_lung").sum() < organ(before, "left_lung").sum()


def test_progress_hears_every_case_in_order(monkeypatch):
    monkeypatch.setattr("cxrbench.benchmark.data.phantom.jsrt_like.jsrt_like_ids", lambda: ["PHLN007", "PHNN002"])
    heard = []
    ids, images, masks = jsrt_like(32, heard.append)
    assert heard == ids == ["PHLN007", "PHNN002"]
    assert images.shape == masks.shape == (2, 32, 32)


# Drawing


def test_coverage_of_a_square_is_exact_at_any_resolution_and_in_any_direction():
    for resolution in (8, 31):
        drawing = Drawing()
        drawing.add(0, square(0.25, 0.25, 0.5), 3.0)
        drawing.add(1, square(0.25, 0.25, 0.5)[::-1])
        covered = drawing.coverage(2, resolution, 8, as_is)
        assert covered[0].mean() == pytest.approx(3.0 * 0.25, rel=0.02)
        assert covered[1].mean() == pytest.approx(0.25, rel=0.02)
        assert covered.min() > -1e-5 and covered[0].max() < 3.0 + 1e-5


def test_weights_add_where_polygons_overlap():
    drawing = Drawing()
    drawing.add(0, square(0.0, 0.0, 0.5), 1.0)
    drawing.add(0, square(0.25, 0.25, 0.5), 2.0)
    covered = drawing.coverage(1, 8, 2, as_is)[0]
    assert covered[1, 1] == pytest.approx(1.0)
    assert covered[3, 3] == pytest.approx(3.0)
    assert covered[5, 5] == pytest.approx(2.0)
    assert covered[7, 7] == pytest.approx(0.0, abs=1e-6)


def test_a_polygon_partly_outside_is_cut_at_the_border():
    drawing = Drawing()
    drawing.add(0, square(-0.5, -0.5, 1.0))
    drawing.add(1, square(0.5, 0.5, 1.0))
    covered = drawing.coverage(2, 16, 2, as_is)
    assert covered[0].mean() == pytest.approx(0.25)
    assert covered[1].mean() == pytest.approx(0.25)
    assert covered[0, :8, :8].min() == pytest.approx(1.0)


def test_a_ribbon_thinner_than_a_pixel_keeps_its_area():
    line = np.array([[(0.2, 0.1), (0.3, 0.9)]])
    drawing = Drawing()
    drawing.add(0, ribbons(line, np.full((1, 2), 0.002))[0][0])
    length = np.hypot(0.1, 0.8)
    assert drawing.coverage(1, 32, 4, as_is).mean() == pytest.approx(0.004 * length, rel=0.02)


def test_a_salt_draws_other_films_of_the_same_counts_and_splits(tmp_path):
    from cxrbench.benchmark.data.phantom.hard import phantom_hard
    from cxrbench.benchmark.data.phantom.held_back import held_back

    public = phantom_hard(16)
    one, again, other = (held_back("phantom_hard", salt * 16, 16, name="held") for salt in ("a", "a", "b"))
    assert one.digest == again.digest != other.digest
    assert one.ids == public.ids and one.cases["split"].equals(public.cases["split"])
    same = [(one.images[row] == public.images[row]).mean() for row in range(len(one))]
    assert max(same) < 0.9 and "held back" in one.info.provenance and "phantom" in one.info.provenance
    assert "aaaa" not in one.info.provenance
    assert phantom_hard(16).digest == public.digest  # this process draws everyone's films


@pytest.mark.parametrize(("like", "salt"), [("phantom_hard", "short"), ("kermany_lungs", "x" * 32)])
def test_a_salt_that_can_be_guessed_and_a_set_that_is_no_phantom_are_refused(like, salt):
    from cxrbench.benchmark.data.phantom.held_back import held_back

    with pytest.raises(InputError, match=r"can be guessed|unknown phantom"):
        held_back(like, salt, 16, name="held")
