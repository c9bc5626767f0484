"""Masks in the forms that programs write: the same organ whatever the form, or one line that says why not."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from cxrbench.benchmark.data.importers.manifest import import_manifest
from cxrbench.benchmark.data.importers.manifest_options import ManifestOptions
from cxrbench.benchmark.data.organs import organ_called, organ_name
from cxrbench.benchmark.data.reading.films import Square
from cxrbench.benchmark.data.reading.mask_kinds import parse_declared
from cxrbench.benchmark.data.reading.masks import SHARED, MaskReader
from cxrbench.benchmark.errors import InputError

ORGANS = ("left_lung", "right_lung", "heart")


def ways(text: str) -> str:
    return f"say {text}"


def square_mask(side: int = 32) -> np.ndarray:
    mask = np.zeros((side, side), dtype=bool)
    mask[side // 4 : side // 2, side // 8 : side // 2] = True
    return mask


def disc(side: int = 64) -> np.ndarray:
    """A mask that ends within jpeg's blocks."""
    at = np.arange(side) - side * 0.43
    return at[:, None] ** 2 + at[None] ** 2 < (side * 0.27) ** 2


def indexed(mask: np.ndarray, colours: list[tuple[int, int, int]], inside: int) -> Image.Image:
    """A picture with a palette in which the number `inside` is the organ."""
    image = Image.fromarray(np.where(mask, inside, 1 - inside).astype(np.uint8), "P")
    image.putpalette([value for colour in colours for value in colour])
    return image


def stacked(mask: np.ndarray, *bands: int | str) -> Image.Image:
    """Bands that are a value all over, or "mask" for 0 and 255."""
    shown = mask.astype(np.uint8) * 255
    values = [shown if band == "mask" else np.full_like(shown, band) for band in bands]
    return Image.fromarray(np.stack(values, axis=-1), {2: "LA", 3: "RGB", 4: "RGBA"}[len(bands)])


def overlay(mask: np.ndarray, alpha: int) -> Image.Image:
    """Red of some alpha over nothing."""
    image = stacked(mask, "mask", 0, 0, "mask")
    image.putalpha(Image.fromarray(mask.astype(np.uint8) * np.uint8(alpha)))
    return image


FORMS: dict[str, Callable[[np.ndarray], Image.Image]] = {
    "0 and 1": lambda mask: Image.fromarray(mask.astype(np.uint8)),
    "0 and 255": lambda mask: Image.fromarray(mask.astype(np.uint8) * 255),
    "0 and 7": lambda mask: Image.fromarray(mask.astype(np.uint8) * 7),
    "one bit": lambda mask: Image.fromarray(mask),
    "16 bit": lambda mask: Image.fromarray(mask.astype(np.uint16) * 65535),
    "palette, black first": lambda mask: indexed(mask, [(0, 0, 0), (200, 30, 30)], 1),
    "palette, white first": lambda mask: indexed(mask, [(255, 255, 255), (0, 0, 0)], 0),
    "palette, green first": lambda mask: indexed(mask, [(0, 128, 0), (0, 0, 0)], 0),
    "quantised": lambda mask: Image.fromarray(mask.astype(np.uint8) * 255).convert("RGB").quantize(2),
    "grey with alpha all over": lambda mask: stacked(mask, "mask", 255),
    "alpha is the mask, on black": lambda mask: stacked(mask, 0, "mask"),
    "alpha is the mask, in red": lambda mask: stacked(mask, 255, 0, 0, "mask"),
    "alpha is the mask, half seen through": lambda mask: overlay(mask, 100),
    "palette, all black": lambda mask: indexed(mask, [(0, 0, 0)] * 256, 1),
    "red on black": lambda mask: stacked(mask, "mask", 0, 0),
    "yellow on black with alpha": lambda mask: stacked(mask, "mask", "mask", 0, 255),
}


def read(folder: Path, masks: list[np.ndarray], form: str, suffix: str = "png", **options: int) -> MaskReader:
    """A reader of a file of the heart for each mask."""
    files = []
    for number, mask in enumerate(masks):
        path = folder / f"{number}.{suffix}"
        FORMS[form](mask).save(path, **options)
        files.append({"heart": path})
    return MaskReader(files, ["heart"], ways)


@pytest.mark.parametrize("form", FORMS)
def test_an_organ_in_a_file_of_its_own_is_the_same_in_every_form(tmp_path, form):
    reader = read(tmp_path, [square_mask(), square_mask().T], form)
    np.testing.assert_array_equal(reader.read(0, (32, 32))[0], square_mask())
    np.testing.assert_array_equal(reader.read(1, (32, 32))[0], square_mask().T)
    assert reader.settled() and len(reader.said()) == 1 and "one file an organ" in reader.said()[0]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    form=st.sampled_from(sorted(FORMS)),
    suffix=st.sampled_from(["png", "tif"]),
    sides=st.tuples(st.integers(8, 40), st.integers(8, 40)),
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 7),
)
def test_random_masks_in_random_forms_are_read_as_they_were_or_refused_in_one_line(
    tmp_path, form, suffix, sides, seed, count
):
    draw = np.random.default_rng(seed)
    masks = [draw.random(sides) < draw.random() for _ in range(count)]
    if suffix == "tif" and form in ("quantised", "16 bit"):
        suffix = "png"
    try:
        reader = read(tmp_path, masks, form, suffix)
        found = [reader.read(number, sides)[0] for number in range(count)]
        if not reader.settled():
            found = [reader.read(number, sides)[0] for number in range(count)]
            assert reader.settled()
    except InputError as error:
        full = any(mask.all() for mask in masks) or not any(mask.any() for mask in masks)
        assert "\n" not in str(error) and full, f"refused though there is an organ: {error}"
        return
    for mask, bits in zip(masks, found, strict=True):
        if form.startswith("alpha") and mask.all():
            continue  # seen through nowhere: the colour is all there is
        np.testing.assert_array_equal(bits, mask)


@pytest.mark.parametrize("options", [{"quality": 30}, {"quality": 75}, {"quality": 95}])
def test_greys_that_jpeg_makes_belong_to_the_nearer_end(tmp_path, options):
    reader = read(tmp_path, [disc()] * 3, "0 and 255", "jpg", **options)
    found = reader.read(0, (64, 64))[0]
    assert (found != disc()).mean() < 0.01
    assert reader.settled() and "inside from 128" in reader.said()[0]


@pytest.mark.parametrize("quality", [60, 80, 95])
def test_one_colour_on_black_may_be_a_jpeg_and_two_colours_may_not(tmp_path, quality):
    reader = read(tmp_path, [disc()] * 2, "red on black", "jpg", quality=quality)
    assert (reader.read(0, (64, 64))[0] != disc()).mean() < 0.02 and reader.settled()
    colours = np.zeros((64, 64, 3), dtype=np.uint8)
    colours[disc(), 0] = 255
    colours[4:12, 50:60] = (0, 255, 0)
    Image.fromarray(colours).save(tmp_path / "two.jpg", quality=quality)
    with pytest.raises(InputError, match="has several colours"):
        MaskReader([{"heart": tmp_path / "two.jpg"}], ["heart"], ways)


def test_labels_in_a_jpeg_are_refused(tmp_path):
    Image.fromarray(disc().astype(np.uint8) * 2).save(tmp_path / "a.jpg")
    with pytest.raises(InputError, match="is a JPEG, which does not keep values of labels"):
        MaskReader([{SHARED: tmp_path / "a.jpg"}], ORGANS, ways)


def test_what_a_set_holds_is_decided_by_all_of_its_files(tmp_path):
    """The few that are looked at first are empty; a film in between shows that inside is 255, with jpeg's greys around."""
    empty, whole = np.zeros((64, 64), dtype=bool), disc()
    masks = [empty] * 12
    masks[3] = whole
    reader = read(tmp_path, masks, "0 and 255", "jpg", quality=40)
    wrong = reader.read(3, (64, 64))[0]
    for number in range(12):
        reader.read(number, (64, 64))
    assert not reader.settled()
    right = reader.read(3, (64, 64))[0]
    assert wrong.sum() > right.sum() and (right != whole).mean() < 0.01
    assert reader.settled()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0, 1, 2], "have the values 0, 1, 2 (.*expected 0 outside and one value inside; say labels:heart=2"),
        ([1, 2], "have the values 1, 2"),
        ([0, 85, 170, 255], "have the values 0, 85, 170, 255"),
        ([7], "have the values 7"),
    ],
)
def test_values_that_are_no_mask_of_one_organ_are_refused_with_the_way_to_say_them(tmp_path, values, message):
    pixels = np.resize(np.array(values, dtype=np.uint8), (16, 16))
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=message.replace("(.", r"\(.")):
        MaskReader([{"heart": tmp_path / "a.png"}], ["heart"], ways)


def test_a_file_of_0_and_1_among_files_of_0_and_255_is_named(tmp_path):
    mask = square_mask().astype(np.uint8)
    for number, value in enumerate((255, 1, 255)):
        Image.fromarray(mask * value).save(tmp_path / f"{number}.png")
    with pytest.raises(InputError, match=r"1.png goes up to 1 alone and others to 255"):
        MaskReader([{"heart": tmp_path / f"{number}.png"} for number in range(3)], ["heart"], ways)


def test_probabilities_are_cut_at_half_and_that_is_said(tmp_path):
    ramp = np.arange(256, dtype=np.uint8)
    soft = np.tile(np.concatenate([ramp[:1].repeat(300), ramp, ramp[-1:].repeat(100)]), (16, 1))
    Image.fromarray(soft).save(tmp_path / "a.png")
    reader = MaskReader([{"heart": tmp_path / "a.png"}], ["heart"], ways)
    np.testing.assert_array_equal(reader.read(0, soft.shape)[0], soft >= 128)
    assert reader.said() == ("masks: greys from 0 to 255, inside from 128, one file an organ",)


def test_a_film_in_the_place_of_a_mask_is_refused_by_name(tmp_path):
    """Among masks too, so that one wrong file is found; the first few do not have it."""
    for number in range(9):
        Image.fromarray(square_mask().astype(np.uint8) * 255).save(tmp_path / f"{number}.png")
    film = np.random.default_rng(0).normal(120, 40, (16, 16)).clip(0, 255).astype(np.uint8)
    Image.fromarray(np.kron(film, np.ones((4, 4), np.uint8))).save(tmp_path / "1.png")
    reader = MaskReader([{"lungs": tmp_path / f"{number}.png"} for number in range(9)], ["lungs"], ways)
    reader.read(0, square_mask().shape)
    with pytest.raises(InputError, match=r"masks of lungs: .*1.png has \d+ grey levels, \d+ % of its pixels between"):
        reader.read(1, square_mask().shape)


def test_a_blurred_mask_is_none_the_less_a_mask(tmp_path):
    blurred = Image.fromarray(square_mask(64).astype(np.uint8) * 255).resize((16, 16)).resize((64, 64), Image.BILINEAR)
    assert len(np.unique(np.asarray(blurred))) > 32
    blurred.save(tmp_path / "a.jpg", quality=30)
    reader = MaskReader([{"lungs": tmp_path / "a.jpg"}], ["lungs"], ways)
    agree = reader.read(0, (64, 64))[0] == square_mask(64)
    assert agree.mean() > 0.95


def test_masks_inside_out_are_counted_film_by_film(tmp_path):
    """Also of films that are not square, which are padded with black."""
    mask = np.zeros((40, 64), dtype=np.uint8)
    mask[10:30, 10:50] = 255
    for number in range(4):
        Image.fromarray(mask if number < 2 else 255 - mask).save(tmp_path / f"m{number}.png")
        film = np.full((40, 64), 90 + number, dtype=np.uint8)
        film[0] = 255
        Image.fromarray(film).save(tmp_path / f"f{number}.png")
    lines = ["path,mask_lungs", *(f"f{number}.png,m{number}.png" for number in range(4))]
    (tmp_path / "films.csv").write_text("\n".join(lines))
    remarks = import_manifest(tmp_path / "films.csv", 64).info.remarks
    said = "2 films with the mask of lungs all around the border: is it inside out? (the first: "
    assert f"{said}{tmp_path}/m2.png)" in remarks


def shared(folder: Path, values: list[int], organs: tuple[str, ...] = ORGANS) -> MaskReader:
    pixels = np.tile(np.array(values, dtype=np.uint8), (16, 1))
    Image.fromarray(pixels).save(folder / "all.png")
    return MaskReader([{SHARED: folder / "all.png"}], organs, ways)


def test_bit_flags_are_known_by_values_that_no_label_has(tmp_path):
    reader = shared(tmp_path, [0, 1, 2, 4, 5])
    assert set(np.unique(reader.read(0, (16, 5))[0])) == {0, 1, 2, 4, 5} and reader.settled()
    assert reader.said() == ("masks: bit flags left_lung=1, right_lung=2, heart=4, one file for all organs",)
    assert shared(tmp_path, [0, 1, 2]).read(0, (16, 3))[0].max() == 2  # as labels and as flags the same


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0, 255], "has the value 255, which no organ has: bit flags of 3 organs go to 7"),
        ([0, 8], "has the value 8, which no organ has"),
        ([0, 1], "may be labels or bit flags of left_lung, right_lung, heart, or one mask of several"),
        ([0, 1, 2, 3], "may be labels or bit flags"),
        ([0, 1, 2, 3, 4], "may be labels or bit flags"),
        ([0, 1, 2, 3, 4, 5, 6, 7], "may be labels or bit flags"),
        ([0, 1, 2, 5], "may be labels or bit flags"),
        ([0, 4], "may be labels or bit flags"),
    ],
)
def test_masks_of_all_organs_that_may_be_two_things_are_refused_with_the_ways_to_say_it(tmp_path, values, message):
    with pytest.raises(InputError, match=message) as caught:
        shared(tmp_path, values)
    way = f"left_lung={values[1]}" if "no organ has" in message else "left_lung=1,right_lung=2,heart=3"
    assert f"say labels:{way}" in str(caught.value) and "\n" not in str(caught.value)


def test_labels_of_more_organs_than_are_asked_for_are_no_bit_flags(tmp_path):
    """1 left lung, 2 right lung, 3 heart, for a training set of lungs: as flags the heart would be both lungs."""
    with pytest.raises(InputError, match="may be labels or bit flags of left_lung, right_lung"):
        shared(tmp_path, [0, 1, 2, 3], ORGANS[:2])


@pytest.mark.parametrize("full", [False, True])
def test_labels_in_a_palette_that_was_padded_with_black_are_kept(tmp_path, full):
    values = np.arange(64, dtype=np.uint8).reshape(8, 8) // 16
    image = Image.fromarray(values, "P")
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0] + ([0, 0, 255] if full else [0] * 3) + [0] * 756)
    image.save(tmp_path / "a.png")
    said = parse_declared("labels:left_lung=1,right_lung=2,heart=3")
    reader = MaskReader([{SHARED: tmp_path / "a.png"}], ORGANS, ways, said)
    bits, remarks = reader.read(0, (8, 8))
    np.testing.assert_array_equal(bits, np.array([0, 1, 2, 4])[values])
    texts = [remark.text for remark in remarks]
    assert texts == ([] if full else ["with masks that show numbers beside 0 in black: the numbers taken"])
    colours = MaskReader([{SHARED: tmp_path / "a.png"}], ["heart"], ways, parse_declared("colours:heart=#0000ff"))
    with pytest.raises(
        InputError, match="which no organ has" if full else "shows numbers beside 0 in black: say labels"
    ):
        colours.read(0, (8, 8))


def test_alpha_of_several_degrees_below_solid_is_refused(tmp_path):
    alpha = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))
    image = Image.new("RGBA", (8, 8), (255, 0, 0, 255))
    image.putalpha(alpha)
    image.save(tmp_path / "a.png")
    with pytest.raises(
        InputError, match=r"seen through in several degrees \(alpha 0 to 63\); expected alpha 0 outside"
    ):
        MaskReader([{"heart": tmp_path / "a.png"}], ["heart"], ways)


def test_a_colour_that_is_half_seen_through_is_that_colour(tmp_path):
    overlay(square_mask(), 127).save(tmp_path / "a.png")
    reader = MaskReader([{SHARED: tmp_path / "a.png"}], ["heart"], ways, parse_declared("colours:heart=#ff0000"))
    np.testing.assert_array_equal(reader.read(0, (32, 32))[0], square_mask())


def test_labels_of_a_pgm_of_two_bits_are_its_numbers(tmp_path):
    (tmp_path / "a.pgm").write_bytes(b"P5\n4 1\n3\n\x00\x01\x02\x03")
    said = parse_declared("labels:left_lung=1,right_lung=2,heart=3")
    reader = MaskReader([{SHARED: tmp_path / "a.pgm"}], ORGANS, ways, said)
    assert reader.read(0, (1, 4))[0].tolist() == [[0, 1, 2, 4]]


def test_one_mask_of_one_organ_needs_no_words(tmp_path):
    reader = shared(tmp_path, [0, 255], ("lungs",))
    assert reader.read(0, (16, 2))[0][0].tolist() == [0, 1]
    assert reader.said() == ("masks: 0 and 255, one file for all, which is lungs",)


def test_coloured_organs_need_their_colours(tmp_path):
    colours = np.zeros((4, 16, 3), dtype=np.uint8)
    colours[1], colours[2], colours[3] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    Image.fromarray(colours).save(tmp_path / "all.png")
    files = [{SHARED: tmp_path / "all.png"}]
    with pytest.raises(InputError, match=r"all.png has colours \(#.*#00ff00.*\): which organ is which"):
        MaskReader(files, ORGANS, ways)
    declared = parse_declared("colours:left_lung=#ff0000,heart=#0000ff,ignore=#00ff00")
    found = MaskReader(files, ORGANS, ways, declared).read(0, (4, 16))[0]
    assert found[:, 0].tolist() == [0, 1, 0, 4]
    with pytest.raises(InputError, match="has the colour #00ff00, which no organ has"):
        MaskReader(files, ORGANS, ways, parse_declared("colours:left_lung=#ff0000,heart=#0000ff")).read(0, (4, 16))
    Image.fromarray(np.repeat(np.repeat(colours, 16, 0), 4, 1)).save(tmp_path / "all.png", "JPEG", quality=90)
    found = MaskReader(files, ORGANS, ways, declared).read(0, (64, 64))[0]
    assert found[8::16, 32].tolist() == [0, 1, 0, 4]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("labels", "expected labels:left_lung=1,right_lung=2, found 'labels'"),
        ("labels:left_lung=one", "expected labels:left_lung=1,right_lung=2"),
        ("flags:left_lung=1", "unknown kind of mask values 'flags'"),
        ("bits:left_lung=3", "a bit flag must be 1, 2, 4, 8"),
        ("labels:left_lung=1,heart=1", "expected a value of its own"),
        ("colours:left_lung=red", "expected colours:left_lung=#ff0000"),
    ],
)
def test_a_wrong_word_on_masks_is_one_line(text, message):
    with pytest.raises(InputError, match=message):
        parse_declared(text)


@pytest.mark.parametrize(
    "text", ["left lung", "left_lung", "Left-Lung", "Left Lung", "LeftLung", "lung_left", "LEFT.LUNG"]
)
def test_an_organ_is_known_in_every_spelling(text):
    assert organ_called(text, ORGANS) == "left_lung" and organ_name(text) == "left_lung"


def test_another_organ_keeps_its_name():
    assert organ_name("Aorta ascendens") == "Aorta ascendens" and organ_called("lung", ORGANS) is None


# ----------------------------------------------------------------------------------------------- sizes, one resampling

SIDES, PRESETS = (2048, 1024, 512, 256, 224, 100), (64, 128, 224, 256)


def centre(weights: np.ndarray) -> np.ndarray:
    """Rows and columns of the centre, in shares of the side."""
    at = (np.arange(len(weights)) + 0.5) / len(weights)
    weights = weights.astype(np.float64)
    return np.array([weights.sum(axis=1) @ at, weights.sum(axis=0) @ at]) / weights.sum()


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("resolution", PRESETS)
@pytest.mark.parametrize("mask_side", [1, 2])
def test_centres_of_masks_and_films_stay_together(tmp_path, side, resolution, mask_side):
    """A disc that is white on the film and set in the mask, the mask of the film's size or of half of it."""
    grid = (np.arange(side) + 0.5) / side
    disc = (grid[:, None] - 0.41) ** 2 + (grid[None] - 0.63) ** 2 < 0.2**2
    square = Square(side, side, resolution)
    film = square.film(disc.astype(np.float32))
    small = disc.reshape(side // mask_side, mask_side, -1, mask_side).mean(axis=(1, 3)) >= 0.5
    Image.fromarray(small).save(tmp_path / "a.png")
    bits, _ = MaskReader([{"heart": tmp_path / "a.png"}], ["heart"], ways).read(0, (side, side))
    mask = square.masks(bits, 1)
    pixels = 1 / min(resolution, side // mask_side)
    assert np.abs(centre(mask) - centre(film)).max() < 0.1 * pixels  # nearest neighbours are 0.25 and more apart


@pytest.mark.parametrize(("film", "mask"), [((64, 48), (32, 24)), ((32, 24), (64, 48)), ((100, 77), (50, 39))])
def test_a_mask_of_another_size_and_the_same_aspect_is_brought_to_the_film(tmp_path, film, mask):
    inside = np.zeros(mask, dtype=bool)
    inside[mask[0] // 4 : mask[0] // 2, mask[1] // 4 : mask[1] // 2] = True
    Image.fromarray(inside).save(tmp_path / "a.png")
    bits, remarks = MaskReader([{"heart": tmp_path / "a.png"}], ["heart"], ways).read(0, film)
    assert bits.shape == film and bits.mean() == pytest.approx(inside.mean(), rel=0.08)
    assert [remark.text for remark in remarks] == [
        "with masks of another size and the same aspect, scaled to the film's"
    ]
    Image.fromarray(inside[:, :-6]).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="expected the same or its aspect"):
        MaskReader([{"heart": tmp_path / "a.png"}], ["heart"], ways).read(0, film)


# ------------------------------------------------------------------------------------------------------- by a manifest


def manifest(folder: Path, mask: Image.Image, column: str = "mask_left_lung", **options: object):
    mask.save(folder / "left.png")
    film = np.full((64, 64), 90, dtype=np.uint8)
    film[0] = 255
    Image.fromarray(film).save(folder / "film.png")
    (folder / "films.csv").write_text(f"path,{column}\nfilm.png,left.png\n")
    resolution = int(options.pop("resolution", 64))
    return import_manifest(folder / "films.csv", resolution, options=ManifestOptions(**options))


def test_a_palette_whose_first_colour_is_white_shows_what_the_picture_shows(tmp_path):
    dataset = manifest(tmp_path, FORMS["palette, white first"](square_mask(64)))
    np.testing.assert_array_equal(dataset.masks[0], square_mask(64))


def test_grey_with_alpha_and_half_of_the_films_size_are_taken_and_said(tmp_path):
    np.testing.assert_array_equal(
        manifest(tmp_path, FORMS["grey with alpha all over"](square_mask(64))).masks[0], square_mask(64)
    )
    dataset = manifest(tmp_path, FORMS["0 and 255"](square_mask(32)), resolution=32)
    np.testing.assert_array_equal(dataset.masks[0], square_mask(32))
    assert any("masks of another size and the same aspect" in line for line in dataset.info.remarks)
    assert "masks: 0 and 255, one file an organ" in dataset.info.remarks


def test_a_column_mask_path_asks_for_the_values_of_organs(tmp_path):
    labels = square_mask(64).astype(np.uint8) + square_mask(64)[:, ::-1] * np.uint8(2)
    with pytest.raises(InputError, match="--masks labels:left_lung=1,right_lung=2"):
        manifest(tmp_path, Image.fromarray(labels), "mask_path")
    dataset = manifest(tmp_path, Image.fromarray(labels), "mask_path", organs={"left_lung": 1, "right_lung": 2})
    assert dataset.organs == ("left_lung", "right_lung") and dataset.masks.max() == 2


def test_a_file_an_organ_may_hold_labels_where_that_is_said(tmp_path):
    labels = np.where(square_mask(64), 2, 1).astype(np.uint8)
    with pytest.raises(InputError, match="--masks labels:left_lung=2"):
        manifest(tmp_path, Image.fromarray(labels))
    dataset = manifest(tmp_path, Image.fromarray(labels), organs={"left_lung": 2}, ignored=(1,))
    np.testing.assert_array_equal(dataset.masks[0], square_mask(64))


def test_small_films_and_films_that_are_not_square_are_said(tmp_path):
    for name, shape in (("one", (1, 1)), ("twenty", (20, 20)), ("a", (64, 64)), ("wide", (70, 90))):
        Image.fromarray(np.full(shape, 200, dtype=np.uint8)).save(tmp_path / f"{name}.png")
    (tmp_path / "films.csv").write_text("path\none.png\ntwenty.png\na.png\nwide.png\n")
    remarks = import_manifest(tmp_path / "films.csv", 64).info.remarks
    assert "films of 1 x 1 to 90 x 70 pixels" in remarks
    assert f"2 films are smaller than 64 pixels and enlarged, the smallest 1 x 1: {tmp_path}/one.png" in remarks
    assert "1 film is not square, padded with black to a square (wide.png)" in remarks


@pytest.mark.parametrize("form", ["0 and 255", "palette, white first", "red on black"])
def test_no_file_that_was_cut_or_turned_over_ends_in_a_traceback(tmp_path, form):
    buffer = io.BytesIO()
    FORMS[form](square_mask()).save(buffer, "PNG")
    whole, draw = buffer.getvalue(), np.random.default_rng(0)
    for number in range(200):
        data = bytearray(whole[: draw.integers(1, len(whole))] if number % 2 else whole)
        for place in draw.integers(0, len(data), 3):
            data[place] ^= 1 << int(draw.integers(8))
        (tmp_path / "a.png").write_bytes(bytes(data))
        try:
            MaskReader([{"heart": tmp_path / "a.png"}], ["heart"], ways).read(0, (32, 32))
        except InputError as error:
            assert "\n" not in str(error)


def test_colours_where_labels_were_said_are_refused_with_the_way_to_say_them(tmp_path):
    """A palette whose first colour is not black: its numbers are in any order."""
    image = Image.fromarray(np.tile(np.arange(4, dtype=np.uint8), (16, 1)), "P")
    image.putpalette([255, 255, 255, 255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.save(tmp_path / "a.png")
    said = parse_declared("labels:left_lung=1,right_lung=2,heart=3")
    reader = MaskReader([{SHARED: tmp_path / "a.png"}], ORGANS, ways, said)
    with pytest.raises(
        InputError, match=r"has colours .* and no numbers that can be labels .*; say colours:left_lung=#ff0000"
    ):
        reader.read(0, (16, 4))
