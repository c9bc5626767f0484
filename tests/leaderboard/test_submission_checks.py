"""The checker and the packer: what passes, what is only shown, what waits for a review, and why."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.results.assemble import assemble
from cxrbench.benchmark.results.folder import load_run, write_results
from cxrbench.benchmark.results.rows import CheckRow
from cxrbench.benchmark.runs.store import Level as StoreLevel
from cxrbench.benchmark.runs.store import Store
from cxrbench.leaderboard import checks as package
from cxrbench.leaderboard.attempts import from_entry
from cxrbench.leaderboard.checks import Level, check_entry, checks
from cxrbench.leaderboard.checks.cells import not_the_protocol
from cxrbench.leaderboard.checks.subject import films_at_hand, installed_task
from cxrbench.leaderboard.entry import EntryRun, load_entries, load_entry, strays
from cxrbench.leaderboard.example import example_files
from cxrbench.leaderboard.pack import CURVE_ROWS, new_entry, pack, seal
from cxrbench.leaderboard.pictures import check_png
from cxrbench.leaderboard.untrusted import Refused

from . import taken_apart as apart
from .conftest import WRONG, pack_run, squares
from .taken_apart import run_folder

FILMS = "the films of tiny films are at hand"
RESCORED = f"note   splits: squares-tiny_films-quick: {FILMS}: metrics are recomputed from predictions"
"""What is said of a whole entry on real films."""


def lines(verdict) -> str:
    return "\n".join(map(str, verdict.findings))


# ------------------------------------------------------------------------------------------------------- new, pack


def test_a_new_entry_passes_as_a_draft(tmp_path):
    verdict = check_entry(new_entry("my_gan", tmp_path))
    assert verdict.passed and verdict.entry is not None and verdict.entry.runs == ()
    assert "a draft" in lines(verdict) and "still the example's words" in lines(verdict)


@pytest.mark.parametrize("name", ["My_GAN", "../up", "", "shared", "a" * 49, "käse", ".hidden", "a/b", "-dash"])
def test_names_that_are_not_plain_are_refused(name, tmp_path):
    with pytest.raises(InputError, match="cannot be an entry's name"):
        new_entry(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_new_does_not_touch_an_entry_that_is_there(tmp_path):
    folder = new_entry("my_gan", tmp_path)
    (folder / "README.md").write_text("mine")
    with pytest.raises(InputError, match="there already"):
        new_entry("my_gan", tmp_path)
    assert (folder / "README.md").read_text() == "mine"


def test_the_words_of_the_example_are_refused_beside_results(entry, sources):
    text = (entry / "submission.toml").read_text()
    (entry / "submission.toml").write_text(text.replace("noor@uni.example", "ada@example.org"))
    verdict = check_entry(entry, sources=sources)
    assert not verdict.passed and "contact: still the example's words" in lines(verdict)


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("submission.toml", example_files("x")["submission.toml"].splitlines()[4], "description"),
        ("README.md", example_files("x")["README.md"], "README.md"),
    ],
)
def test_description_and_readme_of_the_example_are_refused_too(entry, sources, file, text, said):
    path = entry / file
    own = [text if line.startswith("description = ") else line for line in path.read_text().splitlines()]
    path.write_text("\n".join(own) + "\n" if file != "README.md" else text)
    verdict = check_entry(entry, sources=sources)
    assert not verdict.passed and f"{said}: still the example's words" in lines(verdict)


def test_a_packed_entry_has_what_the_run_had(made_run, tmp_path):
    made = made_run(tmp_path)
    folder = pack(made.run, "my_gan", tmp_path / "submissions", made.store)
    (run,) = load_entry(folder).runs
    assert run.results == load_run(made.run)
    assert set(run.records) == {cell.key for cell in made.plan.cells}
    for key, record in run.records.items():
        whole = made.store.record(key)
        assert record.table == whole.table and record.cell == whole.cell and record.cost == whole.cost
        kept, stored = run.homes[key].predictions(key), made.store.predictions(key)
        assert kept.ids == stored.ids and np.array_equal(kept.arrays["labels"], stored.arrays["labels"])
        assert kept.arrays["labels"].dtype == np.uint8
        assert (run.homes[key].scores(key).to_numpy() == made.store.scores(key).to_numpy()).all()


def test_settings_that_are_not_those_of_the_preset_are_told_of_a_run_as_of_an_entry(made_run, tmp_path, sources):
    results = load_run(made_run(tmp_path).run)
    assert list(not_the_protocol(results, sources)) == []
    settings = results.task.settings | {"resolution": 32}
    other = results.model_copy(update={"task": results.task.model_copy(update={"settings": settings})})
    (said,) = not_the_protocol(other, sources)
    assert said.startswith("setting resolution is 32, at preset quick it is 16; ")


def test_a_packed_command_says_nothing_of_the_machine(made_run, tmp_path):
    made = made_run(tmp_path)
    words = [
        "/home/ada/bin/cxrbench",
        "run",
        "--out",
        "/home/ada/runs/x",
        "--provider",
        "/home/ada/my.py:Mine",
        "--seeds=5",
    ]
    write_results(made.run, load_run(made.run).model_copy(update={"command": words}))
    (run,) = load_entry(pack(made.run, "my_gan", tmp_path / "submissions", made.store)).runs
    assert run.results.command == ["cxrbench", "run", "--provider", "my.py:Mine", "--seeds=5"]


def test_a_run_is_one_folder_of_four_files_and_no_weights(entry):
    assert [path.name for path in (entry / "runs").iterdir()] == ["squares-tiny_films-quick"]
    names = {"results.json", "records.jsonl", "predictions.npz", "scores.parquet"}
    assert {path.name for path in run_folder(entry).iterdir()} == names
    assert set(json.loads((entry / "digests.json").read_text())["files"]) == {
        f"runs/squares-tiny_films-quick/{name}" for name in names
    }


def test_the_ids_that_cells_have_in_common_are_there_once(entry):
    folder = run_folder(entry)
    assert len(apart.records(folder)) == 9 and len(apart.members(folder)) == 10  # nine label maps, one row of ids


def test_the_same_run_is_packed_to_the_same_bytes(made_run, tmp_path):
    made = made_run(tmp_path)
    one, two = (pack(made.run, "my_gan", tmp_path / place, made.store) for place in ("one", "two"))
    assert (one / "digests.json").read_text() == (two / "digests.json").read_text()


def test_packing_thins_curves(entry):
    record = next(iter(load_entry(entry).runs[0].records.values()))
    rows = record.downstream.curves["real"].rows
    assert len(rows) == CURVE_ROWS and rows[0]["step"] == 1 and rows[-1]["step"] == 89


def test_packing_again_replaces_the_run_and_forgets_its_cells(made_run, tmp_path, sources):
    root = tmp_path / "submissions"
    first = made_run(tmp_path / "a", seeds=3)
    folder = pack(first.run, "my_gan", root, first.store)
    text = (folder / "submission.toml").read_text()
    second = made_run(tmp_path / "b", name="another", seeds=2)
    assert pack(second.run, "my_gan", root, second.store) == folder
    assert (folder / "submission.toml").read_text() == text
    (run,) = load_entry(folder).runs
    assert list(run.records) == [cell.key for cell in second.plan.cells]
    assert len(apart.members(run.path)) == 7  # six label maps of the second run, one row of ids


def test_a_run_without_its_store_cannot_be_packed(made_run, tmp_path):
    made = made_run(tmp_path)
    with pytest.raises(InputError, match="run it again"):
        pack(made.run, "my_gan", tmp_path / "submissions", Store(tmp_path / "nowhere"))


def test_samples_are_pictures_of_the_first_synthetic_films(made_run, tmp_path, sources):
    made = made_run(tmp_path)
    with pytest.raises(InputError, match="without --samples"):
        pack(made.run, "my_gan", tmp_path / "submissions", made.store, samples=2)
    with pytest.raises(InputError, match="expected 0 to 24 samples"):
        pack(made.run, "my_gan", tmp_path / "submissions", made.store, samples=25)
    assert not (tmp_path / "submissions").exists()
    films = squares()
    for key in {cell.synthetic_key for cell in made.plan.cells} - {None}:
        with made.store.adding(StoreLevel.SYNTHETIC, key) as draft:
            films.save(draft / "dataset")
    folder = pack_run(made, tmp_path / "submissions", "my_gan", samples=2)
    pictures = sorted((folder / "samples").iterdir())
    assert [path.name for path in pictures] == ["full-1.png", "full-2.png"]
    for path, film in zip(pictures, films.images, strict=False):
        check_png(path)
        grey = np.asarray(Image.open(path).convert("L")).astype(int)
        whole = np.asarray(Image.fromarray(film).resize(grey.shape, Image.Resampling.BILINEAR)).astype(int)
        assert np.corrcoef(grey.ravel(), whole.ravel())[0, 1] > 0.9
    assert check_entry(folder, sources=sources).passed


def test_shared_cells_of_real_and_placebos_serve_two_entries(pack_system, sources):
    one, two = pack_system("one", share=True), pack_system("two", share=True, wrong=WRONG | {"synthetic": 0.3})
    (shared,) = (one.parent / "shared").iterdir()
    assert shared.name == "squares-tiny_films-quick"
    assert Counter(map(apart.arm_of, apart.records(shared))) == {"real": 3, "placebo_synthetic": 3}
    for entry in (one, two):
        assert [record["cell"]["arm"] for record in apart.records(run_folder(entry))] == ["synthetic"] * 3
    verdict = check_entry(one, sources=sources)
    assert verdict.passed, lines(verdict)
    assert [entry.name for entry in load_entries(one.parent)] == ["one", "two"]
    (shared / "predictions.npz").write_bytes(b"nothing")
    assert f"shared/{shared.name}: predictions.npz cannot be read" in lines(check_entry(one, sources=sources))


def test_shared_cells_that_took_another_time_at_another_place_serve(made_run, tmp_path, sources):
    first, other = made_run(tmp_path / "a", name="one"), WRONG | {"synthetic": 0.3}
    second = made_run(tmp_path / "b", name="two", wrong=other, processor="another system")
    for path in (second.store.root / "records").rglob("record.json"):
        record = json.loads(path.read_text())
        record["downstream"]["seconds"] = 31.0
        path.write_text(json.dumps(record))
    write_results(second.run, assemble(second.plan, second.store, ["cxrbench", "run"]))
    pack_run(first, tmp_path, "one", share=True)
    entry = load_entry(pack_run(second, tmp_path, "two"))
    verdict = check_entry(entry.folder, sources=sources)
    assert verdict.passed, lines(verdict)
    (run,) = entry.runs
    assert [(row.environment.device, row.cells) for row in run.results.environments] == [
        ("a processor", 6),
        ("another system", 3),
    ]
    assert {(row.arm, row.seconds) for row in run.results.cells} == {
        ("real", 12.5),
        ("placebo_synthetic", 12.5),
        ("synthetic", 31.0),
    }


def test_shared_cells_with_other_numbers_stay_with_their_entry(pack_system):
    one, two = pack_system("one", share=True), pack_system("two", share=True, draw=5)
    assert [len(list(apart.records(run_folder(entry)))) for entry in (one, two)] == [3, 9]


def test_shared_cells_go_with_the_last_entry_that_uses_them(made_run, tmp_path):
    root, first = tmp_path / "submissions", made_run(tmp_path / "a", seeds=3)
    pack(first.run, "one", root, first.store, share=True)
    (shared,) = (root / "shared").iterdir()
    fewer = made_run(tmp_path / "b", seeds=2)
    pack(fewer.run, "one", root, fewer.store)
    assert {record["cell"]["seed"] for record in apart.records(shared)} == {0, 1} and strays(root) == []
    alone = made_run(
        tmp_path / "c", missing=[(arm, seed) for arm in ("real", "placebo_synthetic") for seed in range(3)]
    )
    pack(alone.run, "one", root, alone.store)
    assert not shared.exists() and strays(root) == []


def test_what_lies_beside_the_entries_is_told(pack_system):
    root = pack_system("one", share=True).parent
    (root / "README.md").write_text("# Entries\n")
    assert strays(root) == []
    (root / "more.zip").write_bytes(b"PK")
    (root / ".hidden").mkdir()
    (root / "shared" / ("0" * 64)).mkdir()
    (root / "shared" / "nothing").mkdir()
    shutil.copytree(root / "shared" / "squares-tiny_films-quick", root / "shared" / "squares-tiny_films-paper")
    hidden, archive, old, nothing, paper = strays(root)
    assert hidden.startswith(".hidden is no entry") and archive.startswith("more.zip is no entry")
    assert "is of schema 1; `cxrbench submission convert`" in old and nothing == "shared/nothing has no cells"
    assert paper == "shared/squares-tiny_films-paper: 6 of its 6 cells are of no entry"


def test_shared_cells_that_are_a_link_or_hold_more_are_refused(pack_system, sources):
    folder = pack_system("one", share=True)
    shared = next((folder.parent / "shared").iterdir())
    (shared / "extra.txt").write_text("x")
    assert "expected records.jsonl" in lines(check_entry(folder, sources=sources))
    (shared / "extra.txt").unlink()
    apart.write_members(shared, apart.members(shared) | {f"{'0' * 64}.npy": b"more"})
    assert "holds 1 arrays that no record names" in lines(check_entry(folder, sources=sources))
    moved = Path(shutil.move(shared, folder.parent.parent / "elsewhere"))
    shared.symlink_to(moved)
    assert "symbolic link" in lines(check_entry(folder, sources=sources))


def test_shared_cells_are_of_no_provider(pack_system, sources):
    folder = pack_system("one", share=True)
    shared = next((folder.parent / "shared").iterdir())
    provider = apart.records(run_folder(folder))[0]["cell"]["provider"]
    apart.change_record(shared, lambda record: record["cell"].update(provider=provider), "placebo_synthetic")
    assert "a cell of a provider" in lines(check_entry(folder, sources=sources))
    apart.change_record(shared, lambda record: record["cell"].update(provider=None, placebo=False), "placebo_synthetic")
    assert "a cell of a provider" in lines(check_entry(folder, sources=sources))


# ------------------------------------------------------------------------------------------------------ completeness


def test_five_seeds_may_be_ranked(pack_system, sources):
    verdict = check_entry(pack_system(seeds=5), sources=sources)
    assert verdict.passed and lines(verdict) == RESCORED
    assert verdict.entry is not None and verdict.entry.runs[0].unranked == ()


def test_fewer_seeds_and_missing_cells_are_shown_without_a_rank(pack_system, sources):
    folder = pack_system(seeds=5, missing=[("synthetic", 2), ("real", 4), ("placebo_synthetic", 1)])
    verdict = check_entry(folder, sources=sources)
    assert verdict.passed, lines(verdict)
    assert "3 of 15 cells are missing" in lines(verdict)
    assert load_entry(folder).runs[0].unranked == ("3 of 15 cells are missing",)


def test_a_control_that_is_given_other_real_films_is_shown_without_a_rank_and_by_its_name(pack_system):
    entry = load_entry(pack_system(seeds=5))
    run = entry.runs[0]
    assert run.unranked == () and from_entry(entry)[0].title == entry.name
    told = run.results.provider.model_copy(update={"rest": True})
    given = type(run)(run.path, run.results.model_copy(update={"provider": told}), run.homes)
    reason = "a control: it is given real training films outside of the size"
    assert given.unranked == (reason,)
    (attempt,) = from_entry(replace(entry, runs=(given,)))
    assert attempt.title == f"{entry.name} (given other real films)" and reason in attempt.unranked


def test_what_was_fitted_on_more_real_films_than_its_arm_has_is_shown_without_a_rank(pack_system):
    entry = load_entry(pack_system(seeds=5))
    run = entry.runs[0]
    assert run.results.headline is not None
    reason = "fitted on 84 real films besides the 34 that this arm has: gain and worth include what it has seen of them"

    def told(size: str) -> EntryRun:
        row = CheckRow(size=size, fold="", seed=0, name="noticed", sentence=f"it was {reason}", alarm=True)
        return replace(run, results=run.results.model_copy(update={"checks": [row]}))

    here = told(run.results.headline[0])
    assert here.unranked == (reason,) and told("another").unranked == ()
    assert reason in from_entry(replace(entry, runs=(here,)))[0].unranked


def test_a_placebo_that_was_not_planned_at_some_seed_is_missing(pack_system):
    run = load_entry(pack_system(seeds=5)).runs[0]
    cells = [cell for cell in run.results.cells if (cell.arm, cell.seed) != ("placebo_synthetic", 3)]
    assert type(run)(run.path, run.results.model_copy(update={"cells": cells})).unranked == (
        "1 of 15 cells are missing",
    )


def test_an_arm_without_its_placebo_is_missing_it(pack_system):
    run = load_entry(pack_system(seeds=5)).runs[0]
    mixed = [cell.model_copy(update={"arm": "mixed"}) for cell in run.results.cells if cell.arm == "synthetic"]
    results = run.results.model_copy(update={"cells": [*run.results.cells, *mixed]})
    assert type(run)(run.path, results).unranked == ("5 of 25 cells are missing",)


def test_a_run_without_placebos_is_shown_without_a_rank(pack_system, sources):
    folder = pack_system(seeds=5, placebos=False)
    verdict = check_entry(folder, sources=sources)
    assert verdict.passed and "shown without a rank: of a protocol without placebos" in lines(verdict)
    assert load_entry(folder).runs[0].unranked == ("of a protocol without placebos",)


def test_a_choice_of_seeds_is_not_ranked(pack_system):
    run = load_entry(pack_system(seeds=5)).runs[0]
    results = run.results.model_copy(update={"seeds": [0, 1, 2, 5, 9]})
    assert any("choice of seeds" in words for words in type(run)(run.path, results).unranked)


def test_a_claim_whose_seeds_its_name_did_not_give_is_not_ranked(pack_system, sources):
    """Who may choose seeds takes the best of many runs; the maintainers' own have those of the cells."""
    assert lines(check_entry(pack_system("mine", seeds=5), sources=sources)) == RESCORED
    for of, words in (("", "free to choose"), ("another", "those of another")):
        folder = pack_system("mine", seeds=5, entry=of)
        verdict = check_entry(folder, sources=sources)
        line = f"the seeds of its fits are {words}: run it with --entry mine"
        assert verdict.passed and f"shown without a rank: {line}" in lines(verdict)
        (attempt,) = from_entry(load_entry(folder))
        assert attempt.unranked == (line,)
    path = folder / "submission.toml"
    path.write_text(path.read_text().replace('"claimed"', '"reproduced"'))
    assert len(load_entry(folder).unranked(load_entry(folder).runs[0])) == 1
    folder = pack_system("mine", seeds=5, entry="")
    path.write_text(path.read_text().replace('"claimed"', '"reproduced"'))
    assert load_entry(folder).unranked(load_entry(folder).runs[0]) == ()


def test_arms_that_were_not_planned_are_said(pack_system, sources, monkeypatch):
    folder = pack_system(seeds=5)
    task = sources.task("squares")
    slots = task.slots
    more = [type(slots(None, None)[0])("all", "tiny", slots(None, None)[0].arm)]
    monkeypatch.setattr(task, "slots", lambda self, data: [*slots(self, data), *more])
    verdict = check_entry(folder, sources=sources)
    assert "1 cells of every seed were not planned (tiny real ...)" in lines(verdict)


# ------------------------------------------------------------------------------------------- films, reviews, copies


def test_without_the_films_case_scores_are_the_source_and_that_is_said(entry, without_films):
    verdict = check_entry(entry, sources=without_films)
    assert verdict.passed and "recomputed from case scores and not from predictions" in lines(verdict)


def test_without_films_and_case_scores_nothing_can_be_recomputed(entry, without_films, sources):
    apart.without_scores(run_folder(entry))
    seal(entry)
    assert check_entry(entry, sources=sources).passed
    verdict = check_entry(entry, sources=without_films)
    assert not verdict.passed and "scores.parquet is missing" in lines(verdict)


def test_an_improbable_improvement_waits_for_a_review(pack_system, sources):
    folder = pack_system(seeds=5, wrong={"real": 0.05, "synthetic": 0.001})
    verdict = check_entry(folder, sources=sources)
    assert verdict.status == "needs review" and not verdict.passed
    assert "takes 9" in lines(verdict) and "of REAL's error away" in lines(verdict)
    assert verdict.entry is not None
    reviewed = folder.parent / "reviewed.toml"
    reviewed.write_text(f'[my_gan]\ndigest = "{verdict.entry.digest}"\nreason = "asked the authors"\n')
    again = check_entry(folder, sources=sources)
    assert again.passed and "(reviewed: asked the authors)" in lines(again)
    (folder / "README.md").write_text("# my_gan\n\nchanged after the review\n")
    assert check_entry(folder, sources=sources).status == "needs review"
    reviewed.write_text("x = = \n")
    broken = check_entry(folder, sources=sources)
    assert broken.status == "needs review" and "reviewed.toml cannot be read, so no review counts" in lines(broken)


def test_an_improvement_within_the_spread_passes(pack_system, sources):
    assert check_entry(pack_system(seeds=5, wrong={"real": 0.05, "synthetic": 0.05}), sources=sources).passed


def test_near_copies_wait_for_a_review(pack_system, sources):
    from scipy.stats import binomtest

    p = float(binomtest(3, 10, 0.01, "greater").pvalue)
    near = {"films": 10, "flagged": 3, "threshold": 0.1, "p": p, "copies": 0, "nearest": []}
    verdict = check_entry(pack_system(checks={"near_test": near}), sources=sources)
    assert verdict.status == "needs review" and "nearer to test films" in lines(verdict)


def test_the_cells_of_another_entry_are_refused(pack_system, sources):
    folder = pack_system("mine")
    other = folder.parent / "yours"
    shutil.copytree(folder, other)
    text = (other / "submission.toml").read_text()
    (other / "submission.toml").write_text(text.replace('name = "mine"', 'name = "yours"'))
    assert "cells are those of the entry mine" in lines(check_entry(other, sources=sources))


def test_the_numbers_of_another_entry_are_refused_under_another_name(pack_system, sources):
    pack_system("mine")
    folder = pack_system("yours")  # drawn alike, by a system of another name and code
    verdict = check_entry(folder, sources=sources)
    assert not verdict.passed and "of the entry mine" in lines(verdict)


def test_other_numbers_of_the_same_board_are_welcome(pack_system, sources):
    pack_system("mine")
    assert check_entry(pack_system("yours", draw=3), sources=sources).passed


def test_reproduced_is_for_systems_of_this_repository(entry, sources):
    text = (entry / "submission.toml").read_text()
    (entry / "submission.toml").write_text(text.replace('"claimed"', '"reproduced"'))
    verdict = check_entry(entry, sources=sources)
    assert verdict.status == "needs review" and "my_gan.py:my_gan is none of them" in lines(verdict)


def test_names_of_an_entry_are_no_paths_and_no_classes(tmp_path):
    """What an entry calls its task and data is looked up among the installed and imported, nothing else."""
    evil = tmp_path / "evil.py"
    evil.write_text("raise SystemExit('executed')\n")
    assert installed_task(f"{evil}:Evil") is None
    assert films_at_hand(str(tmp_path), 16) is None
    assert films_at_hand("../datasets", 16) is None
    assert films_at_hand("phantom_nih-99999", 16) is None  # too many films to draw for a check


def test_a_finding_names_check_place_and_reason(entry, sources):
    (run_folder(entry) / "predictions.npz").write_bytes(b"")
    found = [one for one in check_entry(entry, sources=sources).findings if one.level is Level.ERROR]
    assert [one.check for one in found] == ["cells", "digests"]  # a line each, however many cells the file has
    assert all(one.message and one.where for one in found)


def test_a_check_is_found_by_being_there(entry, sources, tmp_path, monkeypatch):
    """In the order of their names, those that compute numbers again last."""
    assert [one.NAME for one in checks()] == sorted(one.NAME for one in checks())
    assert {one.NAME for one in checks() if one.RECOMPUTES} == {
        "aggregates",
        "beside_real",
        "duplicates",
        "scores",
        "splits",
    }
    (tmp_path / "billing.py").write_text(
        "from cxrbench.leaderboard.checks.finding import Finding, Level\n"
        "NAME, RECOMPUTES = 'billing', False\n"
        "def check(subject):\n"
        "    yield Finding(Level.ERROR, NAME, '', f'{subject.entry.name} was not paid for')\n"
    )
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    checks.cache_clear()
    try:
        assert "billing: my_gan was not paid for" in lines(check_entry(entry, sources=sources))
    finally:
        checks.cache_clear()


def test_an_entry_that_cannot_be_read_raises_one_line(entry):
    (entry / "submission.toml").write_text("schema = 2\n")
    with pytest.raises(Refused, match=r"^submission\.toml: name: Field required$"):
        load_entry(entry)
