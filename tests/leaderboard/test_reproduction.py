"""An entry's code run again by a maintainer: which command, from which commit, and the twin that comes of it."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace

import pytest

from cxrbench.benchmark.errors import InputError
from cxrbench.leaderboard import reproduction
from cxrbench.leaderboard.attempts import from_entry
from cxrbench.leaderboard.checks import check_entry
from cxrbench.leaderboard.entry import load_entry
from cxrbench.leaderboard.reproduction import Order, command_of, reproduce
from cxrbench.leaderboard.site.build import write_site

from .conftest import make_run, squares


@pytest.fixture
def code(tmp_path):
    """A repository with the provider of the made-up entry, and its commit."""
    folder = tmp_path / "code"
    (folder / "models").mkdir(parents=True)
    (folder / "models" / "my_gan.py").write_text("class my_gan: ...\n")
    for words in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=A", "-c", "user.email=a@b.c", "commit", "-qm", "one"],
    ):
        subprocess.run(["git", "-C", str(folder), *words], check=True)
    head = subprocess.run(["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    return folder, head.stdout.strip()


@pytest.fixture
def claim(pack_system, code):
    """A packed entry that names that commit."""
    folder = pack_system(seeds=5)
    path = folder / "submission.toml"
    path.write_text(re.sub(r'commit = "[0-9a-f]{40}"', f'commit = "{code[1]}"', path.read_text()))
    return folder


def order_of(claim, checkout, **changes) -> Order:
    return replace(
        Order(claim, "held_back_hard", claim.parent.parent / "again", checkout[0], python="python"), **changes
    )


def test_the_command_runs_the_class_of_the_checkout_on_the_films_asked_for(claim, code):
    command = command_of(order_of(claim, code, options=("--device", "cpu")), load_entry(claim))
    assert command[:4] == ["python", "-P", "-c", "from cxrbench.benchmark.cli import main; main()"]
    options = dict(zip(command[5::2], command[6::2], strict=True))
    assert options == {
        "--provider": f"{(code[0] / 'models' / 'my_gan.py').resolve()}:my_gan",
        "--task": "squares",
        "--data": "held_back_hard",
        "--preset": "quick",
        "--seeds": "5",
        "--out": str(claim.parent.parent / "again"),
        "--device": "cpu",
    }


def test_another_commit_and_a_changed_checkout_are_refused(claim, code):
    folder, head = code
    (folder / "more.py").write_text("x = 1\n")
    with pytest.raises(InputError, match=f"has changes: a clean checkout of {head[:12]}"):
        command_of(order_of(claim, code), load_entry(claim))
    for words in (["add", "."], ["-c", "user.name=A", "-c", "user.email=a@b.c", "commit", "-qm", "two"]):
        subprocess.run(["git", "-C", str(folder), *words], check=True)
    with pytest.raises(InputError, match=f"the entry is of {head[:12]}: git checkout {head}"):
        command_of(order_of(claim, code), load_entry(claim))
    shutil.rmtree(folder / ".git")
    with pytest.raises(InputError, match="is no checkout of a git repository"):
        command_of(order_of(claim, code), load_entry(claim))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"code": None}, "needs --code, a checkout of its commit (clone https://example.org/noor/gan, check out "),
        ({"task": "scr_official"}, "has no run of scr_official to reproduce"),
    ],
)
def test_what_cannot_be_run_is_said_in_one_line(claim, code, changes, words):
    with pytest.raises(InputError) as error:
        command_of(order_of(claim, code, **changes), load_entry(claim))
    assert words in str(error.value) and "\n" not in str(error.value)


def test_the_twin_stands_beside_its_claim(claim, code, sources, tmp_path, monkeypatch):
    """The run is made by hand: three points of Dice less than was claimed."""
    films = squares()
    films = replace(films, info=films.info.changed(name="held films"), images=255 - films.images)
    made = make_run(tmp_path / "made", seeds=5, draw=3, wrong={"real": 0.02, "synthetic": 0.12}, films=films)
    order = order_of(claim, code, out=made.run)
    asked = []

    def run(command, cwd, check):
        asked.append((command, cwd))
        return subprocess.CompletedProcess(command, 0)

    with monkeypatch.context() as patch:
        patch.setattr(reproduction.subprocess, "run", _only(run))
        twin = reproduce(order, made.store)
    assert [folder for _, folder in asked] == [code[0]]
    entry = load_entry(twin.folder)
    assert (entry.name, entry.submission.reproduces, entry.submission.division) == (
        "my_gan-reproduced",
        "my_gan",
        "reproduced",
    )
    assert twin.comparison is not None and twin.comparison.difference < -0.03 and twin.comparison.high < 0
    assert re.fullmatch(
        r"gain −\d.* on held films, run by the maintainers from its code; .* claimed on tiny films: difference .*",
        twin.comparison.sentence,
    )
    verdict = check_entry(twin.folder, sources=sources)
    assert verdict.status == "needs review"  # whose code it was is for a maintainer to say
    attempts = [one for folder in (claim, twin.folder) for one in from_entry(load_entry(folder))]
    write_site(attempts, tmp_path / "site")
    for name, words in (("my_gan", "Reproduced"), ("my_gan-reproduced", "The claim")):
        page = (tmp_path / "site" / "providers" / f"{name}.html").read_text()
        assert f"<h2>{words}</h2>" in page and "run by the maintainers from its code" in page


def _only(run):
    """`subprocess.run` for the command alone; git is asked as ever."""
    real = subprocess.run
    return lambda command, **options: real(command, **options) if command[0] == "git" else run(command, **options)


def test_a_twin_of_nothing_and_a_claim_of_reproduction_are_refused(claim, sources):
    path = claim / "submission.toml"
    path.write_text(path.read_text().replace('division = "claimed"', 'division = "claimed"\nreproduces = "nobody"'))
    found = [one.message for one in check_entry(claim, sources=sources).findings if one.check == "claims"]
    assert "'reproduces' is for entries that the maintainers run from another's code" in found
    assert "it reproduces nobody, which is no entry beside it" in found
