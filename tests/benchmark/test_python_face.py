"""`import cxrbench`: the same store and keys as the command line, frames and figures, and classes that lie in no file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cxrbench
from cxrbench.benchmark.python.carried import pairs_of, words_of
from cxrbench.benchmark.registry import PROVIDERS

from ..toys.toy_films import chests, run_here

TOYS = Path(__file__).parents[1] / "toys"
PROVIDER, TASK = f"{TOYS / 'toy_providers.py'}:Toy", f"{TOYS / 'toy_task.py'}:ToyTask"


def command(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    wide = os.environ | {"COLUMNS": "120"}  # as `str` of a run in Python has it
    return subprocess.run(
        [sys.executable, *words], cwd=cwd, env=wide, capture_output=True, text=True, check=False, timeout=900
    )


def test_a_run_from_python_after_one_of_the_command_line_trains_nothing(tmp_path, monkeypatch, capsys):
    chests().save(tmp_path / "films")
    asked = f"run --provider {PROVIDER} --task {TASK} --data films --sizes tiny --arms synthetic --set task.films=6"
    first = command("-m", "cxrbench.benchmark.cli", *asked.split(), "--device", "cpu", "--out", "a", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    monkeypatch.chdir(tmp_path)
    some = {"data": "films", "sizes": ["tiny"], "arms": ["synthetic"]}
    run = cxrbench.run(PROVIDER, task=TASK, settings={"task": {"films": 6}}, device="cpu", **some)
    assert "2 cells in the store, nothing to do" in capsys.readouterr().err
    again = cxrbench.load("a")
    assert run.table().equals(again.table()) and run.results.cells == again.results.cells
    assert str(run).strip() == first.stdout.strip()
    assert "the arm real was not run: gain and worth need copies alone" in " ".join(str(run).split())


@pytest.fixture
def at_once(monkeypatch):
    """Steps are done in the process of the test."""
    run_here(monkeypatch)


TINY = {"data": chests(), "seeds": 2, "sizes": ["tiny"], "arms": ["real", "synthetic"], "device": "cpu"}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> cxrbench.Run:
    """A run of the toys with two seeds."""
    place = tmp_path_factory.mktemp("face")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CXRBENCH_HOME", str(place / "home"))
        run_here(patch)
        return cxrbench.run(PROVIDER, task=TASK, **TINY, out=place / "out", progress=False)


def test_frames_have_the_numbers_of_the_results_as_they_are_shown(run):
    row = run.results.row("tiny", "real", "dsc", "left_lung")
    assert run.table().loc[("DSC", "left_lung"), ("tiny", "REAL")] == pytest.approx(100 * row.value)
    long = run.table(long=True)
    assert len(long) == len(run.results.table) and set(long["arm"]) > set(run.results.arms)  # copies, too
    gain, first = run.gain(), run.results.gains[0]
    assert gain["gain"][0] == pytest.approx(100 * first.gain)
    assert gain["score"][0] - gain["copies"][0] == pytest.approx(gain["gain"][0])
    assert run.scores()["value"].notna().any()


def test_a_worth_that_is_not_there_is_said_and_the_frame_has_its_columns(run, capsys):
    worth = run.worth()
    assert worth.empty and {"films", "low", "high", "sentence"} <= set(worth)
    assert "worth: no curve of toy v1" in capsys.readouterr().err


def test_the_first_figure_is_one_that_the_run_has_and_a_refusal_names_the_others(run):
    assert run.figure().get_axes()
    with pytest.raises(
        cxrbench.InputError, match=r"'worth' \(worth: no curve of .*\); it has the figures: scores, differences"
    ):
        run.figure("worth")


def test_a_card_has_its_text_and_its_row_and_is_written_into_the_folder(run):
    card = run.card(audit=False)
    assert Path(card).read_text() == str(card) == card._repr_markdown_()
    assert card.row == (run.folder / "card.tex").read_text() and "toy" in card.text.lower()


def test_a_run_for_an_entry_and_a_smoke_run_are_asked_as_on_the_command_line(tmp_path, at_once):
    some = {
        "task": TASK,
        "data": chests(),
        "device": "cpu",
        "progress": False,
        "sizes": ["tiny"],
        "arms": ["synthetic"],
    }
    mine = cxrbench.run(PROVIDER, entry="my_gan", out=tmp_path / "mine", **some)
    assert mine.results.command[-2:] == ["--entry", "my_gan"] and mine.results.provider.entry == "my_gan"
    with pytest.raises(cxrbench.InputError, match="expected the name or folder of an entry"):
        cxrbench.run(PROVIDER, entry="My GAN", **some)
    smoke = cxrbench.run(PROVIDER, smoke=True, out=tmp_path / "smoke", **some)
    assert smoke.results.command[-1] == "--smoke" and smoke.results.preset == "quick-smoke"
    assert any("no result" in line for line in str(smoke).splitlines())


def test_sizes_may_be_numbers(tmp_path, at_once):
    with pytest.raises(cxrbench.InputError, match="31 needs more than 31 training films"):
        cxrbench.run(PROVIDER, task=TASK, data=chests(), sizes=[31], device="cpu", progress=False)


def test_figures_and_report_are_those_of_the_folder(run):
    assert run.figure("scores").get_axes() and run.figure("differences", size="tiny").get_axes()
    with pytest.raises(cxrbench.InputError, match=r"unknown figure 'score'. Did you mean scores"):
        run.figure("score")
    with pytest.raises(cxrbench.InputError, match="unknown size 'ful'"):
        run.figure("scores", size="ful")
    page = run.report()
    assert Path(page).is_file() and "<iframe" in page._repr_html_() and "&lt;" in page._repr_html_()
    assert run.text("tex").startswith("%") and "\\begin{tabular}" in run.text("tex")


def test_what_a_notebook_shows_has_the_table_and_escapes_what_others_say(run):
    shown = run._repr_html_()
    assert "<table>" in shown and "left lung" in shown and "gain over copies" in shown
    results = run.results.model_copy(update={"provider": run.results.provider.model_copy(update={"name": "<script>"})})
    assert "<script>" not in cxrbench.Run(run.folder, results)._repr_html_()
    assert "phantom_hard" in cxrbench.datasets()._repr_html_() and "phantom" in set(cxrbench.datasets().table()["name"])


def test_two_runs_are_compared_as_on_the_command_line(run, tmp_path, at_once):
    other = cxrbench.run(f"{TOYS / 'toy_providers.py'}:Constant", task=TASK, **TINY, out=tmp_path / "b", progress=False)
    found = cxrbench.compare(run, other)
    line = command("-m", "cxrbench.benchmark.cli", "compare", str(run.folder), str(other.folder), cwd=tmp_path)
    assert line.stdout == str(found)
    assert {"a", "b", "difference", "p_holm"} <= set(found.table()) and len(found.gain())


def test_some_sizes_and_arms_are_run_alone(tmp_path, at_once):
    some = {"task": TASK, "data": chests(), "device": "cpu", "out": tmp_path, "progress": False}
    made = cxrbench.run(PROVIDER, sizes=["tiny"], arms="real", **some)
    assert [(cell.size, cell.arm) for cell in made.results.cells] == [("tiny", "real")]
    with pytest.raises(cxrbench.InputError, match=r"unknown size 'tinny'. Did you mean tiny"):
        cxrbench.run(PROVIDER, sizes=["tinny"], **some)


def test_a_dataset_made_here_is_kept_by_its_content(tmp_path, home, at_once):
    films = chests()
    one = {"sizes": ["tiny"], "arms": ["real"], "device": "cpu", "progress": False}
    for name in ("a", "b"):
        made = cxrbench.run(PROVIDER, task=TASK, data=films, out=tmp_path / name, **one)
    assert made.results.data.n == len(films) and len(list((home / "python" / "datasets").iterdir())) == 1


# ------------------------------------------------------------------------------------------------- classes


def test_a_class_of_a_package_is_its_name_and_one_of_a_file_its_path():
    from cxrbench.baselines.controls import Classical

    assert words_of("provider", Classical, PROVIDERS, "quick") == ("classical", [])
    assert words_of("provider", "folder:films", PROVIDERS, "quick") == ("folder:films", [])


def test_an_object_gives_its_settings_and_one_that_has_learnt_is_refused():
    from dataclasses import replace

    from cxrbench.baselines.controls import Degraded

    changed = Degraded(replace(Degraded.presets["quick"], wrong=0.25))
    name, pairs = words_of("provider", changed, PROVIDERS, "quick")
    assert name == "degraded" and pairs == ["wrong=0.25"]
    changed.train = np.zeros(3)
    with pytest.raises(cxrbench.InputError, match="this object has train of its own"):
        words_of("provider", changed, PROVIDERS, "quick")


def test_settings_are_written_as_set_reads_them():
    given = {"steps": 6, "name": "a b", "task": {"on": True, "sides": (1, 2)}, "nothing": None}
    assert pairs_of(given) == ["steps=6", "name=a b", "task.on=true", "task.sides=[1,2]", "nothing=null"]
    with pytest.raises(cxrbench.InputError, match="expected a number"):
        pairs_of({"steps": object()})


def test_what_stands_within_a_function_or_has_no_source_is_refused_in_one_line():
    class Inner(cxrbench.Provider):
        pass

    with pytest.raises(cxrbench.InputError, match="a class within a function"):
        words_of("provider", Inner, PROVIDERS, "quick")
    with pytest.raises(cxrbench.InputError, match="expected a name, a class or an object"):
        words_of("provider", 3, PROVIDERS, "quick")


SCRIPT = """
from dataclasses import dataclass

import numpy as np
import cxrbench
from beside import shift
from cxrbench import Annotation, Batch, Provider as Base

LEVEL = 0.5
unused = np.zeros(3)


@dataclass(frozen=True)
class Grey:
    level: float = LEVEL


def film(side, level):
    return np.full((1, 1, side, side), shift(level), np.float32)


class Flat(Base):
    produces = frozenset({Annotation.MASKS})
    presets = {"quick": Grey()}

    def fit(self, train, *, seed, progress):
        self.train = train

    def sample(self, n, *, seed):
        for _ in range(n):
            masks = self.train.organ_masks(rows=slice(0, 1))
            yield Batch(film(self.train.resolution, self.settings.level), masks=masks, source_ids=[["a"]])


ASK = dict(task=%r, data="films", sizes=["tiny"], arms=["synthetic"], device="cpu", out="out")
run = cxrbench.run(Flat(Grey(0.25)), **ASK)
print(run.results.complete, run.results.provider.settings, run.results.provider.name)
"""


def test_a_class_of_the_script_that_runs_is_carried_with_what_it_uses(tmp_path, home):
    """The script has no `if __name__`: steps import the class alone. What it does not use is not carried; what lies beside
    it counts."""
    (tmp_path / "beside.py").write_text("def shift(level):\n    return level + 0.125\n")
    (tmp_path / "mine.py").write_text(SCRIPT % TASK)
    chests().save(tmp_path / "films")
    done = command("mine.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "True {'level': 0.25} Flat"
    (file,) = (home / "python").glob("*/Flat.py")
    text = file.read_text()
    assert "LEVEL = 0.5" in text and "def film" in text and "from cxrbench import Provider as Base" in text
    assert "unused" not in text and "ASK =" not in text and "sha256" in text
    assert "nothing to do" in command("mine.py", cwd=tmp_path).stderr
    (tmp_path / "beside.py").write_text("def shift(level):\n    return level + 0.25\n")
    assert "nothing to do" not in command("mine.py", cwd=tmp_path).stderr


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("def film(side, level): return unused", "uses unused, a ndarray of this notebook or script"),
        ("exec('class Flat(Base): pass')", "the source of Flat cannot be read"),
    ],
)
def test_what_cannot_be_carried_is_one_line(tmp_path, line, said):
    (tmp_path / "beside.py").write_text("def shift(level):\n    return level + 0.125\n")
    (tmp_path / "mine.py").write_text(
        (SCRIPT % TASK).replace("ASK = ", f"{line}\nASK = ").replace("Flat(Grey(0.25))", "Flat")
    )
    done = command("mine.py", cwd=tmp_path)
    assert done.returncode == 1 and said in done.stderr.splitlines()[-1], done.stderr


def test_importing_takes_a_fifth_of_a_second_at_most_and_no_torch(tmp_path):
    timed = "t = time.perf_counter(); import cxrbench; print(time.perf_counter() - t, 'torch' in sys.modules)"
    found = [command("-c", f"import time, sys; {timed}", cwd=tmp_path).stdout.split() for _ in range(3)]
    assert min(float(seconds) for seconds, _ in found) < 0.2 and {torch for _, torch in found} == {"False"}


def test_a_run_within_a_step_is_refused(monkeypatch):
    monkeypatch.setenv("CXRBENCH_PROCESS", "x")
    with pytest.raises(cxrbench.InputError, match="called while a step imported"):
        cxrbench.run("classical")
