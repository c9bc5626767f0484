"""Digests and seeds are functions of content alone."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest

from cxrbench.benchmark import digest
from cxrbench.benchmark.errors import InputError


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


# --------------------------------------------------------------------------------------------- projects of others


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_a_package_that_imports_itself_by_its_name_is_all_of_its_own_code(tmp_path):
    write(tmp_path, theirs__gan="from theirs.nets import GREY\nimport theirs.more\n", theirs__nets="GREY = 0.05\n")
    write(tmp_path, theirs__more="", other__nets="", numpy="")
    (tmp_path / "theirs" / "__init__.py").write_text("")
    names = {path.name for path in digest.source_closure(tmp_path / "theirs" / "gan.py")}
    assert names == {"gan.py", "nets.py", "more.py", "__init__.py"}


def test_a_package_beside_a_file_is_followed_inside_itself(tmp_path):
    write(tmp_path, mine="from nets.core import build\n", nets__core="from nets.util import G\n", nets__util="G = 1\n")
    (tmp_path / "nets" / "__init__.py").write_text("")
    found = digest.source_closure(tmp_path / "mine.py")
    assert {path.name for path in found} == {"mine.py", "core.py", "util.py", "__init__.py"}


def test_what_lies_beside_an_installed_module_is_another_project(tmp_path):
    site = tmp_path / "site-packages"
    write(site, theirs="import torch\nimport helpers\n", torch="", helpers="")
    assert digest.source_closure(site / "theirs.py") == [(site / "theirs.py").resolve()]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"def f(:\n", r"cannot read .*mine\.py line 1: invalid syntax"),
        ("# \u00e9\n".encode("latin-1"), r"cannot read .*mine\.py: 'utf-8' codec can't decode"),
        (b"a = 1\0\n", r"cannot read .*mine\.py.*null bytes"),
    ],
)
def test_a_file_that_is_no_python_is_one_line(tmp_path, content, said):
    (tmp_path / "mine.py").write_bytes(content)
    with pytest.raises(InputError, match=said):
        digest.of_code(tmp_path / "mine.py")


def test_an_import_from_above_the_root_of_all_files_is_passed_over(tmp_path):
    write(tmp_path, mine=f"from {'.' * 60} import x\n")
    assert len(digest.source_closure(tmp_path / "mine.py")) == 1
