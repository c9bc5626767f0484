"""Nothing that the terminal shows is wider than it, and no word is broken: tables, sentences, the help of every command."""

from __future__ import annotations

import io
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.cells import cell_len
from typer.testing import CliRunner

from cxrbench.benchmark.cli.program import app
from cxrbench.benchmark.console_tables import as_text, cell, side_by_side, table, tell, terminal_width, wrapped
from cxrbench.benchmark.report.text_tables import terminal
from cxrbench.benchmark.results.folder import load_run

WIDTHS = (60, 80, 140)
RUNS = sorted((Path(__file__).parents[2] / "submissions").glob("[de]*/runs/*"))


def too_wide(text: str, width: int) -> list[str]:
    """Lines of several words that are wider: a word alone, such as a path, may be."""
    return [line for line in text.splitlines() if cell_len(line) > width and len(line.split()) > 1]


def words(text: str) -> list[str]:
    return sorted(text.split())


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("columns", [3, 9, 25])
def test_a_wide_table_keeps_every_cell_and_fits(width: int, columns: int) -> None:
    made = table(["row", *(f"heading {number}" for number in range(columns))], title="a title of the table")
    for row in range(4):
        made.add_row(cell(f"name_{row}"), *(cell(f"{row}.{number:03d}") for number in range(columns)))
    text = as_text(made, width).plain
    assert not too_wide(text, width)
    for row in range(4):
        for number in range(columns):
            assert f"{row}.{number:03d}" in text.split()


def test_blocks_begin_with_the_first_columns_and_keep_a_mark_with_its_number() -> None:
    made = table(["metric", "organ", *(text for number in range(9) for text in (f"ARM{number}", ""))], left=2)
    made.add_row(
        *map(cell, ["DSC", "heart", *(text for number in range(9) for text in (f"9{number}.00 ± 1.00", "**"))])
    )
    lines = [line for line in as_text(made, 60).plain.splitlines() if "±" in line]
    assert len(lines) > 1
    assert all(line.startswith("DSC     heart") and line.count("±") == line.count("**") for line in lines)


def test_sentences_in_cells_take_several_lines_before_columns_fold() -> None:
    made = table(["name", "about", "seconds"], left=2)
    made.add_row(cell("noise"), cell("films of nothing but noise, and masks that are drawn at random " * 3), cell("12"))
    lines = as_text(made, 60).plain.splitlines()
    assert lines[1].split()[0] == "noise" and lines[1].endswith("12")
    assert not too_wide("\n".join(lines), 60) and words("\n".join(lines)).count("random") == 3


def test_a_table_of_words_longer_than_a_line_is_a_list_with_the_words_whole() -> None:
    path = "/a/" + "long/" * 30 + "folder"
    made = table(["name", "place"], left=2)
    made.add_row(cell("one"), cell(path))
    assert path in as_text(made, 60).plain.split()


def test_tables_side_by_side_go_below_each_other() -> None:
    labels = table([""], title=" ")
    labels.add_row(cell("average"))
    others = []
    for number in range(6):
        made = table([f"R{one}" for one in range(2)], left=0, title=f"source {number}")
        made.add_row(cell("11/25"), cell("12/25"))
        others.append(made)
    blocks = [block.plain for block in side_by_side(labels, others, 60)]
    assert len(blocks) > 1 and not too_wide("\n".join(blocks), 60)
    assert all("average" in block for block in blocks) and "".join(blocks).count("11/25") == 6


def test_sentences_break_between_words_below_their_beginning() -> None:
    text = wrapped("plan   " + "24 cells of three sizes " * 8, 60)
    assert not too_wide(text, 60)
    assert all(line.startswith(" " * 7) for line in text.splitlines()[1:])
    assert text.split() == ("plan " + "24 cells of three sizes " * 8).split()


def test_a_command_goes_on_behind_a_backslash() -> None:
    command = "cxrbench run --provider FILE.py:CLASS --seeds 5 --entry a_name --out a_folder_of_the_run --preset quick"
    lines = wrapped(command, 60).splitlines()
    assert len(lines) > 1 and all(line.endswith(" \\") for line in lines[:-1])
    assert "\n".join(lines).replace("\\\n", " ").split() == command.split()


def test_a_command_is_not_broken_within_quotes() -> None:
    words = [
        "cxrbench",
        "curve",
        "--data",
        "/home/a user/some films of a ward",
        "--set",
        "task.note=a 'b' c",
        "--seeds",
        "5",
    ]
    for width in range(20, 80):
        lines = wrapped(shlex.join(words), width)
        assert shlex.split(lines.replace("\\\n", " ")) == words


def test_a_pipe_has_no_width_and_columns_give_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    long = "a word " * 40
    tell(long, pipe := io.StringIO())
    assert terminal_width(pipe) is None and pipe.getvalue() == f"{long}\n"
    monkeypatch.setenv("COLUMNS", "80")
    tell(long, narrow := io.StringIO())
    assert len(narrow.getvalue().splitlines()) == 4


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("run", RUNS, ids=lambda run: f"{run.parent.parent.name}-{run.name}")
def test_the_table_of_a_run_fits(run: Path, width: int) -> None:
    assert not too_wide(terminal(load_run(run), width).plain, width)


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


ROOT = typer.main.get_command(app)


@pytest.mark.parametrize("path", list(commands(ROOT)), ids=" ".join)
def test_the_help_of_every_command_fits(path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = CliRunner().invoke(app, [*path, "--help"])
    assert shown.exit_code == 0 and "Usage:" in shown.output
    assert not too_wide(shown.output, 80)


SHOWN = [
    "list",
    "list providers",
    "list datasets",
    "list task nih_localisation",
    "list provider two_stage",
    "list provider gmvae_v3",
    "data list",
    "data show phantom",
    "store list",
    "store list --entries",
    "run --provider nothing_of_this_name",
    "run --provider classical --task no_such_task",
    "store show nothing",
    "compare nowhere nobody",
    "report nowhere",
    "submission check nowhere",
    "audit nowhere",
]


@pytest.mark.parametrize("width", WIDTHS[:2])
@pytest.mark.parametrize("line", SHOWN)
def test_what_commands_print_fits(
    line: str, width: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from cxrbench.benchmark.cli import program

    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("CXRBENCH_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)  # `data show` writes its sheet there
    monkeypatch.setattr("sys.argv", ["cxrbench", *line.split()])
    with pytest.raises(SystemExit):
        program.main()
    said = capfd.readouterr()
    assert said.out or said.err
    assert not too_wide(said.out + said.err, width)


def test_the_time_left_is_not_guessed_from_the_first_moments_of_the_work() -> None:
    from cxrbench.benchmark.cli.progress_bar import _left

    assert _left(2.0, 0.0011) == "", "no half hour from two seconds"
    assert _left(30.0, 0.25) == "1:30 left"
