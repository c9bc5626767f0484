"""The study of preferences: which films are chosen, that the order is hidden, the page in a browser, and how answers are
scored."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from cxrbench.benchmark import digest
from cxrbench.benchmark.cli.reader_study import app
from cxrbench.benchmark.data.contact_sheet import outlined
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.reader_study import PreferencePlan, build_preference, preference, score_preference
from cxrbench.benchmark.reader_study.preference import PreferenceItem, PreferenceStudy
from cxrbench.benchmark.reader_study.preference_score import in_words, opinions_csv
from cxrbench.benchmark.reader_study.study import read_folder
from cxrbench.benchmark.runs.store import Level

from ..accessible import SCHEMES, violations
from ..browser import needs_browser
from .conftest import TEST_FILMS, Fabricated, TinyTask
from .test_reader_study import left_the_page

ORGANS = ("left_lung", "heart")
SIDE = 128


@dataclass(frozen=True)
class FoundTask:
    """Stands for the plugin of the tiny task."""

    def load(self) -> type[TinyTask]:
        return TinyTask


def hard(size: str, arm: str, seed: int, organ: str) -> np.ndarray:
    """Test film 2 is the worst for FINETUNE, then 5, 0 and the others; for SYNTHETIC film 7 is."""
    values = np.linspace(0.9, 0.97, TEST_FILMS)
    if arm == "finetune":
        values[[2, 5]] = 0.1, 0.2
    else:
        values[7] = 0.1
    return values


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fabricate: Any) -> tuple[Path, Fabricated]:
    """The folder of a finished run, and what lies in the store."""
    monkeypatch.setenv("CXRBENCH_HOME", str(tmp_path))
    made = fabricate(organs=ORGANS, scores=hard, placebos=("synthetic",), sizes=("full", "tiny"), seeds=(0, 1))
    films = made.plan.data
    monkeypatch.setattr(preference, "find_task", lambda name: FoundTask())
    monkeypatch.setattr(preference, "find_dataset", lambda *_: films)
    test_ids = digest.of_json(sorted(made.plan.task.test_set(films, made.plan.cells[0].slot).ids))
    for cell in made.plan.cells:
        path = made.store.path(Level.RECORDS, cell.key) / "record.json"
        path.write_text(path.read_text().replace("1" * 64, test_ids))
    folder = tmp_path / "run"
    folder.mkdir()
    cells = [{"key": cell.key, "status": "done"} for cell in made.plan.cells]
    # the fabricated keys are no sha256, which `keys_of_run` does not mind
    (folder / "results.json").write_text(json.dumps({"cells": cells}))
    return folder, made


def plan(folder: Path, **options: Any) -> PreferencePlan:
    return replace(PreferencePlan(run=folder, count=3, resolution=SIDE), **options)


def read(out: Path) -> tuple[PreferenceStudy, dict[str, PreferenceItem]]:
    return read_folder(out, PreferenceStudy, PreferenceItem)


def shown(page: Path) -> tuple[list[dict[str, Any]], list[dict[str, str]], str]:
    """(films, questions, the page without its films) of a page."""
    text = page.read_text()
    block = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert block is not None
    data = json.loads(block[1])
    rest = text.replace(block[1], json.dumps(data["organs"]))
    films = [
        {name: value if name == "item" else np.asarray(Image.open(io.BytesIO(base64.b64decode(value))))
         for name, value in film.items()}
        for film in data["films"]
    ]  # fmt: skip
    return films, data["organs"], rest


# ------------------------------------------------------------------------------------------------- what is chosen


def test_the_films_with_the_largest_error_of_the_finetuned_model_are_shown(run, tmp_path):
    folder, made = run
    study = build_preference(plan(folder), tmp_path / "out")
    test = made.plan.task.test_set(made.plan.data, made.plan.cells[0].slot)
    _, key = read(tmp_path / "out")
    assert {item.case for item in key.values()} == {test.ids[row] for row in (2, 5, 0)}
    assert (study.size, study.arm, study.model_seed, study.metric) == ("full", "finetune", 0, "dsc")
    assert study.organs == ["all organs", *ORGANS] and study.films == 3
    assert study.chosen == "the 3 films with the largest error of 8"
    assert {item.score for item in key.values() if item.case == test.ids[2]} == {"0.1"}


def test_another_model_or_films_by_id_are_taken_where_they_are_asked_for(run, tmp_path):
    folder, made = run
    test = made.plan.task.test_set(made.plan.data, made.plan.cells[0].slot)
    study = build_preference(plan(folder, arm="synthetic", size="tiny", model_seed=1, count=1), tmp_path / "a")
    assert (study.size, study.arm, study.model_seed) == ("tiny", "synthetic", 1)
    assert [item.case for item in read(tmp_path / "a")[1].values()] == [test.ids[7]]
    build_preference(plan(folder, cases=(test.ids[3], test.ids[1])), tmp_path / "b")
    assert {item.case for item in read(tmp_path / "b")[1].values()} == {test.ids[3], test.ids[1]}


def test_the_pictures_are_the_film_the_target_and_the_prediction_in_the_order_of_the_key(run, tmp_path):
    folder, made = run
    build_preference(plan(folder, count=8), tmp_path / "out")
    films, organs, _ = shown(tmp_path / "out" / "study.html")
    _, key = read(tmp_path / "out")
    test = made.plan.task.test_set(made.plan.data, made.plan.cells[0].slot)
    record = next(c for c in made.plan.cells if (c.slot.size, c.arm, c.seed) == ("full", "finetune", 0))
    labels = made.store.predictions(record.key).arrays["labels"]
    firsts = set()
    for film in films:
        item, row = key[film["item"]], test.ids.index(key[film["item"]].case)
        target = outlined(test.images[row], np.asarray(test.masks)[row], ORGANS, SIDE)
        predicted = outlined(test.images[row], (labels[row] > 0) << (labels[row] == 2).astype(np.uint8), ORGANS, SIDE)
        pair = (target, predicted) if item.first == "target" else (predicted, target)
        assert np.array_equal(film["film"], outlined(test.images[row], None, ORGANS, SIDE))
        assert np.array_equal(film["one"], pair[0]) and np.array_equal(film["two"], pair[1])
        assert not np.array_equal(*pair)
        assert item.chosen("1") == item.first != item.chosen("2") and item.chosen("none") == "none"
        firsts.add(item.first)
    assert firsts == {"target", "prediction"}
    assert [(one["organ"], bool(one["colour"])) for one in organs] == [
        ("all organs", False), ("left_lung", True), ("heart", True)]  # fmt: skip


def test_organs_of_the_target_that_overlap_are_drawn_as_a_label_map_is(run):
    _, made = run
    masks = np.asarray(made.plan.data.masks)
    masks[:, 3:9, 2:12] |= 1  # the lung goes on beneath the heart
    task, cell = made.plan.task, made.plan.cells[0]
    _, flags = preference._target(task, task.test_set(made.plan.data, cell.slot))
    assert set(np.unique(flags)) == {0, 1, 2}
    assert (flags[0] == 2).sum() == (masks[1] & 2 != 0).sum()


def test_the_seed_decides_names_and_order_and_the_same_seed_gives_the_same_page(run, tmp_path):
    folder, _ = run
    pages = []
    for number, seed in enumerate((0, 0, 1)):
        build_preference(plan(folder, count=8, seed=seed), tmp_path / f"out{number}")
        pages.append((tmp_path / f"out{number}" / "study.html").read_bytes())
    assert pages[0] == pages[1] != pages[2]
    orders = [{item.case: item.first for item in read(tmp_path / f"out{n}")[1].values()} for n in (0, 2)]
    assert orders[0] != orders[1]


def test_the_page_says_nothing_of_model_case_or_order_and_the_key_lies_apart(run, tmp_path):
    build_preference(plan(run[0]), tmp_path / "out")
    _, _, rest = shown(tmp_path / "out" / "study.html")
    assert sorted(path.name for path in (tmp_path / "out" / "key").iterdir()) == ["README.txt", "key.csv", "study.json"]
    for word in ("my_gan", "finetune", "prediction", "target", "tiny", "case0"):
        assert word not in rest.replace("event.target", ""), word


def test_a_wrong_plan_is_refused_in_one_line_and_nothing_is_written(run, tmp_path, monkeypatch):
    folder, made = run
    for changed, message in (
        ({"run": tmp_path / "nowhere"}, "no results.json here"),
        ({"size": "ful"}, "Did you mean full"),
        ({"arm": "mixed"}, "unknown arm 'mixed'"),
        ({"model_seed": 7}, "unknown model-seed '7'"),
        ({"cases": ("case99",)}, "unknown test film 'case99'"),
        ({"count": 0}, "--count 0"),
        ({"resolution": 16}, "--resolution 16"),
    ):
        with pytest.raises(InputError, match=re.escape(message)) as error:
            build_preference(plan(folder, **changed), tmp_path / "out")
        assert "\n" not in str(error.value) and not (tmp_path / "out").exists()
    other = replace(made.plan.data, cases=made.plan.data.cases.assign(split="test"), folder=None)
    monkeypatch.setattr(preference, "find_dataset", lambda *_: other)
    with pytest.raises(InputError, match="no longer the one that the run was tested on"):
        build_preference(plan(folder), tmp_path / "out")
    (folder / "results.json").write_text('{"cells": [{"key": "gone", "status": "done"}]}')
    with pytest.raises(InputError, match="none of its models is in the store"):
        build_preference(plan(folder), tmp_path / "out")


# ------------------------------------------------------------------------------------------------------- scoring


@pytest.fixture
def study(run, tmp_path: Path) -> Iterator[tuple[Path, PreferenceStudy, dict[str, PreferenceItem]]]:
    build_preference(plan(run[0], count=8), tmp_path / "study")
    yield (tmp_path / "study", *read(tmp_path / "study"))


def number(item: PreferenceItem, choice: str) -> str:
    """By which number a reader says it."""
    return next(one for one in ("1", "2", "none") if item.chosen(one) == choice)


def answers(
    path: Path, study: PreferenceStudy, key: dict[str, PreferenceItem], signs: str, organ: str = "heart"
) -> Path:
    """Answers about one organ by case: p the prediction, t the target, - none, blank no answer."""
    words = {"p": "prediction", "t": "target", "-": "none"}
    rows = [["study", "reader", "item", "organ", "choice", "comment"]]
    for sign, item in zip(signs, sorted(key.values(), key=lambda one: one.case), strict=True):
        if sign != " ":
            rows.append([study.id, path.stem, item.item, organ, number(item, words[sign]), f"{sign}, said"])
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def test_shares_are_of_the_films_with_a_choice_and_have_exact_intervals(study, tmp_path):
    folder, said, key = study
    score = score_preference(folder, [answers(tmp_path / "R1.csv", said, key, "pppptt- ")])
    heart = next(one for one in score.organs if one.organ == "heart")
    (row,) = heart.readers
    assert (row.prediction.k, row.prediction.n, row.none) == (4, 6, 1)
    assert row.prediction.value == pytest.approx(4 / 6)
    # Clopper and Pearson's 95 % interval of 4 of 6; 2 (15 + 6 + 1) / 64 is the chance of 4 or more, or of 2 or fewer
    assert (row.prediction.low, row.prediction.high) == (
        pytest.approx(0.2228, abs=1e-4),
        pytest.approx(0.9567, abs=1e-4),
    )
    assert row.p == pytest.approx(44 / 64)
    assert heart.agreement is None
    lung = next(one for one in score.organs if one.organ == "left_lung")
    assert lung.readers[0].prediction.n == 0 and lung.readers[0].p is None
    assert "no film" in in_words(score)


def test_readers_are_compared_by_kappa_and_by_the_majority(study, tmp_path):
    folder, said, key = study
    cases = sorted(item.case for item in key.values())
    a = answers(tmp_path / "A.csv", said, key, "ppppttt-")
    b = answers(tmp_path / "B.csv", said, key, "pppttttp")
    two = next(one for one in score_preference(folder, [a, b]).organs if one.organ == "heart")
    # 6 of 8 the same; by chance 4/8 4/8 + 3/8 4/8 + 1/8 0 = 28/64
    assert two.agreement.kappa == "Cohen" and two.agreement.value == pytest.approx((6 / 8 - 28 / 64) / (1 - 28 / 64))
    majority = two.readers[-1]
    assert majority.reader == "majority" and (majority.prediction.k, majority.prediction.n, majority.none) == (4, 7, 1)
    assert two.all_prediction == cases[:3] and two.all_target == cases[4:7]
    c = answers(tmp_path / "C.csv", said, key, "pppptttt")
    three = next(one for one in score_preference(folder, [a, b, c]).organs if one.organ == "heart")
    # six films of full agreement, one of 1/3 (p t p), one of 0 (- p t); shares 12/24, 11/24 and 1/24
    chance = (12**2 + 11**2 + 1) / 24**2
    assert three.agreement.kappa == "Fleiss"
    assert three.agreement.value == pytest.approx(((6 + 1 / 3) / 8 - chance) / (1 - chance))
    assert (three.readers[-1].prediction.k, three.readers[-1].prediction.n) == (4, 7)


def test_comments_are_unblinded_with_their_film(study, tmp_path):
    folder, said, key = study
    score = score_preference(folder, [answers(tmp_path / "R1.csv", said, key, "pt      ")])
    first = min(item.case for item in key.values())
    assert f"{first}, heart, R1 (prediction): p, said" in in_words(score)
    rows = list(csv.DictReader(io.StringIO(opinions_csv(score))))
    assert [(row["choice"], row["comment"]) for row in rows] == [("prediction", "p, said"), ("target", "t, said")]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (["STUDY", "nobody", "heart", "1"], "line 2: film 'nobody' is not in study"),
        (["other", "ITEM", "heart", "1"], "line 2: an answer to study other, expected STUDY"),
        (["STUDY", "ITEM", "liver", "1"], "line 2: 'liver' is not asked about; expected all organs, left_lung, heart"),
        (["STUDY", "ITEM", "heart", "3"], "line 2: '3' is not a choice; expected 1, 2, none"),
        (["STUDY", "ITEM", "heart", ""], "no answers"),
    ],
)
def test_wrong_answers_are_one_line_that_says_where(study, tmp_path, row, message):
    folder, said, key = study

    def filled(text: str) -> str:
        return text.replace("STUDY", said.id).replace("ITEM", min(key))

    path = tmp_path / "a.csv"
    path.write_text("study,item,organ,choice\n" + ",".join(map(filled, row)) + "\n")
    with pytest.raises(InputError, match=re.escape(filled(message))) as error:
        score_preference(folder, [path])
    assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)


def test_the_command_builds_and_scores(run, tmp_path):
    runner, out = CliRunner(), tmp_path / "out"
    options = ["build", "--kind", "preference", "--run", str(run[0]), "--count", "2", "--out", str(out)]
    done = runner.invoke(app, options, catch_exceptions=False)
    said, key = read(out)
    assert f"study {said.id}: 2 films, the 2 films with the largest error of 8 by dsc" in done.output
    assert said.side == 512
    file = answers(tmp_path / "R1.csv", said, key, "pp", "all organs")
    scored = runner.invoke(app, ["score", str(out), str(file), "--json"], catch_exceptions=False)
    assert json.loads(scored.stdout)["organs"][0]["readers"][0]["prediction"]["k"] == 2
    table = runner.invoke(app, ["score", str(out), str(file)], catch_exceptions=False).stdout
    assert re.search(r"^R1 +1\.000 \[0\.158, 1\.000\]  2/2 +0 +0\.500$", table, re.MULTILINE)
    assert runner.invoke(app, ["score", str(out), str(file), "--csv"]).stdout.startswith(
        "case,score,organ,reader,choice"
    )
    for wrong, message in (
        (["--kind", "preference"], "say which run"),
        (["--kind", "taste"], "unknown kind"),
        (["--run", str(run[0])], "belongs to --kind preference"),
        (["--kind", "preference", "--run", "x", "--providers", "a"], "options of sources"),
    ):
        failed = runner.invoke(app, ["build", "--out", str(tmp_path / "no"), *wrong])
        assert isinstance(failed.exception, InputError) and message in str(failed.exception)


# ----------------------------------------------------------------------------------------------------- the browser


@needs_browser
def test_a_reader_chooses_comments_reloads_goes_on_and_exports_what_is_scored(run, tmp_path, chromium):
    said = build_preference(plan(run[0]), tmp_path / "out")
    page, (_, key) = tmp_path / "out" / "study.html", read(tmp_path / "out")
    names = sorted(key)
    chromium.errors.clear()
    chromium.requests.clear()
    chromium.resize(1400, 800)
    chromium.open(page.as_uri())
    chromium.press("R", "1", "Enter")
    assert chromium.text("#counter") == "Film 1 of 3" and chromium.evaluate("document.images.length") == 3
    chromium.press("1", "2", "0")  # the film, the lung, the heart
    assert chromium.text("#counter") == "Film 1 of 3"  # time to write
    chromium.click("textarea[data-organ=heart]")
    chromium.press("1", "e", ";", " ", "=")  # a comment, no answers
    chromium.press("Tab")
    chromium.reload()
    chromium.wait_for("document.querySelector('#counter').textContent === 'Film 1 of 3'")
    assert chromium.evaluate("document.querySelector('textarea[data-organ=heart]').value") == "1e; ="
    assert chromium.evaluate("document.querySelectorAll('[data-choice][aria-pressed=true]').length") == 3
    one = chromium.evaluate("document.querySelector('#one').src")
    chromium.press("o")
    assert chromium.evaluate("document.querySelector('#one').src === document.querySelector('#film').src")
    chromium.press("o")
    assert chromium.evaluate("document.querySelector('#one').src") == one
    chromium.press("ArrowRight", "2")
    assert chromium.evaluate("document.querySelector('textarea[data-organ=heart]').value") == ""
    chromium.click("[data-organ=heart][data-choice=none]")
    chromium.press("ArrowRight", "ArrowRight")
    assert "2 films have open questions" in chromium.text("#left")
    chromium.press("e")
    file = chromium.downloaded(f"answers-{said.id}-R1.csv")
    rows = list(csv.DictReader(file.open(newline="")))
    assert [(row["item"], row["organ"], row["choice"], row["comment"]) for row in rows] == [
        (names[0], "all organs", "1", ""),
        (names[0], "left_lung", "2", ""),
        (names[0], "heart", "none", "1e; ="),
        (names[1], "all organs", "2", ""),
        (names[1], "heart", "none", ""),
    ]
    whole = score_preference(tmp_path / "out", [file]).organs[0].readers[0]
    chosen = [key[names[0]].chosen("1"), key[names[1]].chosen("2")]
    assert (whole.prediction.k, whole.prediction.n) == (chosen.count("prediction"), 2)
    chromium.click("#fresh")
    chromium.click("#fresh")
    chromium.press("Enter")
    assert chromium.evaluate("document.querySelector('textarea[data-organ=heart]').value") == ""
    assert chromium.errors == []
    assert left_the_page(chromium.requests, page) == []


@needs_browser
@pytest.mark.parametrize(("width", "height", "mobile"), [(1400, 800, False), (360, 780, True)])
def test_nothing_sticks_out_and_1_and_2_are_side_by_side(run, tmp_path, chromium, width, height, mobile):
    build_preference(plan(run[0]), tmp_path / "out")
    chromium.resize(width, height, mobile=mobile)
    chromium.open((tmp_path / "out" / "study.html").as_uri())
    chromium.press("Enter")
    assert chromium.evaluate("document.documentElement.scrollWidth") <= width
    boxes = {
        name: chromium.evaluate(f"JSON.stringify(document.querySelector('#{name}').getBoundingClientRect())")
        for name in ("film", "one", "two")
    }
    place = {name: json.loads(box) for name, box in boxes.items()}
    assert place["one"]["top"] == place["two"]["top"] and place["one"]["right"] <= place["two"]["left"]
    assert place["one"]["width"] == place["two"]["width"] > 150
    if not mobile:
        assert place["film"]["top"] == place["one"]["top"] and place["film"]["right"] <= place["one"]["left"]


@needs_browser
@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing_wrong_on_the_first_screen(run, tmp_path, chromium, scheme):
    build_preference(plan(run[0]), tmp_path / "out")
    chromium.open((tmp_path / "out" / "study.html").as_uri())
    chromium.evaluate("localStorage.clear()")
    chromium.reload()
    assert violations(chromium, scheme) == []
