"""How the code reads its papers is said as data: the page is made from it, and what is of a paper has rows."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from cxrbench.benchmark.cli.details import details_of, show
from cxrbench.benchmark.cli.listing import list_
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.papers import as_page, is_about, joined, papers_about, papers_in, read_paper
from cxrbench.benchmark.registry import PROVIDERS, TASKS, plugins

TREE = Path(__file__).parents[2]
CONTROLS = {"classical", "copy_train", "degraded", "noise", "retrieval"}
FOLDERS = {group: next(iter(plugins(group).values())).source().parent for group in (PROVIDERS, TASKS)}
ALL = ["ciano", "karras", "kumar", "lipman", "lugmayr", "neff", "rombach", "sdfn", "xing"]
ROW = """title = "A paper"
[[row]]
key = "{key}"
about = ["toy_*"]
paper = "three | four"
here = "four"
why = "so"
"""


def all_papers():
    return joined(paper for folder in FOLDERS.values() for paper in papers_in(folder))


def test_the_page_is_made_from_the_rows():
    assert (TREE / "docs" / "papers.md").read_text(encoding="utf-8") == as_page(all_papers()), (
        "cxrbench plugins --write"
    )
    assert [paper.key for paper in all_papers()] == ALL


@pytest.mark.parametrize("group", FOLDERS)
def test_every_provider_and_task_of_a_paper_has_rows_and_what_is_printed_and_no_row_is_about_nothing(group):
    for name in plugins(group).keys() - CONTROLS:
        papers = papers_about(FOLDERS[group], name)
        assert len(papers) >= 1, name  # an adapted method stands on two papers
        assert all(paper.rows and paper.printed for paper in papers), name
    for name in CONTROLS & plugins(group).keys():
        assert not papers_about(FOLDERS[group], name)
    for paper in papers_in(FOLDERS[group]):
        for one in (*paper.rows, *paper.printed):
            for pattern in one.about:
                assert any(is_about(name, [pattern]) for name in plugins(group)), f"{paper.key}: {pattern}"


def test_a_setting_that_a_row_names_is_one():
    """A word in back quotes with a `=`, or alone, is a setting of what the row is about."""
    for group, folder in FOLDERS.items():
        kind = "provider" if group == PROVIDERS else "task"
        for paper in papers_in(folder):
            for row in paper.rows:
                known = {
                    key
                    for name in plugins(group)
                    if is_about(name, row.about)
                    for key in details_of(kind, name).settings
                }
                for word in re.findall(r"`((?:task\.)?[a-z][a-z0-9_.]*)(?:=[^`]*)?`", row.setting):
                    key = word.removeprefix("task.").rstrip(".")
                    whole = key in known or any(one.startswith(f"{key}.") for one in known)
                    other = details_of("task", "scr_official").settings if word.startswith("task.") else {}
                    assert whole or key in other, f"{row.key}: {word}"


@pytest.mark.parametrize(("kind", "name"), [("provider", "gmvae_v4"), ("task", "nih_localisation")])
def test_list_shows_settings_of_every_preset_and_the_rows_of_the_paper(kind, name, capsys):
    list_(kind, name)
    shown = capsys.readouterr().out
    table = details_of(kind, name).settings
    assert all(key in shown for key in table)
    assert all({"quick", "standard", "paper"} <= row.keys() for row in table.values())
    assert all(row.key in shown for paper in details_of(kind, name).papers for row in paper.rows)
    list_(kind, name, as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert said["settings"] == table and said["papers"][0]["rows"]


def test_a_setting_says_what_it_means_also_below_another():
    settings = details_of("task", "nih_classification").settings
    assert settings["classifier.weights"]["about"].startswith("A local file of weights")
    assert settings["classifier.kind"]["quick"] == "entire" and settings["classifier.kind"]["paper"] == "sdfn"
    assert details_of("provider", "three_stage").settings["films.epochs"]["paper"] == 100


def test_a_provider_of_a_file_is_asked_for_its_settings(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CXRBENCH_HOME", str(tmp_path))
    monkeypatch.setattr("cxrbench.benchmark.cli.details.PRESETS", ("quick",))  # a process each
    toy = Path(__file__).parents[1] / "toys" / "toy_providers.py"
    found = details_of("provider", f"{toy}:Toy")
    assert found.papers == () and all("quick" in row for row in found.settings.values())
    show(found)
    assert found.name in capsys.readouterr().out


def test_only_providers_and_tasks_are_shown_by_name():
    with pytest.raises(InputError, match="only a provider or a task"):
        list_("datasets", "phantom")
    with pytest.raises(InputError, match="Did you mean three_stage"):
        list_("provider", "tree_stage")


def test_rows_are_read_in_order_and_a_bad_file_is_one_line(tmp_path):
    file = tmp_path / "toy.toml"
    file.write_text(ROW.format(key="K10") + ROW.format(key="K2").partition("\n")[2])
    paper = read_paper(file)
    assert [row.key for row in paper.rows] == ["K2", "K10"] and paper.of("toy_a").rows and not paper.of("other").rows
    assert r"three \| four" in as_page([paper])
    with pytest.raises(InputError, match="two rows K2"):
        joined([paper, paper])
    for text in (ROW.format(key="K2").replace("why", "because"), ROW.format(key="two"), "title = 3 4", ""):
        file.write_text(text)
        with pytest.raises(InputError, match=r"toy\.toml"):
            read_paper(file)
