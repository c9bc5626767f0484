"""Predictions, case scores and pictures of an entry, read without trusting their headers, a cell at a time.

A header says how much memory its array takes, so it is held against the bytes that are there before anything is made.

`predictions.npz` holds the arrays of many cells. A member is called `<sha256 of its bytes>.npy`: what a record names can be
neither another array nor a changed one, and an array that cells have in common (the ids of the test films) is there once.
`scores.parquet` is one table with a column `key`; each cell is one row group, found by the statistics of that column.
"""

from __future__ import annotations

import bz2
import hashlib
import io
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from ..benchmark import digest
from ..benchmark.contracts.task import Predictions
from .untrusted import Refused, plain_file, read_bytes, shown, text_problem

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

NPZ_BYTES, SCORES_BYTES = 32 << 20, 32 << 20
EXPANDED_BYTES, MAX_ARRAYS, MAX_SCORES, MAX_ID = 256 << 20, 16, 4_000_000, 128
"""Of one cell: the bytes of its arrays or scores when unpacked, its arrays, its scores, the letters of an id."""
PNG_BYTES, PNG_SIDE = 512 << 10, 2048
IDS, KEY = "ids", "key"
_ARRAY_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_MEMBER = re.compile(r"([0-9a-f]{64})\.npy")
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
_TEXT_COLUMNS = ("case", "patient", "structure", "metric")
_PNG_CHUNKS = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"pHYs", b"bKGD")
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


@contextmanager
def one_line(name: str) -> Iterator[None]:
    """Whatever a reader of a damaged file raises becomes Refused."""
    try:
        yield
    except Refused:
        raise
    except Exception as error:  # zipfile, its decoders and pyarrow raise nearly anything
        raise Refused(f"{name} cannot be read ({type(error).__name__})") from None


# ------------------------------------------------------------------------------------------------------ predictions


def array_digests(path: Path) -> frozenset[str]:
    """The sha256 of every array of a `predictions.npz`: its members' names. None of them is read."""
    name = shown(path.name)
    with one_line(name), zipfile.ZipFile(plain_file(path, NPZ_BYTES)) as archive:
        return frozenset(_members(archive, name))


def read_predictions(path: Path, arrays: Mapping[str, str]) -> Predictions:
    """The predictions of one cell: of a `predictions.npz` the arrays with the given sha256, by their names, `ids` (a row of
    texts) among them. Numbers and truth values that are finite; no objects, no surprises."""
    name = shown(path.name)
    if odd := [one for one in arrays if not _ARRAY_NAME.fullmatch(one)]:
        raise Refused(f"{name}: {shown(odd[0])} is no name of an array")
    with one_line(name), zipfile.ZipFile(plain_file(path, NPZ_BYTES)) as archive:
        members = _members(archive, name)
        if lacking := [one for one, sha256 in arrays.items() if sha256 not in members]:
            raise Refused(f"{name} does not hold the array {lacking[0]} that the record names")
        infos = [members[sha256] for sha256 in arrays.values()]
        if len(infos) > MAX_ARRAYS or sum(info.file_size for info in infos) > EXPANDED_BYTES:
            raise Refused(
                f"{name}: at most {MAX_ARRAYS} arrays of {EXPANDED_BYTES >> 20} MiB in all are read of a cell"
            )
        found = {one: _read(archive, members[sha256], f"{name}: {one}") for one, sha256 in arrays.items()}
    return checked_predictions(found, name)


def _members(archive: zipfile.ZipFile, name: str) -> dict[str, zipfile.ZipInfo]:
    found: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        match = _MEMBER.fullmatch(info.filename)
        if match is None or match[1] in found:
            raise Refused(f"{name} holds {shown(info.filename)}; expected arrays called by their sha256, each once")
        if info.compress_type not in _METHODS or info.flag_bits & 1:
            raise Refused(f"{name}: {shown(info.filename)} is packed in a way that is not read (deflate or bzip2 are)")
        found[match[1]] = info
    return found


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> np.ndarray:
    with archive.open(info) as handle:
        raw = handle.read(info.file_size + 1)
    if f"{hashlib.sha256(raw).hexdigest()}.npy" != info.filename:
        raise Refused(f"{name} is not the array that it is called by (sha256)")
    return parse_array(raw, name)


def checked_predictions(arrays: dict[str, np.ndarray], name: str) -> Predictions:
    """Predictions of arrays by name; Refused where `ids` are no ids of films, or alone."""
    ids = arrays.pop(IDS, None)
    if ids is None or ids.dtype.kind != "U" or ids.ndim != 1 or not arrays:
        raise Refused(f"{name}: expected arrays of numbers and 'ids', a row of texts")
    texts = tuple(map(str, ids))
    for text in texts:
        if not 0 < len(text) <= MAX_ID or text_problem(text):
            raise Refused(f"{name}: {shown(text)} is no id of a film")
    if len(set(texts)) != len(texts):
        raise Refused(f"{name}: a film is named twice")
    return Predictions(texts, arrays)


def parse_array(raw: bytes, name: str) -> np.ndarray:
    """The array of a .npy file's bytes; Refused where header and bytes do not agree, or the type is not a plain one."""
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


class ArrayWriter:
    """Writes a `predictions.npz`; a context manager. Every array is packed by what makes it smallest: bzip2 for label maps
    (about 30 % less), deflate for logits. The same arrays in the same order make the same bytes."""

    def __init__(self, path: Path) -> None:
        self._archive = zipfile.ZipFile(path, "w")
        self._there: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.close()

    def add(self, said: Predictions) -> dict[str, str]:
        """The sha256 of every array of a cell by name; those that are not there yet are written."""
        arrays = {IDS: np.array(said.ids, dtype=np.str_), **said.arrays}
        return {name: self._put(array) for name, array in arrays.items()}

    def _put(self, array: np.ndarray) -> str:
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
        raw = buffer.getvalue()
        name = hashlib.sha256(raw).hexdigest()
        if name not in self._there:
            self._there.add(name)
            small = len(bz2.compress(raw)) < len(zlib.compress(raw, 9))
            method = zipfile.ZIP_BZIP2 if small else zipfile.ZIP_DEFLATED
            self._archive.writestr(zipfile.ZipInfo(f"{name}.npy"), raw, method, compresslevel=9)
        return name


# ------------------------------------------------------------------------------------------------------ case scores


def score_keys(path: Path) -> list[str]:
    """The cells of a `scores.parquet`, in its order. No score is read."""
    with _scores_file(path) as source:
        return [_key_of(source, row, shown(path.name)) for row in range(source.num_row_groups)]


def read_scores(path: Path, key: str) -> pd.DataFrame:
    """The case scores of one cell: `case, structure, metric, value` and perhaps `patient`. NaN is "not taught"."""
    name = shown(path.name)
    with _scores_file(path) as source:
        rows = [row for row in range(source.num_row_groups) if _key_of(source, row, name) == key]
        if len(rows) != 1:
            raise Refused(f"{name} holds {len(rows)} parts of the cell {key[:8]}, expected one")
        frame = read_group(source, rows[0], name)
    if not (frame.pop(KEY) == key).all():
        raise Refused(f"{name} holds scores of another cell among those of {key[:8]}")
    return frame


@contextmanager
def _scores_file(path: Path) -> Iterator[pq.ParquetFile]:
    import pyarrow.parquet as pq

    name = shown(path.name)
    with one_line(name), pq.ParquetFile(plain_file(path, SCORES_BYTES)) as source:
        check_columns(source.schema_arrow, name, (KEY,))
        yield source


def _key_of(source: pq.ParquetFile, row: int, name: str) -> str:
    group = source.metadata.row_group(row)
    found = next((one for one in map(group.column, range(group.num_columns)) if one.path_in_schema == KEY), None)
    bounds = None if found is None else found.statistics
    if bounds is None or not bounds.has_min_max or bounds.min != bounds.max:
        raise Refused(f"{name}: expected a row group a cell, with the key of the cell in its statistics")
    return str(bounds.min)


def check_columns(schema: pa.Schema, name: str, more: tuple[str, ...] = ()) -> None:
    """Refuse a table without the columns of case scores (and `more` texts), with others, or of other types."""
    import pyarrow as pa

    columns, whole = list(schema.names), sorted([*_TEXT_COLUMNS, "value", *more])
    if sorted(columns) not in (whole, [column for column in whole if column != "patient"]):
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


def read_group(source: pq.ParquetFile, row: int, name: str) -> pd.DataFrame:
    """A row group as a table whose texts are plain and whose values are finite or NaN; every case has one score of a
    structure and metric."""
    meta = source.metadata.row_group(row)
    if not 0 < meta.num_rows <= MAX_SCORES or meta.total_byte_size > EXPANDED_BYTES:
        raise Refused(f"{name}: between 1 and {MAX_SCORES:,} scores are read of a cell")
    table = source.read_row_group(row, use_threads=False)
    frame = pd.DataFrame({column: _values(table, column) for column in table.column_names})
    if np.isinf(frame["value"]).any():
        raise Refused(f"{name} holds numbers that are not finite")
    for column in frame.columns.drop("value"):
        for text in frame[column].unique():
            if not isinstance(text, str) or not 0 < len(text) <= MAX_ID or text_problem(text):
                raise Refused(f"{name}: {shown(text)} is no {column}")
    if frame.duplicated(["case", "structure", "metric"]).any():
        raise Refused(f"{name}: a case has two scores of one structure and metric")
    return frame


def _values(table: pa.Table, column: str) -> Any:
    values = table.column(column)
    return values.to_numpy() if column == "value" else np.array(values.to_pylist(), dtype=object)


def digest_of_scores(scores: pd.DataFrame) -> str:
    """sha256 over the names of the columns of texts, their rows and the numbers, to the last bit."""
    texts = sorted(column for column in scores.columns if column != "value")
    rows = [[column, scores[column].astype(str).tolist()] for column in texts]
    return digest.of_json([rows, digest.of_array(scores["value"].to_numpy(np.float64))])


class ScoresWriter:
    """Writes a `scores.parquet`, tightly (texts by dictionary, numbers by byte planes, zstd): nothing is rounded. A context
    manager; no file where no scores are added."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def add(self, key: str, scores: pd.DataFrame) -> str:
        """Write the scores of a cell; their `digest_of_scores`. All cells of a file have the same columns."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        texts = {KEY: [key] * len(scores)}
        texts |= {column: scores[column].astype(str).tolist() for column in scores.columns if column != "value"}
        columns = {column: pa.array(values, pa.string()) for column, values in texts.items()}
        table = pa.table(columns | {"value": pa.array(scores["value"].to_numpy(np.float64), pa.float64())})
        if self._writer is None:
            self._writer = pq.ParquetWriter(
                self._path,
                table.schema,
                compression="zstd",
                compression_level=19,
                use_dictionary=list(texts),
                column_encoding={"value": "BYTE_STREAM_SPLIT"},
                write_statistics=[KEY],
                store_schema=False,
            )
        self._writer.write_table(table, row_group_size=len(table))
        return digest_of_scores(scores)


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
