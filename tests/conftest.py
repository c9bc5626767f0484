"""What all tests share: an empty home for datasets and results, one thread, and no width of a terminal (processes of
pytest-xdist say one), so that results and lines are the same everywhere."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.pop("COLUMNS", None)
os.unsetenv("COLUMNS")  # where readline has set it, which Python does not see and processes would

from collections.abc import Iterator

import pytest

from .browser import Browser


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch):
    """Every test has its own `CXRBENCH_HOME`."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("CXRBENCH_HOME", str(folder))
    return folder


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A headless browser that the tests of a module share; they are marked `needs_browser`."""
    with Browser() as opened:
        yield opened
