"""A folder of films that is no dataset is answered with the command that makes one of it, and that command does."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from cxrbench.benchmark.cli.overview import _by_templates
from cxrbench.benchmark.cli.program import app
from cxrbench.benchmark.data.catalogue import datasets_folder, find_dataset
from cxrbench.benchmark.data.importers.manifest_folder import import_command
from cxrbench.benchmark.errors import InputError

SIDE = 32
LUNG = np.zeros((SIDE, SIDE), np.uint8)
LUNG[8:24, 4:12] = 255


def write(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


@pytest.fixture
def mine(tmp_path):
    """Films in scans/ and masks in lungs/, called after them, in a folder whose name has a space."""
    folder = tmp_path / "my films"
    for number in range(4):
        write(
            folder / "scans" / f"p{number}.png", np.random.default_rng(number).integers(0, 255, (SIDE, SIDE), np.uint8)
        )
        write(folder / "lungs" / f"p{number}_L.png", LUNG)
    return folder


def done(command: str) -> str:
    """What a command says; it must succeed."""
    program, *words = shlex.split(command)
    found = CliRunner().invoke(app, words)
    assert program == "cxrbench" and found.exit_code == 0, found.output
    return found.output


@pytest.mark.parametrize("scheme", ["", "folder:"])
def test_data_that_is_a_folder_of_films_is_answered_with_the_command_that_imports_it(mine, scheme):
    with pytest.raises(InputError, match="is a folder of films, not a dataset") as refused:
        find_dataset(f"{scheme}{mine}")
    command = str(refused.value).split("`")[1]
    assert f"'{mine}' --path 'scans/{{stem}}.png' --mask 'ORGAN=lungs/{{stem}}_L.png'" in command
    done(command.replace("ORGAN", "left_lung").replace("NAME", "described") + f" --resolution {SIDE}")
    films = find_dataset("described")
    assert len(films) == 4 and films.info.organs == ("left_lung",) and set(films.cases["split"]) == {"train", "test"}
    assert find_dataset(f"{scheme}{datasets_folder() / 'described'}").digest == films.digest


def test_films_and_masks_where_they_are_expected_need_no_templates_and_a_table_is_named(tmp_path):
    write(tmp_path / "films" / "a.png", LUNG)
    assert import_command(tmp_path).endswith(f"{tmp_path} --split patients:0.5 --patient-from id")
    (tmp_path / "films.csv").write_text("path\nfilms/a.png\n")
    assert import_command(tmp_path).endswith(f"{tmp_path / 'films.csv'} --split patients:0.5")


def test_a_folder_without_films_has_no_command(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    assert import_command(tmp_path) == ""
    with pytest.raises(InputError, match=r"no dataset\.json here"):
        find_dataset(tmp_path)


def test_masks_of_a_provider_that_are_called_otherwise_are_described_once(mine):
    said = _by_templates(mine)
    done(said.split("`")[1].replace("ORGAN", "left_lung").replace("NAME", "described") + f" --resolution {SIDE}")
    folder = said.partition("folder:")[2].partition(")")[0]
    assert find_dataset(folder.replace("NAME", "described")).info.organs == ("left_lung",)
    for number in range(4):
        (mine / "lungs" / f"p{number}_L.png").unlink()
    assert _by_templates(mine) == ""
