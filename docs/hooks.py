"""Pages that `mkdocs build` makes from the package itself, so that they cannot go stale: every command from its own
help, the settings of every preset, the fields of results.json, the notebooks, CONTRIBUTING and CHANGELOG."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SOURCES = "the repository"
MADE = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmark/cli": "reference/commands.md",
    "benchmark/results/rows.py": "reference/formats.md",
}
"""What a page is made of, which the pages of the repository link to, and the page that it is in the site."""


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are made."""
    from mkdocs.structure.files import File

    pages = {
        "reference/commands.md": commands_page(),
        "reference/settings.md": settings_page(),
        "reference/formats.md": formats_page(),
        "contributing.md": of_root("CONTRIBUTING.md"),
        "changelog.md": of_root("CHANGELOG.md"),
    }
    for notebook in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")):
        pages[f"tutorials/{notebook.stem}.md"] = notebook_page(notebook)
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Marks of the tests are no part of a page; links to files of the repository are names there."""
    markdown = re.sub(r"^<!-- run:.*-->\n", "", markdown, flags=re.MULTILINE)
    markdown = re.sub(r"\]\(([^)#:\s]+)(#[^)]*)?\)", made_of(page.file.src_uri), markdown)
    return re.sub(r"\[([^\]]+)\]\((?:\.\./)+([A-Za-z][^)]*)\)", outside(page.file.src_uri), markdown)


def made_of(here: str) -> Any:
    """A link to what a page of the site is made of becomes a link to that page, so that it leads somewhere in both."""
    folder = posixpath.dirname(here)

    def replaced(match: re.Match[str]) -> str:
        leads = posixpath.normpath(posixpath.join("docs", folder, match[1]))
        name = MADE.get(leads)
        if leads.startswith("docs/notebooks/") and leads.endswith(".ipynb"):
            name = f"tutorials/{posixpath.basename(leads).removesuffix('.ipynb')}.md"
        return f"]({posixpath.relpath(name, folder or '.')}{match[2] or ''})" if name else match[0]

    return replaced


def outside(here: str) -> Any:
    """Keep a link that stays within the pages; of one that leaves them keep its text."""

    def replaced(match: re.Match[str]) -> str:
        up = match[0].count("../", match[0].rindex("("))
        return match[0] if up <= here.count("/") else match[1]

    return replaced


def of_root(name: str) -> str:
    """A page of the repository's root, its links to `docs/` made links within."""
    return (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")


# ------------------------------------------------------------------------------------------------------- commands


def commands_page() -> str:
    """Every command with its own help: its words, arguments and options."""
    import typer

    from cxrbench.benchmark.cli import app

    root = typer.main.get_command(app)
    lines = ["# Commands", "", "Every command has `--help`; what is printed here is that help.", ""]
    for words, command in sorted(walked(root, ["cxrbench"]), key=lambda one: one[0]):
        lines += [f"## {' '.join(words)}", "", *help_of(words, command)]
    return "\n".join(lines)


def walked(command: Any, words: list[str]) -> Iterator[tuple[list[str], Any]]:
    """All commands that do something, with their words."""
    if command.hidden:
        return
    if not hasattr(command, "commands"):
        yield words, command
        return
    for name, inner in command.commands.items():
        yield from walked(inner, [*words, name])


def help_of(words: list[str], command: Any) -> Iterator[str]:
    """The help of a command as Markdown."""
    yield escaped(" ".join((command.help or "").split()))
    yield ""
    rows = []
    for option in command.params:
        if option.name == "help" or getattr(option, "hidden", False):
            continue
        names = (
            ", ".join(f"`{name}`" for name in option.opts) if option.param_type_name == "option" else f"`{option.name}`"
        )
        default = option.default
        shown = (
            ""
            if callable(default) or default in (None, False, (), [], "")
            else f"`{getattr(default, 'value', default)}`"
        )
        about = escaped(" ".join((option.help or "").split()))
        rows.append(f"| {names} | {about}{' (required)' if option.required else ''} | {shown} |")
    if rows:
        yield from ["| option | what it does | default |", "|---|---|---|", *rows]
    yield ""


def escaped(text: str) -> str:
    """Text that Markdown shows as it is, in a cell; what stands between backticks is code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # one without its second
        parts = ["\\`".join(parts)]
    for place in range(0, len(parts), 2):
        parts[place] = re.sub(r"([\\*_\[\]<>|])", r"\\\1", parts[place]).replace(r"\<", "&lt;").replace(r"\>", "&gt;")
    return "`".join(part if place % 2 == 0 else part.replace("|", "\\|") for place, part in enumerate(parts))


# ------------------------------------------------------------------------------------------------------- settings


def settings_page() -> str:
    """The settings of every task and provider at every preset, as `cxrbench list provider NAME` has them."""
    from cxrbench.benchmark.presets import ABOUT, SETTINGS
    from cxrbench.benchmark.registry import PROVIDERS, TASKS, plugins

    lines = [
        "# Settings of every preset",
        "",
        "`--set KEY=VALUE` changes a setting of the provider, `--set task.KEY=VALUE` one",
    ]
    lines += ["of the task. `cxrbench list provider NAME` and `cxrbench list task NAME` print the same.", ""]
    for group, title, prefix in ((TASKS, "Tasks", "task."), (PROVIDERS, "Providers", "")):
        lines += [f"## {title}", ""]
        for name, plugin in plugins(group).items():
            table, offer = plugin.written(SETTINGS), plugin.said()
            lines += [f"### {name}", "", escaped(offer.summary if offer else ""), ""]
            if not table:
                lines += ["No settings.", ""]
                continue
            presets = list(dict.fromkeys(key for row in table.values() for key in row if key != ABOUT))
            lines += [f"| key | {' | '.join(presets)} | meaning |", "|---|" + "---|" * (len(presets) + 1)]
            for key, row in table.items():
                values = " | ".join(value_of(row.get(preset)) for preset in presets)
                lines.append(f"| `{prefix}{key}` | {values} | {escaped(row.get(ABOUT, ''))} |")
            lines.append("")
    return "\n".join(lines)


def value_of(value: object) -> str:
    """A value in a cell."""
    return f"`{json.dumps(value)}`".replace("|", "\\|")


# ------------------------------------------------------------------------------------------------------- formats

FILES = """# Files of a run

`cxrbench run` writes a folder (`--out`, by default `runs/<time>-<provider>`):

| file | what it is |
|---|---|
| `results.json` | all numbers, exact; its fields below |
| `report.html` | the report: one page that needs nothing else |
| `tables/table.md`, `.csv`, `.json`, `.tex` | the table: laid out in Markdown and LaTeX, a row a number and exact in
CSV and JSON | | `tables/tests.csv` | the paired tests against REAL, with every p-value |
| `tables/cells.csv` | every cell that was planned and what became of it |
| `tables/scores.parquet` | the score of every test film: COLUMNS |
| `tables/curves.parquet` | the training curves: CURVES |
| `figures/` | the figures of the report as SVG and PNG, and the films that it shows |

Fractions are as they are in JSON, CSV and parquet (0.97) and in percent where a table is for people (97.00). A number
that does not exist is null, never zero. `cxrbench.load(FOLDER)` reads a folder; `pandas.read_parquet` the scores.

# results.json
"""


def formats_page() -> str:
    """The files of a run, and the fields of results.json from its schema."""
    from cxrbench.benchmark.metrics.scores import COLUMNS
    from cxrbench.benchmark.results.folder import CURVE_COLUMNS
    from cxrbench.benchmark.results.rows import Results

    schema = Results.model_json_schema(by_alias=True)
    text = FILES.replace("# results.json", "## results.json").replace(
        "CURVES", ", ".join(f"`{c}`" for c in CURVE_COLUMNS)
    )
    lines = [text.replace("COLUMNS", ", ".join(f"`{c}`" for c in COLUMNS)), *fields_of(schema)]
    for name, found in sorted(schema["$defs"].items()):
        if "properties" in found:
            lines += [f"### {name}", "", escaped(" ".join(found.get("description", "").split())), "", *fields_of(found)]
    return "\n".join(lines)


def fields_of(schema: dict[str, Any]) -> Iterator[str]:
    """The fields of an object."""
    yield from ["| field | kind |", "|---|---|"]
    yield from (f"| `{name}` | {kind_of(found)} |" for name, found in schema["properties"].items())
    yield ""


def kind_of(found: dict[str, Any]) -> str:
    """What a field holds, in words."""
    if "$ref" in found:
        name = found["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})" if name != "Status" else "`done`, `failed` or `missing`"
    if "anyOf" in found:
        return " or ".join(kind_of(one) for one in found["anyOf"])
    if found.get("type") == "array":
        return f"list of {kind_of(found.get('items', {}))}"
    if found.get("type") == "object":
        return (
            f"by name: {kind_of(found['additionalProperties'])}"
            if isinstance(found.get("additionalProperties"), dict)
            else "object"
        )
    names = {
        "string": "text",
        "integer": "whole number",
        "number": "number",
        "boolean": "true or false",
        "null": "null",
    }
    return names.get(str(found.get("type")), "any")


# ------------------------------------------------------------------------------------------------------- notebooks


def notebook_page(path: Path) -> str:
    """The cells of a notebook: its words, and its code."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    parts = []
    for cell in cells:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
    parts.append(f"The notebook itself is `docs/notebooks/{path.name}` in {SOURCES}.")
    return "\n\n".join(parts) + "\n"


def on_post_page(output: str, **_: Any) -> str:
    """The theme gives its search no name that a screen reader could say."""
    return output.replace('<div class="md-search" ', '<div class="md-search" aria-label="Search" ')
