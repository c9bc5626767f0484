"""The table of costs: parameters as the papers print them, rates from finished runs or measured, and the command line."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cxrbench.benchmark.cli.cost import _as_csv, _show, cost
from cxrbench.benchmark.data.dataset import Dataset, DatasetInfo
from cxrbench.benchmark.data.findings import FINDINGS
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.registry import PROVIDERS, find_provider, plugins
from cxrbench.benchmark.runs.record import Curve, Fit, Sampled
from cxrbench.benchmark.runs.request import Request
from cxrbench.benchmark.runs.store import FIT, SAMPLED, Level
from cxrbench.benchmark.speed.cost_table import (
    CostRow,
    Rates,
    cost_row,
    epoch_rate,
    prepare_subject,
    published_costs,
    published_of,
    published_times,
    times_of,
)

TOYS = Path(__file__).parents[1] / "toys"
TASK = f"{TOYS / 'toy_task.py'}:ToyTask"
SIDE = 64

STEPPER = '''
"""A provider with a number of steps, which says that it trains on as many films a second, and talks."""
from dataclasses import dataclass, replace
from types import SimpleNamespace

from toy_providers import Toy


@dataclass(frozen=True)
class Settings:
    steps: int = 1000
    grey: float = 0.05


class Stepper(Toy):
    presets = {"quick": Settings()}
    sampling_parts = frozenset({"generator"})

    def fit(self, train, *, seed, progress):
        print("fitting")
        super().fit(train, seed=seed, progress=progress)

    def histories(self):
        return {"films": SimpleNamespace(images_per_second=float(self.settings.steps), precision="32-true")}

    @classmethod
    def shorter(cls, settings, steps, *, side=None):
        return replace(settings, steps=min(steps, settings.steps))

    def parameter_parts(self, films):
        return {"discriminator": 5, "generator": films.resolution}


class Whole(Stepper):
    """Has a number of steps, and does not say how a fit is shortened."""

    shorter = Toy.shorter


class OnlyAfter(Stepper):
    def parameter_parts(self, films):
        return {"generator": len(self.train)}
'''


def films(count: int = 24) -> Dataset:
    """Two lungs and a heart; every third film healthy, the others with one finding each and a box around it."""
    rng = np.random.default_rng(0)
    masks = np.zeros((count, SIDE, SIDE), np.uint8)
    masks[:, 12:44, 10:26], masks[:, 12:44, 38:54], masks[:, 34:46, 26:38] = 1, 2, 4
    images = (60 + 40 * (masks > 0) + rng.integers(0, 20, masks.shape)).astype(np.uint8)
    ids = [f"case{row:02d}" for row in range(count)]
    labels = np.zeros((count, len(FINDINGS)), np.uint8)
    sick = [row for row in range(count) if row % 3]
    labels[sick, np.arange(len(sick)) % len(FINDINGS)] = 1
    cases = pd.DataFrame({"id": ids, "patient": ids}).assign(**dict(zip(FINDINGS, labels.T, strict=True)))
    boxes = pd.DataFrame(
        {"id": [ids[row] for row in sick], "finding": "Mass", "x": 8.0, "y": 8.0, "w": 20.0, "h": 16.0}
    )
    info = DatasetInfo(
        name="few films", resolution=SIDE, organs=("left_lung", "right_lung", "heart"), findings=FINDINGS
    )
    return Dataset(info, images, cases, masks=masks, boxes=boxes)


# ---------------------------------------------------------------------------------------------------- parameters


def test_the_networks_of_the_paper_presets_have_the_counts_of_table_5():
    def parts(name, **changes):
        cls = find_provider(name).load()
        return cls(replace(cls.presets["paper"], **changes)).parameter_parts(films(2).info)

    assert parts("lsgan") == parts("lsgan_224") == {"discriminator": 2_795_904, "generator": 3_606_976}
    vae = parts("vae")
    assert vae == {"encoder": 4_711_648, "mean and logvar heads": 2 * 8_389_632, "decoder": 11_184_033}
    assert sum(vae.values()) == 32_674_945
    for version, decoder, count in (("v3", "decoder1", 1_920), ("v5", "decoder2", 172_800)):
        found = parts(f"gmvae_{version}")
        assert found["VGG16 features encoder"] == 14_714_688 and found[decoder] == count
        assert found["mixture prior"] == 2 * 50 * 1000
    assert parts("gmvae_v4")["transition net"] == 512 * 300 + 300 + 2 * 300 + 300 * 2000 + 2000
    assert parts("gmvae_v3", decoder_biases=True)["decoder1"] == 1_920 + 6 + 3 + 3 + 3  # Table 2
    assert parts("gmvae_v5", decoder_biases=True)["decoder2"] == 172_800 + 64 + 32 + 16 + 3  # Table 3
    with_labels, without = parts("fs_gmvae_v3"), parts("gmvae_v4")
    assert with_labels["latents to first map"] - without["latents to first map"] == len(FINDINGS) * 14**3


SHORT = [
    *("vae", "lsgan", "gmvae_v3", "fs_gmvae_v2", "stargan"),
    *("pix2pix", "dcgan_pair", "single_stage", "two_stage", "three_stage"),
]


@pytest.mark.parametrize("name", SHORT)
def test_the_parts_that_sampling_uses_are_the_parameters_of_the_fitted_provider(name):
    cls, train = find_provider(name).load(), films()
    provider = cls(cls.shorter(cls.presets["quick"], 4))
    before = dict(provider.parameter_parts(train.info))
    provider.fit(train, seed=0, progress=Progress())
    assert dict(provider.parameter_parts(train.info)) == before
    assert sum(count for part, count in before.items() if part in provider.sampling_parts) == provider.parameter_count()
    assert provider.parameter_count() < sum(before.values())
    assert all(history.steps <= 60 and history.images_per_second > 0 for history in provider.histories().values())


def test_controls_have_no_networks():
    assert find_provider("noise").make().parameter_parts(films(2).info) == {}


# --------------------------------------------------------------------------------------------------------- rates


def test_a_shortened_training_has_few_steps_no_timeline_and_the_same_proportions():
    vae, pix2pix, chain = (find_provider(name).load() for name in ("vae", "pix2pix", "two_stage"))
    for cls in (vae, pix2pix):
        assert cls.presets["quick"].timeline == 8 and cls.shorter(cls.presets["quick"], 60).timeline == 0
    assert vae.shorter(vae.presets["paper"], 60).most_steps == 60  # it has no limit of its own
    assert vae.shorter(replace(vae.presets["paper"], most_steps=20), 60).most_steps == 20
    assert pix2pix.shorter(pix2pix.presets["paper"], 60).steps == 60  # it trains for epochs
    assert pix2pix.shorter(replace(pix2pix.presets["paper"], steps=20), 60).steps == 20
    given = chain.presets["paper"]
    short = chain.shorter(replace(given, labels=replace(given.labels, fade_kimg=300.0)), 60)
    no_samples = {"timeline": 0}
    assert short.labels == replace(
        given.labels, **no_samples, stabilise_kimg=pytest.approx(0.06), fade_kimg=pytest.approx(0.03)
    )
    assert short.films == replace(given.films, **no_samples, steps=60)
    noise = find_provider("noise").load()
    assert noise.shorter(noise.presets["quick"], 60) is noise.presets["quick"]


def test_an_epoch_of_two_trainings_takes_the_seconds_of_both():
    curves = {"labels": 100.0, "films": 50.0}
    assert epoch_rate(curves, per_class=False) == pytest.approx(100 / 3)  # 0.01 s and 0.02 s a film
    assert epoch_rate({**curves, "dots": None}, per_class=False) is None
    assert epoch_rate({}, per_class=False) is None
    classes = {f"{name}: films": rate for name, rate in zip("abc", (10.0, 30.0, 20.0), strict=True)}
    assert epoch_rate(classes, per_class=True) == pytest.approx(20.0)


def test_the_medians_of_finished_fits_are_taken_and_named(tmp_path):
    (tmp_path / "stepper.py").write_text(f"import sys\nsys.path.insert(0, {str(TOYS)!r})\n{STEPPER}")
    request = Request(provider=f"{tmp_path / 'stepper.py'}:OnlyAfter", task=TASK, device="cpu")
    subject = prepare_subject(request, Progress())
    assert {job.cell.slot.size for job in subject.jobs} == {"full"} and len(subject.jobs) == 5
    unmeasured = cost_row(subject, steps=0)
    assert unmeasured.rates is None and unmeasured.parts == {} and unmeasured.epoch_seconds is None
    assert "parameters are not known before a fit (AttributeError" in unmeasured.notes[0]
    store = subject.prepared.store
    for job, rate in zip(subject.jobs, (10.0, 40.0, 30.0), strict=False):
        with store.adding(Level.FITS, job.cell.fit_key) as draft:
            facts = Fit(
                seconds=1.0,
                train_images_per_second=1.0,
                parameters=7,
                peak_memory_bytes=int(rate),
                precision="x",
                weights="none",
                curves={"films": Curve(rows=[], images_per_second=rate)},
            )
            (draft / FIT).write_text(facts.model_dump_json())
    with store.adding(Level.SYNTHETIC, subject.jobs[1].key) as draft:
        made = Sampled(checks={}, sample_images_per_second=5.0, rounds=1, seconds=1.0, peak_memory_bytes=90)
        (draft / SAMPLED).write_text(made.model_dump_json())
    found = cost_row(subject, steps=60)
    assert found.rates.train_films_per_second == 30 and found.epoch_seconds == pytest.approx(16 / 30)
    assert (found.rates.sample_films_per_second, found.rates.peak_memory_bytes) == (5, 90)
    assert found.rates.source == "run " + ", ".join(job.cell.fit_key[:12] for job in subject.jobs[:3])
    assert found.parts == {"sampling": 7} and found.sampling_parameters == 7


# ------------------------------------------------------------------------------------------------- command line


def cxrbench(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cxrbench.benchmark.cli", "cost", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=900)


def test_the_command_shows_networks_and_rates_and_a_failing_provider_does_not_stop_the_others(tmp_path):
    toys = TOYS / "toy_providers.py"
    (tmp_path / "stepper.py").write_text(f"import sys\nsys.path.insert(0, {str(TOYS)!r})\n{STEPPER}")
    names = f"{toys}:Raises,{tmp_path / 'stepper.py'}:Stepper,{tmp_path / 'stepper.py'}:Whole"
    done = cxrbench(
        "--providers", names, "--task", TASK, "--device", "cpu", "--csv", "cost.csv", "--json", cwd=tmp_path
    )
    assert done.returncode == 1, done.stderr
    failed, found, whole = json.loads(done.stdout)  # although the provider prints
    assert "RuntimeError: no luck today" in failed["error"] and "no luck today" in done.stderr
    assert found["networks"] == {"discriminator": 5, "generator": 32} and found["parameters"] == 37
    assert (found["sampling_networks"], found["sampling_parameters"]) == (["generator"], 32)
    measured = found["measured"]
    assert measured["train_films_per_second"] == 60 and measured["source"] == "measured now, 60 steps"
    assert measured["sample_films_per_second"] > 0 and measured["peak_memory_bytes"] > 10_000_000
    assert (whole["measured"]["source"], whole["measured"]["train_films_per_second"]) == (
        "measured now, a whole fit",
        1000,
    )
    assert (found["training_films"], found["resolution"]) == (16, 32)
    assert found["epoch_seconds"] == pytest.approx(16 / 60) and found["error"] is None
    rows = list(csv.DictReader((tmp_path / "cost.csv").open()))
    assert [row["network"] for row in rows[:4]] == ["all", "all", "discriminator", "generator"]
    assert [row["parameters"] for row in rows[1:4]] == ["37", "5", "32"]
    assert "no luck today" in rows[0]["source"] and rows[1]["source"] == "measured now, 60 steps"
    assert "Traceback" not in done.stderr


def test_the_published_numbers_stand_beside_and_are_marked(capsys):
    rates = Rates("run abc", "a processor", "32-true", 1, 2_000_000_000, 10, 100.0, 400.0)
    row = CostRow("vae", "quick", "toy", "phantom", 6000, 64, {"encoder": 20, "decoder": 10}, ("decoder",), rates)
    _show([replace(row, published=published_of("vae"))], True)
    printed = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    assert "vae 30 10 1:00 100 400 2.0 GB" in lines
    assert "encoder 20" in lines and "decoder 10 10" in lines
    assert "† VAE 48:00" in lines and "Mean and Logvar 8,389,632" in lines
    assert "1 Nvidia T4 GPU" in printed and "run abc; a processor, 1 thread, 32-true" in printed
    _show([row], True)
    assert "none of these providers has published costs" in capsys.readouterr().out
    table = _as_csv([replace(row, published=published_of("vae"))], published=True)
    assert "vae: VAE,paper,,,,Total,32674945,,2880.0,,,,1 Nvidia T4 GPU,,,published" in table


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"providers": " , "}, "--providers: expected names"),
        ({"providers": "vea"}, "unknown provider 'vea'. Did you mean vae"),
        ({"providers": "vae", "steps": 3}, "--steps: expected 0 or at least 4"),
        ({"providers": "vae", "preset": "fast"}, "unknown preset 'fast'"),
        ({"providers": "vae", "task": "scr"}, "unknown task 'scr'"),
    ],
)
def test_bad_input_is_an_input_error_before_anything_is_measured(arguments, message):
    with pytest.raises(InputError, match=message):
        cost(**arguments)


# ------------------------------------------------------------------------------------------- published numbers


def test_printed_times_of_whole_trainings_stand_in_the_table_with_their_device(capsys):
    row = CostRow("dcgan_pair", "quick", "scr_3fold", "phantom", films=10, resolution=64, times=times_of("dcgan_pair"))
    assert [(one.what, one.hours, one.each) for one in row.times] == [
        ("GAN", 24, "a fold"),
        ("U-Net", 3, "an experiment"),
    ]
    _show([row], True)
    shown = capsys.readouterr().out
    assert "24 h a fold" in shown and "3 h an experiment" in shown and "GTX980M" in shown and "Neff" in shown
    _show([row], False)
    assert "24 h" not in capsys.readouterr().out
    assert [line["fit_seconds"] for line in csv.DictReader(_as_csv([row], published=True).splitlines())] == [
        "", "86400.0", "10800.0"
    ]  # fmt: skip
    assert times_of("vae") == () and all(names <= set(plugins(PROVIDERS)) for _, names in published_times())


def test_every_published_number_belongs_to_a_provider_and_totals_are_sums():
    known = plugins(PROVIDERS)
    assert all(names and names <= set(known) for _, names in published_costs())
    counts = {row.network: row.parameters for row in published_of("lsgan")}
    assert counts["Total"] == counts["Discriminator"] + counts["Generator"]
    counts = {row.network: row.parameters for row in published_of("vae")}
    assert counts["Total"] == counts["Encoder"] + counts["Decoder"] + 2 * counts["Mean and Logvar"]
    assert published_of("noise") == ()


@pytest.mark.real_data
def test_the_published_numbers_are_those_of_the_transcribed_table():
    place = os.environ.get("CXRBENCH_REAL_DATA", "")
    table = Path(place).parent / "published" / "kumar_table5.csv"
    if not place or not table.is_file():
        pytest.skip("no transcribed Table 5 beside the folder named by CXRBENCH_REAL_DATA")
    with table.open(encoding="utf-8") as lines:
        printed = [
            (
                row["architecture"],
                row["component"],
                int(row["parameters"]),
                float(row["avg_train_time_per_epoch_minutes"]),
            )
            for row in csv.DictReader(lines)
        ]
    ours = [(row.architecture, row.network, row.parameters, row.minutes_per_epoch) for row, _ in published_costs()]
    assert ours == printed
