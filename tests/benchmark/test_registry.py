"""Names become classes, nothing is imported to describe them, and a wrong name gets the nearest ones."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from cxrbench.benchmark.cli.offers import classes
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.presets import SETTINGS
from cxrbench.benchmark.registry import PROVIDERS, TASKS, Offer, Plugin, find_provider, find_task, plugins
from cxrbench.benchmark.runs.examine import class_of
from cxrbench.benchmark.runs.named_provider import named_provider

TOY = """import numpy as np
from cxrbench import Annotation, Batch, Provider


class {name}(Provider):
    produces = frozenset({{Annotation.MASKS}})

    def fit(self, train, *, seed, progress):
        self.train = train

    def sample(self, n, *, seed):
        yield Batch(np.zeros((n, 1, 8, 8), np.float32))
"""
TOYS = Path(__file__).parents[1] / "toys"


def test_a_misspelt_provider_gets_the_nearest_name():
    with pytest.raises(InputError, match=r"unknown provider 'tree_stage'. Did you mean three_stage"):
        find_provider("tree_stage")


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ("generated/films", "folder:generated"),
        ("generated/model_index.json", "diffusers:generated"),
        ("net.onnx", "onnx:net"),
    ],
)
def test_a_folder_or_model_in_place_of_a_name_is_told_how_it_is_asked_for(made, said, tmp_path, monkeypatch):
    (tmp_path / made).parent.mkdir(exist_ok=True)
    (tmp_path / made).write_text("")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=rf"that is a .* is --provider {said}"):
        named_provider(made.split("/")[0])


def test_a_folder_called_as_a_provider_hides_none(tmp_path, monkeypatch):
    (tmp_path / "classical").mkdir()
    monkeypatch.chdir(tmp_path)
    assert named_provider("classical").argument == ""
    with pytest.raises(InputError, match="Did you mean classical"):
        named_provider("clasical")


def test_a_misspelt_task_gets_the_nearest_name():
    with pytest.raises(InputError, match=r"unknown task 'scr_oficial'. Did you mean scr_official"):
        find_task("scr_oficial")


def test_a_folder_that_is_absent_is_named_with_the_nearest_one(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "a.png").write_bytes(b"film")
    with pytest.raises(InputError, match=r"min does not exist; did you mean .*/mine\?"):
        find_provider(f"folder:{tmp_path}/min")
    with pytest.raises(InputError, match=r"a.png is not a folder"):
        find_provider(f"folder:{tmp_path}/a.png")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("folder:/nowhere/at/all", "/nowhere/at/all does not exist$"),
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


def test_a_file_without_the_class_names_the_nearest_else_those_that_it_has(tmp_path):
    path = tmp_path / "mine_and_yours.py"
    path.write_text("from pathlib import Path\n\nclass Mine: ...\nclass Yours: ...\nclass _Part: ...\n")
    for name, said in (
        ("mine", "did you mean Mine?"),
        ("Yuors", "did you mean Yours?"),
        ("Path_", "it has Mine, Yours"),
    ):
        with pytest.raises(InputError, match=f"has no class '{name}'; {re.escape(said)}$"):
            find_provider(f"{path}:{name}").load()
    empty = tmp_path / "without.py"
    empty.write_text("from pathlib import Path\n")
    with pytest.raises(InputError, match=r"has no class 'Mine', nor any other$"):
        find_provider(f"{empty}:Mine").load()


def test_a_file_that_cannot_be_imported_says_why(tmp_path):
    (tmp_path / "broken.py").write_text("import a_module_that_is_not_there\n")
    with pytest.raises(InputError, match="ModuleNotFoundError: No module named 'a_module_that_is_not_there'"):
        find_provider(f"{tmp_path / 'broken.py'}:Blur").load()


def test_every_installed_provider_and_task_is_listed_without_torch():
    code = (
        "import sys\n"
        "from cxrbench.benchmark.registry import *\n"
        "for group in (PROVIDERS, TASKS):\n"
        "    for plugin in plugins(group).values(): assert plugin.said().summary, plugin.name\n"
        "assert 'torch' not in sys.modules and 'pandas' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_listed_and_installed_is_what_the_classes_say():
    found = classes("cxrbench.baselines") | classes("cxrbench.tasks")
    installed = {name: plugin for group in (PROVIDERS, TASKS) for name, plugin in plugins(group).items()}
    assert set(found) == set(installed)
    for name, told in found.items():
        plugin = installed[name]
        assert told.where == f"{plugin.module}:{plugin.attribute}"
        assert plugin.said() == Offer(told.offer["summary"], tuple(told.offer["annotations"]))
        assert plugin.written(SETTINGS) == told.settings, "cxrbench plugins --write"


@pytest.mark.parametrize(
    ("files", "films"),
    [
        ({"mine.py": "from cxrbench.baselines.controls import Noise\nclass Mine(Noise):\n    pass\n"}, "masks"),
        ({"mine.py": "class Other:\n    pass\n\n\n" + TOY.format(name="Mine")}, "masks"),
        ({"mine.py": TOY.format(name="Hidden") + "\n\ndef made():\n    return Hidden\n\n\nMine = made()\n"}, "masks"),
        (
            {"mine.py": "from part import Base\nclass Mine(Base):\n    pass\n", "part.py": TOY.format(name="Base")},
            "masks",
        ),
        (
            {"mine.py": "from .part import Base\nclass Mine(Base):\n    pass\n", "part.py": TOY.format(name="Base")},
            "masks",
        ),
    ],
    ids=["of a built-in one", "two classes", "made by a function", "plain import beside", "relative import beside"],
)
def test_a_class_in_a_file_is_asked_for_what_it_makes(tmp_path, files, films):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    cls = class_of(find_provider(f"{tmp_path / 'mine.py'}:Mine"))
    assert films in {annotation.value for annotation in cls.produces}
    other = tmp_path / "other"
    other.mkdir()
    for name, text in files.items():
        (other / name).write_text(text + "\n# changed\n" * (name != "mine.py" or len(files) == 1))
    assert (
        find_provider(f"{other / 'mine.py'}:Mine").code_digest()
        != find_provider(f"{tmp_path / 'mine.py'}:Mine").code_digest()
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def Mine():\n    pass\n", "expected a class derived from cxrbench's Provider, found function"),
        ("class Mine:\n    pass\n", "expected a class derived from cxrbench's Provider, found the class Mine"),
        ("from cxrbench import Provider\nclass Mine(Provider):\n    pass\n", "Mine lacks fit, sample"),
        (
            "from cxrbench import Provider\nclass Mine(Provider):\n    produces = frozenset()\n"
            "    def __init__(self, n=12): self.n = n\n    def fit(self): pass\n    def sample(self): pass\n",
            "Mine.__init__(self, n=12) is not called with values of its own, but as Mine(settings, device=...)",
        ),
        ("from .. import nothing\nclass Mine:\n    pass\n", "cannot import"),
    ],
    ids=["a function", "no provider", "nothing written", "made in its own way", "an import above the folder"],
)
def test_what_is_no_provider_is_one_line(tmp_path, text, said):
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(InputError) as error:
        class_of(find_provider(f"{tmp_path / 'mine.py'}:Mine"))
    assert said in str(error.value) and "\n" not in str(error.value)


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


def test_the_code_of_a_program_is_read_as_a_shell_reads_it(tmp_path):
    program = tmp_path / "g g" / "gen.py"
    program.parent.mkdir()
    digests = set()
    for text in ("one", "two"):
        program.write_text(text)
        digests.add(find_provider(f"command:python '{program}'").code_digest())
    assert len(digests) == 2


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("command: ", "expected something after 'command:'"),
        ("~no_such_user/x.py:A", "provider '~no_such_user/x.py': "),
        ("folder:~no_such_user", "provider '~no_such_user': "),
        (f"{'x' * 400}.py:A", "there is no file"),
    ],
)
def test_an_odd_spec_is_one_line(spec, said):
    with pytest.raises(InputError, match=said):
        find_provider(spec)


def test_a_command_with_a_long_word_has_a_digest():
    assert find_provider(f"command:python -c {'x' * 400}").code_digest()
    with pytest.raises(InputError, match="No closing quotation"):
        find_provider("command:python 'gen.py").code_digest()


@pytest.mark.parametrize("module", ["no_such_package.sub", "sys", "cxrbench.no_such", "json.no_such.deeper"])
def test_an_entry_point_that_leads_nowhere_is_one_line_and_imports_nothing(module):
    with pytest.raises(InputError, match="cannot be found; is it installed"):
        Plugin("bad", "bad", module, "X").source()
