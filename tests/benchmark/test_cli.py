"""The command line: exit codes, one-line errors, JSON, dry run, resume, interruption."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from cxrbench.benchmark.cli.overview import too_few
from cxrbench.benchmark.cli.run import check_same_run
from cxrbench.benchmark.cli.working import plan_summary
from cxrbench.benchmark.contracts.task import ArmName, Slot
from cxrbench.benchmark.data.catalogue import find_dataset
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.progress import Progress

from ..toys.toy_films import chests

TOYS = Path(__file__).parents[1] / "toys"
CXRBENCH = [sys.executable, "-m", "cxrbench.benchmark.cli"]
PROVIDER = f"{TOYS / 'toy_providers.py'}:Toy"
TOY = ["run", "--provider", PROVIDER, "--task", f"{TOYS / 'toy_task.py'}:ToyTask", "--device", "cpu"]


def cxrbench(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [*CXRBENCH, *map(str, arguments)]
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, env=os.environ | environment, check=False, timeout=900
    )


def test_a_run_prints_the_table_and_leaves_a_folder_and_a_second_run_has_nothing_to_do(tmp_path):
    first = cxrbench(*TOY, "--out", "out", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "average" in first.stdout and "REAL" in first.stdout
    assert "one seed" in first.stdout and "gain over copies" in first.stdout
    assert "left" in first.stderr  # plain lines with the time left
    for name in ("results.json", "report.html", "tables/table.csv", "tables/table.md", "tables/table.tex", "figures"):
        assert (tmp_path / "out" / name).exists(), name
    second = cxrbench(*TOY, "--out", "again", cwd=tmp_path)
    assert second.returncode == 0
    assert "10 cells in the store, nothing to do" in second.stderr
    assert second.stdout == first.stdout


def test_json_prints_json_alone(tmp_path):
    done = cxrbench(*TOY, "--arms", "real", "--json", cwd=tmp_path)
    results = json.loads(done.stdout)
    assert done.returncode == 0
    assert [cell["status"] for cell in results["cells"]] == ["done", "done"]
    assert len(list((tmp_path / "runs").iterdir())) == 1


def test_a_dry_run_shows_the_cells_and_does_nothing(tmp_path, home, here):
    done = here(*TOY, "--dry-run", "--json")
    plan = json.loads(done.stdout)
    assert len(plan["steps"]) == 12 and plan["expected_seconds"] > 0
    assert "power  one seed allows no claim about the generator (use --seeds 5)" in done.stderr
    assert not any(step["in_store"] for step in plan["steps"])
    assert not (tmp_path / "runs").exists() and not (home / "store" / "records").exists()


@pytest.mark.parametrize(
    ("arms", "said"),
    [
        ("synthetic", "differences from REAL are not told (--arms real,synthetic)"),
        ("real", "no arm has synthetic films: no gain and no worth"),
        ("real,synthetic", ""),
    ],
)
def test_what_cannot_be_told_for_want_of_an_arm_is_said_before_the_work(arms, said, here):
    done = here(*TOY, "--arms", arms, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert said in done.stderr and done.stderr.count("note   ") == bool(said)


def test_a_dry_run_says_that_a_worth_needs_a_curve_and_how_it_is_made(here):
    done = here(*TOY, "--dry-run")
    said = " ".join(done.stderr.split())
    assert "worth needs a curve of copies of these films" in said and "\ncxrbench curve --task" in done.stderr
    assert "once for all providers, with 5 seeds, since fewer allow no claim: cxrbench curve" in said, (
        "one is asked for"
    )


def test_a_dry_run_has_a_line_for_all_seeds_and_folds_of_a_size_and_arm():
    steps = [
        {"step": f"{what} full fold {fold} seed {seed}", "in_store": what == "real", "expected_seconds": 60.0}
        for what in ("real", "mixed")
        for fold in "ab"
        for seed in range(5)
    ]
    unknown = {"step": "fit my_gan full", "in_store": False, "expected_seconds": None}
    assert plan_summary([*steps, unknown]) == [
        ("real full", "10", "10", "–"),
        ("mixed full", "10", "0", "10 min"),
        ("fit my_gan full", "1", "0", "unknown"),
    ]


def test_a_dry_run_says_which_device_is_not_here(here):
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    done = here(*TOY, "--dry-run", "--device", "cuda")
    assert done.returncode == 0
    assert "note   a run would stop here: device cuda: this machine has no CUDA device" in done.stderr
    assert "would stop" not in here(*TOY, "--dry-run").stderr


@pytest.mark.parametrize(("learnt_from", "code"), [("images/PHLN002.png", 2), ("nonsense", 0), ("PHLN001", 0)])
def test_a_dry_run_refuses_a_leak_as_the_run_does_and_names_ids_of_no_case(tmp_path, learnt_from, code, here):
    folder = tmp_path / "films"
    for place in ("images", "masks/left_lung", "masks/right_lung"):
        (folder / place).mkdir(parents=True)
        for number in range(8):
            Image.fromarray(np.eye(32, k=number, dtype=np.uint8) * 255).save(folder / place / f"{number}.png")
    (folder / "trained_on.txt").write_text(f"{learnt_from}\n")
    arguments = [*TOY, "--dry-run"]
    arguments[2] = f"folder:{folder}"
    done = here(*arguments)
    said = " ".join(done.stderr.split())
    assert done.returncode == code, said
    assert ("refused (leak): fitted on 1 films of the test set phantom: PHLN002" in said) == (code == 2)
    assert ("trained_on: 1 id of no case of phantom, so not checked: nonsense" in said) == (learnt_from == "nonsense")
    assert ("no leak can be seen by them: ids of phantom look like PHL" in said) == (learnt_from == "nonsense")
    assert ("trained_on: 1 film of phantom; none of them may be tested" in said) == (learnt_from != "nonsense")


def test_a_folder_with_copies_of_test_films_is_refused_though_it_names_none(tmp_path, here):
    films = find_dataset("phantom", 32, Progress())
    folder = tmp_path / "films"
    for place in ("images", "masks/left_lung", "masks/right_lung"):
        (folder / place).mkdir(parents=True)
    rows = np.flatnonzero(films.cases["split"] == "test")[:8]
    for number, row in enumerate(rows):
        Image.fromarray(np.asarray(films.images[row])).save(folder / "images" / f"{number}.png")
        for organ in ("left_lung", "right_lung"):
            Image.fromarray(np.eye(32, dtype=np.uint8) * 255).save(folder / "masks" / organ / f"{number}.png")
    arguments = [*TOY, "--dry-run"]
    arguments[2] = f"folder:{folder}"
    done = here(*arguments)
    said = " ".join(done.stderr.split())
    assert (
        done.returncode == 2 and "refused (leak): 8 of its 8 films are copies of films of the test set phantom" in said
    )
    assert f": {', '.join(f'{number} is {films.ids[row]}' for number, row in enumerate(rows))}; " in said
    assert "import the real ones again" in said


def test_a_folder_with_fewer_films_than_are_taken_is_refused_before_the_work_and_of_some_cells_noted():
    full, tiny = (Slot("all", size, ArmName.SYNTHETIC) for size in ("full", "tiny"))
    assert too_few(6, [(full, 6), (tiny, 3)]) == ""
    assert too_few(4, [(full, 6), (full, 6), (tiny, 3)]) == "it has 4 films, and synthetic at full takes 6, each once"


def test_a_dry_run_refuses_a_folder_of_too_few_films(tmp_path, here):
    folder = tmp_path / "films"
    for place in ("images", "masks/left_lung", "masks/right_lung"):
        (folder / place).mkdir(parents=True)
        Image.fromarray(np.eye(32, dtype=np.uint8) * 255).save(folder / place / "0.png")
    arguments = [*TOY, "--dry-run"]
    arguments[2] = f"folder:{folder}"
    done = here(*arguments)
    said = " ".join(done.stderr.split())
    assert done.returncode == 2, said
    assert (
        "provider films: it has 1 film, and synthetic at tiny takes 8, " in said and "put more into the folder" in said
    )


def test_a_folder_of_films_without_masks_is_refused_before_anything_is_trained(tmp_path, here):
    folder, masks = tmp_path / "made" / "films", tmp_path / "made" / "masks"
    folder.mkdir(parents=True)
    for number in range(8):
        Image.fromarray(np.eye(32, k=number, dtype=np.uint8) * 255).save(folder / f"{number}.png")
    arguments = [*TOY, "--dry-run"]
    arguments[2] = "folder:made/films"
    done = here(*arguments)
    said = " ".join(done.stderr.split())
    assert done.returncode == 2, said
    assert "its films have no masks, which toy needs: put them beside the films (masks/left_lung/)" in said
    assert "--label-by teacher" in said
    shutil.copytree(folder, masks)
    done = here(*arguments)
    said = " ".join(done.stderr.split())
    assert done.returncode == 2, said
    assert "masks lie one folder up: name the folder that holds both (--provider folder:made)" in said


def test_failed_cells_are_shown_and_the_exit_code_is_1(tmp_path, here):
    arguments = [*TOY]
    arguments[2] = PROVIDER.replace(":Toy", ":WrongShape")
    done = here(*arguments, "--out", "out")
    assert done.returncode == 1
    assert "masks of shape (8, 4, 32, 32), expected (8, 5, 32, 32)" in done.stderr
    assert "4 of 10 cells are missing" in done.stderr
    cells = json.loads((tmp_path / "out" / "results.json").read_text())["cells"]
    assert sorted({cell["status"] for cell in cells}) == ["done", "failed"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--provider", "tree_stage"], r"unknown provider 'tree_stage'. Did you mean three_stage"),
        (["run", "--provider", "noise", "--task", "scr"], "unknown task 'scr'"),
        (["run", "--provider", "noise", "--preset", "fast"], "unknown preset 'fast'"),
        (["run", "--provider", "noise", "--set", "blobs"], "expected key=value"),
        (["run", "--provider", "noise", "--split", "paper"], "unknown setting of scr_official 'split'"),
        (["run", "--provider", "noise", "--data", "nowhere"], "unknown dataset 'nowhere'"),
        (["run", "--provider", "noise", "--out", "/dev/null/x"], "expected a folder, found a file"),
        (["list", "provder"], "unknown kind 'provder'. Did you mean providers"),
        (["report", "nowhere"], "nowhere"),
        (["compare", "nowhere", "nothing"], "nowhere"),
        (["curve", "--task", "scr"], "unknown task 'scr'"),
        (["curve", "--task", "scr_official", "--data", "nowhere"], "unknown dataset 'nowhere'"),
        (["data", "show", "nowhere"], "unknown dataset 'nowhere'"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, message, tmp_path, here):
    done = here(*arguments)
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 2, done.stderr
    assert len(errors) == 1 and re.search(message, errors[0]), done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_package_that_cannot_be_imported_takes_nothing_with_it(tmp_path):
    """A broken provider and a broken command of another package: the others are listed and work."""
    info = tmp_path / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[cxrbench.providers]\nbroken = no_such_package:Thing\n[cxrbench.commands]\nbroken = no_such_package:app\n"
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = cxrbench("list", "providers", cwd=tmp_path, PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    assert "warning: the command broken is left out: cannot import" in done.stderr and "Traceback" not in done.stderr
    assert re.search(r"^  broken +cannot be used: .*no_such_package", done.stdout, re.MULTILINE), done.stdout
    assert re.search(r"^  noise ", done.stdout, re.MULTILINE)


TASKS = """
from cxrbench import Task

class Mine(Task):
    name, presets = "mine", {}

class NoTask:
    name = "no task"
"""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Mine", "Mine lacks version, needs, summary, default_data, primary, metrics, which every task says of itself"),
        ("NoTask", "expected a class derived from cxrbench's Task, found the class NoTask"),
    ],
)
def test_what_is_no_task_is_one_line(tmp_path, name, said, here):
    (tmp_path / "mine.py").write_text(TASKS)
    done = here("run", "--provider", "noise", "--task", f"{tmp_path / 'mine.py'}:{name}")
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert said in done.stderr


def test_a_module_of_the_folder_in_which_a_run_is_started_shadows_nothing(tmp_path):
    """A console script has its own folder on the path, not the one it is called in; so have the processes that it starts."""
    for name in ("random", "json", "torch"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('shadowed')\n")
    code = "from cxrbench.benchmark.cli import main; main()"
    command = [sys.executable, "-P", "-c", code, *TOY, "--arms", "real", "--out", "out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr


def test_a_full_disk_is_one_line(tmp_path):
    """/dev/full refuses every write with 'No space left on device', as a full disk does."""
    (tmp_path / "home" / "store").mkdir(parents=True)
    (tmp_path / "home" / "datasets").symlink_to("/dev/full")
    done = cxrbench(*TOY, cwd=tmp_path, CXRBENCH_HOME=str(tmp_path / "home"))
    assert done.returncode == 2, done.stderr
    assert "error: cannot write" in done.stderr and "Traceback" not in done.stderr


def test_ctrl_c_leaves_a_store_that_resumes(tmp_path, here):
    slow = [*CXRBENCH, *TOY, "--set", "task.seconds=1", "--jobs", "1"]
    process = subprocess.Popen(
        slow,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background shell starts it ignored
    )
    assert process.stderr is not None
    until_started = []
    for line in process.stderr:
        until_started.append(line)
        if ": started" in line and "fit" not in line:  # on a busy machine a short step may be over before it is said
            break
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=900)
    said = "".join(until_started) + rest
    assert process.returncode == 130, said
    assert "interrupted" in said and "Traceback" not in said
    again = here(*TOY, "--set", "task.seconds=1", "--out", "out")
    assert again.returncode == 0, again.stderr


def test_a_curve_is_trained_by_processes_of_their_own_and_a_run_takes_it(tmp_path, here):
    chests().save(tmp_path / "films")
    films = ("--data", str(tmp_path / "films"))
    words = ["curve", *TOY[3:], *films, "--sizes", "full,2", "--seeds", "2", "--json"]
    done = here(*words)
    assert done.returncode == 0, done.stderr
    assert {point["films"] for point in json.loads(done.stdout)["points"]} == {16, 2}
    run = here(*TOY, *films, "--seeds", "2", "--out", "out")
    assert run.returncode == 0, run.stderr
    assert "(2 in the store)" in run.stderr  # the placebos of the full size
    assert "curve: in the store, 2 seeds, chests" in run.stdout


BROKEN = {
    "Unseeded": ["same seed, same films", "save() and load() keep the provider"],  # both look at two samplings
    "Constant": ["other seed, other films"],
}


def test_check_passes_a_good_provider_and_names_what_a_bad_one_breaks(here):
    good = here("check", PROVIDER, "--json")
    assert good.returncode == 0, good.stderr
    assert all(row["holds"] for row in json.loads(good.stdout))
    for name, broken in BROKEN.items():
        bad = here("check", PROVIDER.replace(":Toy", f":{name}"), "--json")
        assert bad.returncode == 1
        assert [row["claim"] for row in json.loads(bad.stdout) if not row["holds"]] == broken


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ({"provider": "noise", "task": "toy", "data": "phantom"}, ""),
        ({"provider": "Swapped", "task": "toy", "data": "phantom"}, "has the results of Swapped on toy on phantom"),
        ({"provider": "noise", "task": "toy", "data": "mine"}, "has the results of noise on toy on mine"),
        (None, "has a results.json that is not of cxrbench"),
    ],
)
def test_results_of_another_run_are_not_replaced(tmp_path, there, said):
    named = None if there is None else {part: {"name": name} for part, name in there.items()}
    (tmp_path / "results.json").write_text(json.dumps(named))
    plan = SimpleNamespace(
        generator=object(),
        provider=SimpleNamespace(name="noise"),
        task=SimpleNamespace(name="toy"),
        data=SimpleNamespace(info=SimpleNamespace(name="phantom")),
    )
    if said:
        with pytest.raises(InputError, match=said):
            check_same_run(tmp_path, plan)
    else:
        check_same_run(tmp_path, plan)
        check_same_run(tmp_path / "new", plan)
