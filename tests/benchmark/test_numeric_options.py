"""Options that are numbers: every one says in our words what it expected and what it found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, get_args, get_origin, get_type_hints

import pytest
import typer
from typer.testing import CliRunner

from cxrbench.benchmark.cli.numeric import worded
from cxrbench.benchmark.cli.program import app as program
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.runs.limits import check_numbers


@pytest.fixture
def small() -> typer.Typer:
    app, inner = typer.Typer(), typer.Typer()

    @inner.command()
    def one(
        count: Annotated[int, typer.Option(min=1, max=9)] = 3,
        share: Annotated[float | None, typer.Option()] = None,
        seed: Annotated[int | None, typer.Option()] = None,
        name: Annotated[str, typer.Option()] = "",
    ) -> None:
        typer.echo(f"{count!r} {share!r} {seed!r} {name!r}")

    inner.command("other")(lambda: None)
    app.add_typer(inner, name="in")
    return worded(app)


def test_numbers_are_read_and_defaults_kept(small):
    said = CliRunner().invoke(small, ["in", "one", "--count", " 9 ", "--share", "1e-3", "--seed", "-4", "--name", "x"])
    assert said.output.strip() == "9 0.001 -4 'x'"
    assert CliRunner().invoke(small, ["in", "one"]).output.strip() == "3 None None ''"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--count", "x"], "'--count': expected a whole number of at least 1 and at most 9, found 'x'"),
        (["--count", "0"], "at least 1 and at most 9, found '0'"),
        (["--count", "10"], "at least 1 and at most 9, found '10'"),
        (["--seed", "1.5"], "'--seed': expected a whole number, found '1.5'"),
        (["--seed", "1_0"], "expected a whole number, found '1_0'"),
        (["--seed", "٣"], "expected a whole number, found '٣'"),
        (["--seed", "9" * 5000], "expected a whole number, found '999"),
        (["--share", "0,5"], "'--share': expected a number, found '0,5'"),
        (["--share", "nan"], "expected a number, found 'nan'"),
        (["--share", "-inf"], "expected a number, found '-inf'"),
    ],
)
def test_what_is_no_number_is_said_with_what_was_found(small, words, said):
    result = CliRunner().invoke(small, ["in", "one", *words])
    text = " ".join(result.output.replace("│", " ").split())
    assert result.exit_code == 2 and said in text


def commands(app: typer.Typer) -> Iterator[Callable[..., object]]:
    yield from (one.callback for one in app.registered_commands if one.callback is not None)
    for group in app.registered_groups:
        yield from commands(group.typer_instance)


def test_every_number_of_the_program_is_read_so():
    hints = [hint for one in commands(program) for hint in get_type_hints(one, include_extras=True).values()]
    options = [get_args(hint) for hint in hints if get_origin(hint) is Annotated]
    readers = [info.parser for kind, info, *_ in options if {int, float} & {kind, *get_args(kind)}]
    assert len(readers) > 40
    for reader in readers:
        with pytest.raises(typer.BadParameter, match=r"expected a (whole )?number.*, found 'x'"):
            reader("x")


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_seconds_of_a_step_are_above_0(seconds):
    check_numbers(seeds=1, jobs=None, seconds=None)
    check_numbers(seeds=1, jobs=2, seconds=0.5)
    with pytest.raises(InputError, match="--time-limit: expected seconds above 0"):
        check_numbers(seeds=1, jobs=None, seconds=seconds)
