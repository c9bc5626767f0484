"""The lung region generator: every rule of the paper on drawn masks, the U-Net's size, and the artefact that is kept."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from skimage import exposure, morphology
from typer.testing import CliRunner

from cxrbench.benchmark.data.catalogue import keep
from cxrbench.benchmark.data.dataset import Dataset, DatasetInfo
from cxrbench.benchmark.data.splits import hold_out_patients
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.progress import Progress
from cxrbench.tasks.lungs import cross_validation
from cxrbench.tasks.lungs import regions as lung_regions
from cxrbench.tasks.lungs.command import app
from cxrbench.tasks.lungs.cross_validation import evaluated
from cxrbench.tasks.lungs.regions import LungSettings, lung_region_generator, lungs_of
from cxrbench.tasks.lungs.rules import boxes_of, clean, cropped, equalised, lung_box
from cxrbench.tasks.lungs.unet import LungUNet, Warped, held_out_loss

TINY = LungSettings(resolution=16, width=0.125, rate=1e-2, epochs=4)


def drawn(*rectangles: tuple[int, int, int, int], side: int = 256) -> np.ndarray:
    """A mask with rectangles (left, top, right, bottom), ends excluded."""
    mask = np.zeros((side, side), dtype=bool)
    for left, top, right, bottom in rectangles:
        mask[top:bottom, left:right] = True
    return mask


LEFT, RIGHT = (50, 60, 100, 200), (150, 70, 210, 190)


# ---------------------------------------------------------------------- rules


def test_the_box_of_two_lungs_is_their_union():
    assert lung_box(drawn(LEFT, RIGHT)) == (50, 60, 210, 200)


def test_of_more_than_two_regions_those_nearest_to_the_centre_stay():
    air = (0, 0, 20, 256)  # a large region at the edge, outside air
    gas = (120, 230, 140, 250)
    assert lung_box(drawn(LEFT, RIGHT, air)) == (50, 60, 210, 200)
    assert lung_box(drawn(LEFT, RIGHT, air, gas)) == (50, 60, 210, 200)


def test_the_two_nearest_regions_are_still_held_against_each_other():
    """A speck at the centre is nearer than the left lung, and then too small: the right lung, alone, is mirrored."""
    speck = (126, 126, 130, 130)
    assert lung_box(drawn(LEFT, RIGHT, speck)) == (46, 70, 210, 190)


def test_a_second_region_under_a_third_of_the_first_goes_and_the_first_is_mirrored():
    large = (30, 60, 90, 180)  # 7,200 pixels
    third = (160, 100, 190, 180)  # 2,400: exactly a third stays
    under = (160, 100, 190, 179)  # 2,370
    assert lung_box(drawn(large, third)) == (30, 60, 190, 180)
    assert lung_box(drawn(large, under)) == (30, 60, 226, 180)


def test_a_region_alone_is_mirrored_about_the_vertical_centre_line():
    assert lung_box(drawn(LEFT)) == (50, 60, 206, 200)
    assert lung_box(drawn(RIGHT)) == (46, 70, 210, 190)


def test_a_lone_region_over_the_centre_line_keeps_its_farther_side():
    assert lung_box(drawn((100, 50, 200, 150))) == (56, 50, 200, 150)


def test_without_lungs_the_region_is_the_whole_film():
    assert lung_box(drawn()) == (0, 0, 256, 256)
    assert boxes_of(drawn()[None], side=1024).tolist() == [[0, 0, 1024, 1024]]


def test_boxes_grow_by_15_pixels_and_by_20_below_in_a_film_of_256():
    masks = drawn(LEFT, RIGHT)[None]
    assert boxes_of(masks, side=256).tolist() == [[35, 45, 225, 220]]
    assert boxes_of(masks, side=1024).tolist() == [[140, 180, 900, 880]]
    assert boxes_of(masks, side=512).tolist() == [[70, 90, 450, 440]]


def test_margins_follow_the_size_of_the_mask():
    """In a mask of 64 pixels 15 are 3.75 and 20 are 5; boxes end on whole pixels of the film, outwards."""
    mask = drawn((10, 20, 25, 50), (35, 20, 50, 50), side=64)[None]
    assert boxes_of(mask, side=64).tolist() == [[6, 16, 54, 55]]
    assert boxes_of(mask, side=256).tolist() == [[25, 65, 215, 220]]


def test_boxes_end_at_the_edge_of_the_film():
    assert boxes_of(drawn((0, 5, 100, 250), (150, 5, 256, 250))[None], side=256).tolist() == [[0, 0, 256, 256]]


def test_small_regions_and_holes_go_as_in_the_published_code():
    """The published code calls scikit-image: objects, then holes, below 2 % of the film."""
    rng = np.random.default_rng(0)
    size = int(0.02 * 64 * 64)
    for _ in range(20):
        mask = np.asarray(np.kron(rng.random((16, 16)) < 0.55, np.ones((4, 4))), dtype=bool)
        expected = morphology.remove_small_objects(mask, max_size=size, connectivity=1)
        expected = morphology.remove_small_holes(expected, max_size=size, connectivity=1)
        assert np.array_equal(clean(mask, 0.02), expected)


def test_a_hole_of_a_lung_is_filled_and_a_speck_beside_it_goes():
    mask = drawn((10, 10, 30, 50), (50, 50, 53, 53), side=64)
    mask[20:25, 15:20] = False
    assert np.array_equal(clean(mask, 0.02), drawn((10, 10, 30, 50), side=64))


def test_equalisation_is_that_of_scikit_image():
    films = np.random.default_rng(0).integers(20, 90, (3, 24, 24)).astype(np.uint8)
    for film, ours in zip(films, equalised(films), strict=True):
        assert np.allclose(ours, exposure.equalize_hist(film, nbins=256), atol=1e-6)


def test_a_crop_of_its_own_size_is_the_part_of_the_film():
    film = np.random.default_rng(0).integers(0, 256, (1, 64, 64)).astype(np.uint8)
    crop = cropped(film, np.array([[10, 20, 42, 52]]), 32)
    assert np.array_equal(crop[0], film[0, 20:52, 10:42])


def test_a_larger_crop_is_averaged_down():
    film = np.kron(np.arange(256, dtype=np.uint8).reshape(16, 16), np.ones((2, 2), np.uint8))[None]
    assert np.array_equal(cropped(film, np.array([[0, 0, 32, 32]]), 16)[0], film[0, ::2, ::2])


# ---------------------------------------------------------------------- the network


def test_the_published_unet_has_5468897_parameters():
    assert sum(weight.numel() for weight in LungUNet().parameters()) == 5_468_897


def test_the_way_up_joins_the_skip_after_its_two_convolutions():
    network = LungUNet()
    assert [layer[0].in_channels for layer in network.join] == [384, 320, 192, 96]
    assert [layer[0].in_channels for layer in network.up] == [256, 256, 256, 128]
    assert network(torch.zeros(2, 1, 32, 32)).shape == (2, 1, 32, 32)


def test_films_and_masks_are_warped_alike_and_continue_with_their_edges():
    ramp = np.tile(np.linspace(0, 1, 32, dtype=np.float32), (5, 32, 1))
    source = Warped(ramp, ramp > 0.5, angle=10, shift=0.1, zoom=0.2)
    batch = source.batch(np.arange(5), np.random.default_rng(0))
    film, lung = batch["film"][:, 0], batch["lung"][:, 0]
    assert not torch.equal(film[0], film[1])  # each is drawn anew
    assert ((film > 0.5).float() == lung).float().mean() > 0.97
    assert set(lung.unique().tolist()) == {0.0, 1.0}
    assert film[:, :, 0].max() < 0.3 and film[:, :, -1].min() > 0.7  # nothing black comes in from outside


# ---------------------------------------------------------------------- the artefact


def chests(n: int = 20, side: int = 16, *, organs: tuple[str, ...] = ("left_lung", "right_lung")) -> Dataset:
    """Films of two dark lungs on a bright ground."""
    rng = np.random.default_rng(0)
    masks = np.zeros((n, side, side), np.uint8)
    for row in range(n):
        top, low = rng.integers(2, 5), rng.integers(10, 14)
        masks[row, top:low, 2:7] = 1
        masks[row, top:low, 9:14] = 2
    images = np.where(masks > 0, 60, 190) + rng.integers(-20, 21, masks.shape)
    ids = [f"chest{row:02d}" for row in range(n)]
    return Dataset(
        info=DatasetInfo(name="chests", resolution=side, organs=organs),
        images=images.astype(np.uint8),
        cases=pd.DataFrame({"id": ids, "patient": ids}),
        masks=masks,
    )


@pytest.fixture
def kept_chests() -> Dataset:
    return keep(chests())


def test_a_generator_is_fitted_once_and_then_found(kept_chests, monkeypatch):
    made = lung_region_generator(TINY, "chests")
    assert made.record.films == 18 and made.record.held_out_films == 2
    assert made.record.data.digest == kept_chests.digest
    monkeypatch.setattr(lung_regions, "fit", None)  # to fit again would fail
    found = lung_region_generator(TINY, "chests")
    assert found.record == made.record
    for name, value in made.regions.state_dict().items():
        assert torch.equal(found.regions.state_dict()[name], value)


def test_fitting_again_gives_the_same_weights(kept_chests):
    one, _, _ = lung_regions.fit(TINY, kept_chests, device="cpu", progress=Progress())
    two, _, _ = lung_regions.fit(TINY, kept_chests, device="cpu", progress=Progress())
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def test_a_changed_setting_and_a_changed_film_make_another_generator(kept_chests):
    first = lung_region_generator(TINY, "chests").record.key
    assert lung_region_generator(replace(TINY, seed=1), "chests").record.key != first
    other = chests()
    other.images[0, 0, 0] ^= 1
    keep(other, force=True)
    assert lung_region_generator(TINY, "chests").record.key != first


def test_damaged_weights_are_noticed_and_made_again(kept_chests):
    made = lung_region_generator(TINY, "chests")
    weights = made.folder / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    again = lung_region_generator(TINY, "chests")
    assert again.record.weights_sha256 == made.record.weights_sha256


def test_the_network_learns_and_its_best_weights_are_kept(kept_chests):
    settings = replace(TINY, epochs=15, angle=0.0, shift=0.0, zoom=0.0)
    regions, history, _ = lung_regions.fit(settings, kept_chests, device="cpu", progress=Progress())
    losses = [row["validation"] for row in history.rows if "validation" in row]
    assert len(losses) == 15 and losses[-1] < losses[0] / 2
    rows, held = hold_out_patients(kept_chests, 0.1, seed=0)
    given, lungs = equalised(np.asarray(kept_chests.images)), lungs_of(kept_chests)
    assert held_out_loss(regions, given[held], lungs[held]) == pytest.approx(min(losses))
    assert regions.mean.item() == pytest.approx(given[rows].mean(), abs=1e-6)
    found = regions.boxes(np.asarray(kept_chests.images))
    assert np.abs(found - boxes_of(lungs, side=16)).mean() < 1


def test_five_folds_test_every_film_once_and_are_kept_in_the_record(kept_chests, monkeypatch):
    measured = evaluated(TINY, "chests").record.cross_validation
    assert measured.folds == 5 and measured.films == 20
    assert len(measured.fold_dice) == 5
    assert np.mean(measured.fold_dice) == pytest.approx(measured.dice.mean)  # folds of equal size
    assert 0 < measured.iou.mean < measured.dice.mean <= 1
    monkeypatch.setattr(cross_validation, "cross_validate", None)
    found = evaluated(TINY, "chests")
    assert found.record.cross_validation == measured
    assert json.loads((found.folder / "record.json").read_text())["cross_validation"]["dice"]["mean"] == (
        measured.dice.mean
    )


def test_films_without_lung_masks_are_refused():
    keep(chests(organs=("heart", "liver")))
    with pytest.raises(InputError, match="lung masks in dataset chests, found heart, liver"):
        lung_region_generator(TINY, "chests")


def test_fewer_patients_than_folds_are_refused():
    with pytest.raises(InputError, match="5 folds"):
        cross_validation.cross_validate(TINY, chests(4), device="cpu", progress=Progress())


# ---------------------------------------------------------------------- the command


def cli(*arguments: str) -> dict[str, Any]:
    tiny = [f"--set={key}={getattr(TINY, key)}" for key in ("resolution", "width", "rate", "epochs")]
    done = CliRunner().invoke(app, [*arguments, "--data", "chests", "--device", "cpu", "--json", *tiny])
    if done.exception is not None:
        raise done.exception
    return json.loads(done.stdout)


def test_the_command_fits_and_then_measures_the_same_generator(kept_chests):
    fitted = cli("fit")
    assert fitted["cross_validation"] is None and fitted["data"]["name"] == "chests"
    measured = cli("evaluate")
    assert measured["weights_sha256"] == fitted["weights_sha256"]
    assert measured["cross_validation"]["films"] == 20


def test_the_command_says_what_it_made(kept_chests):
    lung_region_generator(TINY, "chests")
    tiny = [f"--set={key}={getattr(TINY, key)}" for key in ("resolution", "width", "rate", "epochs")]
    said = CliRunner().invoke(app, ["fit", "--data", "chests", "--device", "cpu", *tiny]).stdout
    assert "18 films of chests, 2 chose the best network" in said and "held-out loss" in said


def test_an_unknown_preset_is_named_with_the_known_ones(kept_chests):
    with pytest.raises(InputError, match=r"unknown preset 'quik'\. Did you mean quick"):
        cli("fit", "--preset", "quik")
