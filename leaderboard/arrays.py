"""Predictions and case scores of an entry, read without trusting their headers, a cell at a time.

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
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from ..benchmark import digest
from ..benchmark.bounds import TooMuch, check_zip, memory
from ..benchmark.contracts.task import Predictions
from .untrusted import Refused, plain_file, shown, text_problem

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

NPZ_BYTES, SCORES_BYTES = 32 << 20, 32 << 20
EXPANDED_BYTES, MAX_ARRAYS, MAX_FILMS, MAX_ID = 256 << 20, 16, 500_000, 128
"""Of one cell: the bytes of its arrays or scores when unpacked, its arrays, its films, the letters of an id."""
MAX_SCORES, MAX_GROUPS, ALL_BYTES = 4_000_000, 10_000, 2 << 30
"""Of all cells of a folder: their scores, the cells that have some, and the bytes of their arrays when unpacked."""
IDS, KEY = "ids", "key"
LETTER = 0x10FFFF
READING_BYTES = 768 << 20
"""What reading one cell may take beside what the process has."""
_ARRAY_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_PLAIN = re.compile(r"[A-Za-z0-9_.-]*+")
_MEMBER = re.compile(r"([0-9a-f]{64})\.npy")
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
_TEXT_COLUMNS = ("case", "patient", "structure", "metric")


@contextmanager
def one_line(name: str) -> Iterator[None]:
    """Whatever a reader of a damaged file raises becomes Refused, and so does a file that takes too much memory."""
    try:
        with memory(READING_BYTES):
            yield
    except Refused:
        raise
    except MemoryError:
        words = f"takes more than {READING_BYTES >> 20} MiB of memory to read"
        raise Refused(f"{name} {words}; nothing of an entry needs so much") from None
    except Exception as error:  # zipfile, its decoders and pyarrow raise nearly anything
        raise Refused(f"{name} cannot be read ({type(error).__name__})") from None


# ------------------------------------------------------------------------------------------------------ predictions


def array_digests(path: Path) -> dict[str, int]:
    """The sha256 of every array of a `predictions.npz`, its members' names, with its bytes. None of them is read."""
    name = shown(path.name)
    with one_line(name):
        return {sha256: info.file_size for sha256, info in _members(path, stamp(path)).items()}


def archive_of(path: Path) -> zipfile.ZipFile:
    """A zip archive of arrays, opened; Refused where it has more members than one is searched for."""
    try:
        check_zip(plain_file(path, NPZ_BYTES))
    except TooMuch as error:
        raise Refused(f"{shown(path.name)} cannot be read: it {error}") from None
    return zipfile.ZipFile(path)


def read_predictions(path: Path, arrays: Mapping[str, str]) -> Predictions:
    """The predictions of one cell: of a `predictions.npz` the arrays with the given sha256, by their names, `ids` (a row of
    texts) among them. Numbers and truth values that are finite; no objects, no surprises."""
    name = shown(path.name)
    if odd := [one for one in arrays if not _ARRAY_NAME.fullmatch(one)]:
        raise Refused(f"{name}: {shown(odd[0])} is no name of an array")
    with one_line(name):
        members = _members(path, stamp(path))
        if lacking := [one for one, sha256 in arrays.items() if sha256 not in members]:
            raise Refused(f"{name} does not hold the array {lacking[0]} that the record names")
        infos = [members[sha256] for sha256 in arrays.values()]
        if len(infos) > MAX_ARRAYS or sum(info.file_size for info in infos) > EXPANDED_BYTES:
            raise Refused(
                f"{name}: at most {MAX_ARRAYS} arrays of {EXPANDED_BYTES >> 20} MiB in all are read of a cell"
            )
        with path.open("rb") as handle:
            found = {one: _read(handle, members[sha256], f"{name}: {one}") for one, sha256 in arrays.items()}
        return checked_predictions(found, name)


def stamp(path: Path) -> tuple[int, int, int]:
    """What is another when a file was written again."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


@lru_cache(maxsize=2)
def _members(path: Path, stamp: tuple[int, int, int]) -> dict[str, zipfile.ZipInfo]:
    """What lies where in an archive, read once for all its cells."""
    name, found = shown(path.name), dict[str, zipfile.ZipInfo]()
    with archive_of(path) as archive:
        infos = archive.infolist()
    for info in infos:
        match = _MEMBER.fullmatch(info.filename)
        if match is None or match[1] in found:
            raise Refused(f"{name} holds {shown(info.filename)}; expected arrays called by their sha256, each once")
        if info.compress_type not in _METHODS or info.flag_bits & 1:
            raise Refused(f"{name}: {shown(info.filename)} is packed in a way that is not read (deflate or bzip2 are)")
        found[match[1]] = info
    return found


def _read(handle: IO[bytes], info: zipfile.ZipInfo, name: str) -> np.ndarray:
    raw = unpacked(handle, info)
    if f"{hashlib.sha256(raw).hexdigest()}.npy" != info.filename:
        raise Refused(f"{name} is not the array that it is called by (sha256)")
    return parse_array(raw, name)


def unpacked(handle: IO[bytes], info: zipfile.ZipInfo) -> bytes:
    """The bytes of a member of the archive in a file, and never more than one above those that it says it has: zipfile
    unpacks bzip2 as far as it goes."""
    handle.seek(info.header_offset + 26)
    handle.seek(sum(struct.unpack("<HH", handle.read(4))), io.SEEK_CUR)
    packed, most = handle.read(info.compress_size), info.file_size + 1
    if info.compress_type == zipfile.ZIP_BZIP2:
        return bz2.BZ2Decompressor().decompress(packed, most)
    if info.compress_type == zipfile.ZIP_DEFLATED:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, most)
    return packed[:most]


def checked_predictions(arrays: dict[str, np.ndarray], name: str) -> Predictions:
    """Predictions of arrays by name; Refused where `ids` are no ids of films, or alone."""
    ids = arrays.pop(IDS, None)
    if ids is None or ids.dtype.kind != "U" or ids.ndim != 1 or not arrays:
        raise Refused(f"{name}: expected arrays of numbers and 'ids', a row of texts")
    if len(ids) > MAX_FILMS:
        raise Refused(f"{name} names {len(ids):,} films; at most {MAX_FILMS:,} are read")
    texts = tuple(ids.tolist())
    for text in texts if "" in texts or not _PLAIN.fullmatch("".join(texts)) else ():
        if not text or text_problem(text):
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
    if dtype.kind == "U" and dtype.itemsize > 4 * MAX_ID:
        raise Refused(f"{name} holds texts of {dtype.itemsize // 4:,} letters; at most {MAX_ID} are read")
    values = memoryview(raw)[handle.tell() :]
    count = 1
    for side in shape:
        count *= int(side)
    if len(shape) > 5 or any(side < 0 for side in shape) or count * dtype.itemsize != len(values) or not count:
        raise Refused(f"{name} has the shape {shown(shape)}, which is not what its bytes hold")
    array = np.frombuffer(values, dtype=dtype).reshape(shape, order="F" if fortran else "C")
    if dtype.kind == "b" and np.frombuffer(values, np.uint8).max() > 1:
        raise Refused(f"{name} holds bytes that are no truth values")
    if dtype.kind == "U" and np.frombuffer(values, np.dtype(np.uint32).newbyteorder(dtype.byteorder)).max() > LETTER:
        raise Refused(f"{name} holds texts with what is no letter of Unicode")
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
    import pyarrow.parquet  # noqa: F401 (loaded before memory is limited)

    with one_line(shown(path.name)):
        return list(_groups(plain_file(path, SCORES_BYTES), stamp(path))[1])


def read_scores(path: Path, key: str) -> pd.DataFrame:
    """The case scores of one cell: `case, structure, metric, value` and perhaps `patient`. NaN is "not taught"."""
    import pyarrow.parquet as pq

    name = shown(path.name)
    with one_line(name):
        metadata, keys = _groups(plain_file(path, SCORES_BYTES), stamp(path))
        if keys.count(key) != 1:
            raise Refused(f"{name} holds {keys.count(key)} parts of the cell {key[:8]}, expected one")
        texts = [column for column in metadata.schema.to_arrow_schema().names if column != "value"]
        with pq.ParquetFile(path, metadata=metadata, read_dictionary=texts) as source:
            frame = read_group(source, keys.index(key), name)
    if not (frame.pop(KEY) == key).all():
        raise Refused(f"{name} holds scores of another cell among those of {key[:8]}")
    return frame


@lru_cache(maxsize=2)
def _groups(path: Path, stamp: tuple[int, int, int]) -> tuple[pq.FileMetaData, tuple[str, ...]]:
    """What a table says of itself, with the cell of each row group; read once for all its cells."""
    import pyarrow.parquet as pq

    name = shown(path.name)
    with pq.ParquetFile(path) as source:
        check_columns(source.schema_arrow, name, (KEY,))
        metadata = source.metadata
    rows = sum(metadata.row_group(row).num_rows for row in range(metadata.num_row_groups))
    if metadata.num_row_groups > MAX_GROUPS or rows > MAX_SCORES:
        raise Refused(f"{name}: at most {MAX_SCORES:,} scores of {MAX_GROUPS:,} cells are read")
    return metadata, tuple(_key_of(metadata.row_group(row), name) for row in range(metadata.num_row_groups))


def _key_of(group: pq.RowGroupMetaData, name: str) -> str:
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
    if len(table) != meta.num_rows:
        raise Refused(f"{name} does not hold the scores that it says it does")
    frame = pd.DataFrame({column: _values(table, column, name) for column in table.column_names})
    if np.isinf(frame["value"]).any():
        raise Refused(f"{name} holds numbers that are not finite")
    if frame.duplicated(["case", "structure", "metric"]).any():
        raise Refused(f"{name}: a case has two scores of one structure and metric")
    return frame


def _values(table: pa.Table, column: str, name: str) -> Any:
    """A column: numbers as they are; texts by their dictionaries, so that one that stands a million times is there once."""
    import pyarrow.compute as pc

    values = table.column(column)
    if column == "value":
        return values.to_numpy()
    parts = [part.dictionary_encode() for part in values.chunks]
    if values.null_count or sum(len(part.dictionary) for part in parts) > MAX_FILMS:
        raise Refused(f"{name}: a {column} is missing, or there are more than {MAX_FILMS:,} of them")
    for part in parts:
        if pc.max(pc.binary_length(part.dictionary)).as_py() > 4 * MAX_ID:
            raise Refused(f"{name}: a {column} has more than {MAX_ID} letters")
        for text in part.dictionary.to_pylist():
            if not text or len(text) > MAX_ID or text_problem(text):
                raise Refused(f"{name}: {shown(text)} is no {column}")
    return np.concatenate(
        [np.array(part.dictionary.to_pylist(), dtype=object)[part.indices.to_numpy()] for part in parts]
    )


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
