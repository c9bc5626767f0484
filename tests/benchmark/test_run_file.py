"""`cxrbench init` and `cxrbench run cxrbench.toml`: strict, and the same run as by options."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cxrbench.benchmark.cli.init import init
from cxrbench.benchmark.cli.run_file import read_run_file, written
from cxrbench.benchmark.errors import InputError

TOYS = Path(__file__).parents[1] / "toys"
PROVIDER, TASK = f"{TOYS / 'toy_providers.py'}:Toy", f"{TOYS / 'toy_task.py'}:ToyTask"


def cxrbench(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cxrbench.benchmark.cli", *words]
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False, timeout=900, stdin=subprocess.DEVNULL
    )


def read(folder: Path, text: str):
    (folder / "cxrbench.toml").write_text(text, encoding="utf-8")
    return read_run_file(folder / "cxrbench.toml")


def test_a_file_has_the_options_of_run_and_settings_as_set_takes_them(tmp_path):
    found = read(
        tmp_path,
        'provider = "vae"\nseeds = 5\narms = ["real", "mixed"]\nsizes = "full,tiny"\nout = "here"\ntime_limit = 60\n'
        '[settings]\nprior = "mixture"\nlatent = 8\nsides = [1, 2]\n[settings.task]\nsteps = 6\nflip = true\n',
    )
    assert dict(found.values) == {
        "provider": "vae",
        "seeds": 5,
        "arms": ("real", "mixed"),
        "sizes": ("full", "tiny"),
        "out": Path("here"),
        "time_limit": 60,
    }
    assert found.pairs == ("prior=mixture", "latent=8", "sides=[1, 2]", "task.steps=6", "task.flip=true")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('provder = "vae"', r"unknown key of cxrbench.toml 'provder'. Did you mean provider"),
        ('seeds = "5"', "seeds: expected a whole number, found '5'"),
        ("seeds = true", "seeds: expected a whole number, found True"),
        ("data = 3", "data: expected a text, found 3"),
        ("arms = [1]", "arms: expected a list of texts"),
        ("sizes = [true]", "sizes: expected a list of texts"),
        ("sizes = [0.5]", "sizes: expected a list of texts"),
        ("settings = 3", r"settings: expected a table \[settings\]"),
        ("[settings]\nday = 2026-01-01", "setting day: expected a number"),
        ("[settings]\nx = nan", "setting x: expected a number"),
        ("provider = ", "is no TOML"),
    ],
)
def test_what_is_wrong_in_a_file_is_one_line(tmp_path, text, said):
    with pytest.raises(InputError, match=said) as raised:
        read(tmp_path, text)
    assert "\n" not in str(raised.value)


def test_sizes_and_ratios_may_be_numbers(tmp_path):
    found = read(tmp_path, 'sizes = [31, "tiny"]\nratios = [2, 0.5]').values
    assert found == {"sizes": ("31", "tiny"), "ratios": ("2", "0.5")}


def test_what_init_writes_reads_back(tmp_path):
    text = written(
        provider='command:python "my gen.py"',
        data="phantom_hard",
        task="scr_official",
        preset="quick",
        seeds=5,
        arms=("real", "mixed"),
        pairs=("prior=mixture", "task.steps=6", "a.b=0.5", "none=null"),
    )
    found = read(tmp_path, text)
    assert found.values["provider"] == 'command:python "my gen.py"' and found.values["arms"] == ("real", "mixed")
    assert found.pairs == ("prior=mixture", "a.b=0.5", "none=null", "task.steps=6")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"provider": "three_stag"}, "Did you mean three_stage"),
        ({"provider": "noise", "data": "nowhere"}, "unknown dataset 'nowhere'"),
        ({"provider": "noise", "task": "scr"}, "unknown task 'scr'"),
        ({"provider": "noise", "data": "phantom", "preset": "fast"}, "unknown preset 'fast'"),
        ({"provider": "noise", "data": "phantom", "set_": ["steps"]}, "expected key=value"),
        ({"provider": "noise", "data": "."}, "without dataset.json and without films"),
    ],
)
def test_init_refuses_what_no_run_could_use_and_writes_nothing(tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: SIM115
    with pytest.raises(InputError, match=said):
        init(**words, out=tmp_path / "cxrbench.toml")
    assert not list(tmp_path.iterdir())


def test_the_way_from_init_to_a_latex_table(tmp_path, here):
    """Options count more than the file; a second init refuses to replace it."""
    first = cxrbench(*f"init --provider {PROVIDER} --task {TASK} --seeds 2 --set task.films=6".split(), cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    again = here("init", "--provider", "noise")
    assert again.returncode == 2 and "use --force" in again.stderr
    words = ["run", "cxrbench.toml", "--device", "cpu", "--arms", "real", "--latex", "tables/mine.tex", "--out", "out"]
    done = here(*words)
    assert done.returncode == 0, done.stderr
    assert "seeds 0 to 1" in done.stderr and "latex  tables/mine.tex" in done.stderr
    assert (tmp_path / "tables/mine.tex").read_bytes() == (
        tmp_path / "out/tables/table.tex"
    ).read_bytes()  # without a gain
    again = here("report", "out", "--latex", "again.tex")
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "again.tex").read_bytes() == (tmp_path / "tables/mine.tex").read_bytes()
    two = here("report", "out", "--latex", "again.tex", "--format", "md")
    assert two.returncode == 2 and "leave out --format" in two.stderr
    asked = (
        f"run --provider {PROVIDER} --task {TASK} --data phantom --seeds 2 --set task.films=6 --arms real --device cpu"
    )
    assert "nothing to do" in here(*asked.split(), "--dry-run").stderr
    bare = here("run")
    assert bare.returncode == 2 and "name a provider" in bare.stderr
