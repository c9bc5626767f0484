"""Names become classes, nothing is imported to describe them, and a wrong name gets the nearest ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.registry import PROVIDERS, TASKS, describe, find_provider, find_task, plugins

TOYS = Path(__file__).parents[1] / "toys"


def test_a_misspelt_provider_gets_the_nearest_name():
    with pytest.raises(InputError, match=r"unknown provider 'tree_stage'. Did you mean three_stage"):
        find_provider("tree_stage")


def test_a_misspelt_task_gets_the_nearest_name():
    with pytest.raises(InputError, match=r"unknown task 'scr_oficial'. Did you mean scr_official"):
        find_task("scr_oficial")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("folder:/nowhere/at/all", "is not a folder"),
        ("folder:", "expected something after 'folder:'"),
        ("command:", "expected something after 'command:'"),
        ("nothing.py:Blur", "there is no file nothing.py"),
        ("nothing.py", "expected path/to/file.py:Class"),
    ],
)
def test_a_spec_that_names_nothing_is_one_line(spec, message):
    with pytest.raises(InputError, match=message):
        find_provider(spec)


def test_a_file_without_the_class_says_so():
    with pytest.raises(InputError, match="has no class 'Blur'"):
        find_provider(f"{TOYS / 'toy_providers.py'}:Blur").load()


def test_a_file_that_cannot_be_imported_says_why(tmp_path):
    (tmp_path / "broken.py").write_text("import a_module_that_is_not_there\n")
    with pytest.raises(InputError, match="ModuleNotFoundError: No module named 'a_module_that_is_not_there'"):
        find_provider(f"{tmp_path / 'broken.py'}:Blur").load()


def test_every_installed_provider_and_task_describes_itself_without_torch():
    code = (
        "import sys\n"
        "from cxrbench.benchmark.registry import *\n"
        "for group in (PROVIDERS, TASKS):\n"
        "    for plugin in plugins(group).values(): assert describe(plugin).line, plugin.name\n"
        "assert 'torch' not in sys.modules and 'pandas' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_described_annotations_are_those_of_the_class():
    for group, what in ((PROVIDERS, "produces"), (TASKS, "needs")):
        for plugin in plugins(group).values():
            value = getattr(plugin.load(), what)
            assert set(describe(plugin).values[what]) == ({value} if group == TASKS else set(value)), plugin.name


def test_attributes_of_a_base_class_in_the_same_file_are_described():
    said = describe(find_provider(f"{TOYS / 'toy_providers.py'}:WrongShape"))
    assert said.values["produces"] == ["masks"]
    assert said.line == "Leaves out an organ."


def test_the_code_digest_changes_with_the_file_and_with_what_it_imports(tmp_path):
    def digest_of(first: str, second: str, folder: str) -> str:
        home = tmp_path / folder
        home.mkdir()
        (home / "gen.py").write_text(first)
        (home / "part.py").write_text(second)
        return find_provider(f"{home / 'gen.py'}:Blur").code_digest()

    base = digest_of("import part\nclass Blur: pass\n", "x = 1\n", "a")
    assert digest_of("import part\nclass Blur: pass\n", "x = 1\n", "b") == base
    assert digest_of("import part\nclass Blur: pass\n", "x = 2\n", "c") != base
    assert digest_of("import part\nclass Blur: y = 1\n", "x = 1\n", "d") != base


def test_the_digest_of_a_folder_provider_is_that_of_its_content(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.png").write_bytes(b"1")
    first = find_provider(f"folder:{tmp_path / 'a'}").code_digest()
    (tmp_path / "a" / "one.png").write_bytes(b"2")
    assert find_provider(f"folder:{tmp_path / 'a'}").code_digest() != first
