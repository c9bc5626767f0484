"""Films that no one means to make are counted and said: copies of one film, black films, empty masks."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pandas as pd

from cxrbench.benchmark.cli.overview import print_overview
from cxrbench.benchmark.data.dataset import Dataset, DatasetInfo
from cxrbench.benchmark.data.odd_films import odd_films, odd_words
from cxrbench.benchmark.data.overview import overview
from cxrbench.benchmark.results.assemble import check_words
from cxrbench.benchmark.runs.steps import check_copies


def films(images: np.ndarray, masks: np.ndarray | None = None, organs: tuple[str, ...] = ()) -> Dataset:
    ids = [f"f{row}" for row in range(len(images))]
    info = DatasetInfo(name="made", resolution=images.shape[1], organs=organs, remarks=("masks: 0 and 255",))
    return Dataset(info, images.astype(np.uint8), pd.DataFrame({"id": ids, "patient": ids}), masks)


def random(count: int, side: int = 64) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, side, side))


def words(made: Dataset) -> list[str]:
    return [line for found in odd_films(made).values() for line in odd_words(found)]


def test_different_films_are_not_odd():
    assert odd_films(films(random(20), np.full((20, 64, 64), 1, np.uint8), ("heart",))) == {}


def test_copies_of_one_film_are_counted_though_noise_lies_over_them():
    one = np.repeat(random(1), 8, axis=0)
    assert words(films(one)) == ["8 of 8 films are copies of one another"]
    noisy = np.clip(one + np.random.default_rng(1).integers(-2, 3, one.shape), 0, 255)
    assert words(films(noisy)) == ["8 of 8 films are copies of one another"]
    two = np.concatenate([random(4)[[0, 0, 0, 1, 1, 2, 3]]])
    assert words(films(two)) == ["5 of 7 films are copies of one another (copies of 2 films)"]


def test_black_films_and_empty_masks_are_counted():
    images = random(6)
    images[0], images[1] = 0, 90
    masks = np.full((6, 64, 64), 1, dtype=np.uint8)
    made = films(images, masks, ("left_lung", "heart"))
    assert words(made) == [
        "2 of 6 films of one grey level all over, 1 of them black",
        "masks of heart are empty in every film",
    ]


def test_a_record_says_it_in_words_that_alarm():
    found = odd_films(films(np.repeat(random(1), 3, axis=0)))
    assert check_words("odd_films", found["odd_films"]) == ("odd films", "3 of 3 films are copies of one another", True)


def test_a_record_that_is_not_as_it_should_be_is_no_error():
    for value in (
        {"alike": 3},
        {"empty": "heart"},
        {"flat": "all"},
        {"alike": None, "films": [1]},
        {"empty": [1, None]},
    ):
        assert "\n" not in check_words("odd_films", value)[1]


def test_a_run_keeps_it_beside_the_near_copies():
    draw = films(random(12))
    train, test = draw.select(range(6)), draw.select(range(6, 12))
    made = replace(train, images=np.repeat(train.images[:1], 6, axis=0))
    assert check_copies(made, train, test)["odd_films"] == {"films": 6, "compared": 6, "alike": 6, "different": 1}
    assert "odd_films" not in check_copies(train, train, test)


def test_the_overview_shows_grey_levels_coverage_sides_and_what_to_look_at():
    masks = np.zeros((4, 64, 64), dtype=np.uint8)
    masks[:, 16:48, 40:60] |= 1
    masks[:, 16:48, 4:24] |= 2
    masks[0] = 0
    made = films(np.repeat(random(1), 4, axis=0), masks, ("left_lung", "right_lung"))
    lines = dict(overview(made))
    assert lines["films"].startswith("4 of ") and dict(overview(made, of_patients=False))["films"] == "4"
    assert lines["left_lung"] == "covers 11.7 % (0.0 to 15.6 %), empty in 1 films"
    assert lines["orientation"] == "left_lung on the right side of the picture in 3 of 3 films"
    assert lines["look at"] == "4 of 4 films are copies of one another"
    assert lines["grey levels"].startswith("darkest pixel 0, mean")
    out = io.StringIO()
    print_overview(made, out, remarks=True)
    assert "masks: 0 and 255" in out.getvalue() and "covers 11.7 %" in out.getvalue()


def test_masks_inside_out_and_swapped_sides_are_questions():
    masks = np.ones((2, 64, 64), dtype=np.uint8)
    masks[:, :, 40:] |= 2
    lines = dict(overview(films(random(2), masks, ("left_lung", "right_lung"))))
    assert lines["left_lung"].endswith("is the mask inside out?")
    assert lines["orientation"].endswith("in 0 of 2 films: are sides or films swapped?")


def test_a_mask_inside_out_among_others_is_counted_and_named():
    masks = np.zeros((3, 64, 64), dtype=np.uint8)
    masks[:, 16:48, 16:48] = 1
    masks[1] ^= 1
    said = dict(overview(films(random(3), masks, ("lungs",))))["lungs"]
    assert ", more than 60 % in 1 of 3 films (the first: " in said and said.endswith("is the mask inside out?")
