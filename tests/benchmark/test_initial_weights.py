"""What starts from scratch where its paper has weights is said in header, table and report, by what classes declare."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cxrbench.benchmark.contracts.initial_weights import InitialWeights, from_scratch
from cxrbench.benchmark.presets import table_of
from cxrbench.benchmark.registry import PROVIDERS, TASKS, find_task, plugins
from cxrbench.benchmark.report import build
from cxrbench.benchmark.report.text_tables import as_markdown, terminal
from cxrbench.benchmark.report.write import write_run
from cxrbench.benchmark.results.assemble import assemble
from cxrbench.benchmark.runs.examine import describe
from cxrbench.benchmark.runs.job import Describe
from cxrbench.benchmark.settings import override, plain

TREE = Path(__file__).parents[2]
ENCODER = "encoder from scratch (paper: ImageNet)"
MINE = """
from dataclasses import dataclass
from pathlib import Path
from cxrbench.benchmark.contracts.initial_weights import InitialWeights
from toy_providers import Toy


@dataclass(frozen=True)
class Settings:
    grey: float = 0.05
    file: Path | None = None


class Mine(Toy):
    presets = {"quick": Settings()}
    initial_weights = (InitialWeights("file", "encoder"),)
"""


def test_a_sentence_stands_for_what_no_file_is_given_of():
    one = InitialWeights("a.weights", "encoder")
    assert from_scratch([one], {"a": {"weights": None}}) == (ENCODER,)
    assert from_scratch([one], {"a": {"weights": "here.pth"}}) == ()
    other = InitialWeights("w", "net", paper="not said", warning="slow", where=(("kind", "large"),))
    assert from_scratch([other], {"w": None, "kind": "large"}) == ("net from scratch (paper: not said): slow",)
    assert from_scratch([other], {"w": None, "kind": "small"}) == ()


@pytest.mark.parametrize("group", [PROVIDERS, TASKS])
def test_every_declared_setting_is_one_and_is_empty_at_every_preset(group):
    declared = 0
    for plugin in plugins(group).values():
        cls = plugin.load()
        table = table_of(cls)
        for one in cls.initial_weights:
            declared += 1
            assert all(table[one.setting][preset] is None for preset in cls.presets)
            assert all(key in table for key, _ in one.where)
    assert declared == {PROVIDERS: 15, TASKS: 2}[group]  # nine GMVAE, VGG losses of five systems; two tasks


def test_the_papers_detector_warns_and_others_do_not():
    task = find_task("nih_localisation").load()
    (warned,) = from_scratch(task.initial_weights, plain(task.presets["paper"]))
    assert warned.startswith("Inception-ResNet-v2 from scratch (paper: not said)") and "unlikely" in warned
    for preset in ("quick", "standard"):
        assert from_scratch(task.initial_weights, plain(task.presets[preset])) == ()


def test_a_provider_says_it_with_its_settings_and_not_where_weights_are_given(tmp_path):
    (tmp_path / "vgg.pth").write_bytes(b"weights")
    asked = Describe(provider="gmvae_v4", name="gmvae_v4", preset="paper")
    assert describe(asked)["from_scratch"] == [ENCODER]
    given = asked.model_copy(update={"overrides": (("weights", str(tmp_path / "vgg.pth")),)})
    assert describe(given)["from_scratch"] == []
    losses = describe(Describe(provider="three_stage", name="three_stage", preset="paper"))["from_scratch"]
    assert losses == [f"{part}: VGG19 loss left out (paper: ImageNet)" for part in ("labels", "films")]


def test_table_markdown_and_report_say_it(fabricate, tmp_path, monkeypatch):
    made = fabricate(sizes=("full",))
    assert made.plan.generator is not None
    plan = replace(made.plan, generator=replace(made.plan.generator, from_scratch=(ENCODER,)))
    detector = InitialWeights("threads", "detector", paper="COCO")
    monkeypatch.setattr(type(plan.task), "initial_weights", (detector,))
    assert assemble(plan, made.store, []).from_scratch == [ENCODER]  # `threads` is set
    changed = replace(detector, setting="crop")
    monkeypatch.setattr(type(plan.task), "initial_weights", (changed,))
    monkeypatch.setattr("cxrbench.benchmark.runs.plan.plain", lambda settings: {"crop": None})
    results = assemble(plan, made.store, [])
    assert results.from_scratch == [ENCODER, "detector from scratch (paper: COCO)"]
    write_run(tmp_path / "run", results, plan, made.store)
    for text in (terminal(results).plain, as_markdown(results), build(tmp_path / "run", results).html):
        assert ENCODER in text and "detector from scratch" in text
    assert "from scratch" not in terminal(results.model_copy(update={"from_scratch": []})).plain


def test_the_header_of_a_run_says_it(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    paths = [str(TREE / "tests" / "toys"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    words = ["run", "--provider", "mine.py:Mine", "--task", f"{TREE / 'tests' / 'toys' / 'toy_task.py'}:ToyTask"]
    command = [sys.executable, "-m", "cxrbench.benchmark.cli", *words, "--dry-run", "--device", "cpu"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"note   {ENCODER}\n" in done.stderr


def test_an_override_is_read_as_json_values():
    task = find_task("nih_classification").load()
    settings = override(task.presets["quick"], [("classifier.weights", "here.pth")], task.name)
    assert from_scratch(task.initial_weights, plain(settings)) == ()
    assert from_scratch(task.initial_weights, plain(task.presets["quick"])) == (
        "classifier from scratch (paper: ImageNet)",
    )
