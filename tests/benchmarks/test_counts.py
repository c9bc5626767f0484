"""Counts of presets stay what is kept of them, however they are counted."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cxrbench.benchmark.speed.counted import Count
from cxrbench.benchmark.speed.counting import FEW, _few, _smaller

from ..toys.toy_films import chests
from .count_presets import KEPT, count_one, enlarged


@pytest.mark.parametrize("key", ["fit/edm_pair/quick", "fit/three_stage/quick"])
def test_a_preset_is_counted_as_it_was(key):
    """A sampler with a network that is asked many times, and three trainings of which one grows."""
    kept = Count.model_validate(json.loads(KEPT.read_text(encoding="utf-8"))[key])
    found = count_one(*key.split("/"))
    for ours, theirs in zip(found.trainings, kept.trainings, strict=True):
        assert (ours.name, ours.steps, ours.batch) == (theirs.name, theirs.steps, theirs.batch)
        assert (ours.step_flops, ours.flops) == (theirs.step_flops, theirs.flops)
        assert ours.operations == pytest.approx(theirs.operations, rel=0.05)
        assert ours.device_bytes == pytest.approx(theirs.device_bytes, rel=0.05)
    assert found.sampling_flops == kept.sampling_flops and found.host_bytes == kept.host_bytes
    assert found.sampling_bytes == pytest.approx(kept.sampling_bytes, rel=0.05)


def test_films_are_enlarged_made_smaller_and_left_out_without_another_value():
    films = chests()
    large = enlarged(films, 1024)
    assert large.images.shape[1:] == (1024, 1024) and large.info.resolution == 1024
    small = _smaller(large)
    assert small.info.resolution == 128 and np.array_equal(small.images, large.images[:, ::8, ::8])
    assert np.array_equal(small.masks, large.masks[:, ::8, ::8])
    few = _few(large)
    assert len(few) == min(FEW, len(films)) and few.organs == films.organs
