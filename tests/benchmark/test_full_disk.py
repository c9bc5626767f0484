"""A disk that takes nothing more, at any write: one line with the place and what to do, a store that stays sound, and a run
that goes on once there is room."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from cxrbench.benchmark import disk, files
from cxrbench.benchmark.cli import main
from cxrbench.benchmark.data import catalogue
from cxrbench.benchmark.data.phantom.dataset import phantom_dataset
from cxrbench.benchmark.errors import CxrbenchError, InputError, ProviderError
from cxrbench.benchmark.processes import Ended
from cxrbench.benchmark.runs import chains
from cxrbench.benchmark.runs.request import Request, execute, prepare
from cxrbench.benchmark.runs.store import Level, Store

TOYS = Path(__file__).parents[1] / "toys"
PROVIDER, TASK = f"{TOYS / 'toy_providers.py'}:Toy", f"{TOYS / 'toy_task.py'}:ToyTask"
ARMS = ("synthetic",)
CODES = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
ADVICE = "CXRBENCH_HOME"


def tables(home: Path) -> dict[str, object]:
    """The table of every cell that the store takes for a result, and that is sound."""
    store = Store(home / "store")
    keys = [path.name for path in (store.root / "records").glob("??/*") if not path.name.startswith(".")]
    assert all(store.sound(Level.RECORDS, key) for key in keys)
    return {key: store.record(key).table for key in keys}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict[str, object]:
    before, home = os.environ.get("CXRBENCH_HOME"), tmp_path_factory.mktemp("undisturbed")
    os.environ["CXRBENCH_HOME"] = str(home)
    try:
        list(execute(prepare(Request(provider=PROVIDER, task=TASK, device="cpu", arms=ARMS))))
    finally:
        os.environ.pop("CXRBENCH_HOME") if before is None else os.environ.update(CXRBENCH_HOME=before)
    return tables(home)


def command(*arguments: str, folder: Path, **options) -> subprocess.CompletedProcess[str]:
    """`cxrbench` in a process of its own."""
    words = [sys.executable, "-m", "cxrbench.benchmark.cli", *arguments]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, **options)


TOY = ("run", "--provider", PROVIDER, "--task", TASK, "--device", "cpu", "--jobs", "1", "--arms", *ARMS)


def error_lines(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The lines of an ending that went wrong as it should."""
    assert done.returncode in (1, 2), done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    lines = [line for line in done.stderr.splitlines() if line.startswith("error")]
    assert lines and all("cannot write" in line and ADVICE in line for line in lines), done.stderr
    return lines


# ------------------------------------------------------------------------------------------------- what is a disk's fault


@pytest.mark.parametrize("code", CODES)
def test_a_disks_error_is_known_itself_and_as_the_cause_of_another(code):
    bare = OSError(code, os.strerror(code), "/a/film.npy")
    line = disk.trouble(bare)
    assert "cannot write /a/film.npy" in line and os.strerror(code) in line and ADVICE in line and "TMPDIR" in line
    try:
        try:
            raise bare
        except OSError as error:
            raise ProviderError("provider x: save() raised OSError") from error
    except CxrbenchError as error:
        line = disk.trouble(error)
    assert line.startswith("provider x: save() raised OSError (") and disk.ADVICE[code] in line


@pytest.mark.parametrize(
    "error",
    [
        OSError("8192 requested and 4096 written"),
        RuntimeError(
            "[enforce fail at inline_container.cc:595] . PytorchStreamWriter failed writing file data/0: file write"
        ),
        RuntimeError('Error while serializing: I/O error: Os { code: 28, message: "No space left on device" }'),
        FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"),
    ],
)
def test_writers_that_say_it_in_words_alone_are_understood(error):
    assert "cannot write" in disk.trouble(error) and "\n" not in disk.trouble(error)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("8 classes requested and 3 given"),
        FileNotFoundError(errno.ENOENT, "No such file or directory", "x"),
        PermissionError(errno.EACCES, "Permission denied", "films.csv"),
        InputError("unknown task"),
    ],
)
def test_other_errors_are_not_a_disks(error):
    assert disk.trouble(error) == ""


def test_room_is_tried(tmp_path, monkeypatch):
    assert disk.takes_more(tmp_path) and list(tmp_path.iterdir()) == []
    assert not disk.takes_more(tmp_path, 1 << 60)
    (tmp_path / "file").write_text("")
    assert not disk.takes_more(tmp_path / "file" / "below")
    (tmp_path / "map.npy").write_bytes(b"")
    os.truncate(tmp_path / "map.npy", 1 << 42)
    with pytest.raises(InputError, match="cannot write"):
        disk.reserve(tmp_path / "map.npy")
    assert not (tmp_path / "map.npy").exists()


# ------------------------------------------------------------------------------------------------- the steps of a run


INJECT = """
import os, tempfile
from pathlib import Path
def full(path):
    place = os.environ.get("CXRBENCH_FULL_PLACE", "")
    if place and any(one in str(path) for one in place.split(";")):
        code = int(os.environ["CXRBENCH_FULL_CODE"])
        raise OSError(code, os.strerror(code), str(path))
made, text, content = tempfile.mkdtemp, Path.write_text, Path.write_bytes
def mkdtemp(suffix=None, prefix=None, dir=None):
    full(dir)
    return made(suffix, prefix, dir)
def write_text(self, *a, **k):
    full(self)
    return text(self, *a, **k)
def write_bytes(self, *a, **k):
    full(self)
    return content(self, *a, **k)
tempfile.mkdtemp, Path.write_text, Path.write_bytes = mkdtemp, write_text, write_bytes
"""
"""Put into this process, and into every process of its runs by the name `sitecustomize`."""


@pytest.fixture(scope="module")
def injected(tmp_path_factory) -> str:
    """A PYTHONPATH that injects."""
    folder = tmp_path_factory.mktemp("inject")
    (folder / "sitecustomize.py").write_text(INJECT)
    return os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))


@pytest.fixture
def fill(injected, monkeypatch) -> Callable[..., None]:
    """Say where nothing can be written from now on, and why."""
    monkeypatch.setenv("PYTHONPATH", injected)
    for owner, name in ((tempfile, "mkdtemp"), (Path, "write_text"), (Path, "write_bytes")):
        monkeypatch.setattr(owner, name, getattr(owner, name))  # to have it back
    exec(INJECT, {})

    def filled(place: str, code: int = errno.ENOSPC) -> None:
        monkeypatch.setenv("CXRBENCH_FULL_PLACE", place)
        monkeypatch.setenv("CXRBENCH_FULL_CODE", str(code))

    return filled


@pytest.mark.parametrize(
    ("place", "code"),
    [
        ("/store/records/", errno.ENOSPC),
        ("/store/fits/", errno.EDQUOT),
        ("/store/synthetic/", errno.EROFS),
        ("/datasets/", errno.ENOSPC),
        ("results.json", errno.ENOSPC),
        ("figures/films", errno.ENOSPC),
    ],
)
def test_a_full_disk_at_each_kind_of_write_is_one_line_and_the_run_goes_on_later(
    home, undisturbed, here, fill, place, code
):
    fill(place, code)
    done = here(*TOY)
    assert any(os.strerror(code) in line for line in error_lines(done))
    found = tables(home)
    assert {key: undisturbed[key] for key in found} == found
    fill("")
    done = here(*TOY)
    assert done.returncode == 0, done.stderr
    assert tables(home) == undisturbed


def test_what_only_helps_may_fail_to_be_written(home, undisturbed, here, fill):
    fill("timings.json;/progress/;/verified/")
    done = here(*TOY)
    assert done.returncode == 0, done.stderr
    assert tables(home) == undisturbed and list((home / "verified").glob("*")) == []


def test_a_limit_of_file_sizes_breaks_writes_in_their_middle(home, tmp_path, undisturbed, here):
    phantom_dataset(32)
    limit = 10_000  # bytes: below the films, above the outcome of a step
    limited = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (limit, limit))
    done = command(*TOY, folder=tmp_path, preexec_fn=limited)
    assert any("File too large" in line or "requested and" in line for line in error_lines(done))
    found = tables(home)
    assert {key: undisturbed[key] for key in found} == found
    assert list((home / "store").glob("*/??/.*")) == [], "no draft is left"
    done = here(*TOY)
    assert done.returncode == 0, done.stderr
    assert tables(home) == undisturbed


def test_an_outcome_that_cannot_be_written_names_the_temporary_folder(tmp_path):
    job = {"kind": "describe", "provider": PROVIDER, "name": "Toy"}
    order = json.dumps({"job": job, "outcome": "/proc/none/outcome.json"}) + "\n"
    words = [sys.executable, "-m", "cxrbench.benchmark.runs.worker"]
    pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(words, start_new_session=True, **pipes) as worker:
        worker.stdin.write(order)
        worker.stdin.flush()  # and stays open: a worker ends with its parent
        assert worker.wait(timeout=600) == chains.UNSAID
        assert "cannot write /proc/none" in worker.stderr.read()


def test_a_step_whose_outcome_cannot_be_written_is_not_blamed_on_the_provider(home, monkeypatch):
    prepared = prepare(Request(provider=PROVIDER, task=TASK, device="cpu", arms=ARMS, jobs=1))
    monkeypatch.setattr(chains.Apart, "give", lambda *_, **__: True)  # a step may be over before it is ended
    monkeypatch.setattr(chains.Apart, "wait", lambda self, _: (self.end(), Ended(chains.UNSAID, "", ""))[1])
    errors = {outcome.error for outcome in execute(prepared)}
    assert errors == {f"cannot write in {disk.temporary()}: free space there, or set TMPDIR"}


@pytest.mark.parametrize("code", CODES)
def test_no_space_for_temporary_files_is_the_outcome_of_a_step(home, monkeypatch, code):
    prepared = prepare(Request(provider=PROVIDER, task=TASK, device="cpu", arms=("real",)))

    def full(*_, **__):
        raise OSError(code, os.strerror(code), "scratch/job")

    monkeypatch.setattr(chains.tempfile, "TemporaryDirectory", full)
    outcomes = list(execute(prepared))
    assert outcomes and all("cannot write scratch/job" in one.error and "TMPDIR" in one.error for one in outcomes)


def test_no_step_is_begun_where_the_store_takes_nothing_more(home, monkeypatch):
    prepared = prepare(Request(provider=PROVIDER, task=TASK, device="cpu", jobs=1))
    begun = []

    def fails(step, limit):
        begun.append(step.label)
        return chains.Outcome(step.key, step.label, "cannot write x: No space left on device")

    monkeypatch.setattr(chains, "run_job", fails)
    monkeypatch.setattr(chains, "takes_more", lambda folder: False)
    list(execute(prepared))
    assert len(begun) == 1


# ------------------------------------------------------------------------------------------------- other commands


@pytest.fixture
def cxrbench(monkeypatch, capsys):
    """`main()` in this process: (exit code, the lines of standard error)."""

    def call(*arguments: object) -> tuple[int, list[str]]:
        monkeypatch.setattr(sys, "argv", ["cxrbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), capsys.readouterr().err.splitlines()

    return call


@pytest.mark.parametrize("code", CODES)
def test_an_import_into_a_full_home_leaves_the_old_dataset(home, tmp_path, monkeypatch, cxrbench, code):
    from PIL import Image

    rows = ["id,path,patient,split"]
    for number in range(4):
        Image.fromarray(np.full((16, 16), 40 * number, np.uint8)).save(tmp_path / f"{number}.png")
        rows.append(f"f{number},{number}.png,p{number},{'test' if number % 2 else 'train'}")
    (tmp_path / "films.csv").write_text("\n".join(rows))
    words = ("data", "import", "manifest", tmp_path / "films.csv", "--name", "mine", "--resolution", 16)
    assert cxrbench(*words)[0] == 0
    before = catalogue.find_dataset("mine").digest

    def full(path, *_, **__):
        Path(path).write_bytes(b"half")
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patched:
        patched.setattr(np, "save", full)
        number, lines = cxrbench(*words, "--force")
    assert number == 2
    (line,) = [line for line in lines if line.startswith("error")]
    assert "cannot write" in line and os.strerror(code) in line and ADVICE in line
    assert [path.name for path in (home / "datasets").iterdir()] == ["mine"]
    assert catalogue.find_dataset("mine").digest == before
    assert cxrbench(*words, "--force")[0] == 0


def test_an_error_that_no_command_caught_is_one_line_too(tmp_path, monkeypatch, cxrbench):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/full/sheet.png")

    monkeypatch.setattr(catalogue, "list_datasets", full)
    number, lines = cxrbench("data", "list")
    assert number == 2 and len(lines) == 1 and lines[0].startswith("error: cannot write /full/sheet.png: No space left")


def test_memory_that_nobody_has_is_one_line(monkeypatch, cxrbench):
    def large(*_, **__):
        return np.empty((1 << 20, 1 << 20, 1 << 10), np.uint8)

    monkeypatch.setattr(catalogue, "list_datasets", large)
    number, lines = cxrbench("data", "list")
    assert number == 2 and len(lines) == 1
    assert (
        lines[0].startswith("error: not enough memory: Unable to allocate 1.00 PiB") and "fewer or smaller" in lines[0]
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_output_into_a_full_disk_is_one_line(tmp_path):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "cxrbench.benchmark.cli", "list", "presets"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "No space left on device" in done.stderr


def test_a_reader_that_is_gone_is_not_told(tmp_path):
    command = f"'{sys.executable}' -m cxrbench.benchmark.cli list presets | true"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_a_home_without_the_right_to_write_is_one_line(home, monkeypatch, cxrbench):
    def denied(*_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "x")

    monkeypatch.setattr(files.Path, "mkdir", denied)
    number, lines = cxrbench("run", "--provider", PROVIDER, "--task", TASK)
    assert (
        number == 2
        and "Permission denied" in lines[-1]
        and "no right to write there" in lines[-1]
        and ADVICE in lines[-1]
    )


# ------------------------------------------------------------------------------------------------- a real one


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A disk of 700 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=700k", "none", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("may not mount")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=False)


def test_a_run_on_a_small_disk_goes_on_when_it_has_grown(small_disk, tmp_path, monkeypatch, undisturbed, here):
    monkeypatch.setenv("CXRBENCH_HOME", str(small_disk))
    phantom_dataset(32)
    error_lines(command(*TOY, folder=tmp_path))
    found = tables(small_disk)
    assert {key: undisturbed[key] for key in found} == found and len(found) < len(undisturbed)
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    done = here(*TOY)
    assert done.returncode == 0, done.stderr
    assert tables(small_disk) == undisturbed
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    done = here(*TOY)
    assert done.returncode == 0, "nothing is to be done, and nothing to be written but the run's folder"


def test_more_synthetic_films_than_the_disk_has_room_for_are_refused_before_work_begins(monkeypatch):
    toy = Request(provider=PROVIDER, task=TASK, arms=ARMS)
    with pytest.raises(
        InputError, match=r"^1,000,000,000,000,000 synthetic films of 32 x 32 pixels take .* GB free; ask"
    ):
        prepare(replace(toy, overrides=("task.films=1e15",)))
    usage = type("Usage", (), {"free": 8 * 32 * 32})
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda place: usage)
    prepare(replace(toy, overrides=("task.films=8",)))
    with pytest.raises(InputError, match=r"^9 synthetic films of 32 x 32 pixels"):
        prepare(replace(toy, overrides=("task.films=9",)))
