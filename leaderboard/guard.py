"""The checker in a process of its own: whatever an entry does to a parser, the answer is one line.

Damaged files can end a process from inside a native library, or keep it busy; then the entry is refused, and the next one
is checked.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from .entry import strays

MEMORY = 16 << 30


def check_guarded(folder: Path, reviewed: Path | None, time_limit: float) -> dict[str, Any]:
    """`Verdict.to_json` of an entry, checked in a process that may take `time_limit` seconds."""
    package = __package__ or ""
    with tempfile.TemporaryDirectory() as scratch:
        answer = Path(scratch) / "verdict.json"
        words = [str(folder), "" if reviewed is None else str(reviewed), str(answer)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-P", "-m", f"{package}.guard", *words]
        try:
            done = subprocess.run(
                command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=time_limit
            )
            ended = f"with status {done.returncode}"
        except subprocess.TimeoutExpired:
            ended = f"after its {time_limit:.0f} seconds"
        if answer.is_file():
            return json.loads(answer.read_text(encoding="utf-8"))
    message = f"the checker's process ended {ended} while reading this entry"
    finding = {"level": "error", "check": "guard", "where": "", "message": message}
    name = ascii(folder.name)[1:-1]
    return {"name": name, "status": "refused", "passed": False, "digest": None, "findings": [finding]}


def check_rest(root: Path) -> dict[str, Any]:
    """A verdict on what lies in the folder of entries beside them."""
    findings = [{"level": "error", "check": "format", "where": "", "message": words} for words in strays(root)]
    status = "refused" if findings else "passed"
    return {"name": root.name, "status": status, "passed": not findings, "digest": None, "findings": findings}


def main() -> None:
    """What the process does: check one entry and write the verdict."""
    from .checks import check_entry

    folder, reviewed, answer = sys.argv[1:]
    _limit_memory()
    verdict = check_entry(Path(folder), reviewed=Path(reviewed) if reviewed else None)
    draft = Path(f"{answer}.draft")
    draft.write_text(json.dumps(verdict.to_json()), encoding="utf-8")
    draft.replace(answer)


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # not on Windows
        return
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY if hard < 0 else min(MEMORY, hard), hard))


if __name__ == "__main__":
    main()
