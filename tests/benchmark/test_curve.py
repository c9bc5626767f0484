"""`cxrbench curve` and where runs find its curves: copies of ever more real films, with the toy task."""

from __future__ import annotations

import html
import json
import shlex
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cxrbench as package
from cxrbench.benchmark.cli import main
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.results.assemble import assemble
from cxrbench.benchmark.results.averages import averages
from cxrbench.benchmark.results.curve import curve_key, curve_of, curve_words, find_curve, keep_curve, shipped_curves
from cxrbench.benchmark.results.finished import Harvest
from cxrbench.benchmark.results.gains import PlaceboCurve
from cxrbench.benchmark.runs.job import Cell
from cxrbench.benchmark.runs.request import CurveRequest, Prepared, Request, execute, prepare, prepare_curve
from cxrbench.benchmark.runs.store import Level

from ..toys.toy_films import chests, run_here

TOYS = Path(__file__).parents[1] / "toys"
TASK = f"{TOYS / 'toy_task.py'}:ToyTask"
LABELS = f"{TOYS / 'toy_labels.py'}:ToyLabels"
TOY = f"{TOYS / 'toy_providers.py'}:Toy"
SIZES = {"full": 16, "8": 8, "tiny": 4, "2": 2}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("data") / "chests"
    chests().save(folder)
    return str(folder)


@pytest.fixture(autouse=True)
def here(monkeypatch, tmp_path):
    run_here(monkeypatch)
    monkeypatch.chdir(tmp_path)


def request_of(data: str, **values) -> CurveRequest:
    return CurveRequest(**{"task": TASK, "data": data, "device": "cpu", "jobs": 1} | values)


def made(request: CurveRequest) -> tuple[Prepared, PlaceboCurve]:
    prepared = prepare_curve(request)
    assert not any(outcome.error for outcome in execute(prepared))
    return prepared, curve_of(prepared.plan, prepared.store)


def run_of(data: str, **values) -> Prepared:
    given = {"provider": TOY, "task": TASK, "data": data, "device": "cpu", "jobs": 1} | values
    return prepare(Request(**given))


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


@pytest.fixture
def cxrbench(monkeypatch, capsys) -> Callable[..., Done]:
    """The command line in this process."""

    def call(*words: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["cxrbench", *words])
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        return Done(code, *capsys.readouterr())

    return call


@pytest.fixture
def command(cxrbench, data) -> Callable[..., Done]:
    """`cxrbench curve` of the toy task."""
    return lambda *words: cxrbench("curve", "--task", TASK, "--data", data, "--device", "cpu", "--jobs", "1", *words)


def kept_curves(home: Path) -> list[PlaceboCurve]:
    return [PlaceboCurve.model_validate_json(path.read_text()) for path in (home / "store" / "curves").glob("*.json")]


# ------------------------------------------------------------------------------------------- the command


def test_the_command_prints_and_keeps_the_curve_and_a_second_call_has_nothing_to_do(command, home):
    first = command("--seeds", "3")
    assert first.code == 0, first.err
    assert "12 cells: full, 8, tiny, 2 x placebo synthetic · seeds 0 to 2" in first.err
    lines = first.out.splitlines()
    assert lines[0] == "DSC of copies of real films, mean ± deviation over 3 seeds"
    assert lines[1].split() == ["real", "films", "copies,", "synthetic"]
    rows = [line for line in lines[2:] if not line.startswith("copies, ")]  # the toy has seeds of much luck
    assert [line.split()[0] for line in rows] == ["16", "8", "4", "2"]
    (kept,) = kept_curves(home)
    for line in rows:
        values = list(kept.scores("synthetic")[float(line.split()[0])].values())
        assert line.split()[1:] == [f"{100 * np.mean(values):.2f}", "±", f"{100 * np.std(values, ddof=1):.2f}"]
    assert f"kept   {home / 'store' / 'curves'}" in first.err

    second = command("--seeds", "3")
    assert second.code == 0 and second.out == first.out
    assert "12 cells in the store, nothing to do" in second.err
    assert [one.digest for one in kept_curves(home)] == [kept.digest]


def test_python_takes_the_curve_that_the_command_kept(command, data, capsys):
    said = command("--seeds", "2").out
    found = package.curve(TASK, data, seeds=2, device="cpu", jobs=1)
    assert "8 cells in the store, nothing to do" in capsys.readouterr().err
    assert f"{found}\n" == said
    table = found.table()
    assert list(table.index) == [16.0, 8.0, 4.0, 2.0]
    assert list(table.columns) == [("synthetic", "mean"), ("synthetic", "sd"), ("synthetic", "seeds")]
    values = list(found.found.scores("synthetic")[8.0].values())
    assert table.loc[8.0, "synthetic"].tolist() == pytest.approx([np.mean(values), np.std(values, ddof=1), 2])
    page = found._repr_html_()
    assert "DSC of copies of real films" in page and f"{100 * np.mean(values):.2f}" in page
    assert found.figure().axes[0].get_xlabel()
    with pytest.raises(InputError, match="31"):
        package.curve(TASK, data, seeds=2, sizes=[31], device="cpu")


def test_json_prints_the_curve_alone(command):
    done = command("--seeds", "2", "--json")
    assert done.code == 0
    curve = PlaceboCurve.model_validate(json.loads(done.out))
    assert curve.seeds == [0, 1] and curve.arms == ["synthetic"] and len(curve.points) == 8
    assert {(point.size, point.films) for point in curve.points} == set(SIZES.items())
    assert (curve.task, curve.version, curve.preset, curve.metric, curve.device) == ("toy", 1, "quick", "dsc", "cpu")


def test_out_is_a_folder_with_the_curve_and_its_figure(command, tmp_path, home):
    done = command("--seeds", "2", "--out", str(tmp_path / "out" / "curve"))
    folder = tmp_path / "out" / "curve"
    assert done.code == 0, done.err
    assert sorted(path.name for path in folder.iterdir()) == ["curve.json", "curve.png", "curve.svg"]
    assert PlaceboCurve.model_validate_json((folder / "curve.json").read_text()) == kept_curves(home)[0]
    drawing = (folder / "curve.svg").read_text()
    assert "<svg" in drawing and "copies, synthetic" in drawing and "real films" in drawing
    assert min(Image.open(folder / "curve.png").size) > 300


def test_a_dry_run_shows_the_cells_and_does_nothing(command, home):
    done = command("--seeds", "2", "--dry-run", "--json")
    plan = json.loads(done.out)
    assert done.code == 0 and len(plan["steps"]) == 8 and plan["expected_seconds"] > 0
    assert not any(step["in_store"] for step in plan["steps"])
    assert {step["step"] for step in plan["steps"]} >= {"placebo synthetic full seed 0", "placebo synthetic 2 seed 1"}
    assert not (home / "store" / "records").exists() and not (home / "store" / "curves").exists()
    table = command("--seeds", "2", "--dry-run")
    line = next(line for line in table.out.splitlines() if line.startswith("placebo synthetic tiny"))
    assert line.split()[:5] == ["placebo", "synthetic", "tiny", "2", "0"] and "seed" not in table.out
    assert not (home / "store" / "records").exists()


def test_more_seeds_train_those_that_are_lacking_alone(data):
    made(request_of(data, seeds=2))
    more = prepare_curve(request_of(data, seeds=3))
    assert {step.cell.seed for step in more.left} == {2} and len(more.left) == 4


def test_a_curve_that_was_interrupted_goes_on(data):
    prepared = prepare_curve(request_of(data, seeds=2))
    outcomes = execute(prepared)
    done = {next(outcomes).key for _ in range(3)}
    outcomes.close()
    again = prepare_curve(request_of(data, seeds=2))
    assert {step.key for step in again.left}.isdisjoint(done) and 0 < len(again.left) < 8
    list(execute(again))
    assert prepare_curve(request_of(data, seeds=2)).left == []


def test_sizes_and_arms_may_be_chosen(command):
    done = command("--sizes", " 3 ,full", "--arms", "mixed,finetune", "--seeds", "2", "--json")
    assert done.code == 0, done.err
    curve = PlaceboCurve.model_validate(json.loads(done.out))
    assert {(point.arm, point.size, point.films) for point in curve.points} == {
        (arm, size, films) for arm in ("mixed", "finetune") for size, films in (("3", 3), ("full", 16))
    }


def test_the_placebo_of_finetune_in_a_curve_brings_the_synthetic_one_it_starts_from(data):
    prepared = prepare_curve(request_of(data, arms=("finetune",), sizes=("full", "2")))
    assert [[step.label for step in chain] for chain in prepared.schedule.chains] == [
        ["placebo synthetic full", "placebo finetune full"],
        ["placebo synthetic 2", "placebo finetune 2"],
    ]
    assert {cell.arm for cell in prepared.plan.cells} == {"placebo_finetune"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--sizes", "17"], "a size of 17 films: expected 1 to 16, the training films of chests"),
        (["--sizes", "0"], "a size of 0 films: expected 1 to 16"),
        (["--sizes", "full,medium"], "no size 'medium'; expected full, tiny or a number of films up to 16"),
        (["--set", "grey=0.1"], "--set grey: a curve has no provider; expected task.key=value"),
        (["--set", "task.gray=1"], "unknown setting of ToyTask 'gray'"),
        (["--arms", "real"], "--arms real: a curve is of arms with synthetic films, which copies stand for"),
        (["--arms", "mixd"], "unknown arm 'mixd'. Did you mean mixed"),
        (["--seeds", "0"], "--seeds: expected at least 1, found 0"),
        (["--jobs", "0"], "--jobs: expected at least 1, found 0"),
        (["--preset", "slow"], "unknown preset 'slow'"),
        (["--device", "gpu"], "unknown device 'gpu'"),
        (["--data", "nowhere"], "unknown dataset 'nowhere'"),
        (["--task", "scr"], "unknown task 'scr'"),
        (["--task", LABELS], "toy_labels: chests is too small for a curve: it has the sizes none"),
    ],
)
def test_what_cannot_be_is_one_line_before_any_work(command, home, words, message):
    done = command(*words)
    errors = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert done.code == 2 and len(errors) == 1 and message in errors[0], done.err
    assert "Traceback" not in done.err and not (home / "store" / "records").exists()


def test_too_few_films_have_no_curve_unless_its_sizes_are_named(tmp_path):
    chests(2, 4).save(tmp_path / "few")
    with pytest.raises(InputError, match="toy: chests is too small for a curve: it has the sizes full"):
        prepare_curve(request_of(str(tmp_path / "few")))
    named = prepare_curve(request_of(str(tmp_path / "few"), sizes=("full", "1")))
    assert [cell.slot.size for cell in named.plan.cells] == ["full", "1"]


def test_cells_that_fail_are_told_and_the_exit_code_is_1(command, home):
    done = command("--set", "task.fails=mixed", "--arms", "synthetic,mixed", "--seeds", "1")
    assert done.code == 1
    assert [line for line in done.err.splitlines() if line.startswith("error")] == ["error: RuntimeError: told to fail"]
    assert done.out.splitlines()[2].split()[0] == "16"
    (kept,) = kept_curves(home)
    assert kept.arms == ["synthetic"] and len(kept.points) == 4


# ------------------------------------------------------------------------------------------- the points


def test_every_point_is_the_average_of_its_placebos_record(data):
    prepared, curve = made(request_of(data, seeds=2, arms=("synthetic", "mixed")))
    found: dict[tuple[str, str, int], Cell] = {
        (cell.identity.arm, cell.slot.size, cell.seed): cell for cell in prepared.plan.cells
    }
    assert len(curve.points) == len(found) == 16
    for point in curve.points:
        record = prepared.store.record(found[point.arm, point.size, point.seed].key)
        (average,) = [row.value for row in record.table if (row.metric, row.structure) == ("dsc", "average")]
        assert point.value == average and point.films == record.downstream.real_films == SIZES[point.size]
    assert curve.scores("mixed").keys() == {16.0, 8.0, 4.0, 2.0}
    assert curve.environments[0].threads == 1 and curve.data == prepared.plan.cells[0].identity.data


def test_a_curve_has_what_is_finished_and_nothing_in_place_of_the_rest(data):
    prepared, whole = made(request_of(data, seeds=2))
    lost = next(cell for cell in prepared.plan.cells if (cell.slot.size, cell.seed) == ("8", 1))
    shutil.rmtree(prepared.store.path(Level.RECORDS, lost.key))
    part = curve_of(prepared.plan, prepared.store)
    assert [one for one in whole.points if one not in part.points] == [
        one for one in whole.points if (one.size, one.seed) == ("8", 1)
    ]
    assert part.scores("synthetic")[8.0].keys() == {0} and part.digest != whole.digest


def test_several_folds_are_one_point_and_films_are_their_mean(fabricate):
    counts = {"a": 8, "b": 5}
    made = fabricate(arms=(), placebos=("mixed",), folds=("a", "b"), seeds=(0, 1), sizes=("full", "tiny"))
    for cell in made.plan.cells:
        path = made.store.path(Level.RECORDS, cell.key) / "record.json"
        told = json.loads(path.read_text())
        told["downstream"]["real_films"] = counts[cell.slot.fold] if cell.slot.size == "full" else 3
        path.write_text(json.dumps(told))
    plan = replace(made.plan, generator=None)
    curve = curve_of(plan, made.store)
    assert curve.scores("mixed").keys() == {6.5, 3.0}
    expected = averages(Harvest(plan, made.store), "full", "placebo_mixed")
    assert curve.scores("mixed")[6.5] == expected and set(expected) == {0, 1}


# ------------------------------------------------------------------------------------------- where a run finds it


def test_a_run_finds_the_curve_that_the_command_kept(command, data):
    assert find_curve(run_of(data).plan, run_of(data).store) is None
    command("--seeds", "2")
    prepared = run_of(data, seeds=2)
    found = find_curve(prepared.plan, prepared.store)
    assert found is not None and found.source == "store" and found.curve.seeds == [0, 1]
    other = run_of(data, provider=TOY.replace(":Toy", ":Tells"), arms=("mixed",), overrides=("grey=0.5",))
    assert find_curve(other.plan, other.store) == found  # whatever the provider, its arms and its settings


def test_a_run_trains_no_placebo_that_the_curve_has(command, data):
    command("--seeds", "2", "--arms", "synthetic,finetune")
    left = run_of(data, seeds=2).left
    assert not [step for step in left if step.cell.identity.placebo]
    assert {step.cell.slot.size for step in left} == {"full", "tiny"}


def test_another_preset_version_setting_film_or_device_has_no_such_curve(command, data, tmp_path, monkeypatch):
    command("--seeds", "1")
    prepared = run_of(data)
    plan, store = prepared.plan, prepared.store
    assert find_curve(plan, store) is not None

    def with_identity(**changed) -> tuple[Cell, ...]:
        return tuple(
            cell.model_copy(update={"identity": cell.identity.model_copy(update=changed)}) for cell in plan.cells
        )

    task, films = plan.cells[0].identity.task, plan.cells[0].identity.data
    others = {
        "preset": replace(plan, preset="standard"),
        "version": replace(plan, cells=with_identity(task=task.model_copy(update={"version": 2}))),
        "settings": replace(plan, cells=with_identity(task=task.model_copy(update={"settings": {"films": 9}}))),
        "data": replace(plan, cells=with_identity(data=films.model_copy(update={"digest": "f" * 64}))),
        "device": replace(plan, cells=with_identity(device="cuda")),
        "task": replace(plan, cells=with_identity(task=task.model_copy(update={"name": "other"}))),
    }
    assert {name: find_curve(other, store) for name, other in others.items()} == dict.fromkeys(others)
    assert len({curve_key(other) for other in (plan, *others.values())}) == len(others) + 1
    chests(21, 10).save(tmp_path / "more")
    for other in (run_of(str(tmp_path / "more")), run_of(data, preset="standard"), run_of(data, overrides=SETTING)):
        assert find_curve(other.plan, store) is None
    same = replace(plan, cells=with_identity(data=films.model_copy(update={"name": "renamed"})))
    assert find_curve(same, store) is not None  # a name says nothing about the films


SETTING = ("task.films=9",)


@pytest.fixture
def shipping(tmp_path, data) -> Callable[..., Prepared]:
    """A task in a folder of its own that ships curves; how a run on it is prepared."""
    folder = tmp_path / "shop"
    (folder / "curves").mkdir(parents=True)
    shutil.copy(TOYS / "toy_task.py", folder / "toy_task.py")
    return lambda **values: run_of(data, task=f"{folder / 'toy_task.py'}:ToyTask", **values)


def test_a_task_ships_curves_and_that_of_the_store_comes_first(shipping, data, tmp_path):
    prepared = shipping()
    task, folder = prepared.plan.task_plugin.spec, tmp_path / "shop" / "curves"
    curve_plan, curve = made(request_of(data, task=task, seeds=2))
    others = [
        curve.model_copy(update={"preset": "paper"}),
        curve.model_copy(update={"version": 7}),
        curve.model_copy(update={"data": curve.data.model_copy(update={"digest": "e" * 64})}),
    ]
    for number, one in enumerate(others):
        (folder / f"{number}.json").write_text(one.model_dump_json(by_alias=True))
    (folder / "broken.json").write_text("{")
    (folder / "newer.json").write_text(curve.model_copy(update={"schema_version": 99}).model_dump_json(by_alias=True))
    assert len(shipped_curves(type(prepared.plan.task))) == 3
    assert find_curve(prepared.plan, prepared.store) is None  # none of them fits

    (folder / "right.json").write_text(curve.model_dump_json(by_alias=True))
    found = find_curve(prepared.plan, prepared.store)
    assert found is not None and (found.source, found.curve) == ("shipped", curve)
    own = curve.model_copy(update={"created": "2030-01-01T00:00:00Z"})
    keep_curve(curve_plan.plan, prepared.store, own)
    found = find_curve(prepared.plan, prepared.store)
    assert found is not None and (found.source, found.curve) == ("store", own)


def test_a_smaller_curve_adds_to_the_one_kept_and_one_of_other_code_replaces_it(data, shipping):
    prepared = shipping()
    plan, curve = made(request_of(data, task=prepared.plan.task_plugin.spec, seeds=2))
    first, *others = curve.points
    part = curve.model_copy(update={"points": [first.model_copy(update={"value": 0.125})]})

    def kept() -> list:
        return json.loads(keep_curve(plan.plan, prepared.store, part).read_text())["points"]

    keep_curve(plan.plan, prepared.store, curve)
    assert [point["value"] for point in kept()] == [0.125, *(point.value for point in others)]
    keep_curve(plan.plan, prepared.store, curve.model_copy(update={"code": "c" * 64}))
    assert len(kept()) == 1


def test_a_class_without_a_file_ships_nothing():
    space: dict[str, type] = {}
    exec("class Typed: pass", {"__name__": "typed_in"}, space)
    assert shipped_curves(space["Typed"]) == []


# ------------------------------------------------------------------------------------------- from the curve to a worth


def test_a_run_with_a_curve_shows_gain_and_worth_everywhere(command, cxrbench, data, tmp_path):
    """End to end, five seeds: terminal, results.json, Markdown, LaTeX and the page."""
    assert command("--seeds", "5").code == 0
    words = ("run", "--provider", TOY, "--task", TASK, "--data", data, "--device", "cpu", "--jobs", "1")
    done = cxrbench(*words, "--seeds", "5", "--out", "out")
    assert done.code == 0, done.err
    results = json.loads(Path("out/results.json").read_text())
    assert {(row["size"], row["arm"]) for row in results["gains"]} == {
        (size, arm) for size in ("full", "tiny") for arm in ("synthetic", "finetune")
    }
    assert {(row["size"], row["arm"], row["real"]) for row in results["worths"]} == {
        ("full", "synthetic", 16.0),
        ("tiny", "synthetic", 4.0),
    }
    assert results["curve"]["source"] == "store" and len(results["curve"]["curve"]["points"]) == 20
    gain = next(row for row in results["gains"] if (row["size"], row["arm"]) == ("tiny", "synthetic"))
    assert gain["seeds"] == 5 and gain["verdict"]
    heading = "Toy, synthetic at tiny (0 + 8 films): "
    for text in (
        done.out,
        Path("out/tables/table.md").read_text(),
        Path("out/tables/table.tex").read_text(),
        Path("out/report.html").read_text(),
    ):
        flat = " ".join(text.split())
        assert heading in flat and gain["verdict"] in flat and "gain over copies" in flat
        assert "curve: in the store, 5 seeds, chests" in flat.lower()  # a caption has sentences
    assert "DSC of copies of real films against their number, with synthetic. At full: " in (
        Path("out/report.html").read_text()
    )
    assert Path("out/figures/worth-synthetic.svg").is_file() and Path("out/figures/worth-synthetic.png").is_file()
    again = assemble(run_of(data, seeds=5).plan, run_of(data, seeds=5).store, [])
    assert [row.model_dump() for row in again.gains] == results["gains"] and again.worths == []


def test_a_run_without_a_curve_says_how_to_make_one(cxrbench, data):
    words = ("run", "--provider", TOY, "--task", TASK, "--data", data, "--device", "cpu", "--jobs", "1")
    done = cxrbench(*words, "--out", "out")
    assert done.code == 0, done.err
    flat = " ".join(done.out.split())
    said = (
        "worth: no curve of toy v1 on chests at quick with these settings; this makes it, and the same run again tells"
    )
    assert f"{said} the worth: cxrbench curve" in flat
    assert "one seed: these compare two trained models, not the generator (use --seeds 5)" in flat
    results = json.loads(Path("out/results.json").read_text())
    assert results["curve"] is None and results["worths"] == [] and len(results["gains"]) == 4


def test_the_command_that_a_run_tells_makes_the_curve_it_looks_for(cxrbench, data, home, tmp_path):
    """The command is read from every place that shows it, and run: then the same run finds its curve."""
    folder = tmp_path / "with a blank" / "chests"
    shutil.copytree(data, folder)
    words = ["run", "--provider", TOY, "--task", TASK, "--data", str(folder), "--jobs", "1"]
    words += ["--set", "task.films=4", "--sizes", "full", "--arms", "real,synthetic", "--seeds", "2"]
    done = cxrbench(*words, "--out", "out")
    assert done.code == 0, done.err
    told = json.loads(Path("out/results.json").read_text())["curve_command"]
    copied = shlex.join(told)
    lines = done.out.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("cxrbench curve"))
    last = next(number for number in range(first, len(lines)) if not lines[number].endswith("\\"))
    assert shlex.split("\n".join(lines[first : last + 1]).replace("\\\n", " ")) == told
    assert f"<code>{html.escape(copied)}</code>" in Path("out/report.html").read_text().replace(
        "&#34;", "&quot;"
    ).replace("&#39;", "&#x27;")
    assert f"`{copied}`" in Path("out/tables/table.md").read_text()
    assert cxrbench("card", "out", "--out", "card").code == 0
    assert f"`{copied}`" in Path("card/card.md").read_text()
    assert "this makes it" not in Path("out/tables/table.tex").read_text()
    said = "quick with task.films=4"
    assert said in done.err and f"preset {said}</small>" in Path("out/report.html").read_text()
    places = ("out/tables/table.md", "out/tables/table.tex", "card/card.md")
    assert all(said in Path(place).read_text() for place in places)

    made = cxrbench(*told[1:], "--jobs", "1")
    assert made.code == 0, made.err
    again = cxrbench(*words, "--out", "again")
    results = json.loads(Path("again/results.json").read_text())
    assert again.code == 0 and results["curve"]["source"] == "store" and results["curve_command"] == []
    assert len(results["curve"]["curve"]["points"]) == len(SIZES) * max(5, len(results["seeds"]))
    assert any(row["size"] == "full" for row in results["worths"]) and "this makes it" not in again.out


CHOICES = {
    "as it is": {},
    "settings": {"overrides": ("grey=0.1", "task.films=2", "task.rounds=1", "task.films=4")},
    "seeds": {"seeds": 7},
    "an arm that a curve has not by itself": {"arms": ("real", "finetune")},
    "a device": {"device": "auto"},
}


@pytest.mark.parametrize("choice", CHOICES)
def test_the_command_parsed_by_the_command_line_leads_to_the_same_curve(choice, data, monkeypatch):
    """`_curve` is all that the command does once its words are read."""
    asked = []
    monkeypatch.setattr("cxrbench.benchmark.cli.curve._curve", lambda request, *_, **__: asked.append(request))
    run = run_of(data, **CHOICES[choice])
    monkeypatch.setattr(sys, "argv", shlex.split(shlex.join(curve_words(run.request, run.plan))))
    with pytest.raises(SystemExit, match="0"):
        main()
    curve = prepare_curve(asked[0])
    assert curve_key(curve.plan) == curve_key(run.plan)
    assert set(range(5)) | set(run.plan.seeds) == set(curve.plan.seeds)
    told = {cell.slot.arm for cell in run.plan.cells if cell.slot.arm.uses_provider}
    assert told & {cell.slot.arm for cell in curve.plan.cells}


def test_films_without_a_curve_are_told_no_command(data):
    prepared = run_of(data)
    few = replace(prepared.plan, data=prepared.plan.data.select(np.arange(2)))
    assert curve_words(prepared.request, few) == [] != curve_words(prepared.request, prepared.plan)
