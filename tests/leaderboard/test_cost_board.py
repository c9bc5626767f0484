"""The cost board: a board a device, what it says, where its numbers may be had."""

from __future__ import annotations

import json
import re
import sys

import pytest
from typer.testing import CliRunner

from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.speed.rates import read_throughput
from cxrbench.leaderboard.cli.board import THROUGHPUT, app
from cxrbench.leaderboard.site import write_site
from cxrbench.leaderboard.site.throughput import boards, names, read_all

from ..browser import Browser, needs_browser
from .made_up import attempt, rate_row, rates

GPU = "a graphics card"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("costs") / "site"
    cost = [
        rates(rate_row("two_stage", 40), rate_row("two_stage", 10, batch=1), rate_row("noise", 90, training=None)),
        rates(
            rate_row("two_stage", 4000, device=GPU), rate_row("two_stage", 9, device=GPU, preset="paper"), device=GPU
        ),
    ]
    write_site([attempt("two_stage", 0.01)], folder, cost)
    return folder


def test_there_is_a_board_for_each_device_and_preset_and_rates_of_two_never_share_one():
    cpu, gpu = rates(rate_row("a")), rates(rate_row("a", device=GPU), rate_row("a", device=GPU, preset="paper"))
    found = boards([cpu, gpu], {"a"})
    assert [(one.device, one.preset) for one in found] == [("a processor", "quick"), (GPU, "quick"), (GPU, "paper")]
    assert [len(one.rows) for one in found] == [1, 1, 1]
    assert "1 thread, torch 2.6.0; measured peak: float32 0.1 TFLOP/s; load of the machine 0.1" in found[0].about


def test_a_row_shows_medians_quartiles_counts_and_shares_and_links_to_its_entry():
    found = boards([rates(rate_row("a", 40), rate_row("b", 40, batch=8))], {"a"})[0]
    first, second = found.rows
    texts = [(cell.text, cell.small) for cell in first.cells]
    assert texts[:3] == [("scr_official", "phantom"), ("16", ""), ("40", "36 to 44")]
    assert [text for text, _ in texts[3:6]] == ["0.04", "0.25", "25 %"]
    assert texts[6] == ("80", "72 to 88")
    assert [text for text, _ in texts[10:]] == ["0.9 GB", "1.2 M", "2026-01-01"]
    assert (first.page, second.page) == ("providers/a.html", "")
    assert second.cells[1].text == "8"


def test_a_provider_that_failed_is_a_note_and_what_was_not_measured_a_dash():
    gone = {"training": None, "sampling": None, "parts": []}
    failed = rate_row("broken", device="", error="broken: out of memory", **gone)
    found = boards([rates(rate_row("a", training=None, notes=["no steps"]), failed)], ())[0]
    assert [row.name for row in found.rows] == ["a"]
    assert found.notes == ["a: no steps", "broken: broken: out of memory"]
    assert [cell.text for cell in found.rows[0].cells[2:6]] == ["–"] * 4


def test_two_files_of_one_device_have_files_of_their_own():
    one = rates(rate_row("a"))
    (name,) = names([one])
    assert names([one, one]) == [name, f"{name}-1"] and name.startswith("a-processor")


def test_the_page_offers_the_numbers_it_was_made_from(site):
    text = (site / "cost.html").read_text()
    files = re.findall(r'href="(throughput/[^"]*\.json)"', text)
    assert len(set(files)) == 2 and all((site / file).is_file() for file in files)
    assert [read_throughput(site / file).device for file in dict.fromkeys(files)] == ["a processor", GPU]
    assert 'href="cost.html"' in (site / "index.html").read_text()


def test_without_rates_there_is_no_page_and_no_link(tmp_path):
    write_site([attempt("a")], tmp_path / "site")
    assert not (tmp_path / "site" / "cost.html").exists()
    assert "cost.html" not in (tmp_path / "site" / "index.html").read_text()


def test_the_command_reads_files_and_folders_and_the_rates_of_the_package_by_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "submissions").mkdir()
    (tmp_path / "rates").mkdir()
    (tmp_path / "rates" / "one.json").write_text(rates(rate_row("a")).to_json())
    (tmp_path / "other.json").write_text(rates(rate_row("b")).to_json())
    some = json.loads(next(THROUGHPUT.glob("*.json")).read_text())["rows"][0]["provider"]
    for arguments, name in (([], some), (["--throughput", "other.json"], "b"), (["--throughput", "rates"], "a")):
        done = CliRunner().invoke(app, ["build", *arguments])
        assert done.exit_code == 0, done.output
        assert f"<bdi>{name}</bdi>" in (tmp_path / "site" / "cost.html").read_text()


def test_rates_that_cannot_be_shown_are_an_input_error(tmp_path):
    place = tmp_path / "rates.json"
    failed = rate_row("a", device="", error="no luck", training=None, sampling=None, parts=[])
    place.write_text(rates(failed).to_json())
    with pytest.raises(InputError, match=r"rates\.json has no rates: every measurement failed"):
        read_all([place])
    place.write_text(json.dumps(json.loads(rates(rate_row("a")).to_json()) | {"schema": 9}))
    with pytest.raises(InputError, match="schema 9 is newer"):
        read_all([tmp_path])


def test_reading_rates_imports_no_torch():
    import subprocess

    code = "import sys, cxrbench.leaderboard.site, cxrbench.benchmark.speed.rates; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@needs_browser
def test_rows_are_sorted_within_each_board_and_filtered_in_all(site):
    names_of = (
        "[...document.querySelectorAll('table.board')].map(table => [...table.tBodies[0].rows]"
        ".filter(row => !row.hidden).map(row => row.cells[2].textContent + ' ' + row.cells[0].innerText))"
    )
    with Browser() as tab:
        tab.open((site / "cost.html").as_uri())
        tab.click("table.board th[data-key='samples'] button")
        assert tab.evaluate(names_of) == [
            ["16 noise", "16 two_stage", "1 two_stage"],
            ["16 two_stage"],
            ["16 two_stage"],
        ]
        tab.click("#filter")
        tab.press(*"noise")
        assert tab.evaluate(names_of) == [["16 noise"], [], []] and tab.text("#count") == "1 of 5 rows"
        assert tab.errors == []
        assert [url for url in tab.requests if not url.startswith((site.as_uri(), "about:"))] == []
