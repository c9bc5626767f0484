"""The films of NIH ChestX-ray14: where they are in a download, decoding one, and the draft that keeps decoded ones.

A draft is an `images.npy` of the whole set, filled row by row (a sparse file where the disk knows such), and a
journal with a line for each block of rows that is safely there. An import that was interrupted goes on from it.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import struct
import tarfile
import zlib
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ...errors import InputError
from ..resize import resize_film

MOST_BYTES = 64 << 20  # of a film; those of the set have 0.5 MB
BLOCK = 256  # films written at once; an import that is killed loses at most these
_PNG = b"\x89PNG\r\n\x1a\n"
_BITS = 8
_MAX_WORKERS = 16
_UNREADABLE = (OSError, EOFError, SyntaxError, ValueError, IndexError, struct.error, zlib.error)  # Pillow's


@dataclass(frozen=True)
class FilmFile:
    """A film of the download. `stamp` changes when the file does."""

    id: str
    place: str
    stamp: str
    read: Callable[[], bytes]


@dataclass(frozen=True)
class Decoded:
    """pixels: uint8 (resolution, resolution), None where the file is damaged (`fault` says how). side: of the
    file in pixels. converted: whether it was no grey image.
    """

    pixels: np.ndarray | None
    side: int = 0
    converted: bool = False
    fault: str = ""


def film_folders(source: Path) -> list[Path]:
    """Folders that may hold films: images, images_*, with or without an inner `images`, there or in `images`."""
    found = []
    for base in (source, source / "images"):
        for folder in (base / "images", *sorted(base.glob("images_*"))):
            found += [one for one in (folder, folder / "images") if one.is_dir()]
    return list(dict.fromkeys(found))


def archives(source: Path) -> list[Path]:
    """The images_*.tar.gz of a download, in its folder or below `images`."""
    patterns = ("images_*.tar.gz", "images_*.tgz", "images/images_*.tar.gz", "images/images_*.tgz")
    return sorted((path for pattern in patterns for path in source.glob(pattern)), key=lambda path: path.name)


def stamp(path: Path) -> str:
    """Size and time of a file: another stamp is another file."""
    status = path.stat()
    return f"{status.st_size}-{status.st_mtime_ns}"


def folder_films(source: Path, known: Container[str]) -> dict[str, FilmFile]:
    """The png files of the folders by id. A film may be there twice (in `images` and in `images_001`) if the
    size is the same; InputError otherwise, and for a png that is no film of the set.
    """
    films: dict[str, FilmFile] = {}
    for folder in film_folders(source):
        for path in sorted(path for path in folder.iterdir() if _wanted(path.name)):
            place = path.relative_to(source).as_posix()
            name = _known(path.stem, place, known)
            film = FilmFile(name, place, stamp(path), path.read_bytes)
            first = films.setdefault(name, film)
            if first.stamp.partition("-")[0] != film.stamp.partition("-")[0]:
                raise InputError(f"nih: {name} is there twice and differs: {first.place} and {place}; remove one")
    return films


def archive_films(archive: Path, known: Container[str], wanted: Container[str]) -> Iterator[FilmFile]:
    """The wanted films of a tar.gz, each read when its turn comes. InputError where the archive does not reach
    its end.
    """
    mark = archive_stamp(archive)
    try:
        with gzip.open(archive) as unpacked, tarfile.open(fileobj=unpacked, mode="r|") as tar:
            for member in tar:
                name = member.name.rpartition("/")[2]
                if not member.isfile() or not _wanted(name):
                    continue
                place = f"{archive.name}: {member.name}"
                film = _known(name.rpartition(".")[0], place, known)
                if member.size > MOST_BYTES:
                    raise InputError(
                        f"nih: {place} has {member.size:,} bytes; at most {MOST_BYTES:,} are read of a film"
                    )
                handle = tar.extractfile(member) if film in wanted else None
                if handle is not None:
                    data = handle.read()
                    if len(data) < member.size:
                        raise EOFError("it ends within a film")
                    yield FilmFile(film, place, mark, partial(bytes, data))
    except (tarfile.TarError, EOFError, zlib.error, OSError, MemoryError) as error:
        said = str(error) or type(error).__name__
        raise InputError(
            f"nih: {archive.name} cannot be read to its end ({said}): truncated download? Fetch it again; "
            "what was decoded before is kept."
        ) from None


def archive_stamp(archive: Path) -> str:
    """The stamp of every film of an archive."""
    return f"{archive.name} {stamp(archive)}"


def decode_film(file: FilmFile, resolution: int) -> Decoded:
    """A film as grey at `resolution` (area mean). Colours become luminance (ITU-R BT.601); alpha is dropped.

    Empty, truncated and damaged files have a `fault`. InputError for whatever is whole but no film of this set:
    another depth than 8 bit, not square, or smaller than asked for.
    """
    from PIL import Image

    data = file.read()
    fault = _png_fault(data)
    if fault:
        return Decoded(None, fault=fault)
    width, height, bits = struct.unpack(">IIB", data[16:25])
    if bits != _BITS:
        raise InputError(f"nih: {file.place} has {bits} bit a channel, expected {_BITS}: not an official file")
    if width != height:
        raise InputError(f"nih: {file.place} is {width} x {height} pixels, expected a square: not an official file")
    if width < resolution:
        raise InputError(
            f"nih: {file.place} has {width} pixels a side, {resolution} were asked for; "
            f"use --resolution {width} or less"
        )
    try:
        with Image.open(io.BytesIO(data)) as image:
            converted = image.mode != "L"
            grey = np.asarray(image.convert("RGB").convert("L") if converted else image)
    except _UNREADABLE as error:
        return Decoded(None, fault=f"damaged ({error})")
    pixels = grey if width == resolution else resize_film(grey, resolution)
    return Decoded(np.ascontiguousarray(pixels), width, converted)


def decode_stream(files: Iterable[FilmFile], resolution: int) -> Iterator[tuple[FilmFile, Decoded]]:
    """`decode_film` of files that come one after another, in order, by threads (decoding releases the
    interpreter lock). A few wait in memory at a time.
    """
    workers = min(_MAX_WORKERS, os.cpu_count() or 1)
    executor = ThreadPoolExecutor(workers)
    waiting: deque[tuple[FilmFile, Future[Decoded]]] = deque()
    try:
        for file in files:
            waiting.append((file, executor.submit(decode_film, file, resolution)))
            if len(waiting) > 2 * workers:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    finally:
        executor.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class Done:
    """What became of a film. `place` and `stamp` are those of its file; side, converted, fault: see Decoded."""

    place: str
    stamp: str
    side: int
    converted: bool
    fault: str


class Draft:
    """Decoded films of an import that has not ended yet: row `rows[id]` of an array of len(rows) films."""

    def __init__(self, folder: Path, rows: Mapping[str, int], resolution: int) -> None:
        self.folder, self.rows, self.resolution = folder, rows, resolution
        self.films: dict[str, Done] = {}
        self.ended: set[str] = set()  # stamps of archives that were read to the end
        self._images, self._journal = folder / "images.npy", folder / "journal.jsonl"
        if self._images.is_file() and self._journal.is_file():
            self._read_journal()
        else:
            with _writing(folder):
                self._create()
        self._start = int(self.images().offset)

    def images(self) -> np.memmap:
        """uint8 (len(rows), resolution, resolution); rows that no journal line names are not filled."""
        return np.load(self._images, mmap_mode="r", allow_pickle=False)

    def present(self, rows: np.ndarray) -> np.ndarray:
        """The films of the given rows alone, in their order, as a memory map."""
        everything = self.images()
        if len(rows) == len(everything):
            return everything
        path = self.folder / "present.npy"
        with _writing(self.folder), path.open("wb") as handle:
            _write_header(handle, (len(rows), self.resolution, self.resolution))
            for start in range(0, len(rows), BLOCK):
                handle.write(everything[rows[start : start + BLOCK]].tobytes())
        return np.load(path, mmap_mode="r", allow_pickle=False)

    def has(self, file: FilmFile) -> bool:
        """Whether this very file was decoded before, or found damaged."""
        done = self.films.get(file.id)
        return done is not None and done.stamp == file.stamp

    def write(self, block: Iterable[tuple[FilmFile, Decoded]]) -> None:
        """Keep decoded films: first their pixels, then, when these are on the disk, the line of the journal."""
        kept = {}
        with _writing(self.folder):
            with self._images.open("r+b") as handle:
                for file, film in block:
                    if film.pixels is not None:
                        handle.seek(self._start + self.rows[file.id] * self.resolution**2)
                        handle.write(film.pixels.tobytes())
                    kept[file.id] = Done(file.place, file.stamp, film.side, film.converted, film.fault)
                handle.flush()
                os.fsync(handle.fileno())
            self._append({"films": {name: list(vars(done).values()) for name, done in kept.items()}})
        self.films.update(kept)

    def end(self, archive: str) -> None:
        """Note that an archive (its stamp) was read to the end."""
        with _writing(self.folder):
            self._append({"archive": archive})
        self.ended.add(archive)

    def discard(self) -> None:
        """Remove the draft."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _create(self) -> None:
        self.discard()
        self.folder.mkdir(parents=True)
        shape = (len(self.rows), self.resolution, self.resolution)
        with self._images.open("wb") as handle:
            _write_header(handle, shape)
            handle.truncate(handle.tell() + int(np.prod(shape)))
        self._journal.touch()

    def _append(self, line: object) -> None:
        with self._journal.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(line) + "\n")

    def _read_journal(self) -> None:
        for text in self._journal.read_text(encoding="utf-8").splitlines(keepends=True):
            if not text.endswith("\n"):  # the process ended within this line: its block is decoded again
                os.truncate(self._journal, self._journal.stat().st_size - len(text.encode()))
                break
            line = json.loads(text)
            self.films.update({name: Done(*done) for name, done in line.get("films", {}).items()})
            if "archive" in line:
                self.ended.add(line["archive"])


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Turns a disk that cannot be written into an InputError."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"cannot write {folder}: {error.strerror or error}; free space and start again: what was decoded is kept"
        ) from error


def _write_header(handle: io.BufferedWriter, shape: tuple[int, ...]) -> None:
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(handle, header)


def _wanted(name: str) -> bool:
    """A png, but not the hidden `._x` twin that some archivers add."""
    return name.lower().endswith(".png") and not name.startswith(".")


def _known(name: str, place: str, known: Container[str]) -> str:
    if name not in known:
        raise InputError(f"nih: {place} is no film of the table of labels; remove it")
    return name


def _png_fault(data: bytes) -> str:
    """What is wrong with the frame of a PNG file: "" where every chunk is there and has its checksum."""
    if not data:
        return "empty (0 bytes)"
    if not data.startswith(_PNG) or data[12:16] != b"IHDR":
        return "not a PNG file"
    start = len(_PNG)
    while True:
        if start + 12 > len(data):
            return "truncated"
        (length,) = struct.unpack(">I", data[start : start + 4])
        end = start + 12 + length
        if end > len(data):
            return "truncated"
        if zlib.crc32(memoryview(data)[start + 4 : end - 4]) != struct.unpack(">I", data[end - 4 : end])[0]:
            return "damaged (a checksum differs)"
        if data[start + 4 : start + 8] == b"IEND":
            return ""
        start = end
