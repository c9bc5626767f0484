"""The hard phantom: the phantom's cases, harder, the same every time, with masks that are still those of people."""

import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from cxrbench.benchmark.data import catalogue
from cxrbench.benchmark.data.phantom import hard
from cxrbench.benchmark.data.phantom.anatomy import draw_anatomy
from cxrbench.benchmark.data.phantom.bending import Bend
from cxrbench.benchmark.data.phantom.depths import Opacity
from cxrbench.benchmark.data.phantom.developing import draw_exposure
from cxrbench.benchmark.data.phantom.devices import draw_devices
from cxrbench.benchmark.data.phantom.film import ORGANS, Extras, render
from cxrbench.benchmark.data.phantom.hard import NAME, hard_film, phantom_hard
from cxrbench.benchmark.data.phantom.jsrt_like import jsrt_like_case, jsrt_like_ids
from cxrbench.benchmark.data.phantom.variety import vary
from cxrbench.benchmark.data.phantom.versions import HARD_VERSION, KNOWN
from cxrbench.benchmark.data.splits import PHANTOM_IDS, SCR_3FOLD, SCR_OFFICIAL
from cxrbench.benchmark.draws import Draw
from cxrbench.benchmark.errors import InputError

SOME = jsrt_like_ids()[::19]


def organ(masks, name):
    return (masks >> ORGANS.index(name) & 1).astype(bool)


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CXRBENCH_HOME", str(tmp_path_factory.mktemp("hard")))
        drawn = catalogue.find_dataset(NAME, 64)
        return dataclasses.replace(
            drawn, images=np.array(drawn.images), masks=np.array(drawn.masks), cases=drawn.cases.copy()
        )


@pytest.fixture(scope="module")
def easy():
    return [jsrt_like_case(case_id, 64) for case_id in jsrt_like_ids()]


def plain(seed=5):
    """A person and an exposure without tricks of the darkroom."""
    rng = Draw(seed)
    return draw_anatomy(rng), dataclasses.replace(draw_exposure(rng), detail=0.0, scatter=0.0, noise=0.0, grain=0.0)


# The set


def test_the_catalogue_has_it_beside_the_phantom(films):
    names = [entry.name for entry in catalogue.list_datasets()]
    assert names.index(NAME) == names.index("phantom") + 1
    entry = catalogue.EMBEDDED[NAME][1]
    assert (len(films), films.organs) == (entry.films, entry.organs)
    assert films.info.name == NAME and films.info.version == HARD_VERSION
    assert films.info.pixel_mm == pytest.approx(0.175 * 2048 / 64)
    assert "phantom" in films.info.provenance and "hard" in films.info.provenance
    assert "not comparable" in films.info.provenance


def test_ids_and_splits_are_the_phantoms_and_pinned(films):
    assert films.ids == jsrt_like_ids() == list(PHANTOM_IDS)
    assert films.cases["split"].value_counts().to_dict() == {"train": 124, "test": 123}
    assert SCR_OFFICIAL.check(films.ids, list(films.cases["split"])) == SCR_OFFICIAL.sha256
    assert SCR_3FOLD.check(films.ids, list(films.cases["fold"])) == SCR_3FOLD.sha256


def test_this_version_is_known(films):
    assert KNOWN[NAME, 64][int(HARD_VERSION)] == (films.digest,)


@pytest.mark.parametrize("case_id", ["JPCLN001", "PHLN000", "PHNN094", ""])
def test_unknown_id_is_an_input_error(case_id):
    with pytest.raises(InputError, match="PHLN001"):
        hard_film(case_id, 64)


def test_too_small_a_resolution_is_an_input_error():
    for draw in (lambda: hard_film("PHLN001", 8), lambda: phantom_hard(8)):
        with pytest.raises(InputError, match="at least 16"):
            draw()


# A case depends on its id alone


def test_a_case_is_the_same_every_time_whatever_was_drawn_before(films):
    for index in (246, 3, 120):
        film = hard_film(films.ids[index], 64)
        np.testing.assert_array_equal(film.image, films.images[index])
        np.testing.assert_array_equal(film.masks, films.masks[index])


def test_no_two_cases_are_alike_and_none_is_the_phantoms(films, easy):
    assert len({image.tobytes() for image in films.images}) == 247
    assert len({mask.tobytes() for mask in films.masks}) == 247
    for image, masks, (easy_image, easy_masks) in zip(films.images, films.masks, easy, strict=True):
        assert (image != easy_image).mean() > 0.3
        assert (masks != easy_masks).any()


@pytest.mark.parametrize("resolution", [64, 128])
def test_person_reader_and_film_do_not_depend_on_the_resolution(resolution):
    for case_id in SOME:
        film, reference = hard_film(case_id, resolution), hard_film(case_id, 256)
        for name in ("left_lung", "right_lung", "heart"):
            area, expected = organ(film.masks, name).mean(), organ(reference.masks, name).mean()
            assert area == pytest.approx(expected, rel=0.05), (case_id, name)
        step = 256 // resolution
        reduced = reference.image.reshape(resolution, step, resolution, step).mean(axis=(1, 3))
        assert np.corrcoef(film.image.ravel(), reduced.ravel())[0, 1] > 0.97, case_id


# Anatomy


def test_every_organ_is_there_and_all_but_a_few_are_whole_in_the_picture(films):
    cut = set()
    for case_id, mask in zip(films.ids, films.masks, strict=True):
        for name in ORGANS:
            shape = organ(mask, name)
            assert shape.sum() >= 4, (case_id, name)
            if shape[[0, -1]].any() or shape[:, [0, -1]].any():
                cut.add(case_id)
        for name in ("left_lung", "right_lung", "heart"):
            parts, count = ndimage.label(organ(mask, name))
            largest = max(ndimage.sum_labels(parts > 0, parts, range(1, count + 1)))
            assert largest > 0.9 * (parts > 0).sum(), (case_id, name)
    assert len(cut) < 8


def test_organs_do_not_overlap_and_are_on_their_sides(films):
    for mask in films.masks:
        right, heart, left = (organ(mask, name) for name in ("right_lung", "heart", "left_lung"))
        assert not (right & left).any() and not ((right | left) & heart).any()
        columns = [ndimage.center_of_mass(shape)[1] for shape in (right, heart, left)]
        assert columns == sorted(columns)


def test_areas_and_heart_sizes_are_those_of_people_and_vary_more_than_the_phantoms(films, easy):
    def measures(masks):
        lungs = organ(masks, "left_lung") | organ(masks, "right_lung")
        wide = np.array([np.ptp(np.flatnonzero(row)) + 1 for row in lungs.any(axis=1)])
        return lungs.mean(axis=(1, 2)), organ(masks, "heart").any(axis=1).sum(axis=1) / wide

    area, ratio = measures(films.masks)
    easy_area, easy_ratio = measures(np.stack([masks for _, masks in easy]))
    assert 0.08 < area.min() < 0.16 and 0.32 < area.max() < 0.46 and 0.20 < area.mean() < 0.28
    assert ratio.min() > 0.30 and ratio.max() < 0.75 and 0.46 < ratio.mean() < 0.58
    assert area.std() > 1.1 * easy_area.std() and ratio.std() > 1.3 * easy_ratio.std()


def test_borders_of_the_lungs_are_fainter_than_the_phantoms(films, easy):
    def contrast(image, mask):
        lungs = organ(mask, "left_lung") | organ(mask, "right_lung")
        around = ndimage.binary_dilation(lungs, iterations=3) & ~lungs
        return float(image[around].mean()) - float(image[lungs].mean())

    hard_ones = [contrast(*film) for film in zip(films.images, films.masks, strict=True)]
    easy_ones = [contrast(*film) for film in easy]
    assert np.median(hard_ones) < 0.7 * np.median(easy_ones)
    assert np.percentile(hard_ones, 5) < 0.4 * np.percentile(easy_ones, 5)


def test_everybody_is_drawn_from_the_generator_alone():
    person = draw_anatomy(Draw(3))
    assert vary(person, Draw(4)) == vary(person, Draw(4)) != vary(person, Draw(5))
    people = [vary(draw_anatomy(Draw(seed)), Draw(seed, 1)) for seed in range(300)]
    for name, least in (
        ("depth_cm", 1.5),
        ("angle_y", 1.3),
        ("turn", 1.2),
        ("dome_gap", 2.0),
        ("cardiothoracic_ratio", 1.3),
    ):
        spread = np.std([getattr(one, name) for one in people])
        usual = np.std([getattr(draw_anatomy(Draw(seed)), name) for seed in range(300)])
        assert spread > least * usual, name
    # The heart stays inside the ribs.
    assert all(2.0 * one.cardiothoracic_ratio * (1.0 - one.heart_right_share) < 0.83 for one in people)


# What a film may have beyond a person


def test_by_itself_a_film_has_nothing_of_it():
    person, exposure = plain()
    for a, b in zip(
        render(person, 64, Draw(1), (), exposure), render(person, 64, Draw(1), (), exposure, Extras()), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_a_bend_is_smooth_small_and_the_same_over_a_grid_and_at_points():
    bend = Bend.draw(Draw(2), 0.01, 6)
    at = (np.arange(50.0) + 0.5) / 50.0
    over_x, over_y = bend.at(at[None, :], at[:, None])
    point_x, point_y = bend.at(np.tile(at, (50, 1)), np.tile(at[:, None], (1, 50)))
    np.testing.assert_allclose(over_x, point_x, atol=1e-15)
    np.testing.assert_allclose(over_y, point_y, atol=1e-15)
    assert np.abs(over_x).max() <= bend.most and 0.003 < over_x.std() < 0.02
    # A fold would be a slope of -1.
    assert max(np.abs(np.diff(moved, axis=axis)).max() for moved in (over_x, over_y) for axis in (0, 1)) * 50.0 < 0.3
    spreads = [Bend.draw(Draw(seed), 0.01, 6).at(at[None, :], at[:, None])[0].std() for seed in range(40)]
    assert np.sqrt(np.mean(np.square(spreads))) == pytest.approx(0.01, rel=0.2)


def test_a_reader_moves_lungs_and_heart_a_little_and_neither_film_nor_clavicles():
    person, exposure = plain()
    image, masks = render(person, 128, Draw(1), (), exposure)
    reader = Extras(reader=Bend.draw(Draw(2), hard.READER, 11))
    same_image, read = render(person, 128, Draw(1), (), exposure, reader)
    np.testing.assert_array_equal(image, same_image)
    for name in ("left_lung", "right_lung", "heart"):
        a, b = organ(masks, name), organ(read, name)
        assert 0.92 < 2.0 * (a & b).sum() / (a.sum() + b.sum()) < 0.99
    for name in ("left_clavicle", "right_clavicle"):
        np.testing.assert_array_equal(organ(masks, name), organ(read, name))


def test_a_build_bends_the_film_and_its_masks_together():
    person, exposure = plain()
    person = dataclasses.replace(person, marking=0.0, rib_cm=0.0)
    image, masks = render(person, 128, Draw(1), (), exposure)
    bent_image, bent = render(person, 128, Draw(1), (), exposure, Extras(build=Bend.draw(Draw(3), 0.02, 5)))
    assert (masks != bent).any()

    def dark(image, mask):
        lung = ndimage.binary_erosion(organ(mask, "right_lung"), iterations=4)
        return image[lung].mean(), image[ndimage.binary_dilation(organ(mask, "heart"), iterations=1)].mean()

    for straight, curved in zip(dark(image, masks), dark(bent_image, bent), strict=True):
        assert curved == pytest.approx(straight, abs=12)


def test_outside_the_field_all_is_black_and_nothing_is_drawn():
    person, exposure = plain()
    field = np.array([(0.25, 0.25), (1.0, 0.25), (1.0, 0.75), (0.25, 0.75)])
    image, masks = render(person, 64, Draw(1), (), exposure)
    seen, drawn = render(person, 64, Draw(1), (), exposure, Extras(field=field))
    inside = np.zeros((64, 64), bool)
    inside[16:48, 16:] = True
    np.testing.assert_array_equal(seen, np.where(inside, image, 0))
    np.testing.assert_array_equal(drawn, np.where(inside, masks, 0))


def test_things_in_the_beam_are_bright_and_change_no_mask():
    person, exposure = plain()
    image, masks = render(person, 128, Draw(1), (), exposure)
    can = np.array([[(0.2, 0.3), (0.25, 0.3), (0.25, 0.35), (0.2, 0.35)]])
    marked, same = render(person, 128, Draw(1), (), exposure, Extras(objects=[(can, 3.0)]))
    np.testing.assert_array_equal(masks, same)
    assert (marked.astype(int) - image).max() > 60 and (marked >= image).all()


def test_devices_are_polygons_of_some_weight_and_every_kind_comes():
    counts = []
    for seed in range(60):
        things = draw_devices(draw_anatomy(Draw(seed)), Draw(seed, 2))
        counts.append(len(things))
        for rings, bone_cm in things:
            assert rings.ndim == 3 and rings.shape[2] == 2 and np.isfinite(rings).all()
            assert 0.0 < bone_cm < 5.0
    assert min(counts) == 0 and max(counts) > 8


def test_a_windowed_film_is_as_bright_whoever_is_on_it():
    person, exposure = plain()
    veil = Opacity(x=0.0, y=0.5, radius_x=9.0, radius_y=9.0, depth_cm=3.0)
    heavy = dataclasses.replace(person, depth_cm=1.3 * person.depth_cm)

    def middle(who, layers, windowed):
        image, _ = render(who, 64, Draw(1), layers, dataclasses.replace(exposure, windowed=windowed))
        return image[16:48, 16:48].mean()

    change = [abs(middle(heavy, [veil], w) - middle(person, [], w)) for w in (0.0, 1.0)]
    assert change[1] < 0.5 * change[0]


def test_lean_makes_one_side_brighter_and_blur_takes_detail():
    person, exposure = plain()
    flat, _ = render(person, 128, Draw(1), (), exposure)
    leaning, _ = render(person, 128, Draw(1), (), dataclasses.replace(exposure, lean=(0.6, 0.0)))
    change = leaning.astype(int) - flat
    assert change[:, 96:].mean() > 3 and change[:, :32].mean() < -3
    blurred, _ = render(person, 128, Draw(1), (), dataclasses.replace(exposure, blur=0.01))
    detail = [np.abs(np.diff(film.astype(int), n=2, axis=1)).mean() for film in (flat, blurred)]
    assert detail[1] < 0.7 * detail[0]
