"""`cxrbench regress --update`: when a kept number or fingerprint may move, and when not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.registry import find_task
from cxrbench.leaderboard.regression import fingerprints, renewal
from cxrbench.leaderboard.regression.fingerprints import KeptFingerprint, read_fingerprints, tolerances
from cxrbench.leaderboard.regression.numbers import Kept, read_kept, write_kept
from cxrbench.leaderboard.regression.renewal import Changelog, renew, renew_fingerprints
from cxrbench.leaderboard.regression.take import Fingerprint, take, take_all

from .sample_entry import FOLDER, copy_numbers, make_entry, sample_sources


@pytest.fixture(scope="module")
def entries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sample's entry on `scr_official`: REAL and a provider's arm."""
    return make_entry(tmp_path_factory.mktemp("entries"), tasks=("scr_official",)).parent


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    """A folder with the committed numbers of that entry."""
    return copy_numbers("scr_official", tmp_path / "numbers")


def shifted(kept: Kept, by: float, **changed) -> Kept:
    """The numbers as if every value had been larger by so many of its tolerances."""
    found = []
    for number in kept.numbers:
        step = by * (number.tolerance or 1.0)
        values = [value + step for value in number.values]
        update = {"values": values, "mean": float(np.mean(values)), "anchor": number.anchor + step}
        found.append(number.model_copy(update=update))
    return kept.model_copy(update={"numbers": found} | changed)


def changelog(folder: Path, text: str) -> Path:
    path = folder / "CHANGELOG.md"
    path.write_text(f"# Changelog\n\n## 0.1.0\n\n- Baselines `vae`.\n{text}\n", encoding="utf-8")
    return path


# ------------------------------------------------------------------------------------------------ when numbers may move


def test_an_update_of_what_did_not_move_writes_nothing(numbers, entries, tmp_path):
    before = {path: path.read_bytes() for path in numbers.iterdir()}
    assert renew(numbers, entries, [], tmp_path / "none.md", "again", sample_sources()) == []
    assert {path: path.read_bytes() for path in numbers.iterdir()} == before


def old_numbers(numbers: Path, name: str, by: float, **changed) -> Kept:
    """Make a kept file one that the entry's numbers have moved away from."""
    old = shifted(read_kept(numbers)[name], by, **changed)
    write_kept(numbers, old)
    return old


NOW = find_task("scr_official").load().version
OLD = NOW - 1
REAL_LINE = f"- Numbers: `scr_official` v{NOW}: lungs are\n  painted last."
PROVIDER_LINE = f"- Numbers: `copy_train` on `scr_official` v{NOW} moved: films are drawn without repeats."


@pytest.mark.parametrize(
    ("name", "kept_version", "line", "allowed"),
    [
        ("real", NOW, "", False),
        ("real", NOW, REAL_LINE, False),  # a line alone does not move the protocol's own numbers
        ("real", OLD, "", False),  # nor a version without a line
        ("real", OLD, f"- `scr_official` and `scr_3fold` v{NOW}", False),
        ("real", OLD, f"- scr_official v{NOW}0", False),
        ("real", OLD, REAL_LINE, True),
        ("copy_train", NOW, "", False),
        ("copy_train", NOW, REAL_LINE, False),  # another protocol's or provider's line
        ("copy_train", NOW, "- `copy_train` is quicker.", False),
        ("copy_train", NOW, PROVIDER_LINE, True),
        ("copy_train", OLD, "", False),
        ("copy_train", OLD, REAL_LINE, True),
    ],
)
def test_a_number_moves_with_its_version_and_a_line_only(name, kept_version, line, allowed, numbers, entries, tmp_path):
    name = f"scr_official-{name}"
    old_numbers(numbers, name, 1.5, version=kept_version)
    if kept_version == OLD:  # the whole protocol was bumped
        other = next(iter(set(read_kept(numbers)) - {name}))
        write_kept(numbers, read_kept(numbers)[other].model_copy(update={"version": OLD}))
    before = {path: path.read_bytes() for path in numbers.iterdir()}
    log = changelog(tmp_path, line)
    if allowed:
        renew(numbers, entries, [], log, "painted last", sample_sources())
        kept, first = read_kept(numbers)[name], read_kept(FOLDER)[name]
        assert kept.numbers == first.numbers and kept.version == NOW
        assert kept.history[-1].reason == "painted last" and len(kept.history) == 2
        assert renew(numbers, entries, [], log, "again", sample_sources()) == []
    else:
        with pytest.raises(InputError, match=f"nothing is written: .*{name}: .* needs"):
            renew(numbers, entries, [], log, "painted last", sample_sources())
        assert {path: path.read_bytes() for path in numbers.iterdir()} == before


def test_a_line_that_was_there_before_does_not_move_a_number_again(numbers, entries, tmp_path):
    log = changelog(tmp_path, PROVIDER_LINE)
    known = list(Changelog.read(log).naming("copy_train", f"scr_official v{NOW}"))
    old_numbers(numbers, "scr_official-copy_train", 1.5, lines=known)
    with pytest.raises(InputError, match="a new line that names copy_train"):
        renew(numbers, entries, [], log, "once more", sample_sources())


def test_small_moves_need_a_reason_alone_but_not_without_end(numbers, entries, tmp_path):
    """The mean is held against the one of the last allowed move, not against that of the last update."""
    name, log = "scr_official-copy_train", changelog(tmp_path, "")
    old = old_numbers(numbers, name, 0.6)
    renew(numbers, entries, [], log, "a little", sample_sources())
    kept = read_kept(numbers)[name]
    assert [number.anchor for number in kept.numbers] == [number.anchor for number in old.numbers]
    assert [change.reason for change in kept.history][-1] == "a little"
    crept = [number.model_copy(update={"anchor": number.anchor + number.tolerance}) for number in kept.numbers]
    write_kept(numbers, kept.model_copy(update={"numbers": crept}))
    with pytest.raises(InputError, match="numbers moved"):
        renew(numbers, entries, [], log, "a little more", sample_sources())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda kept: kept.model_copy(update={"version": NOW + 1}), f"v{NOW} is older than the kept v{NOW + 1}"),
        (lambda kept: kept.model_copy(update={"numbers": kept.numbers[1:]}), "is new"),
        (
            lambda kept: kept.model_copy(
                update={"numbers": [*kept.numbers, kept.numbers[0].model_copy(update={"structure": "spine"})]}
            ),
            "of spine is gone",
        ),
        (lambda kept: kept.model_copy(update={"seeds": [0, 1, 2, 3, 9]}), "seed 9 is kept"),
    ],
)
def test_numbers_neither_come_nor_go_unnoticed(change, words, numbers, entries, tmp_path):
    write_kept(numbers, change(read_kept(numbers)["scr_official-copy_train"]))
    with pytest.raises(InputError, match=words):
        renew(numbers, entries, [], tmp_path / "none.md", "so", sample_sources())


def test_too_few_seeds_give_no_tolerance(tmp_path):
    make_entry(tmp_path / "few", tasks=("scr_3fold",), seeds=4)
    with pytest.raises(InputError, match="4 seeds; a tolerance is measured over 5 seeds"):
        renew(tmp_path / "numbers", tmp_path / "few", [], tmp_path / "none.md", "so", sample_sources())


# --------------------------------------------------------------------------------------------------------- fingerprints


def test_tolerances_come_from_plainer_instructions():
    best = Fingerprint(numbers={"1: loss 0": 2.0, "1: gradient 0": 10.0, "1: lr 0.0": 0.1})
    plain = [
        Fingerprint(numbers={"1: loss 0": 2.0002, "1: gradient 0": 10.0, "1: lr 0.0": 0.1}),
        Fingerprint(numbers={"1: loss 0": 2.0, "1: gradient 0": 10.01, "1: lr 0.0": 0.1}),
    ]
    assert tolerances(best, plain) == {"1: loss 0": 5e-4, "1: gradient 0": 5e-3, "1: lr 0.0": 5e-4}
    assert set(tolerances(best, []).values()) == {1e-5}


@pytest.fixture
def measured(monkeypatch) -> Callable[[str], None]:
    """Fingerprints are taken in this process, of `vae` alone, with the settings that the test says."""
    settings = {"now": ""}
    monkeypatch.setattr(fingerprints, "own_subjects", lambda: ["provider:vae"])
    monkeypatch.setattr(renewal, "own_subjects", fingerprints.own_subjects)

    def measure(subjects, instructions=None):
        assert list(subjects) == ["provider:vae"]
        found = take(f"provider:vae {settings['now']}")
        return take_all([]).model_copy(update={"subjects": {"provider:vae": found}})

    monkeypatch.setattr(fingerprints, "measure", measure)
    monkeypatch.setattr(renewal, "measure", measure)
    return lambda text: settings.update(now=text)


def test_a_fingerprint_moves_freely_until_numbers_are_kept_and_then_with_a_line(measured, tmp_path):
    log = changelog(tmp_path, "")
    assert renew_fingerprints(tmp_path, [], log, "first") is not None
    assert renew_fingerprints(tmp_path, [], log, "again") is None
    measured("beta=3.0")
    red = [one for one in fingerprints.check_fingerprints(tmp_path) if not one.passed]
    assert [one.name for one in red] == ["provider:vae"]
    assert renew_fingerprints(tmp_path, [], log, "a larger beta") is not None
    kept = read_kept(FOLDER)["scr_official-copy_train"]
    assert kept.provider is not None
    write_kept(tmp_path, kept.model_copy(update={"provider": kept.provider.model_copy(update={"name": "vae"})}))
    measured("beta=4.0")
    with pytest.raises(InputError, match=r"1 trainings moved whose numbers are kept.*provider:vae"):
        renew_fingerprints(tmp_path, [], log, "a larger beta still")
    log = changelog(tmp_path, "- `vae`: beta 4 at quick.")
    assert renew_fingerprints(tmp_path, [], log, "a larger beta still") is not None
    found = read_fingerprints(tmp_path)
    assert found is not None and [change.reason for change in found.history][-2:] == [
        "a larger beta",
        "a larger beta still",
    ]


def test_a_named_subject_is_taken_alone_unless_the_kept_ones_are_of_another_machine(monkeypatch, tmp_path):
    asked: list[list[str]] = []
    here = take_all([])

    def measure(subjects, instructions):
        asked.append(list(subjects))
        number = {"1: loss": 1.0}
        found = {name: Fingerprint(digest="0" * 64, numbers=number) for name in subjects}
        return here.model_copy(update={"subjects": found})

    monkeypatch.setattr(renewal, "measure", measure)
    log = tmp_path / "none.md"
    renew_fingerprints(tmp_path, [], log, "first")
    every = read_fingerprints(tmp_path)
    assert every is not None and {tuple(one) for one in asked} == {tuple(every.subjects)}
    without = {name: one for name, one in every.subjects.items() if name != "provider:vae"}
    fingerprints.write_fingerprints(tmp_path, every.model_copy(update={"subjects": without}))
    asked.clear()
    renew_fingerprints(tmp_path, ["provider:vae"], log, "one more")
    assert {tuple(one) for one in asked} == {("provider:vae",)}
    found = read_fingerprints(tmp_path)
    assert found is not None and found.subjects == every.subjects
    fingerprints.write_fingerprints(
        tmp_path, every.model_copy(update={"processor": "another one", "subjects": without})
    )
    renew_fingerprints(tmp_path, ["provider:vae"], log, "elsewhere")
    assert set(asked[-1]) == set(every.subjects)
    found = read_fingerprints(tmp_path)
    assert found is not None and found.processor == here.processor


def test_the_same_bits_are_asked_for_on_the_same_processor_alone(measured, tmp_path):
    renew_fingerprints(tmp_path, [], tmp_path / "none.md", "first")
    kept = read_fingerprints(tmp_path)
    assert kept is not None
    vae = kept.subjects["provider:vae"]
    nudged = {name: (value * (1 + 1e-9), allowed) for name, (value, allowed) in vae.numbers.items()}
    other = {"provider:vae": KeptFingerprint(**(vars(vae) | {"numbers": nudged, "digest": "0" * 64}))}
    kept = kept.model_copy(update={"subjects": kept.subjects | other})
    fingerprints.write_fingerprints(tmp_path, kept)
    red = [one for one in fingerprints.check_fingerprints(tmp_path) if not one.passed]
    assert [one.name for one in red] == ["provider:vae"] and "not the same bits" in red[0].moved[0]
    fingerprints.write_fingerprints(tmp_path, kept.model_copy(update={"processor": "another one"}))
    assert all(one.passed for one in fingerprints.check_fingerprints(tmp_path))


@pytest.mark.parametrize("subject", ["vae", "provider:", "model:vae", "provider:vea", "task:vae"])
def test_a_subject_that_is_none_is_named(subject):
    with pytest.raises(InputError, match=r"no subject|unknown"):
        fingerprints.check_subject(subject)
