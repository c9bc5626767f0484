"""Writes the files of a site: one that stands there as it would be written is left as it is, what no build wrote is taken
away. What is left is the same, byte by byte, as a site that is written into an empty folder.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from .. import kept
from . import pages

Item = TypeVar("Item")

PAGE = ".html"
WORTH_A_PROCESS = 50
"""Pages that a process of its own is begun for."""


class Writer:
    """Renders templates into files; counts pages. `folders`: those of the site that hold nothing else; they are made.
    `files`: those that may lie beside them."""

    def __init__(self, out: Path, folders: Collection[str], files: Collection[str], *, costs: bool) -> None:
        from ... import __version__

        self.out, self.count, self._out = out, 0, os.fspath(out)
        self.environment = pages.environment()
        self.environment.globals.update(version=__version__, costs=costs)
        self._everywhere = [__version__, costs]
        self._before = {name for folder in folders for name in _plain_files(out, folder)}
        self._before |= {name for name in files if (out / name).is_file()}
        self._written: set[str] = set()

    def page(self, name: str, template: str, here: str = "", **context: Any) -> None:
        """Write one page."""
        self.write(name, self.rendered(name, template, here, **context))

    def rendered(self, name: str, template: str, here: str = "", **context: Any) -> bytes:
        """A page of that name; `root` is the way back to the site's folder."""
        root = "../" * name.count("/")
        return self.environment.get_template(template).render(root=root, here=here, **context).encode()

    def key(self, kind: str, known: Any, *parts: Any) -> str | None:
        """The digest of what a page of a kind is made of, with what stands on every page; None where it is not `known`."""
        return None if known is None else kept.key_of(kind, self._everywhere, known, *parts)

    def write(self, name: str, content: bytes) -> None:
        """Write a file, where it is not there as it should be. It is made anew: what another name of it leads to stays."""
        path = f"{self._out}/{name}"
        self.count += name.endswith(PAGE)
        self._written.add(name)
        if name in self._before:
            with suppress(FileNotFoundError):
                if os.stat(path).st_size == len(content) and _bytes(path) == content:
                    return
                os.unlink(path)
        with open(path, "wb", buffering=0) as file:
            file.write(content)

    def end(self) -> None:
        """Take away what was there before and is not written now."""
        for name in self._before - self._written:
            (self.out / name).unlink(missing_ok=True)

    def each(self, items: Sequence[Item], write: Callable[[Item], object]) -> None:
        """Call `write`, which writes the page of one, for every item: of many, for half of them in another process. What
        that does not bring to a good end is written here, and raises what there is to raise."""
        half = len(items) // 2 if len(items) >= 2 * WORTH_A_PROCESS and _may_fork() else len(items)
        other = self._forked(items[half:], write) if half < len(items) else None
        try:
            for item in items[:half]:
                write(item)
        finally:
            said = b"" if other is None else _said(*other)
        if said:
            pages_there, names = json.loads(said)
            self.count += pages_there
            self._written.update(names)
        else:
            for item in items[half:]:
                write(item)

    def _forked(self, items: Sequence[Item], write: Callable[[Item], object]) -> tuple[int, int]:
        """Begin a process that writes these pages, and says then how many and which files: its number, and the pipe."""
        here, there = os.pipe()
        child = os.fork()
        if child:
            os.close(there)
            return child, here
        status = 1
        try:
            os.close(here)
            self.count, self._written = 0, set()
            for item in items:
                write(item)
            with os.fdopen(there, "wb") as pipe:
                pipe.write(json.dumps([self.count, sorted(self._written)]).encode())
            status = 0
        finally:
            os._exit(status)  # nothing of the parent's is ended twice


def _bytes(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()


def _said(child: int, pipe: int) -> bytes:
    """What a process said that ended well; nothing of any other."""
    with os.fdopen(pipe, "rb") as lines:
        said = lines.read()
    return said if os.waitpid(child, 0)[1] == 0 else b""


def _may_fork() -> bool:
    """Whether a copy of this process may go on alone: it has no other thread, and there is a core for it."""
    there = hasattr(os, "fork") and sys.platform != "darwin" and (os.cpu_count() or 1) > 1
    return there and threading.active_count() == 1


def _plain_files(out: Path, folder: str) -> Iterator[str]:
    """The plain files of a folder of the site, by their place in it, the folder being made; all else in it is taken away."""
    place = out / folder
    if place.is_symlink() or (place.exists() and not place.is_dir()):
        place.unlink()
    place.mkdir(parents=True, exist_ok=True)
    with os.scandir(place) as listing:
        found = list(listing)
    for one in found:
        if one.is_dir(follow_symlinks=False):
            shutil.rmtree(one.path)
        elif one.is_file(follow_symlinks=False):
            yield f"{folder}/{one.name}"
        else:
            os.unlink(one.path)


@contextmanager
def without_collecting() -> Iterator[None]:
    """Python looks for no cycles of objects within the block: a build makes many objects that stay."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
