"""The reader study: what is drawn, that the page is blind and works in a browser, and how answers are scored."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import struct
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from cxrbench.benchmark.cli.reader_study import app
from cxrbench.benchmark.cli.reader_study import build as build_command
from cxrbench.benchmark.data.dataset import Dataset, DatasetInfo
from cxrbench.benchmark.data.findings import LOCALISED
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.reader_study import StudyPlan, build_study, score_study
from cxrbench.benchmark.reader_study.build import name_films
from cxrbench.benchmark.reader_study.draw import Drawn, before_crop, plain_png
from cxrbench.benchmark.reader_study.make import films_only
from cxrbench.benchmark.reader_study.score import in_words, table_csv
from cxrbench.benchmark.reader_study.sources import dataset_source
from cxrbench.benchmark.reader_study.study import Item, Study, read_key
from cxrbench.benchmark.runs.job import Cell, Synthesise
from cxrbench.benchmark.runs.request import Request

from ..accessible import SCHEMES, violations
from ..browser import needs_browser

SIDE = 20
PUBLISHED = """\
pathology,real_r1,real_r2,stargan_r1,stargan_r2,pix2pix_r1,pix2pix_r2,pix2pix_n_r1,pix2pix_n_r2
Atelectasis,25,25,2,0,12,2,19,6
Cardiomegaly,25,25,2,0,18,4,21,8
Effusion,25,24,5,0,11,3,17,6
Infiltration,25,25,6,0,11,3,18,10
Pneumonia,25,25,0,0,14,4,19,11
Pneumothorax,25,25,0,0,13,2,14,4
Total,150,149,15,0,79,18,108,45
"""
"""Table 1 of Xing et al. 2019."""


def films(
    name: str, per_class: int, classes: tuple[str, ...] = LOCALISED, *, side: int = SIDE, sources: bool = False
) -> Dataset:
    """`per_class` random films of every class. `sources`: film i shows pixels of case `realset-i`."""
    count = per_class * len(classes)
    rng = np.random.default_rng(sum(name.encode()))
    labels = np.eye(len(classes), dtype=np.uint8)[np.arange(count) % len(classes)]
    cases = pd.DataFrame({"id": [f"{name}-{n}" for n in range(count)]})
    cases["patient"] = cases["id"]
    for column, finding in enumerate(classes):
        cases[finding] = labels[:, column]
    if sources:
        cases["source_ids"] = [[f"realset-{n}"] for n in range(count)]
    images = rng.integers(0, 256, (count, side, side)).astype(np.uint8)
    return Dataset(DatasetInfo(name=name, resolution=side, findings=classes), images, cases)


def plan_of(folder: Path, *datasets: Dataset, real: Dataset, **options: Any) -> StudyPlan:
    """A plan over datasets, which are saved to the folder first."""
    for one in (real, *datasets):
        if not (folder / one.info.name).exists():
            one.save(folder / one.info.name)
    sources = tuple((one.info.name, folder / one.info.name) for one in datasets)
    return replace(StudyPlan(sources=sources, data=str(folder / real.info.name)), **options)


def shown(page: Path) -> tuple[list[str], list[bytes], str]:
    """(names, PNG files, the page without the films) of a page."""
    text = page.read_text()
    block = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert block is not None
    data = json.loads(block[1])
    rest = text.replace(block[1], json.dumps(data["findings"]))
    return [one["item"] for one in data["films"]], [base64.b64decode(one["png"]) for one in data["films"]], rest


@pytest.fixture(scope="module")
def papers_study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Study, dict[str, Item]]:
    """A study of the paper's size: 25 films of six classes and four sources."""
    folder = tmp_path_factory.mktemp("paper")
    made = [films(name, 30) for name in ("stargan", "pix2pix", "pix2pix_n")]
    build_study(plan_of(folder, *made, real=films("realset", 30)), folder / "study")
    return folder / "study", *read_key(folder / "study")


# ------------------------------------------------------------------------------------------------------- drawing


def test_a_study_shows_as_many_films_of_every_class_and_source_each_once(papers_study):
    _, study, key = papers_study
    counts = Counter((item.source, item.shown_class) for item in key.values())
    assert counts == {(s, c): 25 for s in ("real", "stargan", "pix2pix", "pix2pix_n") for c in LOCALISED}
    assert len({(item.source, item.film) for item in key.values()}) == study.films == 600
    assert all(study.counts[item.source][item.shown_class] == 25 for item in key.values())


def test_the_films_shown_are_the_films_that_the_key_names_without_their_margin(tmp_path):
    real = films("realset", 2)
    study = build_study(plan_of(tmp_path, films("made", 2), real=real, per_class=2), tmp_path / "out")
    from PIL import Image

    names, pngs, _ = shown(tmp_path / "out" / "study.html")
    key = read_key(tmp_path / "out")[1]
    assert study.side == SIDE - 2 and names == sorted(key)
    for name, png in zip(names, pngs, strict=True):
        if key[name].source == "real":
            film = real.images[real.ids.index(key[name].film)]
            assert np.array_equal(np.asarray(Image.open(io.BytesIO(png))), film[1:-1, 1:-1])


def test_all_films_are_as_coarse_as_the_coarsest_source(tmp_path):
    plan = plan_of(tmp_path, films("made", 1), real=films("realset", 1, side=64), per_class=1, crop=0.0)
    assert build_study(plan, tmp_path / "out").side == SIDE
    assert {struct.unpack(">II", png[16:24]) for png in shown(tmp_path / "out" / "study.html")[1]} == {(SIDE, SIDE)}


def test_films_of_256_pixels_are_shown_with_224_as_in_the_paper(tmp_path):
    plan = plan_of(tmp_path, films("made", 1, side=256), real=films("realset", 1, side=256), per_class=1)
    assert build_study(plan, tmp_path / "out").side == 224 == StudyPlan().resolution
    assert before_crop(224, 0.05) == 248 and before_crop(224, 0.0) == 224  # 248 - 2 x 12


def test_the_seed_chooses_films_and_order_and_the_same_seed_gives_the_same_page(tmp_path):
    pages = []
    for number, seed in enumerate((0, 0, 1)):
        plan = plan_of(tmp_path, films("made", 4), real=films("realset", 4), per_class=2, seed=seed)
        build_study(plan, tmp_path / f"out{number}")
        pages.append((tmp_path / f"out{number}" / "study.html").read_bytes())
    assert pages[0] == pages[1] != pages[2]


def test_a_film_whose_real_source_is_not_in_the_study_is_preferred(tmp_path):
    plan = plan_of(tmp_path, films("made", 4, sources=True), real=films("realset", 4), per_class=2)
    assert build_study(plan, tmp_path / "out").repeats == 0
    short = plan_of(tmp_path, films("made", 4, sources=True), real=films("realset", 4), per_class=3)
    assert build_study(short, tmp_path / "short").repeats == 2 * len(LOCALISED)  # 3 + 3 of 4 real films a class


def test_only_takes_films_with_one_finding(tmp_path):
    real, made = films("realset", 3), films("made", 3)
    real.cases.loc[real.cases.index < 6, "Effusion"] = 1  # the first film of every class has a second finding
    build_study(plan_of(tmp_path, made, real=real, per_class=2, only=True), tmp_path / "out")
    drawn = {item.film for item in read_key(tmp_path / "out")[1].values() if item.source == "real"}
    two = set(real.cases["id"][(real.cases.index < 6) & (real.cases.index % 6 != LOCALISED.index("Effusion"))])
    assert not drawn & two
    with pytest.raises(InputError, match="real has 2 of Atelectasis"):
        build_study(plan_of(tmp_path, made, real=real, per_class=3, only=True), tmp_path / "more")


def test_too_few_films_are_an_error_that_counts_them_unless_fewer_are_allowed(tmp_path):
    plan = plan_of(tmp_path, films("made", 2), real=films("realset", 3), per_class=3)
    with pytest.raises(InputError, match=r"too few films for 3 a class: made has 2 of .*--allow-fewer"):
        build_study(plan, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    fewer = plan_of(tmp_path, films("made", 2), real=films("realset", 3), per_class=3, allow_fewer=True)
    assert build_study(fewer, tmp_path / "out").counts["made"] == dict.fromkeys(LOCALISED, 2)


def test_pictures_in_a_folder_a_class_are_a_source(tmp_path):
    for one in ("Effusion", "Pneumonia"):
        (tmp_path / "pictures" / one).mkdir(parents=True)
        for number in range(2):
            pixels = np.full((32, 32), 40 * number + len(one), dtype=np.uint8)
            (tmp_path / "pictures" / one / f"{number}.png").write_bytes(plain_png(pixels))
    films("realset", 2).save(tmp_path / "realset")
    plan = StudyPlan(
        sources=(("any", tmp_path / "pictures"),),
        data=str(tmp_path / "realset"),
        classes=("effusion", "pneumonia"),
        per_class=2,
    )
    assert build_study(plan, tmp_path / "out").counts["any"] == {"Effusion": 2, "Pneumonia": 2}


def test_providers_are_found_in_the_store(tmp_path, monkeypatch, fabricate):
    monkeypatch.setenv("CXRBENCH_HOME", str(tmp_path))
    real = films("realset", 8)
    real.cases["split"] = "train"
    real.cases.loc[real.cases.index >= 30, "split"] = "test"
    fabricate(data=real, sizes=("full",), arms=("synthetic",))
    plan = StudyPlan(providers=("my_gan",), data=str(real.save(tmp_path / "realset").folder), per_class=1)
    fewer = build_study(replace(plan, allow_fewer=True), tmp_path / "out")
    assert fewer.sources[1].made_by == "my_gan, tiny_task quick, full, fold official, seed 0"
    assert sum(fewer.counts["my_gan"].values()) == 3  # the toy run made three films
    for changed, command in (
        ({"providers": ("stargan",)}, "it has my_gan.*first `cxrbench run --provider stargan --data realset`"),
        ({"preset": "paper"}, "first `cxrbench run --provider my_gan --data realset --preset paper`"),
    ):
        with pytest.raises(InputError, match=command):
            build_study(replace(plan, **changed), tmp_path / "none")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sources": ()}, "no source of synthetic films"),
        ({"sources": (("real", Path("x")),)}, "'real': the name of the real films"),
        ({"sources": (("a", Path("x")), ("a", Path("y")))}, "'a': named twice"),
        ({"sources": (("a", Path("nowhere")),)}, "nowhere: no such folder"),
        ({"classes": ("Efusion",)}, "Did you mean Effusion"),
        ({"per_class": 0}, "--per-class 0"),
        ({"crop": 0.6}, "--crop 0.6"),
        ({"data": None}, "give --data NAME"),
        ({"data": "nowhere"}, "unknown dataset 'nowhere'"),
    ],
)
def test_a_wrong_plan_is_refused_in_one_line_and_nothing_is_written(tmp_path, options, message):
    plan = plan_of(tmp_path, films("made", 1), real=films("realset", 1), per_class=1)
    with pytest.raises(InputError, match=re.escape(message)) as error:
        build_study(replace(plan, **options), tmp_path / "out")
    assert "\n" not in str(error.value) and not (tmp_path / "out").exists()


def test_a_study_is_never_overwritten(tmp_path):
    plan = plan_of(tmp_path, films("made", 1), real=films("realset", 1), per_class=1)
    (tmp_path / "out").mkdir()
    build_study(plan, tmp_path / "out")  # an empty folder will do
    with pytest.raises(InputError, match="never overwritten"):
        build_study(plan, tmp_path / "out")


# ------------------------------------------------------------------------------------------------------ blindness


def test_the_page_names_no_source_class_or_case_and_the_key_lies_apart(papers_study):
    folder, study, key = papers_study
    assert sorted(path.name for path in folder.iterdir()) == ["key", "study.html"]
    assert sorted(path.name for path in (folder / "key").iterdir()) == ["README.txt", "key.csv", "study.json"]
    assert "Do not hand it to the readers" in (folder / "key" / "README.txt").read_text()
    names, _, rest = shown(folder / "study.html")
    assert sorted(names) == sorted(key)
    for word in ("stargan", "pix2pix", "realset", "cxrbench " + study.cxrbench, *LOCALISED):
        assert word not in rest, word
    for item in key.values():
        assert item.film not in rest and item.pixels not in rest


def test_pictures_hold_pixels_and_no_metadata(papers_study):
    for png in shown(papers_study[0] / "study.html")[1]:
        place, chunks = 8, []
        while place < len(png):
            length, kind = struct.unpack(">I4s", png[place : place + 8])
            chunks.append(kind)
            place += 12 + length
        assert set(chunks) == {b"IHDR", b"IDAT", b"IEND"}


def test_name_and_place_of_a_film_do_not_depend_on_where_it_came_from():
    one, other = (dataset_source(name, films(name, 5), made_by="") for name in ("one", "other"))
    rows = [(source, row) for source in (one, other) for row in range(10)]
    pixels = [source.read(row) for source, row in rows]
    drawn = [Drawn(source, row, "Mass", film) for (source, row), film in zip(rows, pixels, strict=True)]
    exchanged = [Drawn(one, film.row, "Mass", film.pixels) for film in reversed(drawn)]
    assert list(name_films(drawn, 3)) == list(name_films(exchanged, 3))
    assert list(name_films(drawn, 3)) != list(name_films(drawn, 4))
    twins = [*drawn, Drawn(one, 0, "Mass", pixels[0])]
    assert len(name_films(twins, 3)) == len(twins)  # a copied film is a film of its own


# --------------------------------------------------------------------------------------------------------- scoring


def answer_file(path: Path, study: str, rows: list[tuple[str, ...]], header: str = "study,item,answer") -> Path:
    """A csv of answers."""
    path.write_text("\n".join([header, *(",".join((study, *row)) for row in rows)]) + "\n")
    return path


def published_answers(key: dict[str, Item], reader: str) -> list[tuple[str, ...]]:
    """Answers that call as many films of every class and source real as the paper's reader did."""
    table = {row["pathology"]: row for row in csv.DictReader(io.StringIO(PUBLISHED))}
    rows, seen = [], Counter[tuple[str, str]]()
    for name, item in sorted(key.items()):
        place = (item.source, item.shown_class)
        real = seen[place] < int(table[item.shown_class][f"{item.source}_{reader}"])
        seen[place] += 1
        rows.append((name, "real" if real else "synthetic"))
    return rows


def test_the_papers_table_comes_out_of_answers_that_have_its_counts(papers_study, tmp_path):
    folder, study, key = papers_study
    files = [answer_file(tmp_path / f"{r}.csv", study.id, published_answers(key, r)) for r in ("r1", "r2")]
    score = score_study(folder, files)
    assert table_csv(score) == PUBLISHED
    first, second = score.readers
    assert (first.sensitivity.k, first.sensitivity.n) == (450 - 15 - 79 - 108, 450)
    assert (first.specificity.k, first.specificity.n, first.specificity.value) == (150, 150, 1.0)
    assert first.specificity.low == pytest.approx(0.025 ** (1 / 150))  # exact: the k = n case has a closed form
    assert (second.accuracy.k, second.accuracy.n) == (149 + 450 - 63, 600)
    text = in_words(score)
    assert "Films called real (of 25 a class and source)" in text
    assert re.search(r"^Total +150 +149 +15 +0 +79 +18 +108 +45$", text, re.MULTILINE)
    assert "left out" not in text


def test_partial_answers_are_scored_and_said(papers_study, tmp_path):
    folder, study, key = papers_study
    rows = [(name, "real") for name in sorted(key)[:40]] + [(name, "") for name in sorted(key)[40:50]]
    score = score_study(folder, [answer_file(tmp_path / "a.csv", study.id, rows)])
    assert score.readers[0].answered == 40
    assert "40 of 600 films answered; 560 films without an answer left out" in in_words(score)
    assert "Films called real (of the answered ones)" in in_words(score)


def test_two_readers_have_cohens_kappa_and_three_have_fleiss(papers_study, tmp_path):
    folder, study, key = papers_study
    names = sorted(key)[:10]

    def said(code: str, pattern: str) -> Path:
        rows = [(name, "real" if sign == "r" else "synthetic") for name, sign in zip(names, pattern, strict=True)]
        return answer_file(tmp_path / f"{code}.csv", study.id, rows)

    a, b, c = said("a", "rrrrrsssss"), said("b", "rrrrssssss"), said("c", "rrrrrsssss")
    two = score_study(folder, [a, b]).agreement[0]
    # agreement 0.9; by chance 0.5 x 0.4 + 0.5 x 0.6 = 0.5
    assert (two.kappa, two.films) == ("Cohen", 10) and two.value == pytest.approx(0.8)
    three = score_study(folder, [a, b, c]).agreement[0]
    # nine films of full agreement and one of 1/3: 0.9333; shares 14/30 and 16/30: 0.502222
    assert three.kappa == "Fleiss" and three.value == pytest.approx((28 / 30 - 452 / 900) / (1 - 452 / 900))
    alike = score_study(folder, [said("d", "r" * 10), said("e", "r" * 10)])
    assert alike.agreement[0].value is None and "kappa not defined over 10 films" in in_words(alike)


def test_files_that_a_spreadsheet_saved_are_read_and_equal_codes_told_apart(papers_study, tmp_path):
    folder, study, key = papers_study
    item = min(key)
    for name in ("one", "two"):
        text = f"\ufeffStudy;Reader;Item;Answer\r\n{study.id};R1;{item};Real\r\n;;;\r\n"
        (tmp_path / f"{name}.csv").write_bytes(text.encode())
    score = score_study(folder, [tmp_path / "one.csv", tmp_path / "two.csv"])
    assert [(reader.reader, reader.answered) for reader in score.readers] == [("one", 1), ("two", 1)]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["STUDY,nobody,real"], "line 2: film 'nobody' is not in study"),
        (["STUDY,ITEM,real", "STUDY,ITEM,real"], "line 3: film ITEM was answered in line 2 already"),
        (["sother,ITEM,real"], "line 2: an answer to study sother, expected STUDY"),
        (["STUDY,ITEM,perhaps"], "line 2: 'perhaps' is not an answer; expected real or synthetic"),
        (["STUDY,ITEM,"], "no answers"),
        ([], "no answers"),
    ],
)
def test_wrong_answers_are_one_line_that_says_where(papers_study, tmp_path, lines, message):
    folder, study, key = papers_study

    def filled(text: str) -> str:
        return text.replace("STUDY", study.id).replace("ITEM", min(key))

    (tmp_path / "a.csv").write_text("\n".join(["study,item,answer", *map(filled, lines)]))
    with pytest.raises(InputError, match=re.escape(filled(message))) as error:
        score_study(folder, [tmp_path / "a.csv"])
    assert str(error.value).startswith(str(tmp_path / "a.csv")) and "\n" not in str(error.value)


def test_files_and_folders_that_do_not_fit_are_refused(papers_study, tmp_path):
    folder, study, key = papers_study
    good = answer_file(tmp_path / "a.csv", study.id, [(min(key), "real")])
    two = answer_file(
        tmp_path / "b.csv", study.id, [(n, "real", n) for n in sorted(key)[:2]], "study,item,answer,reader"
    )
    other = answer_file(tmp_path / "c.csv", study.id, [(min(key), "real")], "study,film,answer")
    (tmp_path / "d.csv").write_bytes(b"\xff\xfe\x00")
    for where, files, message in (
        (tmp_path, [good], "no key/study.json here"),
        (folder, [good, good], "given twice"),
        (folder, [two], "answers of 2 readers"),
        (folder, [other], "no column item"),
        (folder, [tmp_path / "d.csv"], "not a text in UTF-8"),
        (folder, [tmp_path / "nowhere.csv"], "No such file"),
    ):
        with pytest.raises(InputError, match=message):
            score_study(where, files)


def test_a_changed_key_is_refused(tmp_path):
    plan = plan_of(tmp_path, films("made", 1), real=films("realset", 1), per_class=1)
    study = build_study(plan, tmp_path / "out")
    path = tmp_path / "out" / "key" / "key.csv"
    item = min(read_key(tmp_path / "out")[1])
    path.write_text(path.read_text().replace(",real,", ",made,"))
    with pytest.raises(InputError, match="was changed after the study was built"):
        score_study(tmp_path / "out", [answer_file(tmp_path / "a.csv", study.id, [(item, "real")])])


def test_the_command_builds_and_scores(tmp_path):
    plan_of(tmp_path, films("made", 2), real=films("realset", 2))
    made, real, out = (str(tmp_path / name) for name in ("made", "realset", "out"))
    runner = CliRunner()
    options = ["build", "--source", f"made={made}", "--data", real, "--per-class", "2", "--out", out]
    done = runner.invoke(app, options, catch_exceptions=False)
    study, key = read_key(Path(out))
    assert done.exit_code == 0 and f"study {study.id}: 24 films of 18 pixels, 6 classes" in done.output
    answers = answer_file(tmp_path / "a.csv", study.id, [(name, item.kind) for name, item in key.items()])
    scored = runner.invoke(app, ["score", out, str(answers), "--json"], catch_exceptions=False)
    assert json.loads(scored.stdout)["readers"][0]["accuracy"]["value"] == 1.0
    assert runner.invoke(app, ["score", out, str(answers), "--csv"]).stdout.startswith("pathology,real_r1,made_r1\n")
    assert "1.000 [0.858, 1.000]  24/24" in runner.invoke(app, ["score", out, str(answers)]).stdout


# ----------------------------------------------------------------------------------------------------- the browser


HOSTILE = "</script><img src=x onerror=alert(1)>\"'&"


def left_the_page(requests: list[str], page: Path) -> list[str]:
    """Requests for anything but the page and what lies in it."""
    return [url for url in requests if url != page.as_uri() and not url.startswith(("data:", "blob:"))]


@needs_browser
def test_a_reader_answers_reloads_goes_on_and_exports_what_is_scored(tmp_path, chromium):
    classes = ("Effusion", HOSTILE)
    plan = plan_of(
        tmp_path, films("made", 2, classes), real=films("realset", 2, classes), per_class=2, asks_finding=True
    )
    study = build_study(plan, tmp_path / "out")
    page, (_, key) = tmp_path / "out" / "study.html", read_key(tmp_path / "out")
    names = sorted(key)
    chromium.errors.clear()
    chromium.requests.clear()
    chromium.open(page.as_uri())
    chromium.press("r", "s")  # typed into the field of the code, no answers yet
    chromium.evaluate("document.getElementById('reader').value = ''")
    chromium.press("R", "7", "Enter")
    assert chromium.text("#counter") == "Film 1 of 8"
    assert HOSTILE in chromium.text("#findings") and chromium.evaluate("document.images.length") == 1
    chromium.press("r", "1", "s", "2")
    chromium.press("s")
    chromium.reload()
    chromium.wait_for("document.querySelector('#counter').textContent === 'Film 3 of 8'")
    assert chromium.evaluate("document.querySelector('[data-answer=synthetic]').ariaPressed") == "true"
    chromium.press("3")  # none of these: completes the film begun before the reload
    chromium.press("r", held=True)  # a key held down answers nothing
    assert chromium.evaluate("document.querySelectorAll('[data-answer][aria-pressed=true]').length") == 0
    chromium.press("r", "1", "u", "u")
    assert chromium.text("#counter") == "Film 4 of 8"
    chromium.click("[data-answer=synthetic]")
    chromium.click("[data-finding=Effusion]")
    chromium.press("ArrowRight", "ArrowRight", "ArrowRight", "ArrowRight")
    assert "4 films have no complete answer yet" in chromium.text("#left")
    chromium.press("ArrowLeft", "r", "2")
    chromium.click("#missing")
    assert chromium.text("#counter") == "Film 5 of 8"
    chromium.press("e")
    answers = chromium.downloaded(f"answers-{study.id}-R7.csv")
    rows = list(csv.DictReader(answers.open(newline="")))
    none = "none of these"
    assert [(row["item"], row["answer"], row["finding"]) for row in rows] == [
        (names[0], "real", "Effusion"),
        (names[1], "synthetic", HOSTILE),
        (names[2], "synthetic", none),
        (names[3], "synthetic", "Effusion"),
        (names[7], "real", HOSTILE),
    ]
    assert all(float(row["seconds"]) >= 0 and row["answered_at"].endswith("Z") for row in rows)
    score = score_study(tmp_path / "out", [answers]).readers[0]
    said = {row["item"]: row["answer"] for row in rows}
    assert (score.reader, score.answered) == ("R7", 5)
    assert score.accuracy.k == sum(key[item].kind == answer for item, answer in said.items())
    hits = sum(key[row["item"]].shown_class == row["finding"] for row in rows)
    assert sum(found.k for found in score.finding.values()) == hits
    assert chromium.errors == []
    assert left_the_page(chromium.requests, page) == []


@needs_browser
def test_one_key_a_film_is_enough_and_the_next_reader_begins_anew(tmp_path, chromium):
    plan = plan_of(tmp_path, films("made", 1), real=films("realset", 1), per_class=1)
    study = build_study(plan, tmp_path / "out")
    chromium.errors.clear()
    chromium.open((tmp_path / "out" / "study.html").as_uri())
    chromium.press("Enter", *"rsrsrsrsrsrs")
    assert "All films are answered" in chromium.text("#verdict")
    chromium.press("e")
    rows = list(csv.DictReader(chromium.downloaded(f"answers-{study.id}.csv").open(newline="")))
    assert [row["answer"] for row in rows] == ["real", "synthetic"] * 6
    chromium.click("#fresh")
    assert "Press again" in chromium.text("#fresh")
    chromium.click("#fresh")
    chromium.reload()
    assert chromium.evaluate("!document.getElementById('start').hidden")
    assert chromium.errors == []


@needs_browser
def test_the_policy_of_the_page_refuses_requests_and_foreign_scripts(tmp_path, chromium):
    plan = plan_of(tmp_path, films("made", 1), real=films("realset", 1), per_class=1)
    build_study(plan, tmp_path / "out")
    chromium.open((tmp_path / "out" / "study.html").as_uri())
    chromium.errors.clear()
    refused = "fetch('https://example.invalid/').then(() => 'sent', () => 'refused')"
    assert chromium.evaluate(refused) == "refused"
    chromium.evaluate(
        "const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s)"
    )
    assert chromium.evaluate("window.ran === undefined")
    assert sum("Content Security Policy" in error for error in chromium.errors) >= 2


@needs_browser
@pytest.mark.parametrize(("width", "height"), [(1280, 720), (390, 844), (360, 640), (844, 390)])
def test_film_and_both_answers_fit_the_window(papers_study, chromium, width, height):
    chromium.resize(width, height)
    chromium.open((papers_study[0] / "study.html").as_uri())
    chromium.evaluate("localStorage.clear()")
    chromium.reload()
    chromium.press("Enter")
    assert chromium.evaluate("document.documentElement.scrollWidth") <= width
    for selector in ("#film", "[data-answer=real]", "[data-answer=synthetic]"):
        box = chromium.evaluate(f"document.querySelector('{selector}').getBoundingClientRect().toJSON()")
        assert box["left"] >= 0 and box["top"] >= 0 and box["width"] > 60 and box["height"] > 30
        assert box["right"] <= width + 0.5 and box["bottom"] <= height + 0.5, selector


@needs_browser
@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing_wrong_on_any_screen(tmp_path, chromium, scheme):
    classes = ("Effusion", "Mass")
    plan = plan_of(
        tmp_path, films("made", 1, classes), real=films("realset", 1, classes), per_class=1, asks_finding=True
    )
    build_study(plan, tmp_path / "out")
    chromium.open((tmp_path / "out" / "study.html").as_uri())
    assert violations(chromium, scheme) == []
    chromium.press("R", "1", "Enter")
    assert violations(chromium, scheme) == []
    chromium.press("r", "1")
    assert violations(chromium, scheme) == []
    for _ in range(9):
        chromium.press("ArrowRight")
    assert chromium.evaluate("!document.getElementById('end').hidden")
    assert violations(chromium, scheme) == []


# ------------------------------------------------------------------------------------------------------- made for it


def test_one_command_fits_what_is_missing_and_trains_no_model(tmp_path, monkeypatch, capsys):
    """A generator of masks and one of labels, each on its own task: here both on one task of masks."""
    monkeypatch.setenv("CXRBENCH_HOME", str(tmp_path / "home"))
    toys = Path(__file__).parents[1] / "toys" / "toy_providers.py"
    options = {"providers": f"{toys}:Toy", "data": "phantom", "per_class": 2, "classes": "All films", "make": True}
    build_command(tmp_path / "study", **options, device="cpu")
    said = capsys.readouterr()
    assert "Toy on scr_official: to make" in said.err
    study, key = read_key(tmp_path / "study")
    assert {item.source for item in key.values()} == {"real", "Toy"} and study.films == 4
    store = tmp_path / "home" / "store"
    assert list((store / "synthetic").glob("*/*")) and not (store / "records").exists()
    build_command(tmp_path / "again", **options, device="cpu")
    assert "Toy on scr_official: in the store" in capsys.readouterr().err
    with pytest.raises(InputError, match="--make: say with --data"):
        build_command(tmp_path / "none", **(options | {"data": None}), device="cpu")


def test_films_that_a_trained_model_must_annotate_take_a_run(monkeypatch):
    cell = Cell.model_construct(teacher_key="a teacher")
    step = Synthesise.model_construct(cell=cell)
    planned = SimpleNamespace(plan=None, schedule=SimpleNamespace(fits_of_first_size=lambda _plan: (step,)))
    monkeypatch.setattr("cxrbench.benchmark.reader_study.make.prepare", lambda *_: planned)
    with pytest.raises(InputError, match=r"lsgan makes films without annotations.*cxrbench run --provider lsgan"):
        films_only(Request(provider="lsgan"))
