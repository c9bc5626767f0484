"""Files made to stop the checker, of every kind that an entry has: each is refused in one line, in 10 seconds and 1 GB.

They are read in processes with those limits (`tests/hostile.py`); the corpus is made here, none of it is committed.
"""

from __future__ import annotations

import bz2
import hashlib
import struct
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cxrbench.leaderboard.pack import new_entry

from ..hostile import Case, outcomes_of, refused, zeros
from . import taken_apart as apart

MIB = 1 << 20
Made = Callable[[Path], None]
CASES: dict[str, Case] = {}
"""Reader of the harness, name of the file, and what writes it, by what is hostile about it."""


def text(reader: str, file: str, name: str, content: str | bytes) -> None:
    raw = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    CASES[f"{reader}: {name}"] = (reader, file, lambda path: path.write_bytes(raw) and None)


# ------------------------------------------------------------------------------------------------------------- JSON

JSON: dict[str, str] = {
    "a text of escaped quotes that never ends": '{"a": "' + '\\"' * (3 * MIB),
    "quotes alone": '"' * (8 * MIB),
    "backslashes alone": '"' + "\\" * (8 * MIB),
    "lists that never end": "[" * (8 * MIB),
    "objects within objects": '{"a":' * (2 * MIB),
    "empty lists": '{"a":[' + "[]," * (4 * MIB) + "[]]}",
    "commas alone": "," * (8 * MIB),
    "a number of a million digits": '{"schema":' + "9" * MIB + "}",
    "a fraction of a million digits": '{"schema":0.' + "9" * MIB + "e999}",
    "an endless text": '{"schema":"' + "x" * (8 * MIB) + '"}',
    "an endless key": '{"' + "k" * (8 * MIB) + '":1}',
    "spaces alone": " " * (8 * MIB),
    "zero bytes": "\0" * (8 * MIB),
    "half a surrogate": '{"schema":"\\ud800"}',
}
for _name, _json in JSON.items():
    text("json", "a.json", _name, _json)
    text("records", "records.jsonl", _name, _json + "\n")
for _name in ("a text of escaped quotes that never ends", "empty lists", "an endless key"):
    text("results", "results.json", _name, JSON[_name])
    text("throughput", "throughput.json", _name, JSON[_name])
for _reader, _end in (("results", ""), ("records", "\n"), ("throughput", "")):
    text(_reader, "a.json", "keys that no model has", "{" + ",".join(f'"k{i}":1' for i in range(300_000)) + "}" + _end)
    text(_reader, "a.json", "a million numbers", "[" + "1," * 999_990 + "1]" + _end)
text("records", "records.jsonl", "lines without anything", "\n" * (8 * MIB))
text("records", "records.jsonl", "a line that closes what no line opened", "}]" * 100_000 + "\n" + "[" * 90 + "\n")
text("json", "a.json", "a text of marks over one letter", '["a' + "\u0316\u0300" * 30_000 + '"]')
text("json", "a.json", "not UTF-8", b"\xff" * MIB)


def wrong_items(part: str) -> str:
    """Results with a hundred thousand items that lack every field."""
    return '{"schema":1,"' + part + '":[' + "{}," * 100_000 + "{}]}"


for _part in ("paired", "cost", "seed_values", "cells"):
    text("results", "results.json", f"{_part} without any field", wrong_items(_part))
text("records", "records.jsonl", "a table without any field", '{"schema":1,"table":[' + "{}," * 100_000 + "{}]}\n")

# ------------------------------------------------------------------------------------------------------------- TOML

for _name, _toml in {
    "a key of 20,000 dots": "a." * 20_000 + "a=1",
    "a key of 20,000 dots with spaces": "a . " * 10_000 + "a=1",
    "a key of quoted parts": '"a".' * 15_000 + "a=1",
    "a table of 20,000 dots": "[" + "a." * 20_000 + "a]",
    "tables of tables": "[[" + "a." * 20_000 + "a]]",
    "dots in a table in a list": "x=[{" + "a." * 20_000 + "a=1}]",
    "dots behind a text": 'x="""\n""' + '"""\n' + "a." * 20_000 + "a=1",
    "dots behind an apostrophe": "# it's\n" + "a." * 20_000 + "a=1",
    "lists within lists": "a=" + "[" * 30_000,
    "tables within tables": "a=" + "{a=" * 15_000,
    "a text that never ends": 'a="' + '\\"' * 30_000,
    "a long text that never ends": 'a="""' + '\\"' * 30_000,
    "quotes alone": '"' * 60_000,
    "apostrophes alone": "'" * 60_000,
    "a number of 60,000 digits": "a=" + "9" * 60_000,
    "underlines in a number": "a=1" + "_1" * 30_000 + "_",
    "a date that is none": "a=" + "2026-01-01T00:00:00." + "9" * 60_000 + "x",
    "brackets alone": "[" * 60_000,
    "zero bytes": "\0" * 60_000,
    "more than is read": "#" * 70_000,
}.items():
    text("toml", "submission.toml", _name, _toml)
    if len(_toml) % 3:  # the same reader again: some are enough
        text("masks", "masks.toml", _name, _toml)


# -------------------------------------------------------------------------------------------------------- npz and npy


def npy(header: str, body: bytes = b"", version: bytes = b"\1\0") -> bytes:
    raw = header.encode("latin1").ljust(117) + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H" if version == b"\1\0" else "<I", len(raw)) + raw + body


def described(kind: str, shape: str, body: bytes = b"") -> bytes:
    return npy(f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}}}", body)


IDS = apart.npy(np.array(["a"]))
ARRAYS: dict[str, bytes] = {
    "letters beyond Unicode": described("<U1", "(2,)", b"\0\0\x11\0\0\xd8\0\0"),
    "letters beyond Unicode, the other way round": described(">U1", "(1,)", b"\xff\xff\xff\xff"),
    "surrogates": described("<U1", "(1,)", b"\0\xd8\0\0"),
    "a terabyte": described("<f8", "(1000000000000,)"),
    "a shape beyond all numbers": described("<f8", "(" + "9" * 900 + ",)"),
    "a shape of 900 sides": described("<f8", "(" + "1," * 400 + ")", b"\0" * 8),
    "a shape below zero": described("<f8", "(-1,)", b"\0" * 8),
    "a text of 60 MB": described("<U15000000", "(1,)", bytes(60_000_000)),
    "no letters": described("<U0", "(5,)"),
    "objects": described("|O", "(1,)", b"cos\nsystem\n(S'true'\ntR."),
    "a type of fields": npy("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,)}", b"\0" * 8),
    "a type that is none": described("<q99", "(1,)"),
    "a header that is code": npy("__import__('os').abort()"),
    "a header of brackets": npy("(" * 9_000),
    "a header of 4 GB": b"\x93NUMPY\2\0\xff\xff\xff\xff{",
    "a version of tomorrow": b"\x93NUMPY\x09\0" + b"\0" * 100,
    "not a number": described("<f4", "(1,)", struct.pack("<f", float("nan"))),
    "nothing": b"",
    "nulls": bytes(4 * MIB),
}


def members(found: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Made:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w", method, compresslevel=9) as archive:
            for name, raw in found.items():
                archive.writestr(name, raw)

    return write


def called(*arrays: bytes) -> dict[str, bytes]:
    return {f"{hashlib.sha256(raw).hexdigest()}.npy": raw for raw in arrays}


for _name, _raw in ARRAYS.items():
    CASES[f"npz: {_name}"] = ("npz", "predictions.npz", members(called(_raw, IDS)))
for _name in ("a terabyte", "objects", "a header of 4 GB", "nothing"):
    text("array", "a.npy", _name, ARRAYS[_name])


def lying(method: int, packed: bytes, says: int, name: str = f"{'0' * 64}.npy", copies: int = 1) -> Made:
    """An archive whose members say that they have other sizes than they have; all of them lie at the same place."""

    def write(path: Path) -> None:
        crc, raw, head = 0, name.encode(), bytearray()
        local = (
            struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, method, 0, 33, crc, len(packed), says, len(raw), 0)
            + raw
            + packed
        )
        for number in range(copies):
            one = f"{number:064x}.npy".encode() if copies > 1 else raw
            fields = (20, 20, 0, method, 0, 33, crc, len(packed), says, len(one), 0, 0, 0, 0, 0, 0)
            head += struct.pack("<4s6H3I5H2I", b"PK\1\2", *fields) + one
        count = min(copies, 0xFFFF)
        end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, len(head), len(local), 0)
        path.write_bytes(local + head + end)

    return write


@cache
def streamed(length: int) -> bytes:
    """Zeros packed by bzip2 without being made."""
    packer, found = bz2.BZ2Compressor(), b""
    for _ in range(length >> 24):
        found += packer.compress(bytes(1 << 24))
    return found + packer.flush()


def deflated(length: int) -> bytes:
    return zeros(length)[2:-4]  # without what zlib has around it


CASES["npz: 1.3 GB of bzip2 that say 100 bytes"] = (
    "npz",
    "p.npz",
    lambda path: lying(12, streamed(5 << 28), 100)(path),
)
CASES["npz: 1.3 GB of bzip2 that say so"] = ("npz", "p.npz", lambda path: lying(12, streamed(5 << 28), 5 << 28)(path))
CASES["npz: 1.3 GB of deflate that say 100 bytes"] = (
    "npz",
    "p.npz",
    lambda path: lying(8, deflated(5 << 28), 100)(path),
)
CASES["npz: 240 MB of deflate"] = ("npz", "p.npz", lambda path: lying(8, deflated(240 << 20), 240 << 20)(path))
CASES["npz: 100,000 members of one place"] = ("npz", "p.npz", lying(0, IDS, len(IDS), copies=100_000))
CASES["npz: a comment behind it"] = (
    "npz",
    "p.npz",
    lambda path: (members(called(IDS))(path), path.open("ab").write(b"x" * 99))[0],
)
CASES["npz: names of another form"] = ("npz", "p.npz", members({"../../a.npy": IDS}))
text("npz", "p.npz", "the end of an archive alone", b"PK\5\6" + b"\xff" * 16 + b"\0\0")
text("npz", "p.npz", "a signature over and over", b"PK\1\2PK\5\6" * MIB)


# ----------------------------------------------------------------------------------------------------------- parquet


def scores(rows: int, case: list[str] | None = None, key: str = "a" * 64) -> pa.Table:
    texts = {
        "case": case or [f"c{row}" for row in range(rows)],
        "structure": ["heart"] * rows,
        "metric": ["dsc"] * rows,
    }
    columns = {name: pa.array(values) for name, values in (texts | {"key": [key] * rows}).items()}
    return pa.table(columns | {"value": pa.array(np.zeros(rows))})


def table(make: Callable[[], pa.Table], **options: object) -> Made:
    return lambda path: pq.write_table(make(), path, **{"compression": "zstd", **options})


def repeated(rows: int, long: str) -> pa.Table:
    """One text in every row, kept once."""
    one = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([long]))
    same = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array(["heart"]))
    key = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array(["a" * 64]))
    return pa.table({"case": one, "structure": same, "metric": same, "key": key, "value": pa.array(np.zeros(rows))})


def many_groups(path: Path) -> None:
    one = scores(1)
    with pq.ParquetWriter(path, one.schema, compression="zstd") as writer:
        for _ in range(12_000):
            writer.write_table(one)


PARQUET: dict[str, Made] = {
    "three million rows of one case": table(lambda: repeated(3_000_000, "c"), row_group_size=3_000_000),
    "a case of 30 MB in a million rows": table(lambda: repeated(1_000_000, "c" * 30_000_000)),
    "a dictionary of 400 MB": table(lambda: repeated(1_000, "c" * 400_000_000), row_group_size=1_000),
    "more rows than are read": table(lambda: repeated(5_000_000, "c"), row_group_size=5_000_000),
    "cases of 10 MB each": table(lambda: scores(20, [f"{row}" * 5_000_000 for row in range(20)]), use_dictionary=False),
    "12,000 row groups": many_groups,
    "two cells in a row group": table(lambda: pa.concat_tables([scores(2), scores(2, key="b" * 64)])),
    "cases that are missing": table(lambda: scores(2, [None, "b"])),
    "lists for cases": table(lambda: scores(1).set_column(0, "case", pa.array([["a"]]))),
    "columns of nobody": table(lambda: pa.table({f"c{number}": [1] for number in range(2_000)})),
    "no columns": table(lambda: pa.table({})),
}
for _name, _write in PARQUET.items():
    CASES[f"parquet: {_name}"] = ("parquet", "scores.parquet", _write)
text("parquet", "scores.parquet", "a footer of 4 GB", b"PAR1" + b"\0" * 100 + b"\xff\xff\xff\x7fPAR1")
text(
    "parquet",
    "scores.parquet",
    "a footer of nonsense",
    b"PAR1" + b"\x19\xfc\xff\xff\xff\x0f" * 1000 + struct.pack("<I", 6000) + b"PAR1",
)
text("parquet", "scores.parquet", "nulls", bytes(MIB))


# ---------------------------------------------------------------------------------------------------------- pictures


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *chunks: bytes, depth: int = 8, colour: int = 0) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + chunk(b"IEND", b"")


def packed(length: int) -> bytes:
    return chunk(b"IDAT", zeros(length))


PICTURES: dict[str, bytes] = {
    "a billion pixels": png(2**31 - 1, 2**31 - 1, packed(1000)),
    "60,000 pixels a side": png(60_000, 60_000, packed(1000)),
    "400 MB behind 16 pixels": png(4, 4, packed(400 * MIB)),
    "40,000 empty chunks": png(4, 4, *[chunk(b"IDAT", b"")] * 40_000),
    "a text of 400 KB": png(4, 4, chunk(b"tEXt", b"a\0" + b"x" * 400_000), packed(20)),
    "a text that unpacks to 400 MB": png(4, 4, chunk(b"zTXt", b"a\0\0" + zeros(400 * MIB)), packed(20)),
    "a profile that unpacks to 400 MB": png(4, 4, chunk(b"iCCP", b"a\0\0" + zeros(400 * MIB)), packed(20)),
    "no pixels": png(4, 4),
    "no size": png(0, 0, packed(20)),
    "a chunk of 4 GB": png(4, 4)[:33] + b"\xff\xff\xff\xffIDAT",
    "a bit less": png(4, 4, packed(19)),
    "nulls": bytes(500_000),
}
for _name, _raw in PICTURES.items():
    text("png", "a.png", _name, _raw)


# ------------------------------------------------------------------------------------------------ Markdown, and wholes


def draft(readme: str) -> Made:
    """A draft of an entry with that README."""

    def write(path: Path) -> None:
        new_entry(path.name, path.parent)
        (path / "README.md").write_text(readme, encoding="utf-8")

    return write


READMES: dict[str, str] = {
    "a line of marks over one letter": "a" + "\u0316\u0300" * 15_000,
    "lists within lists": "\n".join(" " * depth + "- <b>x" for depth in range(300)),
    "angle brackets": "<" * 60_000 + "a",
    "ampersands": "&a" * 30_000 + ";&#",
    "more than is read": "x" * 70_000,
    "letters that turn round": "\u202e" * 20_000,
    "zero bytes": "\0" * 60_000,
}
for _name, _text in READMES.items():
    CASES[f"entry: README: {_name}"] = ("entry", "my_gan", draft(_text))


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str]]:
    """What came of every file."""
    return outcomes_of(CASES, tmp_path_factory.mktemp("hostile"))


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_file_is_refused_in_one_line(name, outcomes):
    assert refused(outcomes[name]), outcomes[name]
