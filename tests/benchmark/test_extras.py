"""Packages of extras: known by what is installed, asked for before any work, and named where an import fails."""

from __future__ import annotations

from importlib import util
from pathlib import Path

import pytest

from cxrbench.benchmark import extras
from cxrbench.benchmark.errors import InputError, raised
from cxrbench.benchmark.runs import needed_packages
from cxrbench.benchmark.runs.request import Request, prepare

LAZY = "def fit():\n    from monai.networks import nets\n"
TRIED = "try:\n    import monai\nexcept ImportError:\n    monai = None\n"
TYPES = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import monai\n"


@pytest.fixture
def no_monai(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the extra is not installed."""
    found = util.find_spec
    monkeypatch.setattr(needed_packages.util, "find_spec", lambda name: None if name == "monai" else found(name))


def test_extras_are_known_by_the_names_that_code_imports() -> None:
    known = extras.brought()
    assert known["monai"] == known["einops"] == "diffusion"
    assert (known["onnxruntime"], known["pydicom"]) == ("onnx", "dicom")
    assert not known.keys() & {"torch", "numpy", "pytest", "mkdocs", "cxrbench"}


def test_an_import_that_fails_names_the_extra() -> None:
    try:
        raise ModuleNotFoundError("No module named 'monai.networks'", name="monai.networks")
    except ModuleNotFoundError as error:
        assert "; pip install 'cxrbench[diffusion]'" in raised(error)
    try:
        raise ModuleNotFoundError("No module named 'mine'", name="mine")
    except ModuleNotFoundError as error:
        assert "pip" not in raised(error)


@pytest.mark.usefixtures("no_monai")
@pytest.mark.parametrize(("text", "needs"), [(LAZY, True), (TRIED, False), (TYPES, False), ("import torch\n", False)])
def test_a_package_that_is_not_there_is_asked_for(tmp_path: Path, text: str, needs: bool) -> None:
    (tmp_path / "networks.py").write_text(text)
    provider = tmp_path / "mine.py"
    provider.write_text("from networks import *\n")
    if needs:
        with pytest.raises(InputError, match=r"mine needs the package monai, .*: pip install 'cxrbench\[diffusion\]'"):
            needed_packages.check_packages(provider, "mine")
    else:
        needed_packages.check_packages(provider, "mine")


def test_a_package_that_is_there_is_not_asked_for(tmp_path: Path) -> None:
    provider = tmp_path / "mine.py"
    provider.write_text(LAZY)
    needed_packages.check_packages(provider, "mine")


@pytest.mark.usefixtures("no_monai")
def test_a_run_asks_before_it_works() -> None:
    with pytest.raises(InputError, match="provider edm_pair needs the package monai"):
        prepare(Request(provider="edm_pair", sizes=("tiny",), arms=("synthetic",)))
    assert prepare(Request(provider="edm_pair", sizes=("tiny",), arms=("real",))).plan.cells
