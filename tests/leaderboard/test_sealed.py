"""What is shown of an entry is as it was packed: the site, boards in Python and `agreement` take no changed file."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from cxrbench.leaderboard import boards
from cxrbench.leaderboard.entry import load_entry
from cxrbench.leaderboard.guard import load_guarded
from cxrbench.leaderboard.sealed import require_sealed
from cxrbench.leaderboard.untrusted import Refused

SUBMISSIONS = Path(__file__).parents[2] / "submissions"
RUN = "runs/nih_localisation-phantom_boxes-quick"


@pytest.fixture
def entry(tmp_path: Path) -> Path:
    """A copy of a committed entry beside the cells that it shares."""
    shutil.copytree(SUBMISSIONS / "shared", tmp_path / "shared")
    return shutil.copytree(SUBMISSIONS / "pix2pix", tmp_path / "pix2pix")


def raise_a_number(entry: Path, *, digests: bool) -> None:
    """What a forger does: another number by seed, and where asked for the digest anew."""
    path = entry / RUN / "results.json"
    results = json.loads(path.read_text())
    for row in results["seed_values"]:
        if row["arm"] == "mixed":
            row["value"] += 0.03
    path.write_text(json.dumps(results))
    if digests:
        sealed = json.loads((entry / "digests.json").read_text())
        sealed["files"][f"{RUN}/results.json"] = hashlib.sha256(path.read_bytes()).hexdigest()
        (entry / "digests.json").write_text(json.dumps(sealed))


def test_an_entry_as_it_was_packed_is_read(entry: Path) -> None:
    require_sealed(load_entry(entry))
    attempts, lines = load_guarded(entry.parent)
    assert len(attempts) == 1 and lines == []


@pytest.mark.parametrize(
    ("digests", "words"), [(False, "was changed after it was packed"), (True, "mixed .* seed 0 is .*, its cell has")]
)
def test_a_raised_number_is_left_out(entry: Path, digests: bool, words: str) -> None:
    raise_a_number(entry, digests=digests)
    with pytest.raises(Refused, match=words):
        require_sealed(load_entry(entry))
    attempts, (line,) = load_guarded(entry.parent)
    assert attempts == [] and "results.json" in line
    with pytest.raises(Refused, match=words):
        boards.boards(entry.parent)
