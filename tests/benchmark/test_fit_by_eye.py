"""`cxrbench fit`: samples along a fit, the fit of a step that a person chose, and runs that use it."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cxrbench.benchmark.cli.program import app
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.results.assemble import assemble
from cxrbench.benchmark.runs.chosen import moments_of, named, parse_keep
from cxrbench.benchmark.runs.fitting import PreparedFit, prepare_fit, samples_of
from cxrbench.benchmark.runs.kept import Kind, contents
from cxrbench.benchmark.runs.plan import of_size
from cxrbench.benchmark.runs.request import Prepared, Request, execute, prepare
from cxrbench.benchmark.runs.store import Level
from cxrbench.leaderboard.pack import pack

from ..toys.toy_films import chests, run_here

TOYS = Path(__file__).parents[1] / "toys"
TASK = f"{TOYS / 'toy_task.py'}:ToyTask"
SHOWS = f"{TOYS / 'toy_trained.py'}:Shows"


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run_here(monkeypatch)
    monkeypatch.setenv("CXRBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def request_(tmp_path: Path) -> Request:
    chests().save(tmp_path / "chests")
    return Request(provider=SHOWS, task=TASK, data=str(tmp_path / "chests"), device="cpu", jobs=1)


def fit(request: Request, *keep: str, **options: Any) -> PreparedFit:
    """Prepare a fit and do it."""
    given = {"size": None, "fold": None, "seed": 0} | options
    found = prepare_fit(replace(request, keep=keep), **given)
    assert [outcome.error for outcome in execute(found.prepared) if outcome.error] == []
    return found


def run(request: Request) -> Prepared:
    prepared = prepare(request)
    assert [outcome.error for outcome in execute(prepared) if outcome.error] == []
    return prepared


# ------------------------------------------------------------------------------------------------------- words


def test_steps_are_read_with_their_training_and_size():
    assert parse_keep(["300"]) == {"": 300}
    assert parse_keep(["dots=100,films=300", "tiny/films=50"]) == {"dots": 100, "films": 300, "tiny/films": 50}
    for text in ("films", "films=", "=3", "films=-1", "a/b/c=3", "films=1.5"):
        with pytest.raises(InputError, match="expected STEP, TRAINING=STEP or SIZE/TRAINING=STEP"):
            parse_keep([text])
    with pytest.raises(InputError, match="given before"):
        parse_keep(["films=1", "films=2"])


def test_a_step_without_a_name_is_the_only_trainings():
    assert named({"": 5, "tiny/": 3}, ["films"]) == {"films": 5, "tiny/films": 3}
    with pytest.raises(InputError, match="say of which training, TRAINING=5; it has dots, films"):
        named({"": 5}, ["dots", "films"])
    with pytest.raises(InputError, match="no such training; it has dots, films"):
        named({"film": 5}, ["dots", "films"])


def test_a_sizes_own_step_counts_more_than_that_of_all_sizes():
    kept = {"films": 300, "dots": 10, "tiny/films": 50}
    assert of_size(kept, "full") == {"dots": 10, "films": 300}
    assert of_size(kept, "tiny") == {"dots": 10, "films": 50}


# --------------------------------------------------------------------------------------------------------- fits


def test_a_fit_is_that_of_a_run_and_shows_samples_of_all_its_trainings(request_):
    found = fit(request_)
    moments = [0, 5, 10, 12]
    assert moments_of(found.prepared.store, str(found.cell.whole_key)) == {"first": moments, "second": moments}
    samples = samples_of(found.prepared.store, found.cell)
    assert list(samples) == ["first", "second"]
    assert [step for step, _ in samples["second"]] == [0, 5, 10, 12] and samples["second"][0][1].shape == (32, 64)
    ran = prepare(request_)
    keys = {cell.fit_key for cell in ran.plan.cells if cell.slot.size == "full" and cell.fit_key}
    assert keys == {found.cell.fit_key}
    before = found.prepared.store.path(Level.FITS, str(found.cell.fit_key)).stat().st_mtime_ns
    run(request_)
    assert found.prepared.store.path(Level.FITS, str(found.cell.fit_key)).stat().st_mtime_ns == before
    entry = next(one for one in contents(found.prepared.store) if one.kind is Kind.MOMENTS)
    assert entry.key == found.cell.whole_key and "end it by eye" in entry.about


def test_a_chosen_step_has_a_key_of_its_own_and_the_record_says_who_chose(request_):
    whole = fit(request_)
    chosen = fit(request_, "second=5")
    store = whole.prepared.store
    assert chosen.cell.whole_key == whole.cell.fit_key != chosen.cell.fit_key
    assert store.sound(Level.FITS, str(whole.cell.fit_key))
    said = store.fit(str(chosen.cell.fit_key))
    assert said.kept == {"second": 5} and said.kept_by == "a person who looked at samples along the training"
    assert store.fit(str(whole.cell.fit_key)).kept == {} and store.fit(str(whole.cell.fit_key)).kept_by == ""
    assert [said.curves[name].rows[-1]["step"] for name in ("first", "second")] == [11, 4]
    weights = [
        (store.path(Level.FITS, str(one.cell.fit_key)) / "provider" / "networks.safetensors").read_bytes()
        for one in (whole, chosen)
    ]
    assert weights[0] != weights[1]


def test_a_run_uses_the_kept_fits_where_it_is_asked_to_and_else_the_whole_ones(request_):
    with_keep = replace(request_, keep=("full/second=5",), arms=("synthetic",))
    fit(request_)
    with pytest.raises(InputError, match=r"no fit of full, fold all, seed 0 was kept at second=5.*--keep second=5"):
        prepare(with_keep)
    chosen = fit(request_, "second=5")
    plain, prepared = prepare(replace(request_, arms=("synthetic",))), run(with_keep)
    by_size = {cell.slot.size: cell for cell in prepared.plan.cells if cell.fit_key}
    ordinary = {cell.slot.size: cell for cell in plain.plan.cells if cell.fit_key}
    assert by_size["full"].fit_key == chosen.cell.fit_key and by_size["full"].key != ordinary["full"].key
    assert by_size["tiny"].fit_key == ordinary["tiny"].fit_key and by_size["tiny"].key == ordinary["tiny"].key
    record = prepared.store.record(by_size["full"].key)
    assert record.cell.provider.kept == {"second": 5}
    assert record.cell.provider.title == "Shows (kept by eye at second 5)"
    assert "a person who looked at samples ended the training of second at step 5" in record.checks["noticed"]
    assert "noticed" not in prepared.store.record(by_size["tiny"].key).checks
    results = assemble(prepared.plan, prepared.store, [])
    assert results.provider.title == "Shows (kept by eye at full/second 5)"


def test_a_pruned_kept_fit_is_not_silently_made_by_a_run(request_):
    fit(request_)
    chosen = fit(request_, "second=5")
    shutil.rmtree(chosen.prepared.store.path(Level.FITS, str(chosen.cell.fit_key)))
    with pytest.raises(InputError, match="look at its samples first"):
        prepare(replace(request_, keep=("full/second=5",)))


def test_a_fit_that_was_stopped_is_kept_at_a_step_that_was_shown_and_goes_on_from_there(request_):
    whole = fit(request_)
    store, key = whole.prepared.store, str(whole.cell.whole_key)
    second = (store.path(Level.FITS, key) / "provider" / "networks.safetensors").read_bytes()
    shutil.rmtree(store.path(Level.FITS, key))  # as Ctrl-C in the first training leaves it, after step 5
    for path in store.moments(key).iterdir():
        if not re.match("first-0000000[05]", path.name):
            path.unlink()
    chosen = fit(request_, "first=5")
    said = store.fit(str(chosen.cell.fit_key))
    assert said.kept == {"first": 5} and not store.sound(Level.FITS, key)
    assert [said.curves[name].rows[-1]["step"] for name in ("first", "second")] == [4, 11]
    kept = (store.path(Level.FITS, str(chosen.cell.fit_key)) / "provider" / "networks.safetensors").read_bytes()
    assert kept == second
    assert moments_of(store, key) == {"first": [0, 5], "second": [0, 5, 10, 12]}


def test_what_cannot_be_kept_is_refused_in_one_line(request_):
    with pytest.raises(InputError, match="no samples along this fit were shown yet"):
        fit(request_, "second=5")
    fit(request_)
    for keep, message in (
        ("second=7", "--keep second=7: samples of second were shown after the steps 5, 10, 12"),
        ("second=0", "were shown after the steps 5, 10, 12"),
        ("5", "say of which training, TRAINING=5; it has first, second"),
        ("third=5", "no such training; it has first, second"),
        ("tiny/second=5", "a fit is of one size; name it with --size"),
    ):
        with pytest.raises(InputError, match=re.escape(message)):
            fit(request_, keep)
    with pytest.raises(InputError, match="unknown size 'half'"):
        fit(request_, size="half")
    with pytest.raises(InputError, match="--keep with --entry"):
        prepare(replace(request_, keep=("full/second=5",), entry="mine"))


def test_a_provider_without_samples_has_no_step_to_keep(request_):
    plain = replace(request_, provider=f"{TOYS / 'toy_providers.py'}:Toy")
    found = fit(plain)
    assert samples_of(found.prepared.store, found.cell) == {}
    with pytest.raises(InputError, match="no samples along this fit were shown yet"):
        fit(plain, "5")


def test_a_kept_run_is_no_entry(request_, tmp_path):
    from cxrbench.benchmark.report.write import write_run

    fit(request_)
    fit(request_, "second=5")
    prepared = run(replace(request_, keep=("full/second=5",), arms=("synthetic",)))
    results = assemble(prepared.plan, prepared.store, [])
    write_run(tmp_path / "run", results, prepared.plan, prepared.store)
    assert "kept by eye at full/second 5" in (tmp_path / "run" / "report.html").read_text()
    with pytest.raises(InputError, match="ended by a person's eye"):
        pack(tmp_path / "run", "mine", tmp_path / "entries", prepared.store)


def test_the_command_writes_a_page_with_every_moment_and_what_keeps_it(request_, tmp_path):
    runner, out = CliRunner(), tmp_path / "out"
    words = [
        "fit",
        "--provider",
        SHOWS,
        "--task",
        TASK,
        "--data",
        str(request_.data),
        "--device",
        "cpu",
        "--out",
        str(out),
    ]
    done = runner.invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0 and "second: samples after the steps 0, 5, 10, 12" in done.output
    page = (out / "fit.html").read_text()
    assert len(re.findall("<article", page)) == 8 and page.count("data:image/png;base64,") == 8
    assert len(re.findall("--keep first=5", page)) == 1 and "kept</h3>" not in page
    assert len(list((out / "samples").glob("*.png"))) == 8
    kept = runner.invoke(app, [*words, "--keep", "first=10,second=5", "--json"], catch_exceptions=False)
    facts = json.loads(kept.stdout)
    assert facts["kept"] == {"first": 10, "second": 5} and facts["state"] == "in the store" and facts["of_whole_fit"]
    assert facts["kept_by"] == "a person who looked at samples along the training"
    assert len(re.findall("kept</h3>", (out / "fit.html").read_text())) == 2
