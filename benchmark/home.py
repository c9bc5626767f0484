"""Where datasets and results are kept."""

from __future__ import annotations

import os
from pathlib import Path

try:
    _START = Path.cwd()  # code of others may change the folder later
except OSError:  # one that is gone
    _START = Path()


def home() -> Path:
    """`CXRBENCH_HOME`, by default `~/.cxrbench`. A relative one is meant from the folder that the program was started in."""
    return _START / Path(os.environ.get("CXRBENCH_HOME") or Path.home() / ".cxrbench").expanduser()
