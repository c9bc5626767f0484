"""The films' own numbers on boards and in exports, and which of them foretell use."""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from cxrbench.benchmark.errors import InputError
from cxrbench.leaderboard import made_again
from cxrbench.leaderboard.attempts import Copied, from_entry
from cxrbench.leaderboard.checks import film_numbers
from cxrbench.leaderboard.checks.subject import Subject
from cxrbench.leaderboard.entry import load_entries, load_entry
from cxrbench.leaderboard.fidelity import NUMBERS, why_none
from cxrbench.leaderboard.foretelling import LEAST, correlation, foretold
from cxrbench.leaderboard.made_again import make_again
from cxrbench.leaderboard.site import write_site
from cxrbench.leaderboard.site.columns import board_columns
from cxrbench.leaderboard.standings import board, boards

from .. import browser
from . import made_up

attempt, films_row = made_up.attempt, made_up.films_row
needs_browser = pytest.mark.skipif(browser.find_browser() is None, reason="no Chromium is installed")
SUBMISSIONS = Path(__file__).parents[2] / "submissions"
RATIOS = {"near": 1.1, "middle": 2.5, "far": 40.0}


def with_films(name: str, ratio: float, **changed):
    found = attempt(name, 0.03 / ratio, seed=len(name) + int(10 * ratio), **changed)
    return replace(found, fidelity=(films_row(ratio),), copied={"31": Copied(3, 200)})


def entries():
    old = attempt("older", 0.0, seed=99)
    return [*(with_films(name, ratio) for name, ratio in RATIOS.items()), old]


def rulers(key, device):
    return made_up.curve(key)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("films") / "site"
    many = [with_films(f"entry_{i}", 1.0 + 0.3 * i, control=i > 8) for i in range(10)]
    write_site([*entries(), *many], out, find_curve=rulers)
    return out


def page_of(site: Path) -> Path:
    (found,) = (path for path in (site / "boards").glob("*.html") if "-tells" not in path.name)
    return found


def test_a_distance_is_named_with_its_space_and_its_films_and_an_old_entry_says_why_not():
    made = board(entries())
    columns = {one.key: one for one in board_columns(made)}
    ratio = columns["films-fd_ratio-anatomy"]
    assert ratio.label == "FD (anatomy, 123 films) / floor" and ratio.folded
    cells = {one.attempt.entrant.name: ratio.value(one) for one in made.all}
    assert (cells["near"].text, cells["near"].sort, cells["near"].small) == ("1.1", 1.1, "0.88 to 1.32")
    assert (cells["older"].text, cells["older"].sort, cells["older"].small) == ("–", None, "not in its record")
    copies = columns["films-copies"].value(next(one for one in made.all if one.attempt.entrant.name == "far"))
    assert (copies.text, copies.small, copies.kind) == ("1.5 %", "of 200", "")
    folded = [key for key, one in columns.items() if one.folded]
    assert [key for key in folded if key.startswith("films-precision")] == ["films-precision-anatomy"]
    assert not any(one.folded for one in board_columns(board([attempt("older")])))


def test_films_of_two_counts_are_both_in_the_heading_and_a_note_is_the_reason():
    few = replace(attempt("few", seed=5), fidelity=(films_row(2.0, films=60),))
    none = films_row(2.0).model_copy(update={"spaces": [], "note": "12 films are too few"})
    bare = replace(attempt("bare", seed=6), fidelity=(none,))
    flat = films_row(2.0).model_copy(update={"spaces": films_row(2.0).spaces[1:]})
    made = board([*entries(), few, bare, replace(attempt("flat", seed=7), fidelity=(flat,))])
    ratio = next(one for one in board_columns(made) if one.key == "films-fd_ratio-anatomy")
    assert ratio.label == "FD (anatomy, 60 to 123 films) / floor"
    small = {one.attempt.entrant.name: ratio.value(one).small for one in made.all}
    assert small["bare"] == "12 films are too few" and small["flat"] == "no masks on both sides"
    assert why_none(NUMBERS[0], few, "full") == "not in its record", "a size without films"


def test_exports_have_every_number_with_its_interval_and_count(site):
    page = page_of(site)
    lines = list(csv.DictReader(io.StringIO(page.with_suffix(".csv").read_text(encoding="utf-8"))))
    near = next(one for one in lines if one["system"] == "near" and one["size"] == "31" and one["arm"] == "mixed")
    assert [near[f"fd_ratio_anatomy{part}"] for part in ("", "_films")] == ["1.1", "123"]
    assert float(near["fd_ratio_anatomy_high"]) == pytest.approx(1.32)
    assert (near["ms_ssim"], near["agreement"], near["agreement_films"]) == ("0.4", "0.9", "200")
    assert (float(near["copies"]), near["copies_films"]) == (0.015, "200")
    assert not any(
        one["fd_ratio_anatomy"]
        for one in lines
        if one["arm"] == "real" or one["size"] == "full" or one["system"] == "older"
    )
    whole = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    rows = [one for one in _walk(whole) if one.get("name") == "near" and "fidelity" in one] or [
        one for one in _walk(whole) if one.get("fidelity")
    ]
    assert rows[0]["fidelity"][0]["spaces"][0]["frechet"]["films"] == 123
    assert rows[0]["copies"]["31"] == {"copies": 3, "films": 200}


def _walk(found):
    if isinstance(found, dict):
        yield found
        found = list(found.values())
    if isinstance(found, list):
        for one in found:
            yield from _walk(one)


# ------------------------------------------------------------------------------------------- what foretells use


def test_correlations_are_those_of_scipy_and_an_order_is_found():
    rng = np.random.default_rng(3)
    first = rng.normal(size=12)
    second = first + rng.normal(size=12)
    second[3] = second[4]
    found = correlation(first.tolist(), second.tolist())
    assert found.spearman == pytest.approx(stats.spearmanr(first, second).statistic)
    assert found.kendall == pytest.approx(stats.kendalltau(first, second).statistic)
    assert found.spearman_low < found.spearman < found.spearman_high
    assert found.kendall_low < found.kendall < found.kendall_high
    same = correlation(list(range(9)), [10.0 * i for i in range(9)])
    assert (same.spearman, same.kendall, same.spearman_low, same.kendall_low) == pytest.approx((1, 1, 1, 1))


def test_kendalls_interval_is_that_of_draws_one_by_one():
    rng = np.random.default_rng(5)
    first, second = rng.integers(0, 6, 9).astype(float), rng.normal(size=9)
    rows = np.random.default_rng(0).integers(0, 9, (2_000, 9))
    taus = [stats.kendalltau(first[row], second[row]).statistic for row in rows]
    found = correlation(first.tolist(), second.tolist())
    assert (found.kendall_low, found.kendall_high) == pytest.approx(tuple(np.nanquantile(taus, [0.025, 0.975])))


def test_infinite_worths_are_last_or_first_and_equal_values_have_no_order():
    plain = correlation(list(range(LEAST)), [*range(LEAST - 2), 100.0, 100.0])
    open_ended = correlation(list(range(LEAST)), [*range(LEAST - 2), math.inf, math.inf])
    assert open_ended == plain and plain.spearman > 0.9
    assert correlation([1.0] * 9, list(range(9))).note == "all are equal: no order"


def test_too_few_entries_are_said_and_no_number():
    made = board(entries())
    found = {row.number.name: row for row in foretold(made)}
    assert found["fd_ratio:anatomy"].uses["gain"].note == f"3 entries have both; {LEAST} needed"
    assert all(one.spearman is None for row in found.values() for one in row.uses.values())


def test_a_number_that_is_nearer_is_turned_round_and_controls_are_left_out():
    many = [with_films(f"entry_{i}", 1.0 + 0.4 * i, sd=1e-4, control=i == 9) for i in range(10)]
    (made,) = boards(many, rulers)
    ratio = next(row for row in foretold(made) if row.number.name == "fd_ratio:anatomy")
    assert (ratio.uses["gain"].entries, ratio.uses["gain"].spearman) == (10, pytest.approx(1.0))
    assert set(ratio.films) == {123} and ratio.uses["worth"].entries >= LEAST
    assert ratio.uses["worth"].spearman > 0.9
    bare = next(row for row in foretold(made, controls=False) if row.number.name == "fd_ratio:anatomy")
    assert bare.uses["gain"].entries == 9
    twin = replace(many[0].entrant, name="twin", reproduces="entry_0")
    (with_twin,) = boards([*many, replace(many[0], entrant=twin)], rulers)
    assert foretold(with_twin)[0].uses["gain"].entries == 10, "a twin is not counted beside what it reproduces"


def test_the_page_is_linked_has_a_figure_and_says_where_it_says_nothing(site, tmp_path):
    text = (site / "foretells.html").read_text(encoding="utf-8")
    assert "<svg" in text and "phantom numbers" in text and "FD (anatomy, 123 films) / floor" in text
    assert "Without controls" in text
    assert 'href="foretells.html"' in (site / "index.html").read_text(encoding="utf-8")
    write_site(entries(), tmp_path / "few", find_curve=rulers)
    few = (tmp_path / "few" / "foretells.html").read_text(encoding="utf-8")
    assert "<svg" not in few and f"3 entries have both; {LEAST} needed" in few
    assert "<table" not in few, "a number of which nothing can be said has no line of dashes"
    write_site([], tmp_path / "none")
    assert "No board has gains" in (tmp_path / "none" / "foretells.html").read_text(encoding="utf-8")


# ------------------------------------------------------------------------------------------------- committed entries


def test_committed_entries_of_before_load_and_say_why_they_have_no_number():
    found = [one for entry in load_entries(SUBMISSIONS) for one in from_entry(entry)]
    without = [one for one in found if not one.fidelity]
    for one in without:
        assert why_none(NUMBERS[0], one, one.headline[0]) == "not in its record"
    assert any(one.copied for one in found), "the counts of copies are of every entry"


# ------------------------------------------------------------------------------------------- films that are made again


@pytest.fixture
def noise(tmp_path):
    shutil.copytree(SUBMISSIONS / "noise", tmp_path / "noise")
    shutil.copytree(SUBMISSIONS / "shared", tmp_path / "shared")
    return tmp_path / "noise"


def words_of(folder: Path) -> list[str]:
    return [str(one) for one in film_numbers.check(Subject(load_entry(folder)))]


def agreed(**changed: object) -> dict[str, object]:
    """What a REAL model may say of the masks of a run of `scr_official`, as it stands in results.json."""
    numbers = {"films": 200, "value": 0.9, "low": 0.89, "high": 0.91, "odd": 0.015, "odd_p": 0.4}
    beside = {"real_films": 123, "real": 0.95, "real_low": 0.94, "real_high": 0.96}
    return {"task": "scr_official", "metric": "DSC", "structure": "all", **numbers, **beside, **changed}


def written(folder: Path, change) -> str:
    """What the check says where `change` has been made to the first numbers of an entry's films."""
    (path,) = folder.glob("runs/*phantom_hard*/results.json")
    whole = path.read_text(encoding="utf-8")
    said = json.loads(whole)
    said["fidelity"][0]["agreement"] = [agreed()]
    change(said["fidelity"][0], said)
    path.write_text(json.dumps(said), encoding="utf-8")
    found = "\n".join(words_of(folder))
    path.write_text(whole, encoding="utf-8")
    return found


def at(*place, to):
    """A change of one number of the row, by its place."""

    def change(row, _):
        for name in place[:-1]:
            row = row[name]
        row[place[-1]] = to

    return change


FIRST = ("spaces", 0)
CHANGES = [
    (at("films", to=300), "is of 300 films, its record of 240"),
    (at("resolution", to=512), "of 512 pixels"),
    (at("fold", to="other"), "seed that the run does not have"),
    (lambda row, said: said["fidelity"].append(row), "is there twice"),
    (at("repeats", to=2.0), "has repeats 2"),
    (at("repeats", to=0.5001), "no share of 240 films"),
    (at("alike", "value", to=0.9), "has MS-SSIM 0.9"),
    (at("alike", "low", to=-0.2), "has MS-SSIM"),
    (at("alike", "real_high", to=1.2), "has MS-SSIM"),
    (at(*FIRST, "precision", "high", to=1.5), "has precision"),
    (at(*FIRST, "precision", "value", to=0.1234567), "no share of 123 films in the space grey levels"),
    (at(*FIRST, "density", "value", to=0.0), "has a density of 0"),
    (at(*FIRST, "density", "value", to=0.1), "which no 123 films have"),
    (at(*FIRST, "frechet", "ratio", to=9.0), "has the ratio 9"),
    (at(*FIRST, "frechet", "low", to=1e5), "outside of its interval"),
    (at(*FIRST, "frechet", "films", to=200), "compares 200 films"),
    (at(*FIRST, "kernel_error", to=-1.0), "kernel distance that cannot be"),
    (at("agreement", 0, "value", to=91.0), "has an agreement of 91"),
    (at("agreement", 0, "low", to=0.95), "has an agreement of 0.9"),
    (at("agreement", 0, "real_high", to=1.01), "has an agreement of 0.95"),
    (at("agreement", 0, "films", to=240), "of 240 films and 123 real ones"),
    (at("agreement", 0, "real_films", to=200), "of 200 films and 200 real ones"),
    (at("agreement", 0, "odd", to=0.0123), "odd (p = 0.4)"),
    (at("agreement", 0, "odd_p", to=None), "without its p"),
    (at("agreement", 0, "metric", to="AUC"), "its run compares DSC"),
    (at("agreement", 0, "structure", to="spleen"), "of spleen, which its task does not have"),
    (lambda row, _: row["agreement"].append(agreed()), "which its task does not have, or twice"),
]


def test_numbers_that_no_films_can_have_are_refused(noise):
    assert words_of(noise) == [] and written(noise, lambda row, said: None) == ""
    missed = [words for change, words in CHANGES if words not in written(noise, change)]
    assert missed == []


def test_what_a_real_model_says_of_boxes_is_of_boxes(noise):
    def boxes(row, said):
        said["task"]["paired"] = ["hausdorff"]
        row["agreement"] = [agreed(metric="Hausdorff", value=4.0, high=5.0, odd=None, odd_p=None)]

    assert written(noise, boxes) == "", "a number that may be above 1"

    def more(row, said):
        said["task"]["paired"] = ["cl"]
        row["agreement"] = [agreed(metric="cl", films=260, odd=None, odd_p=None)]

    assert written(noise, more) == "", "films with two boxes are two cases"


def test_an_entry_that_was_changed_gets_no_numbers(noise):
    (path,) = noise.glob("runs/*phantom_hard*/results.json")
    path.write_text(path.read_text(encoding="utf-8").replace('"quick"', '"quick" ', 1), encoding="utf-8")
    with pytest.raises(InputError, match="not as it was packed"):
        make_again(noise)


def test_films_that_are_others_than_those_of_the_record_are_refused(noise):
    entry = load_entry(noise)
    run = next(one for one in entry.runs if one.results.data.name == "phantom_hard")
    record = next(one for one in run.records.values() if one.cell.size == "31" and one.synthetic_key)
    cell = SimpleNamespace(identity=record.cell, synthetic_key="k" * 64)
    assert made_again._record_of(run, cell).key == record.key
    for change, words in (
        (("data", {"digest": "0" * 64}), "films"),
        (("provider", {"settings": {"a": 1}}), "settings"),
    ):
        part = getattr(record.cell, change[0]).model_copy(update=change[1])
        other = SimpleNamespace(identity=record.cell.model_copy(update={change[0]: part}))
        with pytest.raises(InputError, match=f"of other {words}"):
            made_again._record_of(run, other)
    checks = json.loads(json.dumps(record.checks))
    prepared = SimpleNamespace(store=SimpleNamespace(sampled=lambda key: SimpleNamespace(checks=checks)))
    made_again._hold(prepared, cell, record)
    checks["near_train"]["nearest"][0][2] *= 1.001
    with pytest.raises(InputError, match=r"others than those of the record: near_train.nearest\[0\]"):
        made_again._hold(prepared, cell, record)


def test_numbers_that_were_made_again_say_so():
    again = [
        row for one in load_entries(SUBMISSIONS) for run in one.runs for row in run.results.fidelity if row.made_again
    ]
    assert again and all(row.spaces and not row.note for row in again)


# ------------------------------------------------------------------------------------------------- in a browser


@pytest.fixture(scope="module")
def chromium():
    with browser.Browser() as opened:
        yield opened


SHOWN = "getComputedStyle(document.querySelector('th[data-key=films-fd_ratio-anatomy]')).display !== 'none'"


@needs_browser
def test_a_switch_folds_the_numbers_and_cards_have_them_behind_their_button(site, chromium):
    page = page_of(site).as_uri()
    chromium.resize(1280, 900)
    chromium.open(page)
    chromium.errors.clear()
    assert chromium.evaluate(SHOWN) and chromium.evaluate("document.getElementById('films').checked")
    chromium.click("#films")
    assert not chromium.evaluate(SHOWN) and chromium.evaluate("location.hash") == "#films=0"
    cells = "[...document.querySelectorAll('td.film')].filter(one => getComputedStyle(one).display !== 'none').length"
    assert chromium.evaluate(cells) == 0
    chromium.open("about:blank")
    chromium.open(f"{page}#films=0")
    assert not chromium.evaluate(SHOWN), "a link shows the same"
    chromium.resize(390, 844, mobile=True)
    assert chromium.evaluate("getComputedStyle(document.getElementById('films').parentElement).display") == "none"
    assert chromium.evaluate(cells) == 0
    chromium.click(".rest button")
    columns = chromium.evaluate("document.querySelectorAll('th.film').length")
    assert chromium.evaluate(cells) == columns > 0
    assert chromium.errors == []
