"""Files made to stop `report`, `compare` and the readers of films and tables: refused in one line, in 10 seconds and 1 GB.

They are read in processes with those limits (`tests/hostile.py`); the corpus is made here, none of it is committed.
"""

from __future__ import annotations

import gzip
import io
import json
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cxrbench.benchmark.report.write import write_run
from cxrbench.benchmark.results.assemble import assemble

from ..hostile import Case, outcomes_of, refused, zeros
from . import dicom_files

MIB = 1 << 20
CASES: dict[str, Case] = {}


def raw(reader: str, file: str, name: str, content: bytes) -> None:
    CASES[f"{reader}: {name}"] = (reader, file, lambda path: path.write_bytes(content) and None)


# ------------------------------------------------------------------------------------------------------------- films


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + chunk(b"IEND", b"")


GIANT = png(2**31 - 1, 2**31 - 1, chunk(b"IDAT", zlib.compress(bytes(1000))))
for _name, _content in {
    "a billion pixels": GIANT,
    "60,000 pixels a side": png(60_000, 60_000, chunk(b"IDAT", zeros(64 * MIB))),
    "a text that unpacks to 800 MB": png(4, 4, chunk(b"zTXt", b"a\0\0" + zeros(800 * MIB)), chunk(b"IDAT", b"")),
    "a chunk of 4 GB": png(4, 4)[:33] + b"\xff\xff\xff\xffIDAT",
    "no size": png(0, 0),
    "nulls": bytes(MIB),
}.items():
    raw("film", "a.png", _name, _content)


def dicom(**tags: Any) -> bytes:
    return dicom_files.dicom_bytes(**tags)


WHOLE = dicom_files.dicom_bytes()
for _name, _content in {
    "60,000 rows and columns": dicom(Rows=60_000, Columns=60_000),
    "a hundred thousand frames": dicom(NumberOfFrames=100_000),
    "no pixels": dicom(PixelData=b""),
    "half of it": WHOLE[: len(WHOLE) // 2],
    "the beginning alone": WHOLE[:132],
    "sequences within sequences": WHOLE[:132]
    + b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 20_000,
    "an element of 4 GB": WHOLE[:132] + b"\xe0\x7f\x10\x00OW\0\0\xfe\xff\xff\xff" + b"\0" * 100,
    "a million elements": WHOLE[:132] + b"\x09\x00\x10\x00LO\x02\x00ab" * 200_000,
    "nothing": b"",
}.items():
    raw("film", "a.dcm", f"DICOM: {_name}", _content)

# ------------------------------------------------------------------------------------------------------------ tables

for _name, _content in {
    "one field of 60 MB": b"id,file\n" + b"x" * (60 * MIB) + b",b\n",
    "a field that never ends": b'id,file\n"' + b"x\n" * (8 * MIB),
    "quotes alone": b'"' * (16 * MIB),
    "a header of a million columns": b",".join(b"c%d" % number for number in range(1_000_000)) + b"\n1\n",
    "a million columns of one name": b"a," * 1_000_000 + b"\n",
    "a line of commas": b"id,file\n" + b"," * (16 * MIB),
    "zero bytes": b"id,file\n" + bytes(16 * MIB),
    "nothing but line ends": b"\n" * (16 * MIB),
    "2 GB packed by gzip": gzip.compress(b"id,file\n") + b"".join([gzip.compress(bytes(16 * MIB))] * 128),
    "an archive that is no workbook": b"PK\x03\x04" + bytes(MIB),
}.items():
    raw("table", "a.csv", _name, _content)


def workbook(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
        archive.writestr(
            "[Content_Types].xml",
            '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "' + "x" * MIB + '">]><a>' + "&b;" * 5_000 + "</a>",
        )


CASES["table: a workbook of entities"] = ("table", "a.xlsx", workbook)


def one_text(path: Path, rows: int, long: int) -> None:
    codes = pa.array(np.zeros(rows, np.int32))
    table = pa.table({"id": pa.DictionaryArray.from_arrays(codes, pa.array(["c" * long]))})
    pq.write_table(table, path, compression="zstd", row_group_size=rows, store_schema=False)


CASES["table: a parquet of 50 million rows"] = ("table", "a.parquet", lambda path: one_text(path, 50_000_000, 1))
CASES["table: a parquet of one long text"] = ("table", "a.parquet", lambda path: one_text(path, 1_000_000, 10 * MIB))

# ---------------------------------------------------------------------------------------------------------- archives


def tar(*members: tarfile.TarInfo, end: bytes = b"") -> Callable[[Path], None]:
    def write(path: Path) -> None:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for member in members:
                archive.addfile(member, io.BytesIO(bytes(member.size)) if member.size < 64 * MIB else None)
        path.write_bytes(gzip.compress(buffer.getvalue()[: 512 * len(members)] + end if end else buffer.getvalue()))

    return write


def info(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.size, found.type, found.linkname = size, kind, link
    return found


def huge(path: Path) -> None:
    """One film of 2 GB of zeros."""
    head = info("images/00000001_000.png", 2 << 30).tobuf()
    path.write_bytes(gzip.compress(head) + gzip.compress(bytes(64 * MIB)) * 32 + gzip.compress(bytes(1024)))


CASES["tar: links to other places"] = (
    "tar",
    "images_001.tar.gz",
    tar(info("a.png", kind=tarfile.SYMTYPE, link="/etc/passwd"), info("b.png", kind=tarfile.LNKTYPE, link="../../x")),
)
CASES["tar: devices and pipes"] = (
    "tar",
    "images_001.tar.gz",
    tar(info("a.png", kind=tarfile.CHRTYPE), info("b.png", kind=tarfile.FIFOTYPE)),
)
CASES["tar: a film of 2 GB"] = ("tar", "images_001.tar.gz", huge)
CASES["tar: a film that is not there"] = ("tar", "images_001.tar.gz", tar(info("a.png", 10 * MIB), end=b"x"))
raw("tar", "images_001.tar.gz", "no archive", b"\x1f\x8b" + bytes(1000))
raw(
    "tar",
    "images_001.tar.gz",
    "names of a gigabyte",
    gzip.compress(info("x", 1 << 30, tarfile.GNUTYPE_LONGNAME).tobuf()) + gzip.compress(bytes(64 * MIB)) * 20,
)


def bomb(path: Path) -> None:
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive,
        archive.open("a.png", "w", force_zip64=True) as handle,
    ):
        for _ in range(96):
            handle.write(bytes(16 * MIB))


CASES["zip: a film of 1.5 GB"] = ("zip", "images.zip", bomb)
raw("zip", "images.zip", "no archive", b"PK\x03\x04" + bytes(1000))

# -------------------------------------------------------------------------------------------------------------- runs


def changed(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    """A run whose results say something else."""

    def write(run: Path) -> None:
        found = json.loads((run / "results.json").read_text())
        change(found)
        (run / "results.json").write_text(json.dumps(found))

    return write


def rows(name: str, **columns: Any) -> Callable[[Path], None]:
    """A run with another table of scores or curves."""
    return lambda run: pq.write_table(pa.table(columns), run / "tables" / f"{name}.parquet", **PACKED)


PACKED: dict[str, Any] = {"compression": "zstd", "store_schema": False}
SCORES = ("size", "fold", "arm", "case", "patient", "structure", "metric")


def long_scores(count: int, letters: int) -> dict[str, Any]:
    codes = pa.array(np.zeros(count, np.int32))
    texts = {name: pa.DictionaryArray.from_arrays(codes, pa.array(["x" * letters])) for name in SCORES}
    return texts | {"seed": np.zeros(count, np.int64), "value": np.zeros(count)}


def beside(file: str, content: bytes) -> Callable[[Path], None]:
    def write(run: Path) -> None:
        assert (run / file).exists()
        (run / file).write_bytes(content)

    return write


def pictures(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def write(run: Path) -> None:
        index = run / "figures" / "films" / "index.json"
        found = json.loads(index.read_text())
        change(found)
        index.write_text(json.dumps(found))

    return write


RUNS: dict[str, Callable[[Path], None]] = {
    "a text that never ends": beside("results.json", b'{"a": "' + b'\\"' * (3 * MIB)),
    "rows without any field": beside("results.json", b'{"schema":1,"paired":[' + b"{}," * 150_000 + b"{}]}"),
    "lists within lists": beside("results.json", b"[" * MIB),
    "a thousand sizes": changed(lambda found: found.update(sizes=found["sizes"] * 1000)),
    "a thousand arms": changed(lambda found: found.update(arms=found["arms"] * 1000)),
    "ten million seeds to plan": changed(lambda found: found.update(seeds=[*range(100_000)])),
    "a thousand structures": changed(lambda found: found["task"].update(structures=[f"s{n}" for n in range(5000)])),
    "scores of 30 million rows": rows("scores", **long_scores(30_000_000, 1)),
    "scores of long texts": rows("scores", **long_scores(1_000_000, MIB)),
    "scores of other columns": rows("scores", a=[1]),
    "scores of texts for numbers": rows("scores", **{name: ["x"] for name in (*SCORES, "seed", "value")}),
    "scores that are none": beside("tables/scores.parquet", b"PAR1" + bytes(100) + b"PAR1"),
    "curves of a hundred thousand names": rows(
        "curves",
        **{name: pa.array(["full"] * 100_000) for name in ("owner", "size", "fold", "arm", "loss")},
        seed=np.zeros(100_000, np.int64),
        curve=pa.array([f"c{n}" for n in range(100_000)]),
        step=np.zeros(100_000),
        value=np.zeros(100_000),
    ),
    "a film of a billion pixels": lambda run: next((run / "figures/films").glob("*.png")).write_bytes(GIANT) and None,
    "films that are none": lambda run: (
        [path.write_bytes(b"x") for path in (run / "figures/films").glob("*.png")] and None
    ),
    "a film elsewhere": pictures(lambda found: found["pictures"][0].update(plain="/etc/hostname")),
    "a million films": pictures(lambda found: found.update(pictures=found["pictures"] * 200)),
}


@pytest.fixture(scope="module")
def outcomes(fabricate_once, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str]]:
    """What came of every file, and of a run that holds each of the hostile ones (`run` lies beside it, whole)."""
    folder = tmp_path_factory.mktemp("hostile")
    made = fabricate_once()
    write_run(folder / "run", assemble(made.plan, made.store, []), made.plan, made.store)

    def copied(change: Callable[[Path], None]) -> Callable[[Path], None]:
        def write(path: Path) -> None:
            shutil.copytree(folder / "run", path)
            (path.parent / "run").symlink_to(folder / "run")
            change(path)

        return write

    cases = CASES | {f"run: {name}": ("run", "own", copied(change)) for name, change in RUNS.items()}
    both = [name for name in RUNS if "film" not in name and "curves" not in name]
    cases |= {f"pair: {name}": ("pair", "own", copied(RUNS[name])) for name in both}
    cases["run: whole"] = ("run", "own", copied(lambda run: None))
    cases["pair: whole"] = ("pair", "own", copied(lambda run: None))
    return outcomes_of(cases, folder)


def names() -> list[str]:
    both = [name for name in RUNS if "film" not in name and "curves" not in name]
    return [*CASES, *(f"run: {name}" for name in RUNS), *(f"pair: {name}" for name in both)]


@pytest.mark.parametrize("name", names())
def test_a_hostile_file_is_refused_in_one_line(name, outcomes):
    assert refused(outcomes[name]), outcomes[name]


@pytest.mark.parametrize("name", ["run: whole", "pair: whole"])
def test_the_run_itself_is_read(name, outcomes):
    assert outcomes[name] == ("read", "")


def test_zeros_are_what_zlib_unpacks():
    for length in (0, 5, 3 * MIB, 3 * MIB + 5):
        assert zlib.decompress(zeros(length)) == bytes(length)
