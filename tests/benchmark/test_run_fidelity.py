"""The fidelity that every run tells: of its own films, kept, shown everywhere, and never a reason to fail."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cxrbench.benchmark.audit import lean
from cxrbench.benchmark.audit.lean import lean_rows
from cxrbench.benchmark.data.catalogue import keep
from cxrbench.benchmark.fidelity.audit import Sides, make_audit
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.report.elsewhere_words import besides, besides_notes
from cxrbench.benchmark.report.fidelity_words import HEADINGS
from cxrbench.benchmark.report.page import build
from cxrbench.benchmark.report.text_tables import as_markdown, terminal
from cxrbench.benchmark.report.write import write_numbers
from cxrbench.benchmark.results.assemble import assemble
from cxrbench.benchmark.results.finished import Harvest
from cxrbench.benchmark.results.rows import Results
from cxrbench.benchmark.runs.kept import Kind, contents
from cxrbench.benchmark.runs.request import Request, execute, prepare
from cxrbench.benchmark.runs.store import MODEL, Level

from ..toys.toy_films import chests, run_here

TOYS = Path(__file__).parents[1] / "toys"
PROVIDER, TASK = f"{TOYS / 'toy_providers.py'}:Toy", f"{TOYS / 'toy_task.py'}:ToyTask"


@pytest.fixture
def harvest(monkeypatch) -> Harvest:
    """A run of 30 synthetic films at two sizes."""
    run_here(monkeypatch)
    keep(chests(40, 60))
    prepared = prepare(Request(provider=PROVIDER, task=TASK, data="chests", overrides=("task.films=30",)))
    assert [one.error for one in execute(prepared) if one.error] == []
    return Harvest(prepared.plan, prepared.store)


def results_of(harvest: Harvest) -> Results:
    made = assemble(harvest.plan, harvest.store, ["cxrbench", "run"])
    return made.model_copy(update={"fidelity": lean_rows(harvest, Progress())})


def test_the_headlines_size_has_the_numbers_that_an_audit_of_its_films_gives(harvest, monkeypatch):
    monkeypatch.setattr("cxrbench.benchmark.fidelity.audit.imagenet_space", lambda: None)
    rows = lean_rows(harvest, Progress())
    assert [(row.size, row.films, row.note) for row in rows] == [("tiny", 30, "")], "the size that the boards rank by"
    cell = next(one for one in harvest.plan.cells if one.slot.size == "tiny" and one.synthetic_key)
    films = harvest.store.synthetic(str(cell.synthetic_key))
    assert rows[0].digest == films.digest
    whole = make_audit(Sides(films, harvest.plan.data), "by hand")
    for mine, theirs in zip(rows[0].spaces, whole.spaces, strict=True):
        assert mine.model_copy(update={"parts": {}}) == theirs.model_copy(update={"parts": {}})
    assert rows[0].repeats == whole.repeats > 0.5, "30 films of 4"
    assert rows[0].alike == whole.alike and (whole.alike is None or whole.alike.value > whole.alike.real)


def test_the_runs_own_real_model_is_asked_about_the_annotations(harvest, monkeypatch):
    (row,) = lean_rows(harvest, Progress())
    first = row.agreement[0]
    assert (first.structure, first.metric, first.films, first.real_films) == ("all", "DSC", 30, 16)
    assert [one.structure for one in row.agreement] == ["all", "left_lung", "right_lung"]
    assert 0 < first.low <= first.value <= first.high < 1
    (cell,) = (one for one in harvest.plan.cells if one.arm == "real" and one.slot.size == "tiny")
    harvest.store.path(Level.RECORDS, cell.key).joinpath(MODEL).write_text("{}", encoding="utf-8")
    monkeypatch.setattr(lean, "FORM", 0)
    (row,) = lean_rows(harvest, Progress())
    assert row.agreement == [] and row.note.startswith("its annotations are not asked about") and row.spaces
    harvest.store.path(Level.RECORDS, cell.key).joinpath(MODEL).unlink()
    (row,) = lean_rows(harvest, Progress())
    assert (row.agreement, row.note) == ([], "")


def test_numbers_are_kept_and_made_again_where_they_are_damaged(harvest, monkeypatch):
    rows = lean_rows(harvest, Progress())
    assert sum(entry.kind is Kind.AUDITS for entry in contents(harvest.store)) == 1
    files = sorted((harvest.store.root / lean.FOLDER).glob("*.json"))
    files[0].write_text("{}", encoding="utf-8")
    again = lean_rows(harvest, Progress())
    assert again == rows
    monkeypatch.setattr(lean, "_compared", lambda *_: pytest.fail("computed again"))
    assert lean_rows(harvest, Progress()) == rows


def test_films_that_are_gone_too_few_or_odd_end_no_run(harvest, monkeypatch):
    def odd(*_: object) -> None:
        raise np.linalg.LinAlgError("did not converge")

    monkeypatch.setattr(lean, "compare", odd)
    rows = lean_rows(harvest, Progress())
    assert [row.note for row in rows] == ["LinAlgError: did not converge"]
    assert besides(results_of(harvest)) == []
    assert any("tiny: LinAlgError" in line for line in besides_notes(results_of(harvest)))
    for path in (harvest.store.root / "synthetic").glob("*/*/dataset/images.npy"):
        path.unlink()
    assert lean_rows(harvest, Progress()) == []


def test_a_run_shows_them_and_old_results_without_them_are_read(harvest, tmp_path):
    results = results_of(harvest)
    ((headings, lines),) = besides(results)
    assert headings == HEADINGS and len(lines) == 3 and {len(line) for line in lines} == {len(HEADINGS)}
    write_numbers(tmp_path, harvest)
    page = build(tmp_path, results).html
    narrow = terminal(results, 80).plain
    assert "FD (30 films)" in narrow and any(line.startswith("anatomy ") for line in narrow.splitlines())
    for text in (terminal(results, 200).plain, as_markdown(results), page):
        said = " ".join(text.split())
        assert "FD (anatomy, 30 films)" in said and "shown more than once" in said
    assert Results.model_validate_json(results.model_dump_json(by_alias=True)) == results
    old = results.model_dump(mode="json", by_alias=True)
    del old["fidelity"], old["elsewhere"]
    assert Results.model_validate(old).fidelity == []


def test_of_many_films_some_are_compared(harvest, monkeypatch):
    monkeypatch.setattr(lean, "MOST", 24)
    row = lean_rows(harvest, Progress())[0]
    assert row.films == 30 and {one.frechet.films for one in row.spaces} == {24}
