"""Costs that the counted FLOPs and the named device cannot have: what waits for a review, what is said, no false alarm."""

from __future__ import annotations

from pathlib import Path

import pytest

from cxrbench.benchmark import digest
from cxrbench.benchmark.registry import PROVIDERS, TASKS, plugins
from cxrbench.benchmark.runs.record import Record
from cxrbench.benchmark.settings import keyed
from cxrbench.benchmark.speed.counted import CHIPS, SPARSE, chip_called
from cxrbench.leaderboard.checks import Level, check_entry, timings
from cxrbench.leaderboard.counted import Counted, CountedCell, CountedFit, counted
from cxrbench.leaderboard.entry import load_entries, load_entry

ENTRIES = Path(__file__).parents[2] / "submissions"
H100, XEON = "NVIDIA H100 80GB HBM3", "Intel(R) Xeon(R) Processor"
SHARE = 0.05
"""Of a chip's peak, without what is sparse: more than small networks reach."""


@pytest.fixture(scope="module")
def honest() -> Record:
    """A committed cell with synthetic films of a generator whose FLOPs were counted."""
    run = load_entry(ENTRIES / "three_stage").runs[0]
    return next(one for one in run.records.values() if one.cost is not None and one.cost.parameters)


def on(record: Record, device: str, *, faster: float = 1.0, kind: str = "cpu", what: str = "all") -> Record:
    """The record on a device, with times that are `faster` than its own: of `all`, of `films` (the generator's) or of the
    `training` downstream."""
    assert record.cost is not None
    mine = faster if what in ("all", "films") else 1.0
    cost = {
        "device": device,
        "sample_images_per_second": record.cost.sample_images_per_second * mine,
        "train_images_per_second": (record.cost.train_images_per_second or 0.0) * mine,
    }
    seconds = record.downstream.seconds / (faster if what in ("all", "training") else 1.0)
    return record.model_copy(
        update={
            "cell": record.cell.model_copy(update={"device": kind}),
            "cost": record.cost.model_copy(update=cost),
            "downstream": record.downstream.model_copy(update={"seconds": seconds}),
            "environment": record.environment.model_copy(update={"device": device}),
        }
    )


def at(record: Record, device: str, share: float) -> Record:
    """The record as it would be on a chip of which everything uses that share of its dense peak."""
    chip = chip_called(device)
    assert chip is not None
    wanted = share * chip.most / SPARSE
    found = {what: flops for what, _, flops, _ in timings.speeds(record)}
    trained = on(record, device, faster=wanted / found["its downstream training"], kind="cuda", what="training")
    fitted = on(trained, device, faster=wanted / found["sampling"], kind="cuda", what="films")
    rate = (trained.cost.train_images_per_second or 0.0) * wanted / found["the generator's training"]
    return fitted.model_copy(update={"cost": fitted.cost.model_copy(update={"train_images_per_second": rate})})


THREE = ["its downstream training", "sampling", "the generator's training"]


def whats(lines: list[str]) -> list[str]:
    return sorted(what for line in lines for what in THREE if f": {what} would take" in line)


def test_an_honest_record_is_held_for_nothing(honest):
    assert [what for what, *_ in timings.speeds(honest)] == THREE
    assert list(timings._beyond([honest])) == [] and list(timings._unknown([honest])) == []


def test_a_hundred_times_faster_than_a_processor_was_is_held_for_a_review(honest):
    assert honest.environment.device == XEON
    (line,) = timings._beyond([honest, on(honest, XEON, faster=100, what="training")])
    assert (
        line.endswith("its time or rate cannot be right") and "and Intel(R) Xeon(R) Processor has 320 GFLOP/s" in line
    )
    assert whats(list(timings._beyond([on(honest, XEON, faster=100)]))) == THREE


def test_a_hundred_times_faster_than_a_chip_was_is_held_for_a_review(honest):
    fair = at(honest, H100, SHARE)
    assert list(timings._beyond([fair])) == [] and list(timings._unknown([fair])) == []
    lines = list(timings._beyond([on(fair, H100, faster=100, kind="cuda")]))
    assert whats(lines) == THREE and all(f"and {H100} has 1.98 PFLOP/s at most" in line for line in lines)
    (line,) = timings._beyond([on(fair, H100, faster=100, kind="cuda", what="training")])
    assert "its downstream training would take" in line and "\n" not in line


def test_of_a_device_that_is_not_known_it_is_said_that_nothing_was_held_against_it(honest):
    other = on(honest, "Abacus 9000", faster=100, kind="cuda")
    assert list(timings._beyond([other])) == []
    (line,) = timings._unknown([other, other])
    assert line.startswith("the peak of Abacus 9000 is not known here: its times are not held against counted FLOPs")


def test_threads_are_what_a_processor_has(honest):
    many = honest.environment.model_copy(update={"threads": 64})
    fast = on(honest, XEON, faster=100, what="training")
    assert list(timings._beyond([fast]))
    assert list(timings._beyond([fast.model_copy(update={"environment": many})])) == []


def test_a_provider_of_other_settings_is_bound_by_its_parameters_alone(honest):
    settings = honest.cell.provider.settings | {"batch": 3}
    provider = honest.cell.provider.model_copy(update={"settings": settings})
    other = honest.model_copy(update={"cell": honest.cell.model_copy(update={"provider": provider})})
    found = {what: flops for what, _, flops, _ in timings.speeds(other)}
    assert found["sampling"] == 2 * honest.cost.parameters * honest.cost.sample_images_per_second


def test_an_entry_that_a_processor_cannot_have_waits_for_a_review(pack_system, sources, monkeypatch):
    cells = (CountedCell(task="squares", version=1, preset="quick", step_flops=1e9),)  # 89 steps in 12.5 s
    fit = CountedFit(
        provider="my_gan",
        task="squares",
        preset="quick",
        settings=digest.of_json({}),
        film_flops=2e8,
        sampling_flops=1e8,
    )
    monkeypatch.setattr(timings, "counted", lambda: Counted(cells=cells, fits=(fit,)))
    assert check_entry(pack_system("my_gan"), sources=sources).passed
    too_fast = check_entry(pack_system("my_gan", cost={"sample_images_per_second": 31200.0}), sources=sources)
    assert too_fast.status == "needs review"
    (line,) = [str(one) for one in too_fast.findings if one.level is Level.REVIEW]
    assert "sampling would take 3.12 TFLOP/s, counted, and a processor has 640 GFLOP/s at most" in line


@pytest.mark.parametrize(
    ("device", "chip"),
    [
        (H100, "h100"),
        ("NVIDIA H200", "h200"),
        ("NVIDIA A100-SXM4-40GB", "a100"),
        ("NVIDIA A100-PCIE-40GB MIG 1g.5gb", "a100"),
        ("Tesla V100-SXM2-32GB", "v100"),
        ("Tesla T4", "t4"),
        ("NVIDIA L4", "l4"),
        ("NVIDIA L40S", "l40s"),
        ("NVIDIA GeForce RTX 4090", "rtx4090"),
        ("NVIDIA GeForce RTX 3090 Ti", "rtx3090"),
    ],
)
def test_chips_are_known_by_the_names_that_drivers_give_them(device, chip):
    assert chip_called(device) is CHIPS[chip]


@pytest.mark.parametrize("device", ["", XEON, "AMD EPYC", "NVIDIA GH200 480GB", "H100 or T4", "NVIDIA L40", "rtx"])
def test_other_names_are_no_chip(device):
    assert chip_called(device) is None


@pytest.mark.parametrize("entry", load_entries(ENTRIES), ids=lambda entry: entry.name)
def test_no_committed_entry_is_near_the_peak_of_its_device(entry):
    for run in entry.runs:
        records = list(run.records.values())
        assert list(timings._beyond(records)) == [] and list(timings._unknown(records)) == []
        shares = [flops / most for record in records for _, _, flops, most in timings.speeds(record) if most]
        assert shares and max(shares) < 0.5


def test_what_was_counted_is_of_the_settings_that_presets_have():
    """Where this fails: python tests/benchmarks/count_presets.py NAME/PRESET."""
    tasks, providers = plugins(TASKS), plugins(PROVIDERS)
    assert {(one.task, one.preset) for one in counted().cells} >= {("scr_official", "quick")}
    assert {one.provider for one in counted().fits if one.preset == "quick"} >= {"three_stage", "single_stage"}
    for cell in counted().cells:
        assert tasks[cell.task].load().version == cell.version
    for fit in counted().fits:
        assert digest.of_json(keyed(providers[fit.provider].load().presets[fit.preset])) == fit.settings, fit
