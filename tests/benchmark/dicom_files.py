"""DICOM files for tests: written element by element, and the compressed ones that pydicom brings."""

from __future__ import annotations

import copy
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom")

COMPRESSED = {
    "1.2.840.10008.1.2.1.99": "image_dfl.dcm",
    "1.2.840.10008.1.2.4.50": "SC_rgb_jpeg_dcmtk.dcm",
    "1.2.840.10008.1.2.4.51": "JPGExtended.dcm",
    "1.2.840.10008.1.2.4.70": "SC_rgb_jpeg_gdcm.dcm",
    "1.2.840.10008.1.2.4.80": "MR_small_jpeg_ls_lossless.dcm",
    "1.2.840.10008.1.2.4.81": "JPEGLSNearLossless_16.dcm",
    "1.2.840.10008.1.2.4.90": "MR_small_jp2klossless.dcm",
    "1.2.840.10008.1.2.4.91": "SC_rgb_gdcm_KY.dcm",
    "1.2.840.10008.1.2.5": "MR_small_RLE.dcm",
}
"""A file of pydicom's own by transfer syntax."""


def values_of(top: int = 4095, shape: tuple[int, int] = (16, 12)) -> np.ndarray:
    """uint16, from 0 to `top` in rows."""
    return np.linspace(0, top, shape[0] * shape[1]).round().astype(np.uint16).reshape(shape)


def dataset(values: np.ndarray | None = None, **tags: Any) -> Any:
    """A whole film of 12 bits in 16; `tags` replace or add elements, None takes one away."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

    values = values_of() if values is None else values
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = DigitalXRayImageStorageForPresentation, "1.2.3"
    data = FileDataset(io.BytesIO(), {}, file_meta=meta, preamble=bytes(128))
    data.SOPClassUID, data.SOPInstanceUID = DigitalXRayImageStorageForPresentation, "1.2.3"
    data.Rows, data.Columns = values.shape[:2]
    bits = 8 * values.dtype.itemsize
    data.SamplesPerPixel = 1 if values.ndim == 2 else values.shape[2]
    data.BitsAllocated, data.BitsStored = bits, 12 if bits == 16 else bits
    data.PixelRepresentation = int(values.dtype.kind == "i")
    data.PhotometricInterpretation = "MONOCHROME2" if values.ndim == 2 else "RGB"
    if values.ndim == 3:
        data.PlanarConfiguration = 0
    data.PixelData = values.astype(values.dtype.newbyteorder("<")).tobytes()
    data["PixelData"].VR = "OW" if bits == 16 else "OB"
    for tag, value in tags.items():
        if value is None:
            del data[tag]
        else:
            setattr(data, tag, value)
    if "HighBit" not in tags:
        data.HighBit = data.BitsStored - 1
    return data


def to_bytes(data: Any) -> bytes:
    out = io.BytesIO()
    data.save_as(out, enforce_file_format=True)
    return out.getvalue()


def dicom_bytes(values: np.ndarray | None = None, **tags: Any) -> bytes:
    return to_bytes(dataset(values, **tags))


def write_dicom(path: Path, values: np.ndarray | None = None, **tags: Any) -> Path:
    path.write_bytes(dicom_bytes(values, **tags))
    return path


def compressed_dicom(syntax: str) -> bytes:
    return shipped(COMPRESSED[syntax])


def shipped(name: str) -> bytes:
    """A file that comes with pydicom; the test is skipped where this pydicom has it not."""
    from pydicom.data import get_testdata_file

    path = get_testdata_file(name, download=False)
    if path is None:
        pytest.skip(f"this pydicom has no {name}")
    return Path(str(path)).read_bytes()


def lookup(entries: np.ndarray, first: int = 0, bits: int = 16) -> Any:
    """A lookup table as an item of a sequence."""
    item = pydicom.Dataset()
    item.add_new("LUTDescriptor", "US", [len(entries) % 65536, first, bits])
    item.add_new("LUTData", "US", [int(one) for one in entries])
    return item


def rich_datasets() -> Iterator[Any]:
    """Films that between them have every element that a reader looks at."""
    code = pydicom.Dataset()
    code.CodeMeaning = "postero-anterior"
    common = {
        "RescaleSlope": 1,
        "RescaleIntercept": 0,
        "WindowCenter": [2000, 1000],
        "WindowWidth": [4000, 2000],
        "VOILUTFunction": "SIGMOID",
        "PixelPaddingValue": 0,
        "PixelPaddingRangeLimit": 3,
        "PixelSpacing": [0.2, 0.2],
        "NumberOfFrames": 1,
        "ViewPosition": "PA",
        "ViewCodeSequence": [code],
        "PatientOrientation": ["L", "F"],
        "PresentationLUTShape": "INVERSE",
    }
    yield dataset(**common, PhotometricInterpretation="MONOCHROME1")
    table = lookup(np.arange(4096) * 16)
    yield dataset(VOILUTSequence=[table], ModalityLUTSequence=[lookup(np.arange(4096))])
    palette: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name in ("Red", "Green", "Blue"):
        palette[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        palette[f"{name}PaletteColorLookupTableData"] = (np.arange(256) * 257).astype("<u2").tobytes()
    yield dataset(values_of(255).astype(np.uint8), **palette)
    yield dataset(np.repeat(values_of(255).astype(np.uint8)[..., None], 3, axis=-1))


def without_each_tag() -> Iterator[bytes]:
    """Each of these films without one element, and with it empty; elements of items and of the file's head too."""
    for whole in rich_datasets():
        yield to_bytes(whole)
        places = [lambda data: data, lambda data: data.file_meta]
        places += [(lambda data, tag=element.tag: data[tag].value[0]) for element in whole if element.VR == "SQ"]
        for place in places:
            for element in place(whole):
                for empty in (False, True):
                    data = copy.deepcopy(whole)
                    if empty:
                        place(data)[element.tag].value = [] if element.VR == "SQ" else None
                    else:
                        del place(data)[element.tag]
                    out = io.BytesIO()
                    try:
                        data.save_as(out, implicit_vr=False, little_endian=True, enforce_file_format=False)
                    except (ValueError, TypeError, AttributeError):  # an element that pydicom does not write empty
                        continue
                    yield out.getvalue()
