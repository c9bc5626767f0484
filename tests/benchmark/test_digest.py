"""Digests and seeds are functions of content alone."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

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


# ------------------------------------------------------------------------------------------- which code makes a number


def closure_of(source: Path) -> set[str]:
    return {path.name for path in digest.source_closure(source)}


def test_the_closure_of_a_module_follows_relative_imports_in_functions_too(monkeypatch, tmp_path):
    package = tmp_path / "cxrbench"
    for name, text in {
        "benchmark/one.py": "from . import two\nfrom .rooms.three import x\n",
        "benchmark/two.py": "def f():\n    from ..tasks.four import y\n",
        "benchmark/rooms/__init__.py": "",
        "benchmark/rooms/three.py": "import cxrbench.benchmark.five\n",
        "benchmark/five.py": "from cxrbench.benchmark import six\n",
        "benchmark/six.py": "",
        "benchmark/unused.py": "from . import one\n",
        "tasks/four.py": "",
    }.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    monkeypatch.setattr(digest, "PACKAGE", package)
    names = {"one.py", "two.py", "three.py", "four.py", "five.py", "six.py"}
    assert closure_of(package / "benchmark" / "one.py") == names


@pytest.fixture
def package(monkeypatch, tmp_path) -> Path:
    """A package of two modules, one of them with a name of the standard library, with a module outside of it."""
    folder = tmp_path / "cxrbench"
    (folder / "benchmark").mkdir(parents=True)
    (folder / "benchmark" / "statistics.py").write_text("")
    monkeypatch.setattr(digest, "PACKAGE", folder)
    (tmp_path / "statistics.py").write_text("")
    return folder


@pytest.mark.parametrize("line", ["import statistics", "from statistics import mean", "import statistics as s"])
def test_a_plain_import_is_a_neighbour_outside_the_package_alone(package, line):
    (package / "benchmark" / "cost.py").write_text(line)
    (package.parent / "gen.py").write_text(line)
    assert closure_of(package / "benchmark" / "cost.py") == {"cost.py"}
    assert closure_of(package.parent / "gen.py") == {"gen.py", "statistics.py"}


def test_an_import_for_types_alone_makes_no_number_but_a_face_names_what_it_loads(package):
    text = "if TYPE_CHECKING:\n    from .statistics import x\nelse:\n    from . import other\n"
    (package / "benchmark" / "other.py").write_text("")
    (package / "benchmark" / "typed.py").write_text(text)
    (package / "benchmark" / "__init__.py").write_text(text)
    assert closure_of(package / "benchmark" / "typed.py") == {"typed.py", "other.py", "__init__.py", "statistics.py"}
    (package / "benchmark" / "__init__.py").write_text("")
    assert closure_of(package / "benchmark" / "typed.py") == {"typed.py", "other.py", "__init__.py"}
    (package / "benchmark" / "typed.py").write_text(text.replace("if TYPE", "if not TYPE"))
    assert "statistics.py" in closure_of(package / "benchmark" / "typed.py")


def test_a_release_moves_no_number(package):
    (package / "__init__.py").write_text("__version__ = '1'\n")
    (package / "benchmark" / "env.py").write_text("from .. import __version__\nfrom cxrbench import __version__ as v\n")
    assert closure_of(package / "benchmark" / "env.py") == {"env.py"}


def test_modules_without_numbers_are_there_and_compute_nothing():
    for name in digest.NO_NUMBERS:
        text = (digest.PACKAGE / name).read_text()
        assert not re.search(r"^\s*(import|from) (numpy|scipy|pandas|torch|cv2)\b", text, re.MULTILINE), name
