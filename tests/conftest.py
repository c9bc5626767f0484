"""What all tests share: an empty home for datasets and results, one thread, and no width of a terminal (processes of
pytest-xdist say one), so that results and lines are the same everywhere."""

from __future__ import annotations

import os
import subprocess
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.pop("COLUMNS", None)
os.unsetenv("COLUMNS")  # where readline has set it, which Python does not see and processes would

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from cxrbench.benchmark.cli import main
from cxrbench.benchmark.data.phantom import dataset as phantom
from cxrbench.benchmark.data.phantom.cohort import salt_in_use
from cxrbench.benchmark.data.phantom.jsrt_like import jsrt_like, jsrt_like_ids
from cxrbench.benchmark.runs import chains

from .browser import Browser


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch):
    """Every test has its own `CXRBENCH_HOME`."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("CXRBENCH_HOME", str(folder))
    return folder


@pytest.fixture(autouse=True)
def one_server(monkeypatch):
    """The server that forks the processes of steps stays for the next test, which does not change our code; a run ends its
    own (`test_fork_server`), and that of a command ends with it."""
    monkeypatch.setattr(chains, "close_idle", lambda: None)


@cache
def films_of(resolution: int):
    """The films of the phantom, which a process of tests draws once: every home would have them drawn anew."""
    ids, images, masks = jsrt_like(resolution, lambda _: None)
    for films in (images, masks):
        films.setflags(write=False)
    return ids, images, masks


@pytest.fixture(autouse=True)
def drawn_once(monkeypatch):
    """What draws the phantom for a home takes the films of this process (`films_of`)."""

    def drawn(resolution, progress):
        if salt_in_use():
            return jsrt_like(resolution, progress)
        for name in jsrt_like_ids():
            progress(name)
        return films_of(resolution)

    monkeypatch.setattr(phantom, "jsrt_like", drawn)


Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def here(monkeypatch, capfd, tmp_path) -> Command:
    """`cxrbench` in this process, as if it were called in a folder (that of the test): how it ends and what it prints. The
    steps of its runs have processes of their own."""

    def call(*arguments: object, cwd: Path = tmp_path) -> subprocess.CompletedProcess[str]:
        words = ["cxrbench", *map(str, arguments)]
        capfd.readouterr()
        with monkeypatch.context() as patch, pytest.raises(SystemExit) as ended:
            patch.setattr(sys, "argv", words)
            patch.chdir(cwd)
            main()
        return subprocess.CompletedProcess(words, int(ended.value.code or 0), *capfd.readouterr())

    return call


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A headless browser that the tests of a module share; they are marked `needs_browser`."""
    with Browser() as opened:
        yield opened
