"""Films of every legal form are read as the same pixels, and what is not read as stored is said."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from cxrbench.benchmark.data.importers.manifest import import_manifest
from cxrbench.benchmark.data.importers.manifest_table import ManifestOptions
from cxrbench.benchmark.data.reading.films import Square, enlarged_films, film_size, is_film, read_film
from cxrbench.benchmark.errors import InputError

from .film_forms import FLAT_FORMS, FORMS, REFUSED, STORED, by_pillow, by_tifffile, png, rgb, with_alpha

GREY = np.tile(np.arange(0, 256, 3, dtype=np.uint8), (40, 1))


def put(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def said(path: Path, white: float | None = None) -> list[str]:
    return [remark.text for remark in read_film(path, white).remarks]


def refused(path: Path, white: float | None = None) -> str:
    with pytest.raises(InputError) as caught:
        read_film(path, white)
    assert "\n" not in str(caught.value)
    return str(caught.value)


PICTURES = arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)))


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("forms")


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=25, deadline=None)
@given(upright=PICTURES, orientation=st.integers(1, 8), seed=st.integers(0, 99))
def test_a_form_with_orientation_is_read_as_the_same_pixels(place, form, upright, orientation, seed):
    stored = np.ascontiguousarray(STORED[orientation](upright))
    content = FORMS[form](stored, orientation, np.random.default_rng(seed))
    film = read_film(put(place / "film", content))
    np.testing.assert_allclose(film.pixels, upright / np.float32(255), atol=1e-6)
    assert any("turned upright" in remark.text for remark in film.remarks) == (orientation != 1)


@pytest.mark.parametrize("form", FLAT_FORMS)
@settings(max_examples=25, deadline=None)
@given(upright=PICTURES, seed=st.integers(0, 99))
def test_a_form_without_orientation_is_read_as_the_same_pixels(place, form, upright, seed):
    film = read_film(put(place / "film", FLAT_FORMS[form](upright, 1, np.random.default_rng(seed))))
    np.testing.assert_allclose(film.pixels, upright / np.float32(4080 / 16), atol=1e-5)


@pytest.mark.parametrize("form", REFUSED)
def test_a_form_that_is_not_read_is_refused_with_a_way_on(tmp_path, form):
    content = REFUSED[form](GREY, 1, np.random.default_rng(0))
    assert "write it again as PNG" in refused(put(tmp_path / "a.tif", content))


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_grey_of_few_bits_reaches_white(tmp_path, bits):
    levels = np.arange(2**bits, dtype=np.uint8)[None].repeat(4, axis=0)
    expected = levels / (2**bits - 1)
    packed = np.packbits(np.unpackbits(levels[..., None], axis=-1)[..., 8 - bits :].reshape(4, -1), axis=-1)
    header = struct.pack(">IIBBBBB", levels.shape[1], 4, bits, 0, 0, 0, 0)
    whole = png_of(header, b"".join(b"\0" + row.tobytes() for row in packed))
    np.testing.assert_allclose(read_film(put(tmp_path / "a.png", whole)).pixels, expected, atol=1e-6)
    image = Image.fromarray((levels * (255 // (2**bits - 1))).astype(np.uint8))
    if bits == 1:
        image.convert("1").save(tmp_path / "b.tif")
        np.testing.assert_allclose(read_film(tmp_path / "b.tif").pixels, expected, atol=1e-6)


def png_of(header: bytes, rows: bytes) -> bytes:
    import zlib

    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    framed = [struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


def test_lossy_forms_are_the_same_but_for_their_loss(tmp_path):
    for number, (mode, options) in enumerate(
        [
            ("L", {"format": "JPEG", "quality": 98}),
            ("RGB", {"format": "JPEG", "quality": 98}),
            ("CMYK", {"format": "JPEG", "quality": 98}),
            ("RGB", {"format": "WEBP", "quality": 98}),
            ("L", {"format": "TIFF", "compression": "jpeg", "quality": 98}),
        ]
    ):
        path = put(tmp_path / f"{number}", by_pillow(Image.fromarray(GREY).convert(mode), 1, **options))
        np.testing.assert_allclose(read_film(path).pixels, GREY / 255, atol=3 / 255)


def test_a_jpeg_on_its_side_is_turned_and_its_mask_lies_on_it(tmp_path):
    upright = np.full((64, 64), 60, dtype=np.uint8)
    upright[4:14, 4:14] = 255
    stored = np.ascontiguousarray(STORED[6](upright))
    put(tmp_path / "film.jpg", by_pillow(Image.fromarray(stored), 6, format="JPEG", quality=95))
    Image.fromarray((upright == 255).astype(np.uint8)).save(tmp_path / "mask.png")
    (tmp_path / "films.csv").write_text("path,mask\nfilm.jpg,mask.png\n")
    dataset = import_manifest(tmp_path / "films.csv", 64, options=ManifestOptions(organs={"left_lung": 1}))
    assert dataset.images[0, 4:14, 4:14].min() > 240 and dataset.images[0, 20:].max() < 80
    np.testing.assert_array_equal(dataset.masks[0] > 0, upright == 255)
    assert f"1 film turned upright as their orientation tag says (EXIF) ({tmp_path}/film.jpg)" in dataset.info.remarks


def test_broken_exif_does_not_lose_the_film(tmp_path):
    path = put(tmp_path / "a.png", by_pillow(Image.fromarray(GREY), 1, format="PNG", exif=b"Exif\0\0no tags at all"))
    np.testing.assert_array_equal(read_film(path).pixels, GREY / np.float32(255))
    assert said(path) == ["with EXIF that cannot be read: taken as upright"]


def test_16_bit_colours_keep_all_their_bits(tmp_path):
    deep = np.arange(2048, dtype=np.uint16).reshape(32, 64) * 2
    for name, content in (
        ("a", png(rgb(deep), 2)),
        ("b", png(with_alpha(rgb(deep), np.random.default_rng(0)), 6)),
        ("c", by_tifffile(rgb(deep), 1, photometric="rgb")),
    ):
        film = read_film(put(tmp_path / name, content), white=4095)
        np.testing.assert_allclose(film.pixels, deep / np.float32(4095), atol=1e-6)
    colours = np.stack([deep, deep // 2, deep // 4], axis=-1)
    expected = (0.299 * colours[..., 0] + 0.587 * colours[..., 1] + 0.114 * colours[..., 2]) / 65535
    np.testing.assert_allclose(read_film(put(tmp_path / "d", png(colours, 2))).pixels, expected, atol=2e-5)


def test_12_bits_in_a_file_of_16_are_said_with_the_cure(tmp_path):
    for number in range(3):
        values = np.linspace(90, 4095 - number, 64 * 64).astype(np.uint16).reshape(64, 64)
        Image.fromarray(values).save(tmp_path / f"{number}.png")
    (tmp_path / "films.csv").write_text("path\n0.png\n1.png\n2.png\n")
    dataset = import_manifest(tmp_path / "films.csv", 64)
    said = (
        "3 films with no value above 6 % of their stored range, 0 to 65535: if 4095 is the most there can be, "
        f"import with --white 4095 (the first: {tmp_path}/0.png)"
    )
    assert said in dataset.info.remarks
    cured = import_manifest(tmp_path / "films.csv", 64, options=ManifestOptions(white=4095))
    assert cured.images[0].max() == 255 and "--white" not in "".join(cured.info.remarks)


def test_films_of_12_bits_in_16_among_films_of_8_are_refused_and_one_white_serves_both(tmp_path):
    shades = np.linspace(0, 1, 64 * 64).reshape(64, 64)
    for number, (most, kind) in enumerate(((255, np.uint8), (4095, np.uint16), (255, np.uint8))):
        Image.fromarray(np.rint(shades * most).astype(kind)).save(tmp_path / f"{number}.png")
    (tmp_path / "films.csv").write_text("path\n0.png\n1.png\n2.png\n")
    with pytest.raises(
        InputError, match=r"^1 of 3 films has 16 bits and no value above 4095 \(.*/1.png\).*--white 4095"
    ):
        import_manifest(tmp_path / "films.csv", 64)
    cured = import_manifest(tmp_path / "films.csv", 64, options=ManifestOptions(white=4095))
    assert [int(film.max()) for film in cured.images] == [255] * 3
    np.testing.assert_array_equal(cured.images[0], cured.images[2])
    dark = import_manifest(tmp_path / "films.csv", 64, options=ManifestOptions(white=65535))
    assert [int(film.max()) for film in dark.images] == [255, 16, 255]


@pytest.mark.parametrize(
    ("most", "cure"), [(255, 255), (1000, 1023), (1024, 4095), (4096, 16383), (16384, 32767), (32767, 32767)]
)
def test_the_cure_names_the_depth_that_holds_the_brightest_pixel(tmp_path, most, cure):
    values = np.array([[0, most]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    assert len(said(tmp_path / "a.png")) == 1 and said(tmp_path / "a.png")[0].endswith(f"--white {cure}")
    assert "--white" not in "".join(said(tmp_path / "a.png", white=cure))
    assert read_film(tmp_path / "a.png", cure).pixels.max() == np.float32(most / cure)


def test_a_dark_film_of_8_bits_is_said_and_a_bright_one_is_not(tmp_path):
    Image.fromarray(np.array([[0, 15]], dtype=np.uint8)).save(tmp_path / "a.png")
    assert "no value above 6 % of their stored range, 0 to 255" in said(tmp_path / "a.png")[0]
    Image.fromarray(np.array([[0, 128]], dtype=np.uint8)).save(tmp_path / "b.png")
    assert said(tmp_path / "b.png") == []
    Image.fromarray(np.zeros((2, 2), dtype=np.uint8)).save(tmp_path / "c.png")
    assert said(tmp_path / "c.png") == ["of one grey level all over"]


def test_12_bits_that_a_tiff_names_are_white_at_4095(tmp_path):
    values = np.linspace(0, 4095, 60).astype(np.uint16).reshape(6, 10)
    bits = np.unpackbits(values.astype(">u2").view(np.uint8).reshape(6, 10, 2), axis=-1)[..., 4:]
    packed = np.packbits(bits.reshape(6, -1), axis=-1).tobytes()
    tags = [(256, 10), (257, 6), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1), (278, 6), (279, len(packed))]
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    path = put(tmp_path / "a.tif", struct.pack("<2sHI", b"II", 42, 8 + len(packed)) + packed + directory + bytes(4))
    np.testing.assert_allclose(read_film(path).pixels, values / 4095, atol=1e-6)


COLOURED = "in colours, made grey by luminance: is it an overlay or a screenshot?"


def test_colours_are_said_and_greys_in_three_channels_are_not(tmp_path):
    """One coloured stroke is enough; what JPEG makes of greys is none."""
    Image.fromarray(np.dstack([GREY, GREY // 2, 255 - GREY])).save(tmp_path / "a.png")
    grey = np.dstack([GREY] * 3)
    drawn = grey.copy()
    drawn[3, 5:9] = (255, 0, 0)
    Image.fromarray(drawn).save(tmp_path / "b.png")
    Image.fromarray(drawn).quantize(64).save(tmp_path / "c.png")
    put(tmp_path / "d.png", png(drawn.astype(np.uint16) * 257, 2))
    for name in "abcd":
        assert said(tmp_path / f"{name}.png") == [COLOURED]
    Image.fromarray(grey).save(tmp_path / "e.png")
    Image.fromarray(grey).save(tmp_path / "f.jpg", quality=40)
    Image.fromarray(GREY).convert("P").save(tmp_path / "g.png")
    put(tmp_path / "h.png", png(grey.astype(np.uint16) * 257, 2))
    assert [said(tmp_path / name) for name in ("e.png", "f.jpg", "g.png", "h.png")] == [[]] * 4


def test_transparent_parts_are_said_and_their_colours_taken(tmp_path):
    opaque = np.dstack([GREY, np.full_like(GREY, 255)])
    Image.fromarray(opaque).save(tmp_path / "a.png")
    assert said(tmp_path / "a.png") == []
    opaque[0, 0, 1] = 254
    Image.fromarray(opaque).save(tmp_path / "b.png")
    assert said(tmp_path / "b.png") == ["with transparent parts: alpha dropped, the colours below it taken"]
    Image.fromarray(GREY).save(tmp_path / "c.png", transparency=3)
    assert said(tmp_path / "c.png") == said(tmp_path / "b.png")
    Image.fromarray(GREY).save(tmp_path / "d.png", transparency=4)  # no pixel has it
    assert said(tmp_path / "d.png") == []


def test_floats_a_hair_outside_are_cut_and_said_and_others_refused(tmp_path):
    def film(low: float, high: float) -> Path:
        return put(tmp_path / "a.tif", by_tifffile(np.linspace(low, high, 12, dtype=np.float32).reshape(3, 4), 1))

    assert said(film(0, 1)) == []
    assert said(film(-0.004, 1.003)) == ["with values a hair outside of 0 to 1, which were cut there"]
    assert read_film(film(-0.004, 1.003)).pixels.max() == 1
    assert "films from -1 to 1? Write (x + 1) / 2" in refused(film(-1, 1))
    assert "say which value is white by --white" in refused(film(0, 255))
    np.testing.assert_allclose(read_film(film(0, 255), white=255).pixels.max(), 1)
    assert "no values below 0" in refused(film(-700, 900))


def test_more_than_one_picture_is_refused_and_previews_are_not(tmp_path):
    frames = [Image.fromarray(GREY), Image.fromarray(np.ascontiguousarray(GREY[:, ::-1]))]
    for name, options in (("a.gif", {}), ("a.webp", {"lossless": True}), ("a.tif", {}), ("a.png", {})):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **options)
        assert "holds 2 pictures; expected one film" in refused(tmp_path / name)
        frames[0].save(tmp_path / name, save_all=True, **options)
        assert read_film(tmp_path / name).pixels.shape == GREY.shape
    import tifffile

    with tifffile.TiffWriter(tmp_path / "preview.tif") as writer:
        writer.write(GREY, metadata=None)
        writer.write(GREY[::2, ::2], subfiletype=1, metadata=None)
    np.testing.assert_array_equal(read_film(tmp_path / "preview.tif").pixels, GREY / np.float32(255))
    frames[0].convert("RGB").save(
        tmp_path / "camera.jpg", format="MPO", save_all=True, append_images=[frames[1].convert("RGB")]
    )
    assert said(tmp_path / "camera.jpg") == ["with further pictures in the file, of which the first was read"]


def test_content_decides_not_the_name(tmp_path):
    for name in ("a.dcm", "a.jpg", "a", "a.txt"):
        path = put(tmp_path / name, by_pillow(Image.fromarray(GREY), 1, format="PNG"))
        np.testing.assert_array_equal(read_film(path).pixels, GREY / np.float32(255))
    assert "unknown or damaged format" in refused(put(tmp_path / "b.png", b"%PDF-1.4 and more"))
    assert "unknown or damaged format" in refused(put(tmp_path / "b.png", b"%!PS-Adobe-3.0 EPSF-3.0\n"))
    assert "is empty (0 bytes)" in refused(put(tmp_path / "b.png", b""))
    assert "does not exist" in refused(tmp_path / "none.png")
    assert "is no file" in refused(tmp_path)


def test_sizes_come_from_the_header_and_files_are_known_by_their_first_bytes(tmp_path):
    path = put(tmp_path / "noname", by_pillow(Image.fromarray(GREY), 1, format="PNG"))
    assert film_size(path) == GREY.shape and is_film(path)
    assert not is_film(put(tmp_path / "notes.txt", b"hello")) and not is_film(put(tmp_path / ".hidden.png", b"x"))
    assert not is_film(tmp_path) and is_film(put(tmp_path / "broken.PNG", b"x"))
    with pytest.raises(InputError, match="cannot be read as an image"):
        film_size(tmp_path / "broken.PNG")


def test_films_that_are_enlarged_are_counted_and_the_smallest_named(tmp_path):
    for name, side in (("one", 1), ("twenty", 20), ("a", 64)):
        Image.fromarray(np.tile(np.array([0, 255], dtype=np.uint8), (side, side))[:, :side]).save(
            tmp_path / f"{name}.png"
        )
    (tmp_path / "films.csv").write_text("path\none.png\ntwenty.png\na.png\n")
    remarks = import_manifest(tmp_path / "films.csv", 64).info.remarks
    assert remarks[-2] == f"2 films are smaller than 64 pixels and enlarged, the smallest 1 x 1: {tmp_path}/one.png"
    assert enlarged_films([(Path("a"), Square(64, 32, 64))]) == ()
    assert enlarged_films([(Path("a"), Square(9, 5, 64))]) == (
        "1 film is smaller than 64 pixels and enlarged, it is 5 x 9: a",
    )


def test_the_reader_study_reads_pictures_as_everyone_does(tmp_path):
    from cxrbench.benchmark.reader_study.sources import path_source

    square = np.ascontiguousarray(GREY[:, -40:])
    put(tmp_path / "a", by_pillow(Image.fromarray(square), 1, format="WEBP", lossless=True))
    put(tmp_path / "b.png", png(square.astype(np.uint16) * 16, 0))
    put(tmp_path / "notes.txt", b"how they were made")
    source = path_source("mine", tmp_path, ("All films",))
    assert source.ids == ["a", "b.png"] and source.side == 40 and source.noticed == []
    np.testing.assert_array_equal(source.read(0), square)
    assert source.read(1).max() == 16 and "--white 4095" in source.noticed[0].text
    put(tmp_path / "c.png", b"no picture")
    with pytest.raises(InputError, match=r"c\.png cannot be read as an image"):
        path_source("mine", tmp_path, ("All films",))


def test_libraries_print_nothing(tmp_path):
    """A picture of more pixels than Pillow finds safe, one with broken tags, and a palette with alpha."""
    Image.new("1", (10_000, 9_100)).save(tmp_path / "large.png")
    palette = Image.fromarray(GREY).convert("P")
    palette.save(tmp_path / "palette.png", transparency=bytes(range(256)))
    whole = io.BytesIO()
    Image.fromarray(GREY).save(whole, format="TIFF", compression="tiff_lzw")
    broken = bytearray(whole.getvalue())
    broken[60:80] = bytes(20)
    put(tmp_path / "broken.tif", bytes(broken))
    code = (
        "import sys, warnings\n"
        "from pathlib import Path\n"
        "from cxrbench.benchmark.data.reading.films import read_film\n"
        "from cxrbench.benchmark.errors import InputError\n"
        "warnings.simplefilter('always')\n"
        "for name in sys.argv[1:]:\n"
        "    try:\n        read_film(Path(name))\n"
        "    except InputError:\n        pass\n"
    )
    names = [str(path) for path in sorted(tmp_path.iterdir())]
    done = subprocess.run([sys.executable, "-c", code, *names], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


# ------------------------------------------------------------------------------------------- signs, depth, shape of pixels


def test_signed_tiff_of_8_bits_is_refused_where_it_has_values_below_0(tmp_path):
    path = put(tmp_path / "a.tif", by_tifffile(np.array([[-100, 0], [50, 100]], dtype=np.int8), 1))
    assert "has signed values of 8 bits, some of them below 0; save it as unsigned numbers" in refused(path)
    path = put(tmp_path / "b.tif", by_tifffile(np.array([[0, 1], [50, 127]], dtype=np.int8), 1))
    assert read_film(path).pixels[1, 1] == np.float32(127 / 255)


def test_unsigned_tiff_of_32_bits_has_no_values_below_0(tmp_path):
    values = np.array([[0, 1], [5, 4_000_000_000]], dtype=np.uint32)
    path = put(tmp_path / "a.tif", by_tifffile(values, 1))
    assert "has values 0 to 4e+09, expected 0 to 65535; say which value is white by --white" in refused(path)
    np.testing.assert_allclose(read_film(path, 4e9).pixels, values / 4e9, rtol=1e-6)


def test_a_white_that_is_too_low_is_said_to_be(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "a.png")
    assert "--white 128 is too low: it must be the most there can be in any film, 255 or more" in refused(
        tmp_path / "a.png", 128
    )


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp"])
@pytest.mark.parametrize(("dpi", "turn"), [((100, 200), 1), ((200, 100), 6), ((100, 100), 1), ((96.01, 96), 1)])
def test_pixels_that_are_not_square_are_said(tmp_path, suffix, dpi, turn):
    if suffix == "bmp" and turn > 1:
        pytest.skip("no EXIF")
    exif = Image.Exif()
    exif[274] = turn
    Image.fromarray(GREY).save(tmp_path / f"a.{suffix}", dpi=dpi, **({"exif": exif} if turn > 1 else {}))
    found = [line for line in said(tmp_path / f"a.{suffix}") if "square" in line]
    expected = (
        "with pixels that are not square (2 times as wide as high, by the file's density): read as stored, and so out of "
        "shape"
    )
    assert found == ([expected] if 200 in dpi else [])
