"""A run's folder and its page: whole, self-contained, made again from the folder alone, and safe against names."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from cxrbench.benchmark.cli.report import report as report_command
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.metrics.scores import COLUMNS
from cxrbench.benchmark.report.drawing import drawn, figure_bytes
from cxrbench.benchmark.report.figures import LIGHT, curve_groups, curve_plot, curve_rows
from cxrbench.benchmark.report.latex import as_latex
from cxrbench.benchmark.report.page import build
from cxrbench.benchmark.report.page_drawings import Drawer, inline_svg
from cxrbench.benchmark.report.pictures import label_bits
from cxrbench.benchmark.report.text_tables import as_markdown
from cxrbench.benchmark.report.words import (
    data_words,
    file_stem,
    header_sentence,
    protocol_words,
    size_title,
    with_minus,
)
from cxrbench.benchmark.report.words import shown as shown_as
from cxrbench.benchmark.report.write import write_run, write_views
from cxrbench.benchmark.results.assemble import assemble
from cxrbench.benchmark.results.folder import CURVE_COLUMNS, load_curves, load_run, load_scores

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>--><b>$x_'
SMALL = {"sizes": ("full",), "arms": ("real", "synthetic")}


def written(fabricate, folder, **options):
    made = fabricate(**options)
    results = assemble(made.plan, made.store, ["cxrbench", "run", "--provider", "my_gan"])
    write_run(folder, results, made.plan, made.store)
    return results


class Page(HTMLParser):
    """Tags with their attributes, ids, and what is open when a tag closes."""

    void = frozenset({"meta", "img", "input", "br", "link", "path", "use", "rect", "image"})

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.texts, self.wrong = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag in self.void:
            return
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        self.texts.append(data)

    def of(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def run(fabricate_once, tmp_path_factory):
    """A written run and its page; tests that change the folder take `own_run`."""
    near = {"films": 240, "flagged": 0, "threshold": 0.1, "p": 1.0, "nearest": []}
    folder = tmp_path_factory.mktemp("runs") / "run"
    results = written(fabricate_once, folder, checks={"near_test": near})
    return folder, results, (folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture
def own_run(run, tmp_path):
    """A copy of the run."""
    folder, results, html = run
    return shutil.copytree(folder, tmp_path / "own"), results, html


def test_the_page_begins_with_the_films_that_are_there_beside_what_the_protocol_says(run):
    _, results, page = run
    counts = f"{max(one.films for one in results.sizes)} train, {results.sizes[0].test_films} test"
    assert re.search(rf"<dt>data</dt><dd>{results.data.name}, {results.data.n} films: {counts}</dd>", page), counts
    assert f"Protocol: {results.task.summary}." in page


def test_a_smaller_size_is_named_where_films_are_counted(fabricate, tmp_path):
    results = written(fabricate, tmp_path / "run", sizes=("tiny",), arms=("real", "synthetic"))
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert re.search(r"<dt>data</dt><dd>[^<]* films: \d+ train \(size tiny\), \d+ test</dd>", page)
    for count, said in ((34, "31 (34 films: whole patients)"), (31, "31 (31 films)")):
        sizes = [results.sizes[0].model_copy(update={"size": "31", "films": count})]
        assert size_title(results.model_copy(update={"sizes": sizes}), "31") == said


def test_the_page_says_how_many_seeds_and_trainings_and_explains_its_words(run):
    page = run[2]
    text = " ".join(" ".join(Page(page).texts).split())
    assert "1 seed (number 0)" in text and "6 of 6 trainings" in text
    explained = {attrs["id"] for attrs in Page(page).of("dt") if "id" in attrs}
    linked = {attrs["href"][1:] for attrs in Page(page).of("a") if attrs.get("class") == "word"}
    assert linked <= explained
    assert {
        "word-dsc",
        "word-real",
        "word-finetune",
        "word-training",
        "word-holm",
        "word-percentile",
    } <= linked | explained


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("jsrt_scr", "lungs on the official split (124 train, 123 test), J pooled"),
        ("mine", "lungs as on the official split, J pooled; the films here are mine"),
    ],
)
def test_the_counts_of_a_paper_are_said_of_its_own_films_alone(run, data, said):
    summary = "lungs on the official split (124 train, 123 test), J pooled"
    task = run[1].task.model_copy(update={"summary": summary, "published_data": "jsrt_scr"})
    assert protocol_words(task, run[1].data.model_copy(update={"name": data})) == said


def test_at_a_glance_the_gain_is_large_and_a_difference_from_real_has_no_star(fabricate, tmp_path):
    levels = {"real": 0.9, "mixed": 0.95, "placebo_mixed": 0.9}
    seeds = range(5)
    results = written(
        fabricate, tmp_path, sizes=("full",), arms=("real", "mixed"), placebos=("mixed",), seeds=seeds, levels=levels
    )
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    glance, table = page.split('<section id="glance"')[1].split("</section>")[0], page.split('<section id="table"')[1]
    assert results.test("full", "mixed", "dsc", "average").p_holm < 0.01
    assert "**" not in glance and "**" in table.split("</section>")[0]
    gain = shown_as(results.gain("full", "mixed").gain, results.task.metric("dsc"), signed=True)
    assert re.search(rf'<dd class="value">{re.escape(gain)}</dd><dd class="delta">over copies', glance)
    assert re.search(r"<small>score [^/]* from REAL", glance)


def test_no_more_columns_stand_side_by_side_than_a_page_holds(fabricate, tmp_path):
    results = written(fabricate, tmp_path, sizes=("full", "31", "tiny"), arms=("real", "synthetic", "mixed"))
    table = (
        (tmp_path / "report.html").read_text(encoding="utf-8").split('<section id="table"')[1].split("</section>")[0]
    )
    heads = [re.findall(r'class="size">(\S+) ', part) for part in table.split("<details>")[0].split("<table")[1:]]
    assert heads == [["full", "31"], ["tiny"]] and len(results.sizes) == 3


def test_a_run_folder_has_everything_and_no_draft(run):
    folder, results, _ = run
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    tables = {f"tables/table.{ending}" for ending in ("csv", "md", "tex", "json")}
    assert tables | {"results.json", "report.html", "tables/tests.csv", "tables/scores.parquet"} <= names
    assert {"figures/scores-full.svg", "figures/scores-full.png", "figures/differences-tiny.png"} <= names
    assert not [name for name in names if name.rsplit("/", 1)[-1].startswith(".")]
    stems = [Path(name).stem for name in names if name.endswith(".svg")]
    assert any(stem.startswith("training-downstream-") for stem in stems)
    for stem in stems:
        said = stem.split("-")
        assert all(said) and not any(one == other for one, other in pairwise(said)), stem
    assert load_run(folder) == results
    json.loads((folder / "results.json").read_text(), parse_constant=pytest.fail)


@pytest.mark.parametrize(
    ("text", "stem"),
    [
        ("training downstream 25% mixed: detector", "training-downstream-25-percent-mixed-detector"),
        ("plot-full-Class activation, ROC (left lung)", "plot-full-Class-activation-ROC-left-lung"),
        ("worth-finetune", "worth-finetune"),
        ("samples 25%", "samples-25-percent"),
        ("../%", "percent"),
        ("…", "figure"),
    ],
)
def test_a_figure_is_named_in_words(text, stem):
    assert file_stem(text) == stem


@pytest.mark.parametrize(
    ("kept", "shown"),
    [
        (
            "no difference can be told between ldm-2 and phantom_nih-2000 (difference -0.012, 95 % interval -0.03 to +0.01)",
            "no difference can be told between ldm-2 and phantom_nih-2000 (difference −0.012, 95 % interval −0.03 to +0.01)",
        ),
        (
            "mean -4.2e-05, use --seeds 5, folds 1-3, on 2026-11-27",
            "mean −4.2e−05, use --seeds 5, folds 1-3, on 2026-11-27",
        ),
    ],
)
def test_negative_numbers_of_kept_sentences_are_shown_with_a_minus(kept, shown):
    assert with_minus(kept) == shown


def test_part_of_a_set_is_told_wherever_the_run_is(run):
    _, results, _ = run
    said = "NIH ChestX-ray14 (official lists), partial: 1,025 of 112,120 films; views: all"
    part = results.model_copy(update={"data": results.data.model_copy(update={"provenance": said})})
    assert f"data: {results.data.name} (partial: 1,025 of 112,120 films)" in header_sentence(part)
    assert "(partial: 1,025 of 112,120 films)" in as_latex(part) and "1,025 of 112,120 films" in as_markdown(part)
    assert f"<dd>{results.data.name} (partial: 1,025 of 112,120 films), " in build(run[0], part).html
    gone = results.data.model_copy(update={"provenance": "a set, partial: 12 films are not there"})
    assert data_words(gone) == f"{results.data.name} (partial: 12 films are not there)"
    assert "partial" not in header_sentence(results)


def test_a_second_figure_of_a_name_does_not_take_the_place_of_the_first():
    from matplotlib.figure import Figure

    drawn = Drawer()
    for title in ("a, b", "a b"):
        drawn.add(title, Figure(), raster=False)
    assert list(drawn.files) == ["a-b.svg", "a-b-2.svg"]


def test_what_a_provider_says_by_steps_of_its_sampler_is_a_figure(fabricate, tmp_path):
    said = {f"energy_distance_at_{steps}_step{'s' * (steps > 1)}": 1 / steps for steps in (1, 4, 18)}
    written(fabricate, tmp_path, **SMALL, checks={"provider": said | {"generators": 3}})
    curves = load_curves(tmp_path)
    mine = curves[curves["owner"] == "sampler"]
    assert mine[["size", "loss", "step", "value"]].to_numpy().tolist() == [
        ["full", "energy_distance", steps, 1 / steps] for steps in (1.0, 4.0, 18.0)
    ]
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Quality against steps of the sampler" in page and 'href="#sampler"' in page
    assert (tmp_path / "figures" / "sampler-full.svg").is_file()
    Page(page)
    none = tmp_path / "none"
    written(fabricate, none, name="other", **SMALL)
    assert "steps of the sampler" not in (none / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("named", [True, False], ids=["placebos by name", "as tables were before"])
def test_a_training_is_a_line_that_never_runs_back(named):
    trainings = [(arm, seed) for seed in (0, 1) for arm in ("mixed", "placebo_mixed" if named else "mixed")]
    rows = [
        ("downstream", "31", "official", arm, seed, "mixed", float(step), "loss", 1.0 + place + step)
        for place, (arm, seed) in enumerate(trainings)
        for step in (0, 50, 100)
    ]
    curves = pd.DataFrame(rows, columns=CURVE_COLUMNS)
    assert curve_groups(curves, "downstream") == [("31", "mixed", "mixed")]
    axes = curve_plot(curve_rows(curves, "downstream", ("31", "mixed", "mixed")), LIGHT).axes[0]
    assert [list(line.get_xdata()) for line in axes.lines] == [[0, 50, 100]] * 4
    assert [line.get_linestyle() for line in axes.lines] == (["-", ":"] if named else ["-", "-"]) * 2
    assert axes.get_legend_handles_labels()[1] == (["loss", "loss, copies"] if named else ["loss"])


def test_the_curves_of_a_placebo_are_kept_by_its_name(fabricate, tmp_path):
    written(fabricate, tmp_path, sizes=("full",), arms=("real", "mixed"), placebos=("mixed",))
    curves = load_curves(tmp_path)
    assert set(curves[curves["owner"] == "downstream"]["arm"]) == {"real", "mixed", "placebo_mixed"}


def test_case_scores_and_curves_are_kept_whole(run):
    folder = run[0]
    scores = load_scores(folder)
    assert list(scores.columns) == COLUMNS
    assert len(scores) == 6 * 8 * 2 * 2  # cells, test films, organs, metrics
    curves = load_curves(folder)
    assert set(curves["owner"]) == {"provider", "downstream"}
    one = curves[(curves["owner"] == "provider") & (curves["size"] == "full") & (curves["loss"] == "validation")]
    assert one["value"].to_numpy() == pytest.approx(1.5 / np.arange(1, 60))


def test_the_page_asks_nobody_for_anything(run):
    _, _, html = run
    page = Page(html)
    assert not re.search(r"https?:|//\w+\.", re.sub(r'(src|href)="data:[^"]*"', "", html))
    for tag, attrs in page.tags:
        for name in ("src", "href", "xlink:href", "srcset", "action"):
            value = attrs.get(name)
            assert value is None or value.startswith(("data:image/", "#")), (tag, value)
    assert not page.of("script") and not page.of("link") and not page.of("iframe")
    assert "@import" not in html and not re.search(r"url\((?!#)", html)


def test_the_page_is_well_formed_with_unique_ids_and_words_for_pictures(run):
    page = Page(run[2])
    assert page.wrong == [] and page.open == []
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    anchors = {attrs["href"][1:] for attrs in page.of("a")}
    assert anchors <= set(ids)
    assert all("alt" in attrs for attrs in page.of("img"))
    assert [attrs for attrs in page.of("figure") if attrs.get("role") == "group" and attrs.get("aria-label")]
    assert page.of("main") and page.of("nav") and page.of("header")
    assert all("scope" in attrs for attrs in page.of("th"))
    assert page.of("html") == [{"lang": "en"}]


def test_the_page_shows_the_numbers_of_the_table(run):
    _, results, html = run
    text = " ".join(Page(html).texts)
    for row in results.table:
        if row.metric == "dsc":
            assert f"{row.value * 100:.2f}" in text
    assert "one seed: these compare two trained models, not the generator" in text
    assert "1,234,567" in text and "no near copies (0 of 240" in text
    assert results.cells[0].key[:16] in text


def test_names_cannot_become_markup(fabricate, tmp_path):
    written(fabricate, tmp_path / "run", organs=(HOSTILE, "heart"), name=HOSTILE, **SMALL)
    html = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    page = Page(html)
    assert not page.of("script")
    assert not [attrs for _, attrs in page.tags if any(name.startswith("on") for name in attrs)]
    assert page.wrong == [] and page.open == []
    assert "&lt;script&gt;" in html


def test_a_failed_cell_is_told_at_the_top(fabricate, tmp_path):
    written(fabricate, tmp_path / "run", broken={("full", "synthetic", 0): "gave <b>NaN</b>"}, **SMALL)
    html = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    banner = html[html.index('role="alert"') : html.index("<nav")]
    assert "1 of 2 trainings is missing" in banner and "gave &lt;b&gt;NaN&lt;/b&gt;" in banner
    assert '<span class="absent">failed</span>' in html


def test_a_run_without_any_cell_still_has_a_page(fabricate, tmp_path):
    broken = {("full", arm, 0): "" for arm in ("real", "synthetic")}
    written(fabricate, tmp_path / "run", broken=broken, **SMALL)
    assert "2 of 2 trainings are missing" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_phantom_runs_carry_a_banner_and_others_do_not(own_run):
    folder, results, html = own_run
    assert "Phantom data." not in html
    phantom = results.model_copy(update={"data": results.data.model_copy(update={"phantom": True})})
    write_views(folder, phantom)
    assert "Phantom numbers: not comparable with published numbers." in (folder / "report.html").read_text()


def test_the_page_is_made_again_from_the_folder_alone(own_run):
    folder, _, html = own_run
    before = (folder / "tables" / "table.csv").read_bytes()
    (folder / "report.html").unlink()
    (folder / "tables" / "table.csv").unlink()
    app = typer.Typer()
    app.command()(report_command)
    outcome = CliRunner().invoke(app, [str(folder)])
    assert outcome.exit_code == 0, outcome.output
    assert (folder / "report.html").read_text(encoding="utf-8") == html
    assert (folder / "tables" / "table.csv").read_bytes() == before


@pytest.mark.parametrize("ending", ["csv", "md", "tex", "json"])
def test_the_report_command_prints_a_table_in_a_format(run, ending):
    folder, _, _ = run
    app = typer.Typer()
    app.command()(report_command)
    outcome = CliRunner().invoke(app, [str(folder), "--format", ending])
    assert outcome.output == (folder / "tables" / f"table.{ending}").read_text(encoding="utf-8")
    target = folder.parent / f"mine.{ending}"
    assert CliRunner().invoke(app, [str(folder), "--out", str(target)]).exit_code == 0
    assert target.read_text(encoding="utf-8") == outcome.output


def test_a_folder_without_results_is_one_clear_line(tmp_path):
    with pytest.raises(InputError, match=r"no results.json here; expected the folder of a finished"):
        load_run(tmp_path)
    (tmp_path / "results.json").write_text('{"schema": 99}', encoding="utf-8")
    with pytest.raises(InputError, match="not a valid Results"):
        load_run(tmp_path)


def test_of_a_folder_that_is_not_there_the_nearest_run_is_named(tmp_path):
    for name in ("results", "result_of_nothing"):
        (tmp_path / name).mkdir()
    (tmp_path / "results" / "results.json").write_text("{}", encoding="utf-8")
    for name in ("result", "resluts"):
        with pytest.raises(
            InputError, match=f"no results.json here \\(did you mean {tmp_path / 'results'}\\?\\); expected"
        ):
            load_run(tmp_path / name)
    with pytest.raises(InputError, match=r"no results.json here; expected"):
        load_run(tmp_path / "other")


def test_the_films_of_a_report_are_a_figure_real_above_synthetic_ones(fabricate, tmp_path):
    folder = tmp_path / "run"
    results = written(fabricate, folder, **SMALL)
    size = results.sizes[-1].size
    figure = drawn(results, folder, "films", size, None)
    index = json.loads((folder / "figures" / "films" / "index.json").read_text())
    for group, row in (("real", figure.axes[:6]), ("synthetic", figure.axes[6:])):
        mine = [one["outlined"] for one in index["pictures"] if (one["group"], one["size"]) == (group, size)][:6]
        assert len(mine) == len(row) > 1
        for name, axes in zip(mine, row, strict=True):
            shown, kept = axes.images[0].get_array(), np.asarray(Image.open(folder / "figures" / "films" / name))
            assert np.array_equal(shown, kept) and len(np.unique(kept)) > 9
    said = [text.get_text() for text in figure.texts]
    assert said[:2] == ["Real training films", f"Synthetic films of {results.provider.title}"]
    procedural = results.model_copy(update={"data": results.data.model_copy(update={"phantom": True})})
    title = drawn(procedural, folder, "films", size, None).texts[0].get_text()
    assert title == "Training films of the phantom"
    assert [text for text in said[2:] if text != "\u25a0"] == [organ.replace("_", " ") for organ in index["organs"]]
    assert figure_bytes(figure, "png").startswith(b"\x89PNG") and figure_bytes(figure, "pdf").startswith(b"%PDF")
    (folder / "figures" / "films" / mine[0]).write_bytes(b"torn")
    with pytest.raises(InputError, match=r"not readable as a PNG .*`cxrbench run` writes it again"):
        drawn(results, folder, "films", size, None)
    for path in (folder / "figures" / "films").iterdir():
        path.unlink()
    with pytest.raises(InputError, match=r"nothing to draw as 'films'; it has the figures: .*scores"):
        drawn(results, folder, "films", size, None)


def test_films_are_kept_in_pairs_and_stale_ones_go(fabricate, tmp_path):
    made = fabricate(**SMALL)
    results = assemble(made.plan, made.store, [])
    films = tmp_path / "run" / "figures" / "films"
    films.mkdir(parents=True)
    (films / "old.png").write_bytes(b"")
    write_run(tmp_path / "run", results, made.plan, made.store)
    index = json.loads((films / "index.json").read_text())
    groups = {(picture["size"], picture["group"]) for picture in index["pictures"]}
    assert groups == {("full", group) for group in ("real", "synthetic", "case")}
    assert {path.name for path in films.glob("*.png")} == {
        name for picture in index["pictures"] for name in (picture["plain"], picture["outlined"])
    }
    columns = [p["column"] for p in index["pictures"] if (p["size"], p["group"]) == ("full", "case")]
    assert columns[:3] == ["truth", "real", "synthetic"]
    with Image.open(films / index["pictures"][0]["outlined"]) as outlined:
        assert len(np.unique(np.asarray(outlined).reshape(-1, 3), axis=0)) > 2 and outlined.mode == "RGB"


def test_a_test_film_is_shown_with_what_the_arm_found_and_not_its_copies(fabricate, tmp_path):
    made = fabricate(**SMALL, placebos=("synthetic",))
    results = assemble(made.plan, made.store, [])
    write_run(tmp_path, results, made.plan, made.store)
    index = json.loads((tmp_path / "figures" / "films" / "index.json").read_text())
    said = {one["case"]: one["caption"] for one in index["pictures"] if one["column"] == "synthetic"}
    scores = load_scores(tmp_path)
    mean = scores[scores["metric"] == "dsc"].groupby(["arm", "case"])["value"].mean()
    assert len(said) == 4 and set(scores["arm"]) == {"real", "synthetic", "placebo_synthetic"}
    for case, caption in said.items():
        assert (
            caption == f"DSC {100 * mean['synthetic', case]:.2f}" != f"DSC {100 * mean['placebo_synthetic', case]:.2f}"
        )


def test_worst_case_is_the_film_with_the_lowest_average(run):
    folder, _, _ = run
    scores = load_scores(folder).query("size == 'full' and arm == 'synthetic' and metric == 'dsc'")
    worst = scores.groupby("case")["value"].mean().idxmin()
    index = json.loads((folder / "figures" / "films" / "index.json").read_text())
    shown = [p for p in index["pictures"] if (p["size"], p["group"], p["column"]) == ("full", "case", "truth")]
    assert (shown[0]["case"], shown[0]["caption"]) == (worst, "worst for SYNTHETIC")


def test_label_maps_become_bit_flags():
    assert label_bits(np.array([[0, 1], [2, 8]], np.uint8)).tolist() == [[0, 1], [2, 128]]


def test_drawings_follow_the_theme_and_bring_no_ids_or_comments_along():
    text = (
        '<?xml version="1.0"?><svg xmlns="x" viewBox="0 0 9 9" width="9pt"><metadata>who</metadata><!-- a name -->'
        '<g id="a" style="fill: #1b2430; clip-path: url(#b)"><use xlink:href="#c"/></g></svg>'
    )
    drawn = inline_svg(text, "d1-")
    assert drawn == (
        '<svg aria-hidden="true" focusable="false" viewBox="0 0 9 9">'
        '<g id="d1-a" style="fill: var(--ink); clip-path: url(#d1-b)"><use href="#d1-c"/></g></svg>'
    )


def test_a_page_stays_small(run):
    assert len(run[2]) < 2_000_000


def test_reading_and_comparing_runs_needs_no_torch(own_run):
    code = (
        "import sys; from cxrbench.benchmark.report import comparison, comparison_words, write; "
        "from cxrbench.benchmark.results import folder; "
        "from cxrbench.benchmark.report import build; from pathlib import Path; run = Path(sys.argv[1]); "
        "write.write_views(run, folder.load_run(run)); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(own_run[0])], check=False).returncode == 0


def test_scores_of_a_damaged_run_are_one_clear_line(own_run):
    folder, results, _ = own_run
    (folder / "tables" / "scores.parquet").write_bytes(b"not parquet")
    with pytest.raises(InputError, match=r"scores\.parquet: not readable"):
        write_views(folder, results)
    assert isinstance(load_curves(folder), pd.DataFrame)
