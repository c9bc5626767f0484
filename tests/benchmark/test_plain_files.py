"""What stands where a file or a folder of a home is expected: told in one line or made again, and never waited for."""

from __future__ import annotations

import errno
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cxrbench.benchmark.cli import program
from cxrbench.benchmark.cli.run import check_writable
from cxrbench.benchmark.data.catalogue import find_dataset, list_datasets
from cxrbench.benchmark.data.phantom.dataset import phantom_dataset
from cxrbench.benchmark.errors import InputError, StoreError
from cxrbench.benchmark.plain_files import FILE, FOLDER, NOTHING, kind_of, odd_below, odd_of, read_plain, remove_odd
from cxrbench.benchmark.results.folder import load_plots, load_run, load_scores
from cxrbench.benchmark.runs import own_store
from cxrbench.benchmark.runs.kept import Kind, contents
from cxrbench.benchmark.runs.lock import alone, working
from cxrbench.benchmark.runs.own_store import OwnStore, home_store
from cxrbench.benchmark.runs.record import Failure
from cxrbench.benchmark.runs.request import Prepared, Request, execute, prepare
from cxrbench.benchmark.runs.store import Level
from cxrbench.benchmark.runs.timings import Timings

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without named pipes")
KEY = "ab" * 32
TOYS = Path(__file__).parents[1] / "toys"


@pytest.fixture(autouse=True)
def no_hang() -> Iterator[None]:
    """A pipe that is opened ends the test instead of keeping it."""

    def ends(*_: object) -> None:
        raise AssertionError("a pipe was waited for")

    before = signal.signal(signal.SIGALRM, ends)
    signal.alarm(300)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def cleared(path: Path) -> Path:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def pipe(path: Path) -> None:
    os.mkfifo(cleared(path))


def file(path: Path) -> None:
    cleared(path).write_text("x")


def astray(path: Path) -> None:
    cleared(path).symlink_to(path.with_name("nowhere"))


KINDS = {pipe: "a pipe", file: "a file", astray: "a link that leads nowhere"}


@pytest.fixture
def store(home) -> OwnStore:
    store = home_store()
    for level in Level:
        with store.adding(level, KEY) as draft:
            (draft / "made.txt").write_text("made")
    return store


def test_what_a_path_leads_to_is_told_in_words(tmp_path):
    assert kind_of(tmp_path) == FOLDER and kind_of(tmp_path / "none") == NOTHING
    for make, words in KINDS.items():
        make(tmp_path / "there")
        assert kind_of(tmp_path / "there") == words
    (tmp_path / "link").symlink_to(tmp_path)
    assert kind_of(tmp_path / "link") == FOLDER


def test_files_alone_are_read(tmp_path):
    file(tmp_path / "a")
    assert read_plain(tmp_path / "a") == b"x"
    with pytest.raises(FileNotFoundError):
        read_plain(tmp_path / "none")
    pipe(tmp_path / "b")
    for odd, words in ((tmp_path / "b", "a pipe"), (tmp_path, "a folder")):
        with pytest.raises(OSError, match=f"expected a file, found {words}"):
            read_plain(odd)


def test_a_pipe_is_found_however_deep_and_links_to_files_and_folders_are_none(tmp_path):
    file(tmp_path / "a" / "b" / "c")
    (tmp_path / "a" / "to_file").symlink_to(tmp_path / "a" / "b" / "c")
    (tmp_path / "a" / "b" / "to_folder").symlink_to(tmp_path)
    assert odd_below(tmp_path) is None
    pipe(tmp_path / "a" / "b" / "d")
    assert odd_below(tmp_path) == tmp_path / "a" / "b" / "d"


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("place", [".", "store", "store/records", "store/fits/ab", "store/progress"])
def test_what_stands_in_place_of_a_folder_is_one_line_before_any_work(home, store, make, place):
    make(home / place)
    said = f"{home / place}: expected a folder, found {KINDS[make]}; move it away"
    with pytest.raises(InputError) as error:
        home_store()
    assert str(error.value).startswith(said)
    with pytest.raises(InputError) as error, working(store.root):
        pass
    assert str(error.value).startswith(said)


def test_a_lock_that_is_a_pipe_is_one_line(home, store):
    pipe(store.root / ".lock")
    for lock in (working, alone):
        with pytest.raises(InputError, match=r"\.lock: expected a file, found a pipe; remove it"), lock(store.root):
            pass


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("level", Level)
def test_an_entry_that_is_no_folder_is_not_there_and_can_be_made_again(store, make, level):
    make(store.path(level, KEY))
    shown = [entry for entry in contents(store) if entry.kind is Kind.DRAFTS]
    assert [entry.about for entry in shown] == [f"{KINDS[make]} in place of an entry of {level.value}"]
    assert not store.sound(level, KEY)
    with store.adding(level, KEY) as draft:
        (draft / "made.txt").write_text("again")
    assert store.sound(level, KEY)


@pytest.mark.parametrize("name", ["entry.json", "made.txt", "besides"])
@pytest.mark.parametrize("make", [pipe, astray])
def test_an_entry_with_what_is_no_file_is_damaged(store, make, name):
    make(store.path(Level.RECORDS, KEY) / name)
    assert not store.sound(Level.RECORDS, KEY)
    assert not store.path(Level.RECORDS, KEY).exists()


def test_what_is_read_of_an_entry_with_a_pipe_is_one_line(store):
    reads: dict[Level, tuple[str, list[Callable[[str], object]]]] = {
        Level.RECORDS: ("record.json", [store.record, store.scores, store.predictions]),
        Level.FITS: ("fit.json", [store.fit]),
        Level.SYNTHETIC: ("synthetic.json", [store.sampled, store.synthetic]),
    }
    for level, (name, calls) in reads.items():
        pipe(store.path(level, KEY) / name)
        for call in calls:
            with pytest.raises(StoreError, match=f"{name}: expected .*, found a pipe; run it again"):
                call(KEY)
    (record,) = [entry for entry in contents(store) if entry.kind is Kind.RECORDS]
    assert record.about.startswith("cannot be read: ")


def test_what_is_kept_beside_results_costs_nothing_where_it_is_a_pipe(home, store):
    pipe(home / "timings.json")
    assert Timings.read(home / "timings.json").seconds == {}
    store.fail(Failure(key=KEY, step="real full", message="no luck", created="2026-01-01T00:00:00Z"))
    pipe(store.root / "failures" / f"{KEY}.json")
    assert store.failure(KEY) is None
    for name in ("images.npy", "dataset.json"):
        phantom_dataset(32).select(range(4), name="four").save(home / "datasets" / "four")
        pipe(home / "datasets" / "four" / name)
        (four,) = [entry for entry in list_datasets() if entry.name == "four"]
        assert "expected a file, found a pipe" in four.about
        shutil.rmtree(home / "datasets" / "four")


def test_a_run_whose_folder_has_a_pipe_is_one_line(tmp_path):
    for name in ("results.json", "tables/scores.parquet", "tables/plots.json"):
        pipe(tmp_path / name)
    with pytest.raises(InputError, match=r"no results\.json here"):
        load_run(tmp_path)
    with pytest.raises(InputError, match=r"scores\.parquet: .*expected a file, found a pipe"):
        load_scores(tmp_path)
    assert load_plots(tmp_path) == []


def test_what_has_another_kind_is_removed_and_what_is_right_stays(tmp_path):
    file(tmp_path / "a" / "b")
    remove_odd(tmp_path / "a", FOLDER)
    remove_odd(tmp_path / "a" / "b", FILE)
    remove_odd(tmp_path / "none", FILE)
    assert odd_of(tmp_path / "a", FOLDER) is None and (tmp_path / "a" / "b").is_file()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    remove_odd(tmp_path / "link", FILE)
    assert not (tmp_path / "link").is_symlink() and (tmp_path / "a" / "b").is_file()
    remove_odd(tmp_path / "a", FILE)
    assert not (tmp_path / "a").exists()


def test_a_catalogue_that_is_no_folder_is_one_line(home):
    pipe(home / "datasets")
    with pytest.raises(InputError, match="datasets: expected a folder, found a pipe"):
        list_datasets()


def test_a_dataset_with_a_pipe_is_one_line(tmp_path):
    phantom_dataset(32).select(range(4), name="four").save(tmp_path / "four")
    pipe(tmp_path / "four" / "cases.parquet")
    with pytest.raises(InputError, match=r"four: cases\.parquet: expected a file, found a pipe; import again"):
        find_dataset(tmp_path / "four")


def test_names_that_are_no_utf8_are_one_line_before_any_work(tmp_path, monkeypatch, capsys):
    odd = tmp_path / os.fsdecode(b"r\xff")
    said = r"r\?.*: not UTF-8"
    with pytest.raises(InputError, match=said):
        check_writable(odd)
    with monkeypatch.context() as patch, pytest.raises(InputError, match=said):
        patch.setenv("CXRBENCH_HOME", str(odd))
        home_store()
    monkeypatch.setattr("sys.argv", ["cxrbench", "store", "list", "--runs", str(odd)])
    with pytest.raises(SystemExit) as ended:
        program.main()
    assert ended.value.code == 2 and "not UTF-8" in capsys.readouterr().err


def denied(path: Path) -> str:
    raise PermissionError(errno.EACCES, "Permission denied", str(path))


def test_a_store_that_may_not_be_read_is_one_line_and_not_an_empty_one(store, monkeypatch):
    monkeypatch.setattr(own_store, "kind_of", denied)
    with pytest.raises(InputError, match=r"cannot read .*: Permission denied"):
        home_store()
    monkeypatch.setattr(Path, "is_dir", lambda path: denied(path))
    with pytest.raises(StoreError, match=f"cannot read .*{KEY}: Permission denied"):
        store.sound(Level.RECORDS, KEY)


def test_a_folder_that_may_not_be_read_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(program, "app", lambda: denied(tmp_path))
    monkeypatch.setattr("sys.argv", ["cxrbench"])
    with pytest.raises(SystemExit) as ended:
        program.main()
    assert ended.value.code == 2 and f"error: {tmp_path}: Permission denied; see who may" in capsys.readouterr().err


def run() -> tuple[Prepared, list[str]]:
    task, provider = f"{TOYS / 'toy_task.py'}:ToyTask", f"{TOYS / 'toy_providers.py'}:Toy"
    request = Request(provider=provider, task=task, device="cpu", sizes=("tiny",), arms=("real", "synthetic"))
    prepared = prepare(request)
    return prepared, [outcome.error for outcome in execute(prepared)]


def test_a_run_makes_again_what_pipes_and_folders_stand_in_for_and_steps_do_not_wait_for_them(home):
    prepared, _ = run()
    store = prepared.store
    numbers = {cell.key: store.record(cell.key).table for cell in prepared.plan.cells}
    for step in prepared.schedule.steps:
        pipe(store.path(step.level, step.key) / "entry.json")
        pipe(store.checkpoints(step.key) / "a.safetensors")
        pipe(store.progress(step.key))
        (store.root / "failures" / f"{step.key}.json").mkdir(parents=True)
    for fit in {str(cell.fit_key) for cell in prepared.plan.cells if cell.fit_key}:
        pipe(store.path(Level.FITS, fit) / "fit.json")
    again, errors = run()
    assert len(errors) == len(prepared.schedule.steps) and not any(errors)
    assert {cell.key: store.record(cell.key).table for cell in again.plan.cells} == numbers
