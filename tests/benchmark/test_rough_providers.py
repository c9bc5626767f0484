"""What providers do to the films, the process and the terminal around them costs nothing but a line."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cxrbench.benchmark.errors import one_line
from cxrbench.benchmark.home import home
from cxrbench.benchmark.processes import TAIL, Apart
from cxrbench.benchmark.runs.request import Prepared, Request, execute, prepare
from cxrbench.benchmark.runs.store import Level

TOYS = Path(__file__).parents[1] / "toys"
TASK = f"{TOYS / 'toy_task.py'}:ToyTask"
SECONDS = 300  # after which a test gives up on a process, on a machine however busy


def run(provider: str, **values) -> tuple[Prepared, list[str]]:
    """A run of the synthetic arm, and the errors of its steps."""
    spec = provider if ":" in provider else f"{TOYS / 'rough_providers.py'}:{provider}"
    prepared = prepare(Request(provider=spec, task=TASK, device="cpu", arms=("synthetic",), **values))
    return prepared, [outcome.error for outcome in execute(prepared) if outcome.error]


def checks(prepared: Prepared) -> dict:
    (cell, *_) = prepared.plan.cells
    return prepared.store.record(cell.key).checks


def processes(words: str) -> list[str]:
    found = subprocess.run(["ps", "-ww", "-eo", "stat=,args="], capture_output=True, text=True, check=True).stdout
    return [line for line in found.splitlines() if words in line and not line.startswith("Z")]


# ------------------------------------------------------------------------------- provider and judge are apart


def test_a_training_set_that_is_written_is_a_line_that_says_what_to_do():
    _, errors = run("InPlace")
    assert errors and "assignment destination is read-only; a training set is read-only: change a copy" in errors[0]
    assert "(rough_providers.py line 4" in errors[0]


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> dict:
    """What the checks say of copies that leave their training set alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CXRBENCH_HOME", str(tmp_path_factory.mktemp("plain")))
        return checks(run("Copies")[0])


@pytest.mark.parametrize("provider", ["InPlaceByTorch", "OtherTable"])
def test_copies_are_seen_whatever_was_done_to_the_training_set(provider, plain):
    prepared, errors = run(provider)
    assert errors == []
    found = checks(prepared)
    assert found["near_train"]["copies"] == plain["near_train"]["copies"] == 8
    for where in ("near_train", "near_test"):
        unnamed = [
            some[where] | {"nearest": [[real, distance] for _, real, distance in some[where]["nearest"]]}
            for some in (found, plain)
        ]
        assert unnamed[0] == unnamed[1]


def test_sampling_that_cannot_be_repeated_is_noticed(plain):
    unsteady = checks(run(f"{TOYS / 'toy_providers.py'}:Unseeded")[0])
    assert "sampled twice with one seed, it gave different films" in unsteady["noticed"]
    assert "sampled twice" not in plain.get("noticed", "")


# ------------------------------------------------------------------------------- processes


def test_a_folder_of_its_own_and_a_relative_home_change_nothing(tmp_path):
    code = (
        "from cxrbench.benchmark.runs.request import *\n"
        f"done = list(execute(prepare(Request(provider={str(TOYS / 'rough_providers.py') + ':OtherFolder'!r}, "
        f"task={TASK!r}, device='cpu', arms=('synthetic',)))))\n"
        "assert done and not any(one.error for one in done), done\n"
    )
    environment = os.environ | {"CXRBENCH_HOME": "kept/here"}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True, timeout=SECONDS)
    assert list((tmp_path / "kept" / "here" / "store" / "records").rglob("record.json"))
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_home_is_meant_from_where_the_program_was_started(monkeypatch, tmp_path):
    monkeypatch.setenv("CXRBENCH_HOME", "kept")
    before = home()
    monkeypatch.chdir(tmp_path)
    assert home() == before and before.is_absolute()


@pytest.mark.parametrize("provider", ["Reads", "PrintsMuch"])
def test_standard_input_and_output_are_its_own(provider):
    assert run(provider)[1] == []


def test_what_a_provider_has_left_behind_is_ended():
    assert run("LeavesProcess")[1] == []
    assert processes("sleep 7531") == []


def test_a_provider_that_holds_the_interpreter_ends_with_its_parent():
    spec = f"{TOYS / 'rough_providers.py'}:HoldsInterpreter"
    code = (
        "from cxrbench.benchmark.runs.request import *\n"
        f"list(execute(prepare(Request(provider={spec!r}, task={TASK!r}, device='cpu', arms=('synthetic',)))))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    deadline = time.monotonic() + SECONDS
    while not (home() / "held").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    running = subprocess.run(["ps", "-o", "pid=", "--ppid", str(parent.pid)], capture_output=True, text=True).stdout
    workers = [int(pid) for pid in running.split()]
    time.sleep(0.5)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    while (left := [pid for pid in workers if Path(f"/proc/{pid}").exists() and not zombie(pid)]) and (
        time.monotonic() < deadline
    ):
        time.sleep(0.2)
    assert workers and not left


def zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_the_end_of_what_was_printed_is_kept_and_no_more():
    code = "import sys\nfor _ in range(200): sys.stdout.write('x' * 100_000)\nprint('the end')"
    ended = Apart([sys.executable, "-c", code], environment=os.environ).wait(SECONDS)
    assert ended.code == 0 and len(ended.output) == TAIL and ended.output.endswith("the end\n")


def test_a_program_below_a_process_that_is_stopped_ends_with_it():
    inner = "import time; time.sleep(7533)"
    code = (
        "import os, sys, time\nfrom cxrbench.benchmark.processes import Apart\n"
        f"Apart([sys.executable, '-c', {inner!r}], environment=os.environ)\nprint('on', flush=True)\ntime.sleep(7532)"
    )
    outer = Apart([sys.executable, "-c", code], environment=os.environ)
    deadline = time.monotonic() + SECONDS
    while not processes("time.sleep(7533)") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert outer.wait(0.1).code is None
    while processes("sleep(7533)") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes("sleep(7533)") == []


# ------------------------------------------------------------------------------- words


@pytest.mark.parametrize("provider", ["RaisesMuch", "CannotSay"])
def test_an_error_is_one_line_that_can_be_shown_and_kept(provider):
    prepared, errors = run(provider)
    assert errors and all(len(error) < 700 and error.isprintable() for error in errors)
    if provider == "RaisesMuch":
        assert "RuntimeError: red ?half long" in errors[0] and "the end" in errors[0]
    (cell, *_) = prepared.plan.cells
    failure = prepared.store.failure(cell.key)
    assert failure is not None and len(failure.model_dump_json()) < 40_000
    assert not prepared.store.sound(Level.RECORDS, cell.key)


@pytest.mark.parametrize(
    ("provider", "words"),
    [
        ("SaysMuch", r"facts\(\) and trained_on\(\) said 20,\d{3},\d{3} bytes of themselves"),
        ("NamesMuch", r"facts\(\) and trained_on\(\) said 20,\d{3},\d{3} bytes of themselves"),
        ("SaysEscapes", r"gave a text with what cannot be shown .*: red line$"),
        ("SaysHalf", r"holds half a character"),
        ("WeightsOfEscapes", r"weights_used .* cannot be shown .*: red$"),
    ],
)
def test_what_a_provider_says_of_itself_is_short_and_can_be_shown(provider, words):
    prepared, errors = run(provider)
    assert errors and all(re.search(f"^provider {provider}: .*{words}", error) for error in errors)
    kept = sum(path.stat().st_size for path in prepared.store.root.rglob("*") if path.is_file())
    assert kept < 1 << 20 and not list((prepared.store.root / "synthetic").glob("??/[!.]*"))


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("two\nlines\r\n and\ttabs", "two lines and tabs"),
        ("\x1b[1;31mred\x1b[0m \x1b]0;title\x07plain", "red plain"),
        ("half \udc80", "half ?"),
        ("nul\x00bell\x07", "nul bell"),
        ("right to left \u202e", "right to left"),
        (ValueError("of an error"), "of an error"),
        ("", ""),
    ],
)
def test_words_of_others_become_one_line(said, line):
    assert one_line(said) == line


def test_long_words_are_cut_in_the_middle():
    line = one_line("begin " + "x" * 10_000 + " end", 100)
    assert len(line) == 100 and line.startswith("begin") and line.endswith(" end") and " ... " in line
