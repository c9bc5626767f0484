"""A run whose inputs are as before is not tested, drawn and written anew; one whose inputs are not, is."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cxrbench.benchmark import digest
from cxrbench.benchmark.cli import run as command
from cxrbench.benchmark.cli.elsewhere import besides
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.report import made_before, write
from cxrbench.benchmark.results.assemble import assemble
from cxrbench.benchmark.results.folder import load_run
from cxrbench.benchmark.runs.further import Further
from cxrbench.benchmark.runs.request import Prepared, Request, execute, prepare
from cxrbench.benchmark.runs.store import Level

TOYS = Path(__file__).parents[1] / "toys"
REQUEST = Request(provider=f"{TOYS / 'toy_providers.py'}:Toy", task=f"{TOYS / 'toy_task.py'}:ToyTask", device="cpu")
WORDS = ["cxrbench", "run", "again"]


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A home with a whole run."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CXRBENCH_HOME", str(home))
        assert [outcome.error for outcome in execute(prepare(REQUEST)) if outcome.error] == []
    return home


@pytest.fixture
def prepared(home, monkeypatch) -> Prepared:
    monkeypatch.setenv("CXRBENCH_HOME", str(home))
    shutil.rmtree(home / "reports", ignore_errors=True)
    return prepare(REQUEST)


def key_of(prepared: Prepared, words=WORDS) -> str | None:
    return made_before.key_of(prepared.plan, prepared.store, words, None)


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def kept(prepared: Prepared, folder: Path, words=WORDS) -> str:
    key = key_of(prepared, words)
    results = assemble(prepared.plan, prepared.store, words)
    made_before.write(folder, results, prepared.plan, prepared.store, key)
    return str(key)


def test_the_kept_folder_is_what_is_written_without_one(prepared, tmp_path):
    results = assemble(prepared.plan, prepared.store, WORDS)
    report = made_before.write(tmp_path / "kept", results, prepared.plan, prepared.store, key_of(prepared))
    write.write_run(tmp_path / "plain", results, prepared.plan, prepared.store)
    assert report == tmp_path / "kept" / "report.html"
    assert files(tmp_path / "kept") == files(tmp_path / "plain")
    found = made_before.find(key_of(prepared))
    assert found == load_run(tmp_path / "plain")
    (tmp_path / "old" / "figures" / "films").mkdir(parents=True)
    (tmp_path / "old" / "figures" / "films" / "gone.png").touch()
    made_before.copy(key_of(prepared), tmp_path / "old")
    assert files(tmp_path / "old") == files(tmp_path / "plain")


def test_other_inputs_have_other_keys(prepared, monkeypatch):
    first = key_of(prepared)
    assert first == key_of(prepare(REQUEST)) != key_of(prepared, [*WORDS, "--out", "there"])
    others = {first}
    for request in (
        Request(**vars(REQUEST) | {"seeds": 1, "arms": ("real",)}),
        Request(**vars(REQUEST) | {"sizes": ("tiny",)}),
    ):
        others.add(key_of(prepare(request)))
    monkeypatch.setattr(digest, "of_folder", lambda folder: "other code")
    others.add(key_of(prepared))
    monkeypatch.undo()
    monkeypatch.setattr(made_before, "OPTIONAL", ("a package that is not installed",))
    others.add(key_of(prepared))
    monkeypatch.undo()
    assert len(others) == 5 and None not in others


def test_a_result_that_was_made_anew_or_is_missing_has_no_old_report(prepared, tmp_path):
    key = kept(prepared, tmp_path / "out")
    path = prepared.store.path(Level.RECORDS, prepared.plan.cells[0].key) / "entry.json"
    before = path.read_bytes()
    try:
        path.write_bytes(before + b" ")
        assert key_of(prepared) not in (key, None)
        path.unlink()
        assert key_of(prepared) is None and made_before.find(None) is None
    finally:
        path.write_bytes(before)
    assert key_of(prepared) == key


@pytest.mark.parametrize("name", ["report.html", "results.json", "tables/table.csv", made_before.SEAL])
def test_a_damaged_folder_is_not_taken(prepared, tmp_path, name):
    key = kept(prepared, tmp_path / "out")
    place = made_before._place(key) / name
    place.write_bytes(place.read_bytes()[:-7])
    assert made_before.find(key) is None and not place.parent.exists()
    kept(prepared, tmp_path / "out")
    assert made_before.find(key) is not None


def test_a_home_that_takes_nothing_more_costs_no_report(prepared, tmp_path, monkeypatch):
    def full(target):
        raise InputError("no space left")

    monkeypatch.setattr(made_before, "new_folder", full)
    key = kept(prepared, tmp_path / "out")
    assert (tmp_path / "out" / "results.json").is_file() and made_before.find(key) is None


def test_the_last_runs_are_kept(prepared, tmp_path, monkeypatch):
    monkeypatch.setattr(made_before, "MOST", 1)
    first = kept(prepared, tmp_path / "out")
    second = kept(prepared, tmp_path / "out", ["cxrbench", "another"])
    assert made_before.find(first) is None and made_before.find(second) is not None


def test_the_command_assembles_and_draws_once(prepared, tmp_path, monkeypatch, capsys):
    drawn = []
    monkeypatch.setattr("sys.argv", WORDS)
    monkeypatch.setattr(write, "write_views", lambda *given, real=write.write_views: drawn.append(1) or real(*given))
    tables = []
    for _ in range(2):
        command._finish(prepared, [], command.Outputs(folder=tmp_path / "out"), as_json=False)
        tables.append(capsys.readouterr().out)
    assert drawn == [1] and tables[0] == tables[1] and "SYNTHETIC" in tables[0]


def test_what_is_asked_for_besides_the_plan_is_in_words_that_say_its_content(prepared):
    films = prepared.plan.data
    further = Further("ward", films, ("heart",))
    other = replace(further, films=films.select(np.arange(len(films) - 1)))
    asked = [replace(prepared, further=one) for one in ((), (further,), (other,), (further, other))]
    asked.append(replace(prepared, request=replace(REQUEST, groups=("sex",))))
    assert len({tuple(besides(one)) for one in asked}) == len(asked)
