"""Does the pairs paper's U-Net learn at the paper's learning rate? `pytest tests/benchmarks/bench_neff_unet.py -s`.

64 maps, rate 1e-5, momentum 0.99, 145 real films; on the phantom at 64 pixels, and at most 1,200 steps (the rule of the
paper stops much later), so that one free CPU core needs about twenty minutes. Not collected by a plain `pytest`.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from cxrbench.benchmark.contracts.task import Arm, ArmName, Slot
from cxrbench.benchmark.data.catalogue import find_dataset
from cxrbench.benchmark.progress import Progress
from cxrbench.tasks.scr_3fold import PAPER, ScrThreeFold


def test_the_papers_training_reaches_dice_95_percent_on_phantom_lungs(tmp_path, monkeypatch):
    monkeypatch.setenv("CXRBENCH_HOME", str(tmp_path))
    torch.set_num_threads(1)
    task = ScrThreeFold(replace(PAPER, resolution=64, fit_resolution=64, steps=1200))
    data = find_dataset("phantom", 64)
    slot = Slot("1", "full", ArmName.REAL)
    arm = Arm(ArmName.REAL, real=task.training_set(data, slot), validation=task.validation_set(data, slot))
    assert len(arm.real) == 145
    trained = task.train(arm, seed=0, device="cpu", progress=Progress())
    test = task.test_set(data, slot)
    table = task.summarise(task.score(task.predict(trained.model, test, device="cpu"), test)).set_index("metric")[
        "value"
    ]
    print(f"steps {trained.histories['real'].steps}, Dice {table['dice']:.4f} (phantom, 64 pixels, seed 0)")
    assert table["dice"] >= 0.95
