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

import pandas as pd
import pytest

from cxrbench.benchmark.cli import main
from cxrbench.benchmark.data.dataset import load_dataset
from cxrbench.benchmark.data.phantom import boxes_like, hard, nih_like
from cxrbench.benchmark.data.phantom import dataset as phantom
from cxrbench.benchmark.data.phantom.cohort import salt_in_use
from cxrbench.benchmark.data.phantom.jsrt_like import jsrt_like, jsrt_like_ids
from cxrbench.benchmark.runs import chains
from cxrbench.leaderboard.checks.subject import Subject
from cxrbench.leaderboard.entry import EntryRun

from .browser import Browser


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch):
    """Every test has its own `CXRBENCH_HOME`."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("CXRBENCH_HOME", str(folder))
    return folder


@pytest.fixture(scope="session", autouse=True)
def one_server() -> Iterator[None]:
    """The server that forks the processes of steps stays for the next run, since no test changes our code. Elsewhere a run
    ends its own (`test_fork_server`)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chains, "close_idle", lambda: None)
        yield


@cache
def films_of(resolution: int):
    """The films of the phantom, which a process of tests draws once: every home would have them drawn anew."""
    ids, images, masks = jsrt_like(resolution, lambda _: None)
    for films in (images, masks):
        films.setflags(write=False)
    return ids, images, masks


@pytest.fixture(scope="session")
def drawings(tmp_path_factory) -> Path:
    """Where the other phantoms lie, for all processes of tests."""
    own = tmp_path_factory.getbasetemp()
    return (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "drawings"


@pytest.fixture(scope="session", autouse=True)
def drawn_once(drawings) -> Iterator[None]:
    """What draws a phantom for a home takes films that were drawn before."""

    def drawn(resolution, progress):
        if salt_in_use():
            return jsrt_like(resolution, progress)
        for name in jsrt_like_ids():
            progress(name)
        return films_of(resolution)

    def kept(name, resolution, code, draw):
        def taken():
            folder = drawings / f"{name}-{resolution}-{code}"
            return load_dataset(folder) if folder.is_dir() else draw().save(folder)

        return phantom.kept(name, resolution, code, draw if salt_in_use() else taken)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(phantom, "jsrt_like", drawn)
        for module in (boxes_like, hard, nih_like):
            patch.setattr(module, "kept", kept)
        yield


_scored: dict[tuple[Path, str], pd.DataFrame] = {}


@pytest.fixture
def scored_once(monkeypatch) -> None:
    """A cell of the committed entries is scored once in a process of tests: entries share theirs."""
    whole = Subject._find_scores

    def found(subject: Subject, run: EntryRun, key: str) -> pd.DataFrame:
        place = (run.homes[key].folder.resolve(), key)
        if place not in _scored:
            _scored[place] = whole(subject, run, key)
        return _scored[place].copy()

    monkeypatch.setattr(Subject, "_find_scores", found)


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
