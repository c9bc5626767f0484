"""Files of a download (a folder, a zip or a folder of zips), and decoding many of them at once."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TypeVar

from ...errors import InputError
from ...progress import Progress

MOST_BYTES = 256 << 20
"""Of a file in an archive; the largest film of a set has 8 MB."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Entry:
    """One file of a download. `path` is its place in the folder or archive."""

    path: PurePosixPath
    size: int
    read: Callable[[], bytes]


@contextmanager
def entries(source: Path, suffix: str) -> Iterator[list[Entry]]:
    """The files with a suffix (".img", in any case) below a folder, in a zip, or in the zips below a folder.

    The archives stay open inside the block; entries may be read by several threads. InputError where the
    source is absent or an archive is damaged.
    """
    with ExitStack() as stack:
        if source.is_dir():
            files = sorted(path for path in source.rglob("*") if path.is_file())
            found = [_file_entry(path, source) for path in files if _wanted(path.name, suffix)]
            archives = [path for path in files if _wanted(path.name, ".zip")]
        elif source.is_file():
            found, archives = [], [source]
        else:
            raise InputError(f"{source} does not exist")
        for archive in archives:
            found += _archive_entries(stack, archive, suffix)
        yield found


def decode_all(
    items: Sequence[Item], decode: Callable[[Item], Result], progress: Progress, note: str
) -> Iterator[Result]:
    """`decode` of every item, in order, by threads (array libraries release the interpreter lock).

    The first error in the order of the items ends it; work that has not begun is dropped. No more than a few
    items wait to be taken, so that memory stays small.
    """
    workers = min(8, os.cpu_count() or 1)
    executor = ThreadPoolExecutor(workers)
    try:
        window = 2 * workers
        waiting = [executor.submit(decode, item) for item in items[:window]]
        for index in range(len(items)):
            result = waiting.pop(0).result()
            if index + window < len(items):
                waiting.append(executor.submit(decode, items[index + window]))
            yield result
            progress.update((index + 1) / len(items), f"{note} {index + 1}/{len(items)}")
    finally:
        executor.shutdown(cancel_futures=True)


def _wanted(name: str, suffix: str) -> bool:
    """By suffix, without the hidden `._x` twins that some archivers add."""
    return name.lower().endswith(suffix) and not name.startswith(".")


def _file_entry(path: Path, source: Path) -> Entry:
    return Entry(PurePosixPath(path.relative_to(source).as_posix()), path.stat().st_size, path.read_bytes)


def _archive_entries(stack: ExitStack, archive: Path, suffix: str) -> list[Entry]:
    try:
        opened = stack.enter_context(zipfile.ZipFile(archive))
    except (zipfile.BadZipFile, OSError) as error:
        raise InputError(f"{archive} is not a readable zip archive ({error}): truncated download?") from None
    members = [info for info in opened.infolist() if _wanted(PurePosixPath(info.filename).name, suffix)]
    return [
        Entry(
            PurePosixPath(archive.name, info.filename),
            info.file_size,
            partial(_read_member, archive, opened, info),
        )
        for info in sorted(members, key=lambda info: info.filename)
    ]


def _read_member(archive: Path, opened: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    try:
        if info.file_size > MOST_BYTES:
            raise InputError(
                f"{archive}: {info.filename} has {info.file_size:,} bytes; at most {MOST_BYTES:,} are read"
            )
        with opened.open(info) as member:
            return member.read(MOST_BYTES)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError) as error:
        raise InputError(
            f"{archive}: {info.filename} cannot be read ({error}): damaged or encrypted archive?"
        ) from None
