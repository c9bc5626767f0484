"""DICOM films are shown as the standard says, whatever is missing, empty, several or packed; what is chosen is said."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from cxrbench.benchmark.data.importers.manifest import import_manifest
from cxrbench.benchmark.data.importers.manifest_table import ManifestOptions
from cxrbench.benchmark.data.reading.films import film_size, read_film
from cxrbench.benchmark.data.reading.grey import Film
from cxrbench.benchmark.errors import InputError

from .dicom_files import (
    compressed_dicom,
    dataset,
    dicom_bytes,
    lookup,
    pydicom,
    shipped,
    to_bytes,
    values_of,
    write_dicom,
)

VALUES = values_of()
NO_WINDOW = "with a window that is empty or cannot be used: shown by all of their stored bits"
SEVERAL = "with several windows, of which the first was taken"


def film_of(path: Path, values: np.ndarray | None = None, white: float | None = None, **tags: Any) -> Film:
    return read_film(write_dicom(path / "film.dcm", values, **tags), white)


def said(film: Film) -> list[str]:
    return [remark.text for remark in film.remarks]


def refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_film(path)
    assert "\n" not in str(caught.value) and str(caught.value).startswith(str(path))
    return str(caught.value)


def close(film: Film, expected: np.ndarray) -> None:
    np.testing.assert_allclose(film.pixels, expected, atol=1e-5)


# ---------------------------------------------------------------------------------------------------------- the file


def test_a_file_is_known_by_its_letters_with_any_name(tmp_path):
    for name in ("IM0001", "film.png", "film.dcm", "film.DICOM"):
        close(read_film(write_dicom(tmp_path / name)), VALUES / 4095)
        assert film_size(tmp_path / name) == VALUES.shape
    Image.fromarray(values_of(255).astype(np.uint8)).save(tmp_path / "png.dcm", format="PNG")
    close(read_film(tmp_path / "png.dcm"), values_of(255) / 255)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"])
@pytest.mark.parametrize("head", ["whole", "no preamble", "no head at all"])
def test_a_file_without_preamble_or_head_is_read(tmp_path, syntax, head):
    implicit, little = syntax == "1.2.840.10008.1.2", not syntax.endswith("1.2.2")
    data = pydicom.Dataset()
    data.update(dataset(VALUES))
    data.PixelData = VALUES.astype("<u2" if little else ">u2").tobytes()
    if head != "no head at all":
        data.file_meta = pydicom.dataset.FileMetaDataset()
        data.file_meta.TransferSyntaxUID = syntax
    out = io.BytesIO()
    pydicom.dcmwrite(out, data, implicit_vr=implicit, little_endian=little, enforce_file_format=head == "whole")
    content = out.getvalue()
    assert (content[128:132] == b"DICM") == (head == "whole")
    for name in ("film.dcm", "IM0001"):
        (tmp_path / name).write_bytes(content)
        close(read_film(tmp_path / name), VALUES / 4095)
        assert film_size(tmp_path / name) == VALUES.shape


def test_what_is_no_film_is_refused_in_a_line(tmp_path):
    cases = {
        "is DICOM without pixels": {"PixelData": None},
        "is DICOM without a size": {"Rows": 0},
        "has 3 frames; expected one film": {"NumberOfFrames": 3},
        "claims 65535 x 65535 pixels": {"Rows": 65535, "Columns": 65535},
        "has pixels of the kind HSV": {"PhotometricInterpretation": "HSV"},
        "number of bytes of pixel data is less than expected": {"Rows": 17},
    }
    for message, tags in cases.items():
        assert message in refused(write_dicom(tmp_path / "a.dcm", **tags))
    (tmp_path / "b.dcm").write_bytes(b"\0" * 40 + b"nothing")
    assert "neither DICOM nor a picture" in refused(tmp_path / "b.dcm")


# ---------------------------------------------------------------------------------------------- windows, tables, bits


def test_padding_is_black_and_takes_no_part_in_inversion(tmp_path):
    values = np.linspace(300, 4000, 64 * 48).astype(np.uint16).reshape(64, 48)
    values[:, :6] = values[:, -6:] = 0
    write_dicom(tmp_path / "film.dcm", values, PhotometricInterpretation="MONOCHROME1", PixelPaddingValue=0)
    film = read_film(tmp_path / "film.dcm")
    assert (film.pixels[:, :6] == 0).all() and (film.pixels[:, -6:] == 0).all()
    np.testing.assert_allclose(film.pixels[:, 6:-6], 1 - values[:, 6:-6] / 4095, atol=1e-6)
    (tmp_path / "films.csv").write_text("path\nfilm.dcm\n")
    image = import_manifest(tmp_path / "films.csv", 64).images[0]
    assert (image[:, :14] == 0).all() and (image[:, 50:] == 0).all() and image[0, 20] > 200


def test_a_range_of_padding_signed_padding_and_nothing_but_padding(tmp_path):
    values = np.array([[0, 1, 2, 3, 2000, 4095]], dtype=np.uint16)
    ranged = film_of(
        tmp_path, values, PixelPaddingValue=0, PixelPaddingRangeLimit=2, PhotometricInterpretation="MONOCHROME1"
    )
    close(ranged, np.array([[0, 0, 0, 1 - 3 / 4095, 1 - 2000 / 4095, 0]]))
    signed = np.array([[-2000, -2000, 0, 1000]], dtype=np.int16)
    for padding in (-2000, 63536):  # as a signed number, and as pydicom reads one whose kind was written wrong
        data = dataset(
            signed, BitsStored=12, WindowCenter=500.5, WindowWidth=1001, PhotometricInterpretation="MONOCHROME1"
        )
        data.add_new("PixelPaddingValue", "SS" if padding < 0 else "US", padding)
        (tmp_path / "a.dcm").write_bytes(to_bytes(data))
        close(read_film(tmp_path / "a.dcm"), np.array([[0, 0, 1, 0]]))
    black = film_of(tmp_path, np.full((4, 4), 7, dtype=np.uint16), PixelPaddingValue=7)
    assert not black.pixels.any() and said(black) == ["of nothing but padding, and so black"]


def test_padding_takes_no_part_in_what_is_said_of_the_range(tmp_path):
    values = np.array([[65535, 0, 2000, 4095]], dtype=np.uint16)
    film = film_of(tmp_path, values, BitsStored=16, PixelPaddingValue=65535)
    assert said(film) and said(film)[0].endswith("--white 4095") and film.pixels[0, 0] == 0


@pytest.mark.parametrize(
    "window", [{"WindowCenter": "", "WindowWidth": ""}, {"WindowCenter": 2000}, {"WindowWidth": 100}]
)
def test_half_a_window_or_an_empty_one_is_none(tmp_path, window):
    film = film_of(tmp_path, **window)
    close(film, VALUES / 4095)
    assert said(film) == [NO_WINDOW]


@pytest.mark.parametrize("width", [0, -5, 0.5])
def test_a_window_of_no_width_is_none(tmp_path, width):
    film = film_of(tmp_path, WindowCenter=2000, WindowWidth=width)
    close(film, VALUES / 4095)
    assert said(film) == [NO_WINDOW]


def test_of_several_windows_the_first_that_can_be_used_is_taken_and_said(tmp_path):
    first = np.clip((VALUES - 1999.5) / 999 + 0.5, 0, 1)
    film = film_of(tmp_path, WindowCenter=[2000, 1000], WindowWidth=[1000, 300])
    close(film, first)
    assert said(film) == [SEVERAL]
    film = film_of(tmp_path, WindowCenter=[1000, 2000], WindowWidth=[0, 1000])
    close(film, first)
    film = film_of(tmp_path, WindowCenter=[2000, 2000], WindowWidth=[1000, 1000])
    assert said(film) == []
    film = film_of(tmp_path, WindowCenter=["", "2000"], WindowWidth=["500", "1000"])
    close(film, first)
    one = film_of(tmp_path, WindowCenter=2000, WindowWidth=1)
    close(one, VALUES > 1999.5)


def test_window_shapes_follow_the_standard(tmp_path):
    exact_ = film_of(tmp_path, WindowCenter=2000, WindowWidth=1000, VOILUTFunction="LINEAR_EXACT")
    close(exact_, np.clip((VALUES - 2000.0) / 1000 + 0.5, 0, 1))
    sigmoid = film_of(tmp_path, WindowCenter=2000, WindowWidth=1000, VOILUTFunction="SIGMOID")
    close(sigmoid, 1 / (1 + np.exp(-4 * (VALUES - 2000.0) / 1000)))
    inverted = film_of(tmp_path, WindowCenter=2000, WindowWidth=1000, PhotometricInterpretation="MONOCHROME1")
    close(inverted, 1 - np.clip((VALUES - 1999.5) / 999 + 0.5, 0, 1))


def test_lookup_tables_count_before_windows_and_broken_ones_do_not_count(tmp_path):
    curve = (np.sqrt(np.arange(4096) / 4095) * 65535).astype(np.uint16)
    film = film_of(tmp_path, VOILUTSequence=[lookup(curve)])
    close(film, curve[VALUES] / 65535)
    assert said(film) == []
    both = film_of(tmp_path, VOILUTSequence=[lookup(curve)], WindowCenter=2000, WindowWidth=1000)
    close(both, curve[VALUES] / 65535)
    assert said(both) == ["with a window beside their lookup table, of which the first table was taken"]
    later = film_of(tmp_path, VOILUTSequence=[lookup(curve[:2048], first=1000)])
    close(later, curve[np.clip(VALUES.astype(int) - 1000, 0, 2047)] / 65535)
    small = film_of(tmp_path, VOILUTSequence=[lookup(np.arange(4096) // 16, bits=8)])
    close(small, VALUES // 16 / 255)
    assert said(film_of(tmp_path, VOILUTSequence=[])) == [NO_WINDOW]
    broken = lookup(curve)
    del broken.LUTData
    film = film_of(tmp_path, VOILUTSequence=[broken])
    close(film, VALUES / 4095)
    assert said(film) == [NO_WINDOW]


def test_entries_of_8_bits_may_be_packed_in_pairs(tmp_path):
    item = pydicom.Dataset()
    item.add_new("LUTDescriptor", "US", [256, 0, 8])
    item.add_new("LUTData", "OW", bytes(range(256))[::-1])
    film = film_of(tmp_path, values_of(255), VOILUTSequence=[item])
    close(film, 1 - values_of(255) / 255)


def test_modality_tables_and_slopes_come_first(tmp_path):
    film = film_of(tmp_path, RescaleSlope=2, RescaleIntercept=-100, WindowCenter=3900, WindowWidth=2001)
    close(film, np.clip((2.0 * VALUES - 100 - 3899.5) / 2000 + 0.5, 0, 1))
    close(film_of(tmp_path, RescaleSlope=2, RescaleIntercept=-100), VALUES / 4095)
    close(film_of(tmp_path, RescaleSlope="", RescaleIntercept=""), VALUES / 4095)
    turned = (4095 - np.arange(4096)).astype(np.uint16)
    close(film_of(tmp_path, ModalityLUTSequence=[lookup(turned)]), 1 - VALUES / 4095)
    film = film_of(tmp_path, ModalityLUTSequence=[])
    close(film, VALUES / 4095)
    assert "one value of all" in refused(write_dicom(tmp_path / "a.dcm", RescaleSlope=0, RescaleIntercept=3))


def test_bits_stored_and_not_used_are_said_with_the_cure(tmp_path):
    film = film_of(tmp_path, BitsStored=16)
    assert said(film) == [
        "with no value above 6 % of their stored range, 0 to 65535: if 4095 is the most there can be, "
        "import with --white 4095"
    ]
    cured = film_of(tmp_path, BitsStored=16, white=4095)
    close(cured, VALUES / 4095)
    assert said(cured) == []
    inverted = film_of(tmp_path, BitsStored=16, white=4095, PhotometricInterpretation="MONOCHROME1")
    close(inverted, 1 - VALUES / 4095)
    (tmp_path / "films.csv").write_text("path\nfilm.dcm\n")
    film_of(tmp_path, BitsStored=16)
    assert "--white 4095" in import_manifest(tmp_path / "films.csv", 16).info.remarks[1]
    imported = import_manifest(tmp_path / "films.csv", 16, options=ManifestOptions(white=4095))
    assert imported.images.max() == 255
    with pytest.raises(InputError, match="has values up to 4095, expected 1000 at most"):
        read_film(tmp_path / "film.dcm", 1000)


def test_signed_values_that_use_half_of_their_range_are_said(tmp_path):
    film = film_of(tmp_path, values_of(2047).astype(np.int16), BitsStored=12)
    assert film.pixels.min() > 0.49 and "less than half of their stored range, -2048 to 2047" in said(film)[0]
    whole = np.linspace(-2048, 2047, 192).round().astype(np.int16).reshape(16, 12)
    film = film_of(tmp_path, whole, BitsStored=12)
    close(film, (whole + 2048.0) / 4095)
    assert said(film) == []


def test_a_window_beside_the_values_is_said(tmp_path):
    film = film_of(tmp_path, WindowCenter=40000, WindowWidth=20000, BitsStored=16)
    assert said(film) == ["of one grey level all over, as their window or lookup table shows them"]
    film = film_of(tmp_path, WindowCenter=32768, WindowWidth=65536, BitsStored=16)
    assert said(film) == ["with less than half of the grey levels, as their window or lookup table shows them"]


def test_bits_outside_of_those_stored_are_left_out_and_said(tmp_path):
    overlay = VALUES | np.uint16(0x8000)
    film = film_of(tmp_path, overlay)
    close(film, VALUES / 4095)
    assert said(film) == ["with bits set outside of the 12 that are the film (BitsStored), which were left out"]
    left = film_of(tmp_path, VALUES << np.uint16(4), HighBit=15)
    close(left, VALUES / 4095)
    assert said(left) == []


# --------------------------------------------------------------------------------------------------- kinds of pixels


def test_colours_and_palettes_become_luminance(tmp_path):
    grey = values_of(255).astype(np.uint8)
    colours = np.stack([grey, grey // 2, grey // 3], axis=-1)
    expected = (0.299 * colours[..., 0] + 0.587 * colours[..., 1] + 0.114 * colours[..., 2]) / 255
    np.testing.assert_allclose(film_of(tmp_path, colours).pixels, expected, atol=0.6 / 255)
    planes = np.moveaxis(colours, -1, 0).tobytes()
    film = film_of(tmp_path, colours, PlanarConfiguration=1, PixelData=planes)
    np.testing.assert_allclose(film.pixels, expected, atol=0.6 / 255)
    ybr = np.asarray(Image.fromarray(colours).convert("YCbCr"))
    film = film_of(tmp_path, ybr, PhotometricInterpretation="YBR_FULL")
    np.testing.assert_allclose(film.pixels, expected, atol=2 / 255)
    np.testing.assert_array_equal(
        film_of(tmp_path, np.repeat(grey[..., None], 3, axis=-1)).pixels, grey / np.float32(255)
    )


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("entries", [256, 4096])
def test_palettes_of_any_length_and_depth(tmp_path, bits, entries):
    order = np.random.default_rng(0).permutation(entries)
    table = order.astype(np.uint32) * (2**bits - 1) // (entries - 1)
    tags: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR", "BitsStored": 16}
    for name in ("Red", "Green", "Blue"):
        tags[f"{name}PaletteColorLookupTableDescriptor"] = [entries, 0, bits]
        tags[f"{name}PaletteColorLookupTableData"] = table.astype("u1" if bits == 8 else "<u2").tobytes()
    values = values_of(entries - 1)
    close(film_of(tmp_path, values, **tags), table[values] / (2**bits - 1))
    del tags["GreenPaletteColorLookupTableData"]
    assert "palette has no usable green" in refused(write_dicom(tmp_path / "a.dcm", values, **tags))


@settings(max_examples=25, deadline=None)
@given(
    grey=arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9))),
    inverted=st.booleans(),
    deep=st.booleans(),
    signed=st.booleans(),
    syntax=st.sampled_from(["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"]),
    name=st.sampled_from(["film", "film.png", "film.dcm"]),
)
def test_the_same_grey_in_any_monochrome_form(tmp_path_factory, grey, inverted, deep, signed, syntax, name):
    stored = grey.astype(np.int64) * (257 if deep else 1)
    top = 65535 if deep else 255
    stored = top - stored if inverted else stored
    kind = np.uint16 if deep else np.uint8
    if signed:
        stored, kind = stored - (top + 1) // 2, np.int16 if deep else np.int8
    photometric = "MONOCHROME1" if inverted else "MONOCHROME2"
    data = dataset(stored.astype(kind), PhotometricInterpretation=photometric, BitsStored=16 if deep else 8)
    data.file_meta.TransferSyntaxUID = syntax
    if len(data.PixelData) % 2:
        data.PixelData += b"\0"
    path = tmp_path_factory.mktemp("forms") / name
    path.write_bytes(to_bytes(data))
    np.testing.assert_allclose(read_film(path).pixels, grey / np.float32(255), atol=1e-6)


# -------------------------------------------------------------------------------------------------------- compression


@pytest.mark.parametrize(
    ("syntax", "plain"),
    [
        ("1.2.840.10008.1.2.5", "MR_small.dcm"),
        ("1.2.840.10008.1.2.4.80", "MR_small.dcm"),
        ("1.2.840.10008.1.2.4.90", "MR_small.dcm"),
    ],
)
def test_lossless_compression_loses_nothing(tmp_path, syntax, plain):
    if syntax != "1.2.840.10008.1.2.5":
        pytest.importorskip("pylibjpeg")
    (tmp_path / "a").write_bytes(compressed_dicom(syntax))
    (tmp_path / "b").write_bytes(shipped(plain))
    np.testing.assert_array_equal(read_film(tmp_path / "a").pixels, read_film(tmp_path / "b").pixels)


@pytest.mark.parametrize("syntax", ["50", "51", "70", "81", "91"])
def test_every_other_compression_of_films_is_read(tmp_path, syntax):
    pytest.importorskip("pylibjpeg")
    (tmp_path / "a").write_bytes(compressed_dicom(f"1.2.840.10008.1.2.4.{syntax}"))
    pixels = read_film(tmp_path / "a").pixels
    assert pixels.std() > 0.003 and 0 <= pixels.min() < pixels.max() <= 1
    if syntax in ("50", "70", "91"):  # the same picture of bars, in a lossy and two better forms
        (tmp_path / "b").write_bytes(shipped("SC_rgb_rle.dcm"))
        np.testing.assert_allclose(pixels, read_film(tmp_path / "b").pixels, atol=0.02 if syntax == "50" else 0.01)


def test_lossless_jpeg_of_any_prediction_is_read(tmp_path):
    """The first prediction, under the name of the process that knows all seven."""
    pytest.importorskip("pylibjpeg")
    content = compressed_dicom("1.2.840.10008.1.2.4.70")
    (tmp_path / "a").write_bytes(content)
    (tmp_path / "b").write_bytes(content.replace(b"1.2.840.10008.1.2.4.70", b"1.2.840.10008.1.2.4.57"))
    np.testing.assert_array_equal(read_film(tmp_path / "a").pixels, read_film(tmp_path / "b").pixels)


def test_a_missing_decoder_is_one_line_that_names_the_packages(tmp_path, monkeypatch):
    from pydicom.pixels import get_decoder

    for syntax, package in (("80", "pylibjpeg-libjpeg"), ("70", "pylibjpeg-libjpeg"), ("90", "pylibjpeg-openjpeg")):
        (tmp_path / "a.dcm").write_bytes(compressed_dicom(f"1.2.840.10008.1.2.4.{syntax}"))
        monkeypatch.setattr(get_decoder(f"1.2.840.10008.1.2.4.{syntax}"), "_available", {})
        line = refused(tmp_path / "a.dcm")
        assert f"which needs pylibjpeg and {package}: pip install 'cxrbench[dicom]'" in line


def test_a_film_that_is_a_video_is_refused_by_the_name_of_its_compression(tmp_path):
    data = dataset()
    data.PixelData = pydicom.encaps.encapsulate([b"\0\0\1\xb3"])
    data["PixelData"].is_undefined_length = True
    data.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.102"
    (tmp_path / "a.dcm").write_bytes(to_bytes(data))
    assert "is kept as MPEG-4 AVC/H.264 High Profile" in refused(tmp_path / "a.dcm")


def test_without_pydicom_the_line_names_the_extra(tmp_path, monkeypatch):
    write_dicom(tmp_path / "IM1")
    monkeypatch.setitem(sys.modules, "pydicom", None)
    assert "DICOM files need pydicom: pip install 'cxrbench[dicom]'" in refused(tmp_path / "IM1")


# ---------------------------------------------------------------------------------------- views, orientation, spacing


@pytest.mark.parametrize(
    ("view", "meaning", "expected"),
    [
        ("PA", "", "PA"),
        ("AP ERECT", "", "AP"),
        ("", "postero-anterior", "PA"),
        ("", "antero-posterior", "AP"),
        ("LL", "", "LATERAL"),
        ("lateral", "", "LATERAL"),
        ("", "left lateral", "LATERAL"),
        ("LLD", "", "DECUBITUS"),
        ("RLO", "", "OBLIQUE"),
        ("CHEST", "lateral", "LATERAL"),
        ("PA LATERAL", "", "LATERAL"),
        ("AP_LAT", "", "LATERAL"),
        ("AP LLD", "", "DECUBITUS"),
        ("RAO", "", "OBLIQUE"),
        ("LPO", "", "OBLIQUE"),
        ("", "postero-anterior oblique", "OBLIQUE"),
        ("", "antero-posterior left lateral decubitus", "DECUBITUS"),
        ("AP BILATERAL", "", "AP"),
        ("", "", None),
    ],
)
def test_views_are_told_and_those_that_are_not_frontal_are_said(tmp_path, view, meaning, expected):
    code = pydicom.Dataset()
    code.CodeMeaning = meaning
    film = film_of(tmp_path, ViewPosition=view, ViewCodeSequence=[code])
    assert film.view == expected and film.frontal == (None if expected is None else expected in ("PA", "AP"))
    assert len(said(film)) == (0 if film.frontal in (True, None) else 1)
    assert all(f"of another view than a frontal one ({expected}" in line for line in said(film))


def test_films_that_are_kept_mirrored_or_turned_are_said(tmp_path):
    assert said(film_of(tmp_path, PatientOrientation=["L", "F"])) == []
    side = film_of(tmp_path, PatientOrientation=["A", "F"])
    assert said(side) == [
        "seen from the side by their PatientOrientation (A\\F; a frontal film has L\\F): read as kept"
    ]
    assert said(film_of(tmp_path, PatientOrientation="")) == []
    mirrored = film_of(tmp_path, PatientOrientation=["R", "F"])
    assert said(mirrored) == ["kept mirrored or turned (PatientOrientation R\\F; upright is L\\F): read as kept"]


def test_spacing_is_told_where_it_is_whole(tmp_path):
    assert film_of(tmp_path, PixelSpacing=[0.2, 0.2]).spacing_mm == 0.2
    assert film_of(tmp_path, ImagerPixelSpacing=[0.1, 0.1]).spacing_mm == 0.1
    assert film_of(tmp_path, PixelSpacing="", ImagerPixelSpacing=[0.1, 0.1]).spacing_mm == 0.1
    assert film_of(tmp_path, PixelSpacing=[0.2, 0.4]).spacing_mm is None
    assert film_of(tmp_path, PixelSpacing=[0, 0]).spacing_mm is None


@pytest.mark.parametrize(
    ("tags", "shape"),
    [
        ({"PixelSpacing": [0.4, 0.2]}, "2 times as high as wide, PixelSpacing"),
        ({"PixelAspectRatio": [1, 2]}, "2 times as wide as high, PixelAspectRatio"),
        ({"PixelSpacing": [0.2, 0.2], "PixelAspectRatio": [1, 2]}, ""),
    ],
)
def test_pixels_that_are_not_square_are_said(tmp_path, tags, shape):
    line = f"with pixels that are not square ({shape}): read as stored, and so out of shape"
    assert said(film_of(tmp_path, **tags)) == ([line] if shape else [])


def test_a_byte_more_or_a_header_of_its_own_kind_is_read(tmp_path):
    """Excess bytes at the end; numbers with blanks, as devices write them."""
    close(film_of(tmp_path, PixelData=VALUES.tobytes() + b"\0\0"), VALUES / 4095)
    content = dicom_bytes(WindowCenter="2000", WindowWidth="1000")
    path = tmp_path / "a.dcm"
    path.write_bytes(content.replace(b"DS\x04\x002000", b"DS\x04\x002e3 "))
    close(read_film(path), np.clip((VALUES - 1999.5) / 999 + 0.5, 0, 1))
