"""Reads files in processes that may take 10 seconds and 1 GB, and says what came of it: `python hostile.py CASES OUT`.

CASES is a JSON list of [reader, path]; OUT gets a list of [what, words]: `refused` with the line, `read`, `traceback` with
the error, or `died` with the signal. What a process has taken to import does not count. Tests call it by `outcomes_of`.
"""

from __future__ import annotations

import json
import os
import resource
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cxrbench.benchmark.contracts.picture_arrays import _arrays
from cxrbench.benchmark.contracts.picture_masks import _declared
from cxrbench.benchmark.data.importers.nih_films import archive_films
from cxrbench.benchmark.data.importers.sources import _archive_entries
from cxrbench.benchmark.data.reading.films import film_size, read_film
from cxrbench.benchmark.data.reading.tables import read_table
from cxrbench.benchmark.errors import CxrbenchError
from cxrbench.benchmark.report import build
from cxrbench.benchmark.report.comparison import Run, compare
from cxrbench.benchmark.results.folder import load_run
from cxrbench.benchmark.results.rows import Results
from cxrbench.benchmark.runs.record import Record
from cxrbench.benchmark.speed.rates import read_throughput
from cxrbench.leaderboard.arrays import array_digests, read_predictions, read_scores, score_keys
from cxrbench.leaderboard.entry import load_entry
from cxrbench.leaderboard.pictures import check_png
from cxrbench.leaderboard.untrusted import read_json, read_model, read_models, read_toml

SECONDS, BYTES = 10, 1 << 30


def every_array(path: Path) -> None:
    for one in array_digests(path):
        read_predictions(path, {"ids": one, "x": one})


def every_film(path: Path) -> None:
    class Any_(dict[str, str]):
        def __contains__(self, key: object) -> bool:
            return True

    found = [film.read() for film in archive_films(path, Any_(), Any_())]
    if not found:
        raise CxrbenchError("no film is in it")


def every_member(path: Path) -> None:
    from contextlib import ExitStack

    with ExitStack() as stack:
        for entry in _archive_entries(stack, path, ".png"):
            entry.read()


def film(path: Path) -> None:
    film_size(path)
    read_film(path)


READERS: dict[str, Callable[[Path], Any]] = {
    "json": read_json,
    "results": lambda path: read_model(path, Results, 1),
    "records": lambda path: read_models(path, Record, 1),
    "throughput": read_throughput,
    "toml": read_toml,
    "masks": lambda path: _declared(path.parent, None, ["left_lung"]),
    "entry": load_entry,
    "npz": every_array,
    "array": _arrays,
    "parquet": lambda path: [read_scores(path, key) for key in score_keys(path)],
    "png": check_png,
    "film": film,
    "table": read_table,
    "tar": every_film,
    "zip": every_member,
    "run": lambda path: build(path, load_run(path)),
    "pair": lambda path: compare(Run.open(path), Run.open(path.with_name("run"))),
}


def answer(reader: str, path: Path) -> tuple[str, str]:
    try:
        READERS[reader](path)
    except CxrbenchError as error:
        return "refused", str(error)
    except BaseException as error:
        return "traceback", f"{type(error).__name__}: {error}"[:500]
    return "read", ""


def apart(reader: str, path: Path) -> tuple[str, str]:
    """What came of a file, read in a child with limits from now on."""
    receive, send = os.pipe()
    begun = time.monotonic()
    if not (child := os.fork()):
        used = int(time.process_time())
        resource.setrlimit(resource.RLIMIT_CPU, (used + SECONDS, used + SECONDS))
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + BYTES
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        os.write(send, json.dumps(answer(reader, path)).encode()[:60_000])
        os._exit(0)
    os.close(send)
    with os.fdopen(receive, "rb") as pipe:
        said = pipe.read()
    status, usage = os.wait4(child, 0)[1:]
    if where := os.environ.get("HOSTILE_TIMES"):  # a file, for whoever wants to see them
        with open(where, "a", encoding="utf-8") as file:
            seconds, most = time.monotonic() - begun, usage.ru_maxrss >> 10
            print(f"{seconds:6.2f} s {most:6} MB  {reader:10} {path.parent.name}/{path.name}  {said[:80]!r}", file=file)
    what, words = json.loads(said) if said else ("died", str(os.waitstatus_to_exitcode(status)))
    return what, words


def zeros(length: int) -> bytes:
    """So many zeros as zlib packs them: a megabyte is packed once, and stands there as often as it is needed."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    rest = packer.compress(bytes(length % (1 << 20))) + packer.flush()
    check = struct.pack(">I", (length % 65521) << 16 | 1)  # Adler-32
    return b"\x78\xda" + (length >> 20) * block + rest + check


Case = tuple[str, str, Callable[[Path], None]]
"""A reader, the name of a file, and what writes it."""


def outcomes_of(cases: dict[str, Case], folder: Path) -> dict[str, tuple[str, str]]:
    """Write every file and say what came of it, in a process of its own."""
    found = []
    for number, (reader, file, write) in enumerate(cases.values()):
        path = folder / str(number) / file
        path.parent.mkdir()
        write(path)
        found.append((reader, str(path)))
    (folder / "cases.json").write_text(json.dumps(found))
    words = [sys.executable, __file__, str(folder / "cases.json"), str(folder / "out.json")]
    subprocess.run(words, check=True)
    return dict(zip(cases, map(tuple, json.loads((folder / "out.json").read_text())), strict=True))


def refused(outcome: tuple[str, str]) -> bool:
    """Whether a file was refused, in one line."""
    what, words = outcome
    return what == "refused" and "\n" not in words and len(words) < 700


if __name__ == "__main__":
    cases, out = map(Path, sys.argv[1:])
    out.write_text(json.dumps([apart(reader, Path(path)) for reader, path in json.loads(cases.read_text())]))
