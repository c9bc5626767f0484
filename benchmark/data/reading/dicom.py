"""DICOM films by pydicom (extra `dicom`), shown as the standard says: PS3.3 C.7.6.3 (pixels), C.11.1 and C.11.2 (lookup
tables and windows), C.7.5.1.1.2 (padding). An element that is there and empty, as anonymisers leave it, counts as absent.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from ..remarks import Remark
from .dicom_shown import SHOWN, shown, shown_colour
from .dicom_values import numbers, word
from .grey import MOST_PIXELS, Film, oblong_pixels
from .quiet import one_line, quiet
from .views import FRONTAL, view_of

_LATIN, _BIG = (b"\x02\x00", b"\x08\x00"), b"\x00\x08"  # the first group of a file without a preamble, by byte order
_PLUGINS = {"JPEG 2000": "pylibjpeg-openjpeg", "High-Throughput": "pylibjpeg-openjpeg", "JPEG": "pylibjpeg-libjpeg"}
_SQUARE = 0.01  # pixels whose sides differ by less are square


def is_dicom(data: bytes) -> bool:
    """Whether a file begins as DICOM does (PS3.10): the letters DICM after 128 bytes."""
    return data[128:132] == b"DICM"


def may_be_dicom(path: Path, data: bytes) -> bool:
    """Whether a file of no other known format may be DICOM without these letters: by its first element, or its name."""
    return data[:2] in _LATIN or data[:2] == _BIG or path.suffix.lower() in (".dcm", ".dicom")


def read_dicom(path: Path, content: bytes, white: float | None = None) -> Film:
    """A DICOM film as it is to be shown. white: the greatest stored value that there can be, for films without a window.
    InputError where it holds no single film, or its compression cannot be undone.
    """
    data = _parsed(path, content)
    try:
        return _film(path, data, white)
    except InputError as error:
        said = str(error)
        raise InputError(said if said.startswith(str(path)) else f"{path}: {said}") from None
    except Exception as error:  # pydicom and its decoders raise anything for a damaged file
        raise InputError(f"{path} cannot be read as DICOM ({one_line(error)})") from None


def dicom_size(path: Path, content: bytes) -> tuple[int, int]:
    """Height and width of a DICOM film. InputError where it has none."""
    size = numbers(_parsed(path, content), "Rows", "Columns")
    if len(size) != 2 or min(size) < 1:
        raise InputError(f"{path} is DICOM without pixels (no Rows and Columns)")
    return int(size[0]), int(size[1])


def _parsed(path: Path, content: bytes) -> Any:
    """The elements of a file, its transfer syntax among them. InputError where it is no DICOM."""
    try:
        import pydicom
        from pydicom.dataset import FileMetaDataset
    except ImportError:
        raise InputError(f"{path}: DICOM files need pydicom: pip install 'cxrbench[dicom]'") from None
    quiet()
    try:
        data = pydicom.dcmread(io.BytesIO(content), force=True)
        if not hasattr(data, "file_meta"):
            data.file_meta = FileMetaDataset()
        if not data.file_meta.get("TransferSyntaxUID"):  # pydicom found out how the elements are written
            implicit, little = data.original_encoding
            written = pydicom.uid.ExplicitVRLittleEndian if little else pydicom.uid.ExplicitVRBigEndian
            data.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian if implicit else written
        whole = is_dicom(content) or any(name in data for name in ("Rows", "SOPClassUID", "PixelData"))
    except Exception as error:
        raise InputError(f"{path} cannot be read as DICOM ({one_line(error)})") from None
    if not whole:
        raise InputError(f"{path} is neither DICOM nor a picture of a known format: damaged, or of another kind")
    return data


def _film(path: Path, data: Any, white: float | None) -> Film:
    where = str(path)
    _check_pixels(path, data)
    raw = _decoded(path, data)
    photometric = word(data, "PhotometricInterpretation")
    if photometric not in SHOWN:
        raise InputError(f"{path} has pixels of the kind {photometric or '(none)'}; expected one of {', '.join(SHOWN)}")
    coloured = not photometric.startswith("MONOCHROME") and photometric != "PALETTE COLOR"
    if raw.ndim != (3 if coloured else 2) or (coloured and raw.shape[-1] not in (3, 4)):
        raise InputError(f"{path} has pixels of the shape {raw.shape}, which is no single {photometric} film")
    if coloured or photometric == "PALETTE COLOR":
        grey, said = shown_colour(raw, data, white)
    else:
        grey, said = shown(raw, data, white)
    view, view_said = _view(data)
    said = [*said, *view_said, *_turned(data), *_oblong(data)]
    return Film(grey, _spacing(data), tuple(Remark(text, where) for text in said), view)


def _check_pixels(path: Path, data: Any) -> None:
    """InputError where the file has no pixels, too many, or several films."""
    kinds = [name for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData") if data.get(name)]
    if not kinds:
        raise InputError(f"{path} is DICOM without pixels ({data.get('SOPClassUID', 'no SOP class')!s:.80})")
    size = numbers(data, "Rows", "Columns")
    if len(size) != 2 or min(size) < 1:
        raise InputError(f"{path} is DICOM without a size (Rows and Columns are missing or 0)")
    if size[0] * size[1] > MOST_PIXELS:
        raise InputError(f"{path} claims {size[1]:.0f} x {size[0]:.0f} pixels; expected {MOST_PIXELS} at most")
    frames = numbers(data, "NumberOfFrames")
    if frames and frames[0] > 1:
        raise InputError(
            f"{path} has {frames[0]:.0f} frames; expected one film: save the right one as a file of its own"
        )
    if "NumberOfFrames" in data and not frames:
        del data.NumberOfFrames


def _decoded(path: Path, data: Any) -> np.ndarray:
    """Pixels as stored, colours as RGB. Bits above those stored are still there where the pixels are not compressed."""
    from pydicom.pixels import get_decoder, pixel_array

    syntax = data.file_meta.TransferSyntaxUID
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise InputError(
            f"{path} is kept as {one_line(ValueError(syntax.name))}, which is not read; write it again without compression "
            "(dcmdjpeg of DCMTK, gdcmconv --raw)"
        ) from None
    if not decoder.is_available:
        plugin = next((name for start, name in _PLUGINS.items() if start in syntax.name), "pylibjpeg-libjpeg")
        raise InputError(
            f"{path} is compressed as {syntax.name}, which needs pylibjpeg and {plugin}: pip install 'cxrbench[dicom]'"
        )
    if decoder.is_native:
        return np.asarray(pixel_array(data, correct_unused_bits=False))
    said = ""
    for plugin in _decoders(syntax.name):
        if plugin in decoder.available_plugins:
            try:
                return np.asarray(pixel_array(data, decoding_plugin=plugin))
            except RuntimeError as error:  # of a form that this one does not know, or damaged
                said = said or str(error).partition("plugins:")[2] or str(error)
    cure = "" if "pylibjpeg" in decoder.available_plugins else "; with more decoders: pip install 'cxrbench[dicom]'"
    raise InputError(
        f"{path} is compressed as {syntax.name}, and damaged or of a form that is not read "
        f"({one_line(ValueError(said), 80)}){cure}"
    )


def _decoders(syntax: str) -> tuple[str, ...]:
    """Plug-ins of pydicom in a fixed order: decoders of lossy compression differ in the last bit."""
    if syntax.startswith("RLE"):
        return ("pydicom",)  # pylibjpeg-rle ends in a panic, past Python, where a file is damaged
    if syntax.startswith("JPEG Baseline"):
        return ("pillow", "pylibjpeg", "gdcm")
    return ("pylibjpeg", "pillow", "pyjpegls", "gdcm")


def _view(data: Any) -> tuple[str | None, list[str]]:
    """The view of `Film.view`, and what to say where it is not frontal."""
    named = word(data, "ViewPosition")
    sequence = data.get("ViewCodeSequence")
    meaning = word(sequence[0], "CodeMeaning") if sequence else ""
    for name in (named, meaning):
        view = view_of(name)
        if view in FRONTAL:
            return view, []
        if view:
            return view, [f"of another view than a frontal one ({view}, by the file's {name})"]
    return None, []


def _turned(data: Any) -> list[str]:
    """What to say of a film whose rows do not run to the patient's left and its columns to the feet."""
    orientation = data.get("PatientOrientation")
    if not orientation or isinstance(orientation, str) or len(orientation) != 2:
        return []
    rows, columns = (str(one)[:1] for one in orientation)
    if {rows, columns} <= set("LRHF") and rows and columns and (rows, columns) != ("L", "F"):
        return [f"kept mirrored or turned (PatientOrientation {rows}\\{columns}; upright is L\\F): read as kept"]
    if {rows, columns} & set("AP"):
        return [
            f"seen from the side by their PatientOrientation ({rows}\\{columns}; a frontal film has L\\F): read as kept"
        ]
    return []


def _oblong(data: Any) -> list[str]:
    """What to say of pixels that are not square (PS3.3 C.7.6.3.1.7; spacings and ratios name rows first)."""
    for tag in ("PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio"):
        found = numbers(data, tag)
        if len(found) == 2 and min(found) > 0:
            ratio = found[0] / found[1]
            return [oblong_pixels(ratio, tag)] if abs(ratio - 1) > _SQUARE else []
    return []


def _spacing(data: Any) -> float | None:
    """Pixel spacing in mm, where given and the same in both directions."""
    for tag in ("PixelSpacing", "ImagerPixelSpacing"):
        spacing = numbers(data, tag)
        if len(spacing) == 2 and spacing[0] > 0 and abs(spacing[0] - spacing[1]) < 1e-3 * spacing[0]:
            return spacing[0]
    return None
