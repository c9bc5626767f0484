"""What is run for a table of a paper: files that `cxrbench run` takes, with settings, arms and sizes that there are."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from cxrbench.benchmark.cli.details import details_of
from cxrbench.benchmark.cli.init import init
from cxrbench.benchmark.cli.listing import list_
from cxrbench.benchmark.cli.run_file import read_run_file
from cxrbench.benchmark.contracts.task import ArmName
from cxrbench.benchmark.data.catalogue import find_dataset
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.paper_tables import TableRun
from cxrbench.benchmark.papers import find_table, paper_tables
from cxrbench.benchmark.registry import find_provider, find_task
from cxrbench.benchmark.settings import override, parse_pairs

TABLES = {one.name: one for _, one in paper_tables()}
RUN = [name for name, one in TABLES.items() if one.providers]
NAMED = {"ciano-1", "ciano-2", "ciano-3", "kumar-5", "kumar-fig-5", "neff-1", "neff-2", "sdfn-1", "xing-1", "xing-2"}


def test_the_tables_of_all_five_papers_are_there():
    assert set(TABLES) >= NAMED
    assert {paper.key for paper, _ in paper_tables()} == {"ciano", "kumar", "neff", "sdfn", "xing"}


@pytest.mark.parametrize("name", RUN)
@pytest.mark.parametrize("preset", ["quick", "standard", "paper"])
def test_the_files_of_a_table_have_options_and_settings_that_there_are(name, preset, tmp_path):
    init(table=name, preset=preset, data="phantom", out=tmp_path)
    files = sorted(tmp_path.glob("*.toml"))
    assert {file.stem for file in files} == {run for run, _, _ in TABLES[name].runs()}
    for file in files:
        found = read_run_file(file)
        assert found.values["preset"] == preset and found.values["out"] == Path("runs", file.stem)
        find_provider(found.values["provider"])
        assert {ArmName(arm) for arm in found.values["arms"]}
        known = {
            *details_of("provider", found.values["provider"]).settings,
            *(f"task.{key}" for key in details_of("task", found.values["task"]).settings),
        }
        assert {pair.partition("=")[0] for pair in found.pairs} <= known


@pytest.mark.parametrize("name", [name for name in RUN if TABLES[name].task.startswith("scr_")])
def test_the_task_has_the_sizes_arms_and_folds_of_the_table_on_the_phantom(name):
    one = TABLES[name]
    pairs = parse_pairs([pair.removeprefix("task.") for pair in one.settings if pair.startswith("task.")])
    cls = find_task(one.task).load()
    task = cls(override(cls.presets["paper"], pairs, one.task))
    slots = task.slots(find_dataset("phantom"))
    wanted = {(size, ArmName(arm)) for size in one.sizes for arm in one.arms}
    assert wanted <= {(slot.size, slot.arm) for slot in slots}
    assert len({slot.fold for slot in slots}) == one.folds


def test_a_table_of_another_command_says_which(tmp_path):
    with pytest.raises(InputError, match="cxrbench models --task nih_classification"):
        init(table="sdfn-1", out=tmp_path)
    with pytest.raises(InputError, match=r"unknown table 'ciano-4'\. Did you mean ciano-"):
        find_table("ciano-4")
    with pytest.raises(InputError, match="says provider, task and arms itself"):
        init(table="neff-1", provider="vae", out=tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_commands_of_tables_are_of_cxrbench_and_their_options_too():
    from typer.testing import CliRunner

    from cxrbench.benchmark.cli.program import app

    for one in TABLES.values():
        for command in filter(None, (one.command, one.then.replace("{runs}", "A B"))):
            words = shlex.split(command)[1:]
            path = words[:2] if words[0] == "reader-study" else words[:1]
            text = CliRunner().invoke(app, [*path, "--help"]).output
            for option in re.findall(r"--[a-z-]+", command):
                assert option in text, f"{one.name}: {option}"


def test_films_that_are_not_there_are_a_note_and_no_error(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CXRBENCH_HOME", str(tmp_path / "home"))
    init(table="xing-2", out=tmp_path)
    said = capsys.readouterr()
    assert "nih_cxr14 is not imported yet" in said.err
    assert "cxrbench table runs/xing-2-pix2pix runs/xing-2-pix2pix_n" in said.out


def test_the_list_says_what_runs_and_how_much_it_is(capsys):
    list_("tables", as_json=True)
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["neff-1"]["fits_of_generators"] == 15 and rows["neff-1"]["trainings"] == 45
    assert rows["ciano-3"]["fits_of_generators"] == 0 and "Table 3" in rows["ciano-3"]["about"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "x", "shows": "", "about": "", "data": "d"},
        {"name": "x", "shows": "", "about": "", "data": "d", "command": "c", "providers": ["p"]},
        {"name": "x", "shows": "", "about": "", "data": "d", "providers": "p"},
        {"name": "x", "shows": "", "about": "", "data": "d", "command": "c", "more": 1},
    ],
)
def test_a_table_that_says_too_little_or_too_much_is_refused(wrong):
    with pytest.raises((TypeError, ValueError)):
        TableRun.read(wrong)
