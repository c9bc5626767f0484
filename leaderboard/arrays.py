"""Predictions, case scores and pictures of an entry, read without trusting their headers.

A header says how much memory its array takes, so it is held against the bytes that are there before anything is made.
"""

from __future__ import annotations

import bz2
import io
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..benchmark.contracts.task import Predictions
from .untrusted import Refused, read_bytes, shown, text_problem

NPZ_BYTES, SCORES_BYTES, EXPANDED_BYTES = 32 << 20, 32 << 20, 256 << 20
MAX_ARRAYS, MAX_SCORES, MAX_ID = 16, 4_000_000, 128
PNG_BYTES, PNG_SIDE = 512 << 10, 2048
_MEMBER = re.compile(r"([A-Za-z][A-Za-z0-9_]{0,63})\.npy")
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
_TEXT_COLUMNS = ("case", "patient", "structure", "metric")
_PNG_CHUNKS = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"pHYs", b"bKGD")
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


# ------------------------------------------------------------------------------------------------------ predictions


def read_predictions(path: Path) -> Predictions:
    """The arrays of a `predictions.npz`: numbers and truth values that are finite, and `ids`. No objects, no surprises."""
    name = shown(path.name)
    try:
        with zipfile.ZipFile(io.BytesIO(read_bytes(path, NPZ_BYTES))) as archive:
            arrays = _members(archive, name)
    except Refused:
        raise
    except Exception as error:  # a damaged archive makes zipfile and its decoders raise nearly anything
        raise Refused(f"{name} cannot be read ({type(error).__name__})") from None
    ids = arrays.pop("ids", None)
    if ids is None or ids.dtype.kind != "U" or ids.ndim != 1 or not arrays:
        raise Refused(f"{name}: expected arrays of numbers and 'ids', a row of texts")
    texts = tuple(map(str, ids))
    for text in texts:
        if not 0 < len(text) <= MAX_ID or text_problem(text):
            raise Refused(f"{name}: {shown(text)} is no id of a film")
    if len(set(texts)) != len(texts):
        raise Refused(f"{name}: a film is named twice")
    return Predictions(texts, arrays)


def _members(archive: zipfile.ZipFile, name: str) -> dict[str, np.ndarray]:
    infos = archive.infolist()
    if len(infos) > MAX_ARRAYS or sum(info.file_size for info in infos) > EXPANDED_BYTES:
        raise Refused(f"{name}: at most {MAX_ARRAYS} arrays of {EXPANDED_BYTES >> 20} MiB in all are read")
    arrays: dict[str, np.ndarray] = {}
    for info in infos:
        match = _MEMBER.fullmatch(info.filename)
        if match is None or match[1] in arrays:
            raise Refused(f"{name} holds {shown(info.filename)}; expected arrays, each once")
        if info.compress_type not in _METHODS or info.flag_bits & 1:
            raise Refused(f"{name}: {shown(info.filename)} is packed in a way that is not read (deflate or bzip2 are)")
        with archive.open(info) as handle:
            arrays[match[1]] = _array(handle.read(info.file_size + 1), f"{name}: {match[1]}")
    return arrays


def _array(raw: bytes, name: str) -> np.ndarray:
    handle = io.BytesIO(raw)
    version = np.lib.format.read_magic(handle)
    if version not in ((1, 0), (2, 0)):
        raise Refused(f"{name} has an unknown .npy version")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(handle, max_header_size=10_000)
    if dtype.kind not in "biufU" or dtype.hasobject or dtype.fields is not None or dtype.subdtype is not None:
        raise Refused(f"{name} has the type {shown(dtype)}; expected numbers, truth values or texts")
    if dtype.kind == "f" and dtype.itemsize > 8:
        raise Refused(f"{name} has the type {shown(dtype)}; expected at most float64")
    values = raw[handle.tell() :]
    count = 1
    for side in shape:
        count *= int(side)
    if len(shape) > 5 or any(side < 0 for side in shape) or count * dtype.itemsize != len(values) or not count:
        raise Refused(f"{name} has the shape {shown(shape)}, which is not what its bytes hold")
    array = np.frombuffer(values, dtype=dtype).reshape(shape, order="F" if fortran else "C")
    if dtype.kind == "b" and np.frombuffer(values, np.uint8).max() > 1:
        raise Refused(f"{name} holds bytes that are no truth values")
    if dtype.kind == "f" and not np.isfinite(array).all():
        raise Refused(f"{name} holds numbers that are not finite")
    return array


def write_predictions(predictions: Predictions, path: Path) -> None:
    """The same npz as `Predictions.save`, which `Predictions.load` reads; every array packed by what makes it smallest:
    bzip2 for label maps (about 30 % less), deflate for logits."""
    arrays: Mapping[str, np.ndarray] = {"ids": np.array(predictions.ids, dtype=np.str_), **predictions.arrays}
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
            raw = buffer.getvalue()
            small = len(bz2.compress(raw)) < len(zlib.compress(raw, 9))
            method = zipfile.ZIP_BZIP2 if small else zipfile.ZIP_DEFLATED
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), raw, method, compresslevel=9)


# ------------------------------------------------------------------------------------------------------ case scores


def read_scores(path: Path) -> pd.DataFrame:
    """The case scores of a `scores.parquet`: `case, structure, metric, value` and perhaps `patient`. NaN is "not taught"."""
    import pyarrow.parquet as pq

    name = shown(path.name)
    try:
        source = pq.ParquetFile(io.BytesIO(read_bytes(path, SCORES_BYTES)))
        _check_table(source, name)
        table = source.read(use_threads=False)
        frame = pd.DataFrame(
            {
                column: table.column(column).to_numpy()
                if column == "value"
                else np.array(table.column(column).to_pylist(), dtype=object)
                for column in table.column_names
            }
        )
    except Refused:
        raise
    except Exception as error:  # a damaged file makes the reader raise nearly anything
        raise Refused(f"{name} cannot be read ({type(error).__name__})") from None
    if np.isinf(frame["value"]).any():
        raise Refused(f"{name} holds numbers that are not finite")
    for column in frame.columns.drop("value"):
        for text in frame[column].unique():
            if not isinstance(text, str) or not 0 < len(text) <= MAX_ID or text_problem(text):
                raise Refused(f"{name}: {shown(text)} is no {column}")
    if frame.duplicated(["case", "structure", "metric"]).any():
        raise Refused(f"{name}: a case has two scores of one structure and metric")
    return frame


def _check_table(source: Any, name: str) -> None:
    import pyarrow as pa

    meta, schema = source.metadata, source.schema_arrow
    expanded = sum(meta.row_group(row).total_byte_size for row in range(min(meta.num_row_groups, 10_000)))
    if not 0 < meta.num_rows <= MAX_SCORES or meta.num_row_groups > 10_000 or expanded > EXPANDED_BYTES:
        raise Refused(f"{name}: between 1 and {MAX_SCORES:,} scores are read")
    columns = list(schema.names)
    if sorted(columns) not in (["case", "metric", "structure", "value"], sorted([*_TEXT_COLUMNS, "value"])):
        raise Refused(f"{name} has the columns {shown(columns)}; expected case, structure, metric, value")
    for column in columns:
        kind = schema.field(column).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        wanted = pa.types.is_float64 if column == "value" else lambda one: pa.types.is_string(one) or is_large(one)
        if not wanted(kind):
            raise Refused(f"{name}: column {column} has the type {shown(kind)}")


def is_large(kind: object) -> bool:
    """Whether a column is of the second of Arrow's two kinds of text."""
    import pyarrow as pa

    return bool(pa.types.is_large_string(kind))


def write_scores(scores: pd.DataFrame, path: Path) -> None:
    """Case scores packed tightly (texts by dictionary, numbers by byte planes, zstd): nothing is rounded."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = [column for column in scores.columns if column != "value"]
    table = pa.table(
        {column: pa.array(scores[column].astype(str), pa.string()) for column in texts}
        | {"value": pa.array(scores["value"].to_numpy(np.float64), pa.float64())}
    )
    pq.write_table(
        table,
        path,
        compression="zstd",
        compression_level=19,
        use_dictionary=texts,
        column_encoding={"value": "BYTE_STREAM_SPLIT"},
        store_schema=False,
    )


# --------------------------------------------------------------------------------------------------------- pictures


def check_png(path: Path) -> None:
    """Refuse a PNG that holds anything but a picture: text, other data, more bytes than its size says."""
    name, raw = shown(path.name), read_bytes(path, PNG_BYTES)
    if raw[:8] != b"\x89PNG\r\n\x1a\n":
        raise Refused(f"{name} is no PNG")
    place, header, packed = 8, b"", bytearray()
    while place < len(raw):
        if place + 12 > len(raw):
            raise Refused(f"{name} ends in the middle of a chunk")
        (length,) = struct.unpack(">I", raw[place : place + 4])
        kind, body = raw[place + 4 : place + 8], raw[place + 8 : place + 8 + length]
        end = raw[place + 8 + length : place + 12 + length]
        if kind not in _PNG_CHUNKS:
            raise Refused(
                f"{name} holds a chunk {shown(kind.decode('latin1'))}; save it again without texts and profiles"
            )
        if len(end) != 4 or struct.unpack(">I", end)[0] != zlib.crc32(kind + body):
            raise Refused(f"{name} is damaged")
        if (kind == b"IHDR") != (place == 8) or (kind == b"IHDR" and length != 13):
            raise Refused(f"{name} is damaged")
        header = body if kind == b"IHDR" else header
        packed += body if kind == b"IDAT" else b""
        place += 12 + length
        if kind == b"IEND":
            break
    else:
        raise Refused(f"{name} is cut off")
    if place != len(raw):
        raise Refused(f"{name} has {len(raw) - place:,} bytes after the picture")
    _check_pixels(header, bytes(packed), name)


def _check_pixels(header: bytes, packed: bytes, name: str) -> None:
    width, height, depth, colour, method, filtering, interlaced = struct.unpack(">IIBBBBB", header)
    if not (0 < width <= PNG_SIDE and 0 < height <= PNG_SIDE) or depth not in (1, 2, 4, 8) or method or filtering:
        raise Refused(f"{name}: expected a PNG of at most {PNG_SIDE} pixels a side, 8 bits a channel")
    if colour not in _PNG_CHANNELS or interlaced:
        raise Refused(f"{name}: expected a PNG that is not interlaced")
    expected = height * (1 + -(-width * _PNG_CHANNELS[colour] * depth // 8))
    unpacker = zlib.decompressobj()
    try:
        pixels = unpacker.decompress(packed, expected + 1)
    except zlib.error:
        raise Refused(f"{name} is damaged") from None
    if len(pixels) != expected or not unpacker.eof or unpacker.unused_data:
        raise Refused(f"{name} does not hold the pixels that its size says")
