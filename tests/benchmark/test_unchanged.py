"""A change of a kept dataset that nobody declared is one line before a run, and never the old results; a cheap look is
enough while the files are as they were."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from cxrbench.benchmark import digest
from cxrbench.benchmark.cli.data import app
from cxrbench.benchmark.data import catalogue, unchanged
from cxrbench.benchmark.data.dataset import Dataset, read_info
from cxrbench.benchmark.data.phantom.dataset import phantom_dataset
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.runs import chains
from cxrbench.benchmark.runs.request import Request, execute, prepare
from cxrbench.benchmark.runs.store import Level

TOYS = Path(__file__).parents[1] / "toys"
FILES = ("images.npy", "masks.npy", "cases.parquet")


@pytest.fixture
def mine(home) -> Path:
    """A kept dataset of films at 32 pixels, old enough to be trusted after one look."""
    films = phantom_dataset(32)
    films = replace(films, info=films.info.changed(name="mine", provenance="of a test"))
    folder = catalogue.keep(films).folder
    assert folder is not None
    grow_old(folder)
    return folder


def grow_old(folder: Path) -> None:
    """As if the last change were long ago: what is kept of a file's state holds from now on."""
    for path in folder.iterdir():
        os.utime(path, (1e9, 1e9))


@pytest.fixture(autouse=True)
def no_file_is_young(monkeypatch):
    monkeypatch.setattr(unchanged, "YOUNG", 0.0)


def flip(path: Path, bit: int = 0) -> None:
    """One bit in the middle, in place; size and time of change stay."""
    before = path.stat()
    with path.open("r+b") as handle:
        handle.seek(before.st_size // 2)
        value = handle.read(1)[0]
        handle.seek(before.st_size // 2)
        handle.write(bytes([value ^ (1 << bit)]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def correct(folder: Path) -> None:
    """A mask is mended: its film gets one heart pixel less or more."""
    path, old = folder / "masks.npy", (folder / "masks.npy").stat().st_size
    content = bytearray(path.read_bytes())
    content[-40] ^= 4
    path.write_bytes(content)
    assert path.stat().st_size == old


@pytest.fixture
def read(monkeypatch) -> list[str]:
    """Names of the files that are read for a digest."""
    found: list[str] = []
    whole = digest.of_file
    monkeypatch.setattr(digest, "of_file", lambda path: (found.append(path.name), whole(path))[1])
    return found


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("looked", [False, True])
def test_one_flipped_bit_is_found_before_and_after_a_first_look(mine, name, looked):
    if looked:
        assert len(catalogue.find_dataset("mine")) == 247
    flip(mine / name)
    with pytest.raises(InputError, match=rf"{name} .* is not as it was imported; .*--force.*data accept mine") as error:
        catalogue.find_dataset("mine")
    assert "\n" not in str(error.value)


def test_what_is_as_it_was_is_not_read_again(mine, read):
    catalogue.find_dataset("mine")
    assert sorted(read) == sorted(["dataset.json", *FILES])
    read.clear()
    catalogue.find_dataset("mine")
    assert read == ["dataset.json"]
    os.utime(mine / "masks.npy")  # touched, not changed
    read.clear()
    catalogue.find_dataset("mine")
    assert sorted(read) == ["dataset.json", "masks.npy"]


def test_a_file_that_changed_just_now_is_read_again(mine, read, monkeypatch):
    monkeypatch.setattr(unchanged, "YOUNG", 3600.0)
    catalogue.find_dataset("mine")
    read.clear()
    catalogue.find_dataset("mine")
    assert set(FILES) <= set(read)


def test_verify_reads_everything_and_finds_what_no_time_shows(mine, read, monkeypatch):
    frozen = {name: [(mine / name).stat().st_size, 1, 1, 7] for name in FILES}
    monkeypatch.setattr(unchanged, "_state", lambda folder, name: frozen[name])
    catalogue.find_dataset("mine")
    flip(mine / "images.npy")
    assert len(catalogue.find_dataset("mine")) == 247  # the documented limit
    with pytest.raises(InputError, match=r"images\.npy"):
        catalogue.find_dataset("mine", verify=True)


@pytest.mark.parametrize("kept", [b"", b"[]", b"{}", b'{"folder": 1, "files": 2}', b"\xff"])
def test_what_was_kept_of_a_look_may_be_damaged(mine, read, kept):
    catalogue.find_dataset("mine")
    (file,) = (mine.parents[1] / "verified").iterdir()
    file.write_bytes(kept)
    read.clear()
    catalogue.find_dataset("mine")
    assert set(FILES) <= set(read)


def test_a_home_that_cannot_be_written_is_looked_through_every_time(mine, read, monkeypatch):
    def full(*_):
        raise InputError("cannot write")

    monkeypatch.setattr(unchanged, "write_text", full)
    for _ in range(2):
        read.clear()
        catalogue.find_dataset("mine")
        assert set(FILES) <= set(read)


def test_a_dataset_json_that_describes_other_files_is_refused(mine):
    """File digests are mended by hand, the digest of the content that stands in keys is not."""
    catalogue.find_dataset("mine")
    correct(mine)
    said = json.loads((mine / "dataset.json").read_text())
    said["files"]["masks.npy"] = digest.of_file(mine / "masks.npy")
    (mine / "dataset.json").write_text(json.dumps(said))
    with pytest.raises(InputError, match=r"dataset\.json .*digest of the content.* is not as it was imported"):
        catalogue.find_dataset("mine")


def test_a_missing_file_says_what_to_do(mine):
    (mine / "masks.npy").unlink()
    with pytest.raises(InputError, match=r"masks\.npy is missing; put it back, or import again with --force"):
        catalogue.find_dataset("mine")


def keys(data: str) -> set[str]:
    return {cell.key for cell in prepare(toy(data)).plan.cells}


def toy(data: str) -> Request:
    files = {"provider": TOYS / "toy_providers.py", "task": TOYS / "toy_task.py"}
    return Request(provider=f"{files['provider']}:Toy", task=f"{files['task']}:ToyTask", data=data, device="cpu")


def test_a_corrected_mask_is_accepted_under_another_digest(mine):
    before, old = keys("mine"), read_info(mine)
    correct(mine)
    with pytest.raises(InputError, match="data accept mine"):
        keys("mine")
    result = CliRunner().invoke(app, ["accept", "mine"], catch_exceptions=False)
    assert result.exit_code == 0 and "masks.npy accepted" in result.output
    new = read_info(mine)
    assert new.digest != old.digest and new.truth != old.truth
    assert new.provenance == "of a test; changed by hand: masks.npy"
    assert not keys("mine") & before
    again = CliRunner().invoke(app, ["accept", "mine"], catch_exceptions=False)
    assert "nothing was changed" in again.output and read_info(mine) == new
    flip(mine / "images.npy")
    CliRunner().invoke(app, ["accept", "mine", "--json"], catch_exceptions=False)
    assert read_info(mine).provenance == "of a test; changed by hand: images.npy, masks.npy"


def test_the_digest_of_an_accepted_dataset_is_that_of_its_content(mine, tmp_path):
    correct(mine)
    loaded, changed = unchanged.accept(mine)
    assert changed == ["masks.npy"]
    same = Dataset(loaded.info.changed(), loaded.images, loaded.cases, loaded.masks)
    assert same.save(tmp_path / "same").digest == loaded.digest


@pytest.mark.parametrize("wrong", ["id", "shape", "bits"])
def test_files_that_are_no_dataset_are_not_accepted(mine, wrong):
    before = (mine / "dataset.json").read_bytes()
    if wrong == "bits":
        content = bytearray((mine / "masks.npy").read_bytes())
        content[-1] = 0b1000_0000
        (mine / "masks.npy").write_bytes(content)
    elif wrong == "shape":
        (mine / "masks.npy").write_bytes((mine / "masks.npy").read_bytes()[:-7])
    else:
        cases = pd.read_parquet(mine / "cases.parquet")
        cases["id"] = "same"
        cases.to_parquet(mine / "cases.parquet", index=False)
    with pytest.raises(InputError):
        unchanged.accept(mine)
    assert (mine / "dataset.json").read_bytes() == before


def test_films_that_are_changed_while_a_run_works_leave_no_result(mine, monkeypatch):
    prepared = prepare(toy("mine"))
    job = chains.run_job

    def work(step, limit):
        outcome = job(step, limit)
        if step.label == "real tiny":
            correct(mine)
            state = prepared.store.checkpoints(step.key)  # as a long training leaves it that was killed
            state.mkdir(parents=True)
        return outcome

    monkeypatch.setattr(chains, "run_job", work)
    prepared = replace(prepared, jobs=1)
    outcomes = list(execute(prepared))
    failed = {outcome.label: outcome.error for outcome in outcomes if outcome.error}
    assert "real tiny" in failed and "masks.npy" in failed["real tiny"]
    step = next(step for step in prepared.schedule.steps if step.label == "real tiny")
    assert not prepared.store.sound(Level.RECORDS, step.key)
    assert not prepared.store.checkpoints(step.key).exists(), "a training would go on from films that were changed"
    for outcome in outcomes[outcomes.index(next(one for one in outcomes if one.label == "real tiny")) :]:
        assert outcome.error, "what comes after it is not begun"


def test_films_that_are_accepted_while_a_run_works_are_not_taken_for_the_planned_ones(mine):
    prepared = prepare(toy("mine"))
    correct(mine)
    unchanged.accept(mine)
    outcomes = list(execute(prepared))
    assert outcomes and all("other films than when the run was planned" in outcome.error for outcome in outcomes)
    assert not list((prepared.store.root / "records").glob("??/*"))


def test_a_step_reads_no_file_of_the_films_again(mine, read):
    prepared = prepare(toy("mine"))
    read.clear()
    assert not any(outcome.error for outcome in execute(prepared))
    assert not set(FILES) & {name for name in read if name != "cases.parquet"}
