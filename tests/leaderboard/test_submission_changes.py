"""What a pull request may change in the folder of entries: one's own entry; the rest is the maintainers'."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cxrbench.benchmark.cli import app
from cxrbench.benchmark.errors import InputError
from cxrbench.leaderboard.changes import Sender, changes

WORKFLOWS = Path(__file__).parents[2] / ".github" / "workflows"
IDENTITY = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
runner = CliRunner()
pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")

Change = Callable[[Path], None]


def git(root: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(root), *words], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder of entries in a repository whose base branch has three entries: of @noor, of an address, of nobody."""
    folder = tmp_path / "submissions"
    contacts = {"hers": "@noor", "linked": "https://github.com/noor", "nobodys": "an issue of this repository"}
    for name, contact in contacts.items():
        runner.invoke(app, ["submission", "new", name, "--dir", str(folder)])
        path = folder / name / "submission.toml"
        path.write_text(path.read_text().replace("ada@example.org", contact))
    (folder / "shared").mkdir()
    (folder / "shared" / "a.txt").write_text("x")
    (folder / "reviewed.toml").write_text("# none\n")
    (folder / "README.md").write_text("# Entries\n")
    git(tmp_path, "init", "-q", "-b", "base")
    git(tmp_path, "add", "-A")
    git(tmp_path, *IDENTITY, "commit", "-qm", "base")
    git(tmp_path, "checkout", "-qb", "proposed")
    return folder


def propose(root: Path, change: Change) -> None:
    change(root)
    git(root.parent, "add", "-A")
    git(root.parent, *IDENTITY, "commit", "-qm", "change")


def append(name: str) -> Change:
    def change(root: Path) -> None:
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text((path.read_text() if path.exists() else "") + "# more\n")

    return change


def both(*all_of_them: Change) -> Change:
    return lambda root: [change(root) for change in all_of_them] and None


REFUSED: dict[str, tuple[Change, str]] = {
    "another's entry changed": (append("hers/submission.toml"), "hers is changed, but is on the base branch"),
    "another's entry grown": (append("hers/README.md"), "hers is changed"),
    "another's entry removed": (lambda root: shutil.rmtree(root / "hers"), "hers is removed"),
    "another's entry under a new name": (
        lambda root: (root / "hers").rename(root / "mine") and None,
        "hers is removed",
    ),
    "nobody's entry": (append("nobodys/submission.toml"), "names no account in its contact"),
    "the review alone": (append("reviewed.toml"), "reviewed.toml is the maintainers' list"),
    "a review of one's own entry": (both(append("reviewed.toml"), append("new/x")), "the maintainers' list"),
    "the list removed": (lambda root: (root / "reviewed.toml").unlink(), "the maintainers' list"),
    "shared cells": (append("shared/a.txt"), "shared/ has the cells of every entry"),
    "a contact that is taken over": (
        lambda root: (root / "hers/submission.toml").write_text('contact = "@eve"\n') and None,
        "belongs to @noor",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_stranger_may_not_change(name, root):
    change, words = REFUSED[name]
    propose(root, change)
    (line, *_) = changes(root, "base", Sender("eve")).refused
    assert words in line and "\n" not in line
    assert changes(root, "base", Sender("eve", maintainer=True)).refused == ()


@pytest.mark.parametrize("name", ["hers", "linked"])
def test_the_account_of_the_contact_may_change_its_entry(name, root):
    propose(root, append(f"{name}/submission.toml"))
    assert changes(root, "base", Sender("Noor")).refused == ()
    assert changes(root, "base", Sender("noo")).refused and changes(root, "base", Sender("")).refused


def test_a_new_entry_and_the_readme_may_come_from_anybody(root):
    propose(root, both(append("new/submission.toml"), append("README.md")))
    found = changes(root, "base", Sender("eve"))
    assert found.refused == () and found.to_check(root) == [root / "new"]


def test_what_the_base_got_meanwhile_is_not_the_pull_requests(root):
    propose(root, append("new/submission.toml"))
    git(root.parent, "checkout", "-q", "base")
    propose(root, append("hers/submission.toml"))
    git(root.parent, "checkout", "-q", "proposed")
    assert changes(root, "base", Sender("eve")).names == ("new",)


def test_names_that_git_would_quote_are_seen(root):
    propose(root, append('a "b"\t*/x'))
    assert changes(root, "base", Sender("eve")).to_check(root) == [root / 'a "b"\t*']


def test_a_list_of_reviews_that_cannot_be_read_is_refused_of_maintainers_too(root):
    propose(root, lambda root: (root / "reviewed.toml").write_text("= 1") and None)
    (line,) = changes(root, "base", Sender("noor", maintainer=True)).refused
    assert line.startswith("reviewed.toml is not valid TOML")


@pytest.mark.parametrize("base", ["nowhere", "--output=x", "", "a b"])
def test_a_base_that_is_none_is_one_line(base, root):
    with pytest.raises(InputError, match="--changed-from") as found:
        changes(root, base, Sender())
    assert "\n" not in str(found.value)


def test_the_command_checks_what_changed_and_fails_for_what_may_not(root):
    propose(root, both(append("hers/submission.toml"), lambda root: shutil.rmtree(root / "shared")))
    words = ["submission", "check", str(root), "--changed-from", "base", "--by", "noor"]
    done = runner.invoke(app, words)
    assert done.exit_code == 1 and "shared/ has the cells of every entry" in done.stdout
    assert runner.invoke(app, [*words, "--maintainer"]).exit_code == 0


def test_actions_are_pinned_by_commit():
    used = [line for path in WORKFLOWS.glob("*.yml") for line in path.read_text().splitlines() if "uses:" in line]
    assert len(used) >= 5
    assert [line for line in used if not re.search(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line)] == []
