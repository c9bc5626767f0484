"""The manifest importer: what a csv can say, how films are fitted, and one clear line for everything that
is wrong.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxrbench.benchmark.data.importers.manifest import import_manifest
from cxrbench.benchmark.data.importers.manifest_options import ManifestOptions
from cxrbench.benchmark.data.reading.films import read_film
from cxrbench.benchmark.errors import InputError

LUNGS = {"left_lung": 1, "right_lung": 2}


def _write(folder: Path, text: str, name: str = "films.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def _png(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


@pytest.fixture
def folder(tmp_path):
    """Three films of 32 x 32 with label masks: left lung 1, right lung 2."""
    rng = np.random.default_rng(0)
    for name in "abc":
        _png(tmp_path / "images" / f"{name}.png", rng.integers(0, 256, (32, 32), dtype=np.uint8))
        mask = np.zeros((32, 32), dtype=np.uint8)
        mask[8:24, 20:28], mask[8:24, 4:12] = 1, 2
        _png(tmp_path / "masks" / f"{name}.png", mask)
    return tmp_path


def _pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def _error(path: Path, options: ManifestOptions | None = None, resolution: int = 32) -> str:
    with pytest.raises(InputError) as caught:
        import_manifest(path, resolution, options=options)
    message = str(caught.value)
    assert "\n" not in message
    return message


PLAIN = "path,patient,split,fold,mask\n" + "".join(
    f"images/{name}.png,p{row},{part},{row},masks/{name}.png\n"
    for row, (name, part) in enumerate(zip("abc", ("train", "train", "test"), strict=True))
)


def test_a_plain_manifest_needs_no_option_but_the_organs(folder):
    dataset = import_manifest(_write(folder, PLAIN), 32, options=ManifestOptions(organs=LUNGS))
    assert dataset.ids == ["a", "b", "c"]
    assert dataset.organs == ("left_lung", "right_lung")
    assert dataset.info.name == folder.name
    assert list(dataset.cases["split"]) == ["train", "train", "test"]
    assert list(dataset.cases["fold"]) == [0, 1, 2]
    for row, name in enumerate("abc"):  # same size: not a pixel changes
        np.testing.assert_array_equal(dataset.images[row], _pixels(folder / "images" / f"{name}.png"))
        np.testing.assert_array_equal(dataset.masks[row], _pixels(folder / "masks" / f"{name}.png"))


def test_stems_become_paths_by_templates_and_columns_are_mapped(folder):
    path = _write(folder, "stem,person\na,p\nb,q\nc,q\n")
    options = ManifestOptions(
        columns={"id": "stem", "patient": "person"},
        path="images/{stem}.png",
        masks=["masks/{id}.png"],
        organs=LUNGS,
    )
    dataset = import_manifest(path, 32, options=options)
    assert dataset.ids == ["a", "b", "c"]
    assert list(dataset.cases["patient"]) == ["p", "q", "q"]
    assert dataset.masks.any()


def test_bit_flags_may_overlap_and_ignored_flags_are_left_out(folder):
    mask = np.zeros((32, 32), dtype=np.uint8)
    mask[0, 0], mask[1, 1], mask[2, 2] = 5, 2, 8
    for name in "abc":
        _png(folder / "masks" / f"{name}.png", mask)
    organs = {"heart": 4, "left_lung": 1, "right_lung": 2}
    options = ManifestOptions(organs=organs, mask_values="bits", ignored=[8])
    dataset = import_manifest(_write(folder, PLAIN), 32, options=options)
    assert dataset.organs == ("heart", "left_lung", "right_lung")
    assert dataset.organ_masks()[0, :, 0, 0].tolist() == [True, True, False]
    assert dataset.organ_masks()[0, :, 1, 1].tolist() == [False, False, True]
    assert not dataset.masks[0, 2, 2]
    message = _error(folder / "films.csv", ManifestOptions(organs=organs, mask_values="bits"))
    assert "has bit flag 8, which no organ has (heart=4, left_lung=1, right_lung=2)" in message


@pytest.mark.parametrize("by", ["columns", "templates"])
def test_every_organ_may_have_a_file_of_its_own(folder, by):
    for organ, value in LUNGS.items():
        for name in "abc":
            own = _pixels(folder / "masks" / f"{name}.png") == value
            _png(folder / organ / f"{name}.png", own.astype(np.uint8) * 255)
    if by == "columns":
        lines = [f"images/{name}.png,left_lung/{name}.png,right_lung/{name}.png" for name in "abc"]
        text, options = "path,mask_left_lung,mask_right_lung\n" + "\n".join(lines), ManifestOptions()
    else:
        text = "id\na\nb\nc\n"
        options = ManifestOptions(path="images/{id}.png", masks=[f"{organ}={organ}/{{id}}.png" for organ in LUNGS])
    dataset = import_manifest(_write(folder, text), 32, options=options)
    assert dataset.organs == tuple(LUNGS)
    np.testing.assert_array_equal(dataset.masks[1], _pixels(folder / "masks/b.png"))


def test_findings_as_columns_or_as_names(folder):
    rows = "path,finding_Mass,finding_Edema\nimages/a.png,0,1\nimages/b.png,1,1\n"
    columns = import_manifest(_write(folder, rows), 32)
    assert columns.info.findings == ("Mass", "Edema")
    assert columns.labels().tolist() == [[0, 1], [1, 1]]
    rows = "path,findings\nimages/a.png,Mass|Edema\nimages/b.png,No Finding\nimages/c.png,\n"
    names = import_manifest(_write(folder, rows), 32)
    assert names.info.findings == ("Edema", "Mass")
    assert names.labels().tolist() == [[1, 1], [0, 0], [0, 0]]


def test_films_that_are_not_square_are_padded_and_boxes_move_with_them(folder):
    film = np.full((32, 64), 200, dtype=np.uint8)
    mask = np.zeros((32, 64), dtype=np.uint8)
    mask[:, :32] = 1
    _png(folder / "images/wide.png", film)
    _png(folder / "masks/wide.png", mask)
    path = _write(folder, "id\nwide\n")
    boxes = _write(folder, "id,finding,x,y,w,h\nwide,Mass,8,4,16,28\n", "boxes.csv")
    options = ManifestOptions(
        path="images/{id}.png", masks=["masks/{id}.png"], organs={"left_lung": 1}, boxes=boxes, pixel_mm=0.5
    )
    dataset = import_manifest(path, 32, options=options)
    expected = np.zeros((32, 32), dtype=np.uint8)
    expected[8:24] = 200  # 64 x 64 with 16 rows above and below, halved
    np.testing.assert_array_equal(dataset.images[0], expected)
    expected[:, 16:] = 0
    np.testing.assert_array_equal(dataset.masks[0], expected // 200)
    assert dataset.boxes.to_dict("records") == [{"id": "wide", "finding": "Mass", "x": 4, "y": 10, "w": 8, "h": 14}]
    assert dataset.info.findings == ("Mass",)
    assert dataset.info.pixel_mm == 1.0


def test_16_bit_colour_alpha_and_palette_films_become_grey(folder):
    deep = np.linspace(0, 65535, 1024).astype(np.uint16).reshape(32, 32)
    _png(folder / "deep.png", deep)
    np.testing.assert_allclose(read_film(folder / "deep.png").pixels, deep / 65535, atol=1e-6)
    np.testing.assert_allclose(read_film(folder / "deep.png", white=131070).pixels, deep / 131070, atol=1e-6)
    colour = np.zeros((32, 32, 4), dtype=np.uint8)
    colour[..., 0], colour[..., 1], colour[..., 2], colour[..., 3] = 200, 100, 50, 7
    luminance = (0.299 * 200 + 0.587 * 100 + 0.114 * 50) / 255
    for mode in ("RGBA", "RGB", "P"):
        Image.fromarray(colour).convert("RGB").convert(mode, palette=Image.Palette.ADAPTIVE).save(folder / "c.png")
        np.testing.assert_allclose(read_film(folder / "c.png").pixels, luminance, atol=1 / 255)
    Image.fromarray(colour[..., 0]).save(folder / "grey.jpg")
    np.testing.assert_allclose(read_film(folder / "grey.jpg").pixels, 200 / 255, atol=2 / 255)


def _dicom(path: Path, values: np.ndarray, **tags: object) -> None:
    pydicom = pytest.importorskip("pydicom")
    from pydicom.dataset import FileDataset, FileMetaDataset

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    data = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
    data.Rows, data.Columns = values.shape
    data.SamplesPerPixel, data.BitsAllocated, data.BitsStored, data.HighBit = 1, 16, 12, 11
    data.PixelRepresentation, data.PhotometricInterpretation = 0, "MONOCHROME2"
    for tag, value in tags.items():
        setattr(data, tag, value)
    data.PixelData = values.astype("<u2").tobytes()
    data.save_as(path, enforce_file_format=True)


def test_dicom_films_are_shown_by_window_and_photometric_interpretation(tmp_path):
    values = np.linspace(0, 4095, 256).astype(np.uint16).reshape(16, 16)
    _dicom(tmp_path / "plain.dcm", values)
    np.testing.assert_allclose(read_film(tmp_path / "plain.dcm").pixels, values / 4095, atol=1e-6)
    _dicom(tmp_path / "inverted.dcm", values, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_allclose(read_film(tmp_path / "inverted.dcm").pixels, 1 - values / 4095, atol=1e-6)
    _dicom(tmp_path / "window.dcm", values, WindowCenter=2048, WindowWidth=1001, PixelSpacing=[0.143, 0.143])
    film = read_film(tmp_path / "window.dcm")
    expected = np.clip((values - 2047.5) / 1000 + 0.5, 0, 1)  # PS3.3 C.11.2.1.2
    np.testing.assert_allclose(film.pixels, expected, atol=1e-5)
    assert film.spacing_mm == 0.143
    _dicom(tmp_path / "slope.dcm", values, RescaleSlope=2, RescaleIntercept=-100)
    np.testing.assert_allclose(read_film(tmp_path / "slope.dcm").pixels, values / 4095, atol=1e-6)


def test_the_pixel_size_of_dicom_films_is_kept_where_all_agree(tmp_path):
    values = np.zeros((16, 32), dtype=np.uint16)
    _dicom(tmp_path / "a.dcm", values, PixelSpacing=[0.5, 0.5])
    _dicom(tmp_path / "b.dcm", values, ImagerPixelSpacing=[0.5, 0.5])
    path = _write(tmp_path, "path\na.dcm\nb.dcm\n")
    assert import_manifest(path, 16).info.pixel_mm == 1.0
    _dicom(tmp_path / "b.dcm", values, PixelSpacing=[0.6, 0.6])
    assert import_manifest(path, 16).info.pixel_mm is None


def test_dicom_without_pydicom_is_one_clear_line(tmp_path, monkeypatch):
    (tmp_path / "a.dcm").write_bytes(b"not read")
    monkeypatch.setitem(sys.modules, "pydicom", None)
    assert "DICOM files need pydicom: pip install 'cxrbench[dicom]'" in _error(_write(tmp_path, "path\na.dcm\n"))


def test_a_drawn_split_shares_no_patient_and_folds_neither(folder):
    rows = "path,patient\nimages/a.png,p\nimages/b.png,p\nimages/c.png,q\n"
    options = ManifestOptions(split="patients:0.5", fold="patients:2")
    cases = import_manifest(_write(folder, rows), 32, options=options).cases
    assert cases["split"][0] == cases["split"][1] != cases["split"][2]
    assert cases["fold"][0] == cases["fold"][1] != cases["fold"][2]


def test_columns_to_keep_are_taken_over(folder):
    path = _write(folder, "path,view\nimages/a.png,PA\n")
    assert list(import_manifest(path, 32, options=ManifestOptions(keep=["view"])).cases["view"]) == ["PA"]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("path\nimages/none.png\n", {}, "a file is missing: {folder}/images/none.png"),
        ("path\nimages/x.png\nimages/y.png\n", {}, "2 files are missing: {folder}/images/x.png (the first)"),
        ("id,path\na,images/a.png\na,images/b.png\n", {}, "duplicate id 'a' in lines 2 and 3"),
        ("paths\nimages/a.png\n", {}, "has no column 'path'. Did you mean paths (--columns path=paths)?"),
        ("path\nimages/a.png\n", {"columns": {"id": "stems"}}, "unknown column 'stems'"),
        ("stem\na\n", {"path": "images/{stam}.png"}, "unknown column 'stam'. Did you mean stem?"),
        ("path\n", {}, "has no rows"),
        ("path,id\nimages/a.png\n", {}, "line 2 of {folder}/films.csv does not have the 2 fields"),
        ("path,mask\nimages/a.png,\n", {"organs": LUNGS}, "missing mask: line 2"),
        ("path,mask\nimages/a.png,masks/a.png\n", {}, "--organs left_lung=1,right_lung=2"),
        ("path\nimages/a.png\n", {"organs": LUNGS}, "but there is none: name it by --mask"),
        (PLAIN, {"organs": {"left_lung": 1}}, "masks/a.png has value 2, which no organ has (left_lung=1)"),
        (PLAIN, {"organs": LUNGS, "mask_values": "flags"}, "unknown kind of mask values 'flags'"),
        (PLAIN, {"organs": {"heart": 3}, "mask_values": "bits"}, "a bit flag must be 1, 2, 4, 8"),
        (
            "path,finding_Mass\nimages/a.png,yes\n",
            {},
            "line 2: column 'finding_Mass' must be 0 or 1, found 'yes'",
        ),
        ("path,fold\nimages/a.png,one\n", {}, "column 'fold' must hold whole numbers from 0, found 'one'"),
        (
            "path\nimages/a.png\n",
            {"split": "half"},
            "--split must look like patients:0.5 or trained_on:FILE, found 'half'",
        ),
        (
            "path,patient,split\nimages/a.png,p,train\nimages/b.png,p,test\n",
            {},
            "1 patients are in more than one split, the first: p",
        ),
    ],
)
def test_a_wrong_manifest_is_one_clear_line(folder, text, options, message):
    assert message.format(folder=folder) in _error(_write(folder, text), ManifestOptions(**options))


def test_shared_patients_can_be_allowed(folder):
    path = _write(folder, "path,patient,split\nimages/a.png,p,train\nimages/b.png,p,test\n")
    assert len(import_manifest(path, 32, options=ManifestOptions(allow_shared_patients=True))) == 2


def test_unreadable_empty_and_nan_films_are_named(folder):
    path = _write(folder, "path\nimages/a.png\nimages/b.png\n")
    whole = (folder / "images/b.png").read_bytes()
    (folder / "images/b.png").write_bytes(whole[:200])
    assert f"{folder}/images/b.png cannot be read as an image" in _error(path)
    (folder / "images/b.png").write_bytes(b"hello")
    assert "images/b.png cannot be read as an image" in _error(path)
    (folder / "images/b.png").write_bytes(b"")
    assert "images/b.png is empty (0 bytes)" in _error(path)
    Image.fromarray(np.full((8, 8), np.nan, dtype=np.float32)).save(folder / "nan.tif")
    assert "nan.tif holds NaN" in _error(_write(folder, "path\nnan.tif\n"))
    assert "does not exist" in _error(folder / "other.csv")


def test_a_mask_of_another_size_names_both_sizes(folder):
    _png(folder / "masks/b.png", np.zeros((16, 24), dtype=np.uint8))
    message = _error(_write(folder, PLAIN), ManifestOptions(organs=LUNGS))
    assert "masks/b.png is 24 x 16, its film is 32 x 32 pixels: expected the same or its aspect" in message


@pytest.mark.parametrize(
    ("box", "message"),
    [
        (
            "a,Mass,20,0,20,8",
            "box outside the image: line 2: Mass of a at x 20 to 40, y 0 to 8; the film is 32 x 32",
        ),
        ("a,Mass,0,0,0,8", "expected a finding and a box with w, h above 0"),
        ("a,Mass,0,0,nan,8", "expected a finding and a box"),
        ("a,Mass,left,0,1,8", "x, y, w, h must be numbers"),
        ("z,Mass,0,0,8,8", "id 'z' is no film of the manifest"),
        ("a,Mas,0,0,8,8", "unknown finding 'Mas'. Did you mean Mass?"),
    ],
)
def test_a_wrong_box_is_one_clear_line(folder, box, message):
    path = _write(folder, "path,finding_Mass\nimages/a.png,1\n")
    boxes = _write(folder, f"id,finding,x,y,w,h\n{box}\n", "boxes.csv")
    assert message in _error(path, ManifestOptions(boxes=boxes))


def _import_by_command(arguments: list[str]) -> dict:
    import json

    from typer.testing import CliRunner

    from cxrbench.benchmark.cli.data import app

    result = CliRunner().invoke(app, ["import", "manifest", *arguments, "--json"], catch_exceptions=False)
    return json.loads(result.stdout)


@pytest.mark.real_data
def test_real_paediatric_films_are_imported_by_one_command(real_data):
    source = real_data / "kermany_lungs"
    found = _import_by_command(
        [
            str(source / "metadata.csv"),
            "--columns=id=stem,patient=person",
            "--path=images/{stem}.png",
            "--mask=masks/{stem}.png",
            "--organs=left_lung=1,right_lung=2",
        ]
    )
    assert (found["films"], found["patients"]) == (247, 182)
    assert found["split"] == {"train": 124, "test": 123}
    assert found["fold"] == {"0": 83, "1": 82, "2": 82}
    masks = np.load(Path(found["folder"]) / "masks.npy")
    left, right = ((masks & bit) != 0 for bit in (1, 2))
    columns = np.arange(masks.shape[2])
    centres = [(part.sum(axis=1) @ columns) / part.sum(axis=(1, 2)) for part in (left, right)]
    assert (centres[0] > centres[1]).all()  # the patient's left is on the right of the picture
    assert 0.05 < left.mean() < 0.3


@pytest.mark.real_data
def test_real_adult_films_with_bit_flags_are_imported_by_one_command(real_data):
    source = real_data / "covid_cxr_masks"
    found = _import_by_command(
        [
            str(source / "metadata.csv"),
            "--columns=patient=patient_id",
            "--path=images/{id}.png",
            "--mask=masks/{id}.png",
            "--mask-values=bits",
            "--organs=left_lung=1,right_lung=2,cardiomediastinum=4",
            "--ignore=8,16,32",
            "--split=patients:0.5",
        ]
    )
    assert (found["films"], found["patients"]) == (40, 33)
    assert set(found["split"]) == {"train", "test"}
    assert found["organs"] == ["left_lung", "right_lung", "cardiomediastinum"]
