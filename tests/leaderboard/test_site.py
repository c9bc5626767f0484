"""The site: complete, quick, escaped, and usable in a real browser without asking anybody for anything."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.report.latex import latex_escaped
from cxrbench.leaderboard.attempts import BoardKey, Division, Entrant, from_entry
from cxrbench.leaderboard.cli.board import app
from cxrbench.leaderboard.entry import load_entry
from cxrbench.leaderboard.site import build, write_site
from cxrbench.leaderboard.site.drawings import gain_against_cost, tied_groups
from cxrbench.leaderboard.site.exports import markdown, structure_gain
from cxrbench.leaderboard.site.words import slug, web_address
from cxrbench.leaderboard.standings import boards

from ..accessible import SCHEMES, cut, violations
from ..browser import needs_browser
from . import made_up

attempt = made_up.attempt

HOSTILE = "</a></script><img src=x onerror=alert(1)>\"'&{{ 7 * 7 }}"
FORMULA = "=HYPERLINK(1)|x"
JSRT = BoardKey("scr_official", 3, "jsrt_scr", "paper", "2" * 64, "1" * 64)
OLD = BoardKey("scr_official", 2, "phantom", "quick", "0" * 64, "1" * 64)


def rulers(key, device):
    """A curve for the board on the phantom alone."""
    return made_up.curve(key) if key == made_up.KEY else None


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A site of three boards: phantom, real films, and one of an older protocol; both divisions; ranked and unranked, plain
    and hostile entries, a control and a failed seed."""
    folder = tmp_path_factory.mktemp("leaderboard")
    Image.fromarray(np.full((32, 48), 90, np.uint8)).save(folder / "film.png")
    (folder / "fake.png").write_text("<script>alert(1)</script>")
    hostile = Entrant(
        name=HOSTILE,
        division=Division.REPRODUCED,
        version=HOSTILE,
        description=HOSTILE,
        authors=(HOSTILE,),
        paper=HOSTILE,
        paper_url="javascript:alert(1)",
        code="javascript:alert(1)",
        readme=HOSTILE,
        samples=(folder / "film.png", folder / "fake.png"),
    )
    entries = [
        attempt("three_stage", 0.015, seed=2, seconds=240),
        attempt("two_stage", 0.007, seed=3, seconds=120),
        attempt("noise", -0.3, seed=4, seconds=1, control=True),
        attempt(HOSTILE, 0.0, seed=5, entrant=hostile),
        attempt(FORMULA, 0.0, seed=6),
        attempt("early", 0.05, seed=7, seeds=range(2)),
        attempt("lsgan", 0.0, seed=8, label_by="teacher", changed={("31", "mixed", 3): 0.4}),
        attempt("their_gan", 0.03, seed=9, division=Division.CLAIMED),
        attempt("three_stage_v2", 0.015, seed=10, provider="three_stage", created="2026-02-02T00:00:00Z"),
        attempt("three_stage", 0.01, seed=11, key=JSRT, phantom=False),
        attempt("three_stage", 0.01, seed=12, key=OLD, placebos=False, headline=None, arms=("real", "finetune")),
    ]
    failed = made_up.rate_row("broken", error="no luck", device="", training=None, sampling=None, parts=[])
    cost = [
        made_up.rates(
            made_up.rate_row("three_stage", 40),
            made_up.rate_row("three_stage", 10, batch=1),
            made_up.rate_row(HOSTILE, 90, notes=[HOSTILE]),
            failed,
        ),
        made_up.rates(made_up.rate_row("three_stage", 4000, device=HOSTILE), device=HOSTILE),
    ]
    write_site(entries, folder / "site", cost, rulers)
    return folder / "site"


def page_of(site: Path, data: str, version: int = 3) -> Path:
    (found,) = (path for path in (site / "boards").glob(f"*-{data}-*-v{version}-*.html") if "-tells" not in path.name)
    return found


def tells_of(site: Path, data: str) -> Path:
    return page_of(site, data).with_name(f"{page_of(site, data).stem}-tells.html")


# ------------------------------------------------------------------------------------------------- files


VOID = {"meta", "link", "input", "img", "br"}


class Checker(HTMLParser):
    """Holds a page to what is valid: every element is closed in order, ids are unique, nothing is inline or external."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        assert len(values) == len(attrs), f"attribute twice in {tag}"
        assert "style" not in values and not any(name.startswith("on") for name in values)
        self.ids += [values["id"]] if "id" in values else []
        self.addresses += [values[name] for name in ("href", "src") if name in values]
        if tag == "script":
            assert values["src"].endswith("site.js")
        if tag == "img":
            assert values["alt"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert self.open and "svg" in self.open, f"<{tag}/> outside a drawing"

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_every_page_is_well_formed_and_links_only_to_pages_that_exist(site):
    pages = list(site.rglob("*.html"))
    assert (
        len(pages) == 3 + 3 + 2 + 9 + 1
    )  # index, papers and what foretells use; boards, what they tell, entries, cost
    for page in pages:
        checker = Checker()
        checker.feed(page.read_text(encoding="utf-8"))
        checker.close()
        assert checker.open == [] and len(set(checker.ids)) == len(checker.ids)
        for address in checker.addresses:
            file, _, part = address.partition("#")
            assert ":" not in file, f"{address} leaves the site"
            target = (page.parent / file).resolve() if file else page
            assert target.is_file(), f"{page.name} links to {address}"
            assert not part or f'id="{part}"' in target.read_text(encoding="utf-8"), address


def test_every_page_has_the_policy_and_a_language(site):
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert text.startswith('<!doctype html>\n<html lang="en">')
        policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
        assert policy is not None and "default-src &#39;none&#39;" in policy[1]
        assert "unsafe" not in policy[1] and "http:" not in policy[1]


def test_hostile_text_is_escaped_everywhere(site):
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert "<img src=x" not in text and "javascript:" not in re.sub(r"<bdi>.*?</bdi>", "", text)
        assert "{{" not in text or "7 * 7" in text  # a template is not run twice
    assert (
        "49" not in re.findall(r"<h1><bdi>(.*?)</bdi>", (site / "providers" / f"{slug(HOSTILE)}.html").read_text())[0]
    )


def test_the_same_board_as_json_csv_and_markdown(site):
    made = json.loads(page_of(site, "phantom").with_suffix(".json").read_text())
    ranked_by = {"size": "31", "arm": "mixed", "minus": "placebo_mixed"}
    assert (made["ranked_by"], made["phantom"]) == (ranked_by, True)
    by_name = {one["system"]: one for one in made["entries"]}
    assert by_name["three_stage"]["rank"] == 1 and by_name["early"]["rank"] is None
    assert by_name["noise"]["control"] and not by_name["three_stage"]["control"]
    rows = list(csv.DictReader(io.StringIO(page_of(site, "phantom").with_suffix(".csv").read_text())))
    assert len(rows) == 9 * 2 * 4
    assert {row["system"] for row in rows} >= {f"'{FORMULA}", HOSTILE}
    (row,) = (r for r in rows if (r["system"], r["size"], r["arm"]) == ("three_stage", "31", "mixed"))
    headline = next(a for a in by_name["three_stage"]["arms"] if (a["size"], a["arm"]) == ("31", "mixed"))
    gain, worth, real = headline["gain"], headline["worth"], headline["minus_real"]
    assert float(row["gain"]) == gain["value"] == pytest.approx(np.mean(list(gain["by_seed"].values())))
    assert float(row["worth_films"]) == worth["films"] and float(row["worth_low"]) == worth["low_films"]
    assert float(row["minus_real"]) == real["difference"] and float(row["placebo"]) == gain["placebo"]
    assert row["rank"] == "1" and row["verdict"] == by_name["three_stage"]["verdict"] == "adds more than copying does"
    assert (
        made["curve"]["points"]
        and json.loads(page_of(site, "jsrt-scr").with_suffix(".json").read_text())["curve"] is None
    )
    (lost,) = (r for r in rows if r["system"].startswith("lsgan") and (r["size"], r["arm"]) == ("31", "mixed"))
    assert (lost["failed_seeds"], lost["failed_placebo_seeds"]) == ("3", "") and float(lost["gain_median"]) > -0.01
    text = page_of(site, "phantom").with_suffix(".md").read_text()
    assert "## Reproduced" in text and "## Claimed" in text and markdown(HOSTILE) in text and HOSTILE not in text
    assert "noise (control)" in text.replace("\\", "") and "phantom numbers" in text


def test_the_table_in_latex_has_a_row_an_entry_and_escapes_names(site):
    text = page_of(site, "phantom").with_suffix(".tex").read_text()
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 2
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 2 + 9 and {line.count(" & ") for line in rows} == {12}
    assert r"three\_stage" in text and latex_escaped(HOSTILE) in text and "<img" not in text
    assert not re.search(r"(?<!\\)[&#_%](?! )", re.sub(r" & |^%.*$", "", text, flags=re.MULTILINE))


def test_a_board_of_an_older_protocol_is_shown_without_ranks_and_says_why(site):
    page = page_of(site, "phantom", version=2)
    text = page.read_text()
    assert "This protocol has no placebos" in text and "of a protocol without placebos" in text
    assert "FINETUNE − REAL, full (includes longer training)" in text and "Critical differences" not in text
    assert json.loads(page.with_suffix(".json").read_text())["ranked_by"] is None
    assert not page.with_name(f"{page.stem}-tells.html").exists()
    row = next(csv.DictReader(io.StringIO(page.with_suffix(".csv").read_text())))
    assert row["rank"] == row["gain"] == "" and row["minus_real"] == ""


def test_boards_on_real_films_come_first_and_phantoms_say_so(site):
    text = (site / "index.html").read_text()
    assert (
        text.index(">Real films")
        < text.index("jsrt_scr, paper")
        < text.index(">Phantoms")
        < text.index("phantom, quick")
    )
    assert text.count('<span class="tag warn">phantom numbers</span>') == 2
    assert "Phantom numbers." in page_of(site, "phantom").read_text()
    assert "hantom numbers" not in page_of(site, "jsrt-scr").read_text()


def test_how_it_is_ranked_speaks_of_copies_and_no_more_of_the_largest_size(site):
    text = (site / "index.html").read_text().partition('id="method"')[2]
    for words in (
        "placebo",
        "paired by seed",
        "Holm",
        "adds more than copying does",
        "Failed seeds",
        "Controls",
        "Worth",
    ):
        assert words in text, words
    assert "most real films" not in text and "Welch" not in text


def test_numbers_of_organs_are_over_copies_and_before_placebos_over_real():
    (made,) = boards([attempt("a", 0.01, sd=0.0005, headline=("31", "finetune"))])
    (one,) = made.all
    gain, real = one.headline.gain.value, one.headline.difference.value
    assert structure_gain(made, one.attempt, "heart") == pytest.approx(gain) and real - gain > 0.004
    (old,) = boards([attempt("a", 0.01, placebos=False, headline=None, arms=("real", "finetune"))])
    difference = old.all[0].headline.difference.value
    assert structure_gain(old, old.all[0].attempt, "heart") == pytest.approx(difference)


def test_failed_seeds_and_the_median_stand_in_the_table(site):
    text = page_of(site, "phantom").read_text()
    assert 'data-key="failed"' in text and ">seed 3</td>" in text and 'data-key="median"' in text
    assert 'data-key="failed"' not in page_of(site, "jsrt-scr").read_text()
    assert "seed 3" in (site / "providers" / "lsgan.html").read_text()


def test_controls_are_marked_in_table_and_drawings(site):
    text = page_of(site, "phantom").read_text()
    assert text.count('<span class="tag">control</span>') == 1 and "◆" in text
    assert "◆" not in page_of(site, "jsrt-scr").read_text().partition("</header>")[2]


def test_worth_is_drawn_and_shown_where_there_is_a_curve(site):
    phantom, real = (page_of(site, data).read_text() for data in ("phantom", "jsrt-scr"))
    assert (
        'data-key="worth"' in phantom and 'data-key="alone-worth"' in phantom and 'class="curve arm-mixed"' in phantom
    )
    assert 'data-key="worth"' not in real and "Worth in real films" not in real
    assert "Worth in real films, with 31 of them:" in phantom


def test_every_board_has_a_page_on_what_it_can_tell(site):
    text = tells_of(site, "phantom").read_text()
    rows = re.findall(r'<tr><th scope="row">(\d+)</th><td class="n">([\d.]+)</td><td class="n">([\d.]+)</td>', text)
    assert [seeds for seeds, *_ in rows] == ["5", "8", "12"]
    alone, together = ([float(row[i]) for row in rows] for i in (1, 2))
    assert alone == sorted(alone, reverse=True) and all(b > a for a, b in zip(alone, together, strict=True))
    assert "31 to 62" in text and ">rises</td>" in text and "Phantom numbers." in text
    assert "What it cannot tell" in text and tells_of(site, "phantom").name in page_of(site, "phantom").read_text()
    bare = tells_of(site, "jsrt-scr").read_text()
    assert "ships no curve" in bare and "cxrbench curve --task scr_official --data jsrt_scr --preset paper" in bare


def test_published_numbers_stand_beside_real_films_alone(site):
    real, phantom = (page_of(site, data).read_text() for data in ("jsrt-scr", "phantom"))
    assert "Published beside reproduced" in real and "97.26 (Ciano et al. 2021)" in real and ">97.26</td>" in real
    assert "Ciano" not in phantom and "not comparable with published numbers" in phantom
    assert "do not stand beside" not in real + phantom


def test_a_board_of_small_films_says_why_no_published_number_stands_beside_it(tmp_path):
    write_site([attempt("three_stage", key=replace(JSRT, preset="quick"), phantom=False)], tmp_path / "site")
    for page in (page_of(tmp_path / "site", "jsrt-scr"), *(tmp_path / "site" / "providers").glob("*.html")):
        text = page.read_text()
        assert "Published beside reproduced" not in text and "97.26" not in text
        assert "resolution 64 here, 512 theirs" in text


def test_without_scripts_a_board_is_a_plain_table_in_order(site):
    text = page_of(site, "phantom").read_text()
    assert '<div class="tools" hidden>' in text and "<button" not in text
    names = re.findall(
        r'<th scope="row"><a href="[^"]*"><bdi>(\w+)', text.partition("<tbody>")[2].partition("</tbody>")[0]
    )
    assert names[0].startswith("three_stage") and names[-2:] == ["noise", "early"]


def test_unranked_entries_say_why_and_labels_are_not_hidden(site):
    text = page_of(site, "phantom").read_text()
    assert "2 seeds, 5 needed" in text and "lsgan (labels by teacher)" in text


def test_what_the_columns_say_can_be_read_without_a_mouse(site):
    for page in (page_of(site, "phantom"), site / "cost.html"):
        text = page.read_text(encoding="utf-8")
        hints = dict(
            reversed(found) for found in re.findall(r'<th scope="col"[^>]* title="([^"]*)"[^>]*>([^<]*)<', text)
        )
        told = re.findall(r"<dt>([^<]*)</dt><dd>([^<]*)</dd>", text.partition("What the columns say</summary>")[2])
        assert hints and dict(told) == hints


def test_a_provider_page_says_of_further_sets_that_nobody_has_computed_them_again(site):
    text = (site / "providers" / "three_stage.html").read_text(encoding="utf-8")
    section = text.partition("Fidelity, further films, groups")[2]
    assert "but computes none of them again" in section
    assert "<bdi>&lt;b&gt;another&lt;/b&gt; hospital</bdi>" in section and "<bdi>24</bdi>" in section


def test_a_provider_page_has_samples_by_content_and_the_history_of_its_generator(site):
    text = (site / "providers" / f"{slug(HOSTILE)}.html").read_text()
    pictures = re.findall(r'<img src="([^"]*)" alt="[^"]*" width="(\d+)" height="(\d+)"', text)
    assert [(width, height) for _, width, height in pictures] == [("48", "32")]  # the fake one is left out
    assert (site / "providers" / pictures[0][0]).resolve().is_file()
    history = (site / "providers" / "three_stage.html").read_text().partition('id="history"')[2]
    assert history.index("2026-02-02") < history.index("2026-01-01") and "three_stage_v2.html" in history


@pytest.mark.parametrize(
    ("seconds", "marks"),
    [
        ((26.0, 26.5), ["0:20", "0:30", "0:40"]),
        ((0.01, 40.0), ["0.1 s", "1.0 s", "0:10"]),
        ((50.0, 4000.0), ["1:00", "10:00"]),
    ],
)
def test_the_axis_of_cost_is_marked_whatever_it_spans(seconds, marks):
    (board,) = boards([attempt(f"of {one}", 0.01, seed=i, seconds=one) for i, one in enumerate(seconds)])
    drawing = gain_against_cost(board)
    assert drawing is not None and all(f">{mark}</text>" in drawing.svg for mark in marks)
    places = [float(x) for x in re.findall(r'<circle cx="([^"]*)"', drawing.svg)]
    assert (abs(places[0] - places[1]) < 20) is (seconds[1] / seconds[0] < 1.1)


def test_a_site_is_replaced_but_other_folders_are_left_alone(tmp_path):
    write_site([attempt("first")], tmp_path / "site")
    write_site([attempt("second")], tmp_path / "site")
    assert [path.name for path in (tmp_path / "site" / "providers").iterdir()] == ["second.html"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(InputError, match="holds files that are not of a leaderboard"):
        write_site([attempt("a")], tmp_path / "mine")
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep"


def test_a_site_without_entries_is_a_site(tmp_path):
    (tmp_path / "submissions").mkdir()
    folders = ["--out", str(tmp_path / "site"), "--entries", str(tmp_path / "submissions")]
    done = CliRunner().invoke(app, ["build", *folders, "--throughput", str(tmp_path / "submissions")])
    assert done.exit_code == 0 and done.output.startswith("0 entries on 0 boards, 3 pages")
    assert "No entry was found" in (tmp_path / "site" / "index.html").read_text()


def test_the_same_entries_give_the_same_bytes(site, tmp_path):
    entries = [attempt("a", 0.01), attempt("b", seed=3)]
    for name in ("one", "two"):
        write_site(entries, tmp_path / name)
    files = {path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file()}
    assert all((tmp_path / "one" / f).read_bytes() == (tmp_path / "two" / f).read_bytes() for f in files)


def test_building_imports_no_torch(tmp_path):
    code = (
        "import sys; from pathlib import Path; from cxrbench.leaderboard.site import build; "
        "build(Path(sys.argv[1]), Path(sys.argv[2])); sys.exit('torch' in sys.modules)"
    )
    (tmp_path / "submissions").mkdir()
    words = [sys.executable, "-c", code, str(tmp_path / "submissions"), str(tmp_path / "site")]
    assert subprocess.run(words, check=False).returncode == 0


def test_packed_entries_become_a_site(pack_system, tmp_path):
    """From runs as they are packed: scores by seed, ranks, cost."""
    better = {"real": 0.02, "synthetic": 0.01}  # of pixels that are wrong
    for draw, (name, wrong) in enumerate([("mine", better), ("theirs", {"real": 0.02, "synthetic": 0.2})]):
        folder = pack_system(name, seeds=5, wrong=wrong, draw=draw)
    pack_system("early", seeds=2, draw=5)
    attempts = {name: from_entry(load_entry(folder.parent / name))[0] for name in ("mine", "theirs", "early")}
    run = load_entry(folder).runs[0].results
    average = {one.seed: one.value for one in run.seed_values if (one.arm, one.structure) == ("synthetic", "average")}
    assert attempts["theirs"].average("full", "synthetic", "dsc") == average and len(average) == 5
    built = build(folder.parent, tmp_path / "site")
    assert (built.entries, built.boards) == (3, 1)
    made = json.loads(next((tmp_path / "site" / "boards").glob("*.json")).read_text())
    found = {one["entry"]: one for one in made["entries"]}
    assert (found["mine"]["rank"], found["theirs"]["rank"], found["early"]["rank"]) == (1, 2, None)
    assert (found["mine"]["verdict"], found["theirs"]["verdict"]) == ("adds more than copying does", "harms")
    assert found["mine"]["arms"][1]["gain"]["value"] > 0 > found["theirs"]["arms"][1]["gain"]["value"]
    assert "2 of at least 5 seeds" in found["early"]["verdict"]
    assert found["mine"]["cost"][0]["fit_seconds"] == 58.0


@pytest.mark.parametrize("name", ["a/../../b", "..", "A", "", "x" * 200, "ünï", "a\u202eb", "con.html"])
def test_file_names_of_pages_are_plain(name):
    assert re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", slug(name))


def test_names_that_differ_have_pages_that_differ():
    names = ["a", "A", "a ", "a-b", "a b", "a_b", "ä", "ö"]
    assert len({slug(name) for name in names}) == len(names)


def test_only_addresses_of_the_web_are_linked():
    assert web_address("https://example.org/a") == "https://example.org/a"
    for text in (
        "javascript:alert(1)",
        " JavaScript:alert(1)",
        "data:text/html,x",
        "//example.org",
        "file:///etc",
        "https://[x",
    ):
        assert web_address(text) is None


def test_bars_join_the_longest_runs_that_are_not_told_apart():
    apart = np.zeros((5, 5), bool)
    for i, j in [(0, 3), (0, 4), (1, 4)]:
        apart[i, j] = apart[j, i] = True
    assert tied_groups(apart) == [(0, 2), (1, 3), (2, 4)]
    assert tied_groups(~np.eye(3, dtype=bool)) == []


@pytest.fixture(scope="module")
def thousand(tmp_path_factory):
    """A site of 1,000 entries."""
    rng = np.random.default_rng(0)
    entries = [attempt(f"entry_{i:04d}", float(rng.normal(0, 0.01)), seed=10 + i) for i in range(1000)]
    out = tmp_path_factory.mktemp("thousand") / "site"
    write_site(entries, out, (), rulers)
    return out


def test_a_thousand_entries_are_built(thousand):
    """How long it takes is a benchmark (`bench_leaderboard`), not a test."""
    assert len(list((thousand / "providers").glob("*.html"))) == 1000
    assert page_of(thousand, "phantom").stat().st_size < 3_000_000
    made = json.loads(page_of(thousand, "phantom").with_suffix(".json").read_text())
    assert len({one["entry"] for one in made["entries"]}) == 1000


# ------------------------------------------------------------------------------------------------- the browser


@pytest.fixture
def tab(chromium):
    """The browser with nothing noted, at a desktop's size."""
    chromium.resize(1280, 900)
    chromium.open("about:blank")
    chromium.errors.clear()
    chromium.requests.clear()
    return chromium


NAMES = (
    "[...document.querySelectorAll('table.board')[0].tBodies[0].rows]"
    ".filter(row => !row.hidden).map(row => row.cells[1].querySelector('a').innerText)"
)

TYPED = (
    "((text) => { const filter = document.getElementById('filter'); filter.value = text;"
    " return filter.dispatchEvent(new Event('input')); })"
)
SETTLED = "!document.querySelector('table[aria-busy]')"
"""Whether all rows that are to be shown are there: a screen of them comes first."""


def head(key: str) -> str:
    return f"table.board th[data-key='{key}'] button"


def nothing_left(tab, site: Path) -> None:
    assert tab.errors == []
    assert [url for url in tab.requests if not url.startswith((site.as_uri(), "about:"))] == []


@needs_browser
def test_a_heading_sorts_both_ways_and_says_so(site, tab):
    tab.open(page_of(site, "phantom").as_uri())
    ranks = tab.evaluate(NAMES)
    tab.click(head("fit"))
    assert tab.evaluate(NAMES)[0] == "three_stage"  # 240 s
    assert tab.evaluate("document.querySelector(\"th[data-key='fit']\").ariaSort") == "descending"
    tab.click(head("fit"))
    assert tab.evaluate(NAMES)[0] == "noise"
    assert tab.evaluate("document.querySelector(\"th[data-key='fit']\").ariaSort") == "ascending"
    tab.click(head("fit"))
    assert tab.evaluate(NAMES) == ranks
    tab.evaluate(f'document.querySelector("{head("gain")}").focus()')
    tab.press("Enter")
    assert tab.evaluate(NAMES)[0] == "early" and tab.evaluate(NAMES)[-1] == "noise"
    tab.click(head("rank"))
    assert tab.evaluate(NAMES)[-1] == "early"  # no rank, last
    tab.click(head("rank"))
    assert tab.evaluate(NAMES)[-1] == "early"
    nothing_left(tab, site)


@needs_browser
def test_the_filter_narrows_counts_and_makes_a_link_that_shows_the_same(site, tab):
    page = page_of(site, "phantom").as_uri()
    tab.open(page)
    tab.click("#filter")
    tab.press(*"stage")
    assert sorted(tab.evaluate(NAMES)) == ["three_stage", "three_stage_v2", "two_stage"]
    assert tab.text("#count") == "3 of 9 entries"
    tab.click(head("system"))
    address = tab.evaluate("location.href")
    assert address == f"{page}#sort=system&dir=asc&filter=stage"
    tab.open("about:blank")
    tab.open(address)
    assert tab.evaluate(NAMES) == ["three_stage", "three_stage_v2", "two_stage"]
    assert tab.evaluate("document.getElementById('filter').value") == "stage"
    tab.evaluate("location.hash = '#ranked=1'")
    tab.wait_for("document.getElementById('ranked').checked")
    assert "early" not in tab.evaluate(NAMES) and len(tab.evaluate(NAMES)) == 7
    tab.evaluate("location.hash = '#sort=nothing&filter=%'")
    tab.wait_for("document.getElementById('filter').value === '%'")
    nothing_left(tab, site)


@needs_browser
def test_a_reader_opens_a_provider_and_comes_back(site, tab):
    tab.open((site / "index.html").as_uri())
    tab.click("a[href^='boards/scr-official-phantom-quick-v3']")
    tab.wait_for("location.pathname.includes('/boards/') && document.readyState === 'complete'")
    tab.click("a[href$='/three_stage.html']")
    tab.wait_for("location.pathname.endsWith('/three_stage.html') && document.readyState === 'complete'")
    assert tab.text("h1").startswith("three_stage")
    assert "Rank 1" in tab.text("main")
    tab.click("section h2 a")
    tab.wait_for("location.pathname.includes('/boards/') && document.readyState === 'complete'")
    nothing_left(tab, site)


@needs_browser
def test_a_hostile_name_is_shown_as_text(site, tab):
    tab.open(page_of(site, "phantom").as_uri())
    assert HOSTILE in tab.evaluate(NAMES)
    assert tab.evaluate("document.images.length") == 0
    tab.open((site / "providers" / f"{slug(HOSTILE)}.html").as_uri())
    assert tab.evaluate("document.querySelector('h1 bdi').innerText") == HOSTILE
    assert tab.evaluate("[...document.links].every(a => a.protocol === 'file:')")
    tab.evaluate("document.querySelector('#samples img').scrollIntoView()")
    tab.wait_for("document.images.length === 1 && document.images[0].naturalWidth === 48")
    nothing_left(tab, site)


@needs_browser
def test_the_policy_refuses_requests_and_foreign_scripts(site, tab):
    tab.open(page_of(site, "phantom").as_uri())
    assert tab.evaluate("fetch('https://example.invalid/').then(() => 'sent', () => 'refused')") == "refused"
    tab.evaluate(
        "const s = document.createElement('script'); try { s.textContent = 'window.ran = 1' } catch {}"
        " document.body.append(s)"
    )
    assert tab.evaluate("window.ran === undefined")
    assert sum("Content Security Policy" in error or "Trusted" in error for error in tab.errors) >= 2


@needs_browser
@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844), (320, 640)])
def test_no_page_is_wider_than_the_window(site, tab, width, height):
    tab.resize(width, height, mobile=width < 500)
    for page in [*site.glob("*.html"), *(site / "boards").glob("*.html"), *(site / "providers").glob("*.html")]:
        tab.open(page.as_uri())
        assert tab.evaluate("document.documentElement.scrollWidth") <= width, page.name


BESIDE = """[...document.querySelectorAll('.scroll, nav ul')]
  .filter(one => one.scrollWidth > one.clientWidth + 1 || one.querySelector('table:not(.cards)')?.rows[0].cells.length > 4)
  .map(one => one.ariaLabel ?? one.localName)"""
"""Boxes that scroll sideways, and wide tables that would with other words in them."""


@needs_browser
@pytest.mark.parametrize("width", [390, 320])
def test_nothing_scrolls_sideways_on_a_telephone(site, tab, width):
    tab.resize(width, 844, mobile=True)
    for page in site.rglob("*.html"):
        tab.open(page.as_uri())
        assert tab.evaluate("document.scrollingElement.scrollWidth") <= width, page.name
        assert tab.evaluate(BESIDE) == [], page.name
        tab.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        tab.evaluate("document.querySelectorAll('.rest button').forEach(one => one.click())")
        assert tab.evaluate("document.scrollingElement.scrollWidth") <= width, page.name
        assert tab.evaluate(BESIDE) == [], page.name
    nothing_left(tab, site)


SEEN = """(name) => {
  const row = [...document.querySelectorAll('table.board tbody tr')].find(one => one.cells[1].innerText.includes(name));
  return [...row.cells].filter(one => one.checkVisibility() && one.getBoundingClientRect().right <= innerWidth)
    .map(one => one.dataset.label);
}"""


@needs_browser
def test_a_card_shows_rank_name_gain_verdict_and_worth_and_the_rest_on_a_tap(site, tab):
    tab.resize(390, 844, mobile=True)
    tab.open(page_of(site, "phantom").as_uri())
    first = ["Rank", "System", "Gain (points)", "Verdict", "Worth (real films)"]
    seen = tab.evaluate(f"({SEEN})('three_stage')")
    assert [label for label in seen if label] == first
    heads = tab.evaluate("[...document.querySelector('table.board').tHead.rows[0].cells].map(one => one.textContent)")
    tab.click(".rest button")
    assert [label for label in tab.evaluate(f"({SEEN})('three_stage')") if label] == heads
    assert tab.evaluate("document.querySelector('.rest button').ariaExpanded") == "true"
    tab.evaluate("document.querySelector('.rest button').focus()")
    tab.press("Enter")
    assert [label for label in tab.evaluate(f"({SEEN})('three_stage')") if label] == first
    tab.open(page_of(site, "phantom", version=2).as_uri())
    assert tab.evaluate(f"({SEEN})('three_stage')")[:3] == ["Rank", "System", "Not ranked"]
    nothing_left(tab, site)


@needs_browser
def test_cards_are_sorted_by_a_list_and_show_what_they_are_sorted_by(site, tab):
    tab.resize(390, 844, mobile=True)
    page = page_of(site, "phantom").as_uri()
    tab.open(page)
    ranks = tab.evaluate(NAMES)
    choose = (
        "(key) => { const by = document.getElementById('by'); by.value = key; by.dispatchEvent(new Event('change')); }"
    )
    tab.evaluate(f"({choose})('fit')")
    assert tab.evaluate(NAMES)[0] == "three_stage" and tab.text("#turn") == "highest first"
    assert "Fit" in tab.evaluate(f"({SEEN})('three_stage')") and tab.evaluate("location.hash") == "#sort=fit&dir=desc"
    tab.click("#turn")
    assert tab.evaluate(NAMES)[0] == "noise" and tab.text("#turn") == "lowest first"
    tab.evaluate(f"({choose})('')")
    assert tab.evaluate(NAMES) == ranks and tab.evaluate("document.getElementById('turn').hidden")
    assert "Fit" not in tab.evaluate(f"({SEEN})('three_stage')")
    nothing_left(tab, site)


@needs_browser
def test_a_card_is_a_row_to_a_screen_reader_and_headings_that_are_not_seen_take_no_keys(site, tab):
    page = page_of(site, "phantom").as_uri()
    tab.resize(390, 844, mobile=True)
    tab.open(page)
    roles = "[...new Set([...document.querySelectorAll('table.board, table.board *')].map(one => one.role).filter(Boolean))]"
    assert set(tab.evaluate(roles)) == {"table", "rowgroup", "row", "columnheader", "rowheader", "cell"}
    tabs = "[...new Set([...document.querySelectorAll('thead button')].map(one => one.tabIndex))]"
    assert tab.evaluate(tabs) == [-1]
    tab.resize(1280, 900)
    tab.wait_for("document.querySelector('thead button').tabIndex === 0")
    assert tab.evaluate("getComputedStyle(document.querySelector('.rest')).display") == "none"
    assert tab.evaluate("getComputedStyle(document.querySelector('table.board tbody tr')).display") == "table-row"
    assert not tab.evaluate("document.querySelector('.sorting').checkVisibility()")
    tab.open("about:blank")
    tab.open(page)
    tab.resize(390, 844, mobile=True)  # a telephone that is turned
    tab.wait_for("document.querySelectorAll('.rest').length > 0")
    assert tab.evaluate(f"({SEEN})('three_stage')")[:2] == ["Rank", "System"]


@needs_browser
@pytest.mark.parametrize(("width", "shown"), [(1280, "wide"), (390, "narrow")])
def test_drawings_are_whole_and_their_letters_large_enough_to_read(site, tab, width, shown):
    """At least 10 pixels, and nothing to scroll for, on a page and on a telephone."""
    tab.resize(width, 844, mobile=width < 500)
    board = page_of(site, "phantom")
    for page in (board, board.with_name(f"{board.stem}-tells.html")):
        tab.open(page.as_uri())
        seen = "[...document.querySelectorAll('.drawing svg')].filter(one => one.getBoundingClientRect().width)"
        assert set(tab.evaluate(f"{seen}.map(one => one.classList[0])")) == {shown}
        assert tab.evaluate("[...document.querySelectorAll('.drawing')].every(o => o.scrollWidth <= o.clientWidth)")
        letters = (
            "parseFloat(getComputedStyle(t).fontSize) * one.getBoundingClientRect().width / one.viewBox.baseVal.width"
        )
        assert (
            tab.evaluate(f"Math.min(...{seen}.flatMap(one => [...one.querySelectorAll('text')].map(t => {letters})))")
            >= 10
        )
        out = """[...one.querySelectorAll('text')].filter(t => {
          const a = t.getBoundingClientRect(), b = one.getBoundingClientRect();
          return a.left < b.left - 1 || a.right > b.right + 1; }).map(t => t.textContent)"""
        assert tab.evaluate(f"{seen}.flatMap(one => {out})") == []


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_the_contrast_that_wcag_asks_for(site, tab, scheme):
    """At least 4.5 to 1 between text and page or card, for all colours of text (WCAG 2.1, 1.4.3)."""
    tab.prefer(scheme)
    tab.open(page_of(site, "phantom").as_uri())
    ratio = """(names, grounds) => {
      const style = getComputedStyle(document.documentElement);
      const light = (name) => {
        const hex = style.getPropertyValue(name).trim();
        const part = [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16) / 255)
          .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
      };
      return Math.min(...names.flatMap((n) => grounds.map((g) => {
        const [a, b] = [light(n), light(g)];
        return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      })));
    }"""
    text = "['--ink', '--faint', '--accent', '--better', '--worse', '--even']"
    try:
        assert tab.evaluate(f"({ratio})({text}, ['--card'])") >= 4.5
        assert tab.evaluate(f"({ratio})(['--ink', '--faint', '--accent'], ['--page'])") >= 4.5
        assert tab.evaluate(f"({ratio})(['--warn-ink'], ['--warn'])") >= 4.5
    finally:
        tab.prefer("light")


@needs_browser
def test_a_thousand_entries_stay_usable(thousand, tab):
    tab.open(page_of(thousand, "phantom").as_uri())
    tab.click(head("gain"))
    tab.wait_for(SETTLED)
    assert len(tab.evaluate(NAMES)) == 60 and tab.text("#count") == "1000 of 1000 entries, 60 shown"
    tab.click("#filter")
    tab.press(*"entry_0042")
    assert tab.evaluate(NAMES) == ["entry_0042"]
    assert tab.text("#count") == "1 of 1000 entries" and tab.evaluate("document.getElementById('more').hidden")
    tab.press(*["Backspace"] * 4)
    tab.wait_for(SETTLED)
    best = tab.evaluate(NAMES)
    first = tab.evaluate(f"({TYPED}('no such'), {TYPED}(''), {NAMES})")
    assert 10 <= len(first) < 30 and first == best[: len(first)] and tab.text("#count").endswith(", 60 shown")
    tab.wait_for(SETTLED)
    assert tab.evaluate(NAMES) == best and len(best) == 60
    assert tab.evaluate(f"({TYPED}('entry_0042'), {TYPED}(''), {TYPED}('entry_0042'), {NAMES})") == ["entry_0042"]
    tab.wait_for(SETTLED)
    assert tab.evaluate(NAMES) == ["entry_0042"]  # what was waiting is not shown after what came next
    tab.evaluate(f"{TYPED}('')")
    tab.wait_for(SETTLED)
    assert len(best) == 60
    tab.click("#more")
    tab.wait_for(SETTLED)
    every = tab.evaluate(NAMES)
    assert len(every) == 1000 and every[:60] == best and tab.evaluate("location.hash").endswith("all=1")
    tab.click(head("gain"))
    assert tab.evaluate(NAMES) == every[::-1]
    nothing_left(tab, thousand)


@needs_browser
def test_of_a_thousand_rows_those_that_are_shown_alone_are_made_cards(thousand, tab):
    tab.resize(390, 844, mobile=True)
    tab.open(page_of(thousand, "phantom").as_uri())
    made = "document.querySelectorAll('.rest').length"
    assert tab.evaluate(made) == 60
    first = tab.evaluate(f"({TYPED}('entry_09'), {made})")
    assert 60 < first <= 60 + 12
    tab.wait_for(SETTLED)
    assert tab.evaluate(
        "[...document.querySelectorAll('table.board tbody tr:not([hidden])')].every(o => o.role === 'row')"
    )
    nothing_left(tab, thousand)


@needs_browser
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    "page",
    [
        "index.html",
        "published.html",
        "cost.html",
        "boards/scr-official-phantom-quick-v3-*-tells.html",
        "boards/scr-official-phantom-quick-v3-*[!s].html",
        "boards/scr-official-jsrt*-v3-*[!s].html",
        "providers/three_stage.html",
        "providers/lsgan.html",
    ],
)
def test_axe_finds_nothing_wrong_with_names_and_contrast(site, tab, page, scheme):
    (path,) = site.glob(page)
    tab.open(path.as_uri())
    assert cut(tab, 390) == [] and cut(tab, 1280) == []
    assert violations(tab, scheme) == []
    tab.open(path.as_uri())
    assert violations(tab, scheme, 390) == []
