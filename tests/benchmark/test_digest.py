"""Digests and seeds are functions of content alone."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from cxrbench.benchmark import digest


def test_canonical_json_does_not_depend_on_order():
    assert digest.of_json({"a": 1, "b": [1, 2]}) == digest.of_json({"b": [1, 2], "a": 1})
    assert digest.of_json({}) == hashlib.sha256(b"{}").hexdigest()


def test_not_a_number_has_no_digest():
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest.of_json(float("nan"))


def test_an_array_digest_sees_type_shape_and_values():
    base = np.zeros((4, 6), np.uint8)
    other = base.copy()
    other[3, 5] = 1
    digests = {digest.of_array(array) for array in (base, other, base.astype(np.int8), base.reshape(6, 4))}
    assert len(digests) == 4
    assert digest.of_array(base[:, ::2]) == digest.of_array(base[:, ::2].copy())


def test_seeds_differ_by_every_part_and_fit_31_bits():
    seeds = {digest.derive_seed("task", 1, fold, size, seed) for fold in "ab" for size in "xy" for seed in range(50)}
    assert len(seeds) == 200
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_the_closure_of_a_module_follows_relative_imports():
    closure = {path.name for path in digest.source_closure(digest.PACKAGE / "benchmark" / "store.py")}
    assert {"store.py", "atomic.py", "digest.py", "errors.py", "record.py", "dataset.py"} <= closure
    assert "cli" not in closure and "tables.py" not in closure
