"""Where datasets and results are kept."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """`CXRBENCH_HOME`, by default `~/.cxrbench`."""
    return Path(os.environ.get("CXRBENCH_HOME") or Path.home() / ".cxrbench")
