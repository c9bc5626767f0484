"""`cxrbench card`: what stands on the page, that it is the run's own films, and the films as a set that others can read."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from cxrbench.benchmark.audit import real_model, sources
from cxrbench.benchmark.audit.run_films import run_films
from cxrbench.benchmark.card.croissant import NAME_OF_FILE
from cxrbench.benchmark.card.rows import Card, make_card
from cxrbench.benchmark.card.share import pack
from cxrbench.benchmark.card.write import ROW, as_latex, as_markdown, row_cells
from cxrbench.benchmark.cli.program import app
from cxrbench.benchmark.contracts.pictures import read_pictures
from cxrbench.benchmark.data.catalogue import keep
from cxrbench.benchmark.data.dataset import Dataset
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.home import home
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.registry import find_task
from cxrbench.benchmark.results.assemble import assemble
from cxrbench.benchmark.results.folder import load_run, write_results
from cxrbench.benchmark.runs.request import Request, execute, prepare
from cxrbench.benchmark.runs.store import Level, Store

from ..toys.toy_films import chests, run_here

TOYS = Path(__file__).parents[1] / "toys"
PROVIDER, TASK = f"{TOYS / 'toy_providers.py'}:Toy", f"{TOYS / 'toy_task.py'}:ToyTask"
WHOSE = ("--licence", "CC0-1.0", "--creator", "The authors", "--url", "https://example.org/films")


@pytest.fixture(autouse=True)
def without_networks(monkeypatch):
    monkeypatch.setattr("cxrbench.benchmark.fidelity.audit.imagenet_space", lambda: None)
    monkeypatch.setattr("cxrbench.benchmark.fidelity.audit.alike_beside", lambda films, real, count: (None, []))


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A home and the folder of a finished run of two seeds: brighter copies of 16 training films as 30 synthetic ones."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CXRBENCH_HOME", str(folder / "home"))
        run_here(patch)
        keep(chests(40, 60))
        prepared = prepare(Request(provider=PROVIDER, task=TASK, data="chests", seeds=2, overrides=("task.films=30",)))
        assert [one.error for one in execute(prepared) if one.error] == []
        write_results(folder / "run", assemble(prepared.plan, prepared.store, ["cxrbench", "run", "--provider", "toy"]))
    return folder


@pytest.fixture
def run(finished, monkeypatch, tmp_path) -> Path:
    """The folder of that run, its home and folder the test's own."""
    shutil.copytree(finished / "home", home(), dirs_exist_ok=True)
    for module in (real_model, sources):
        monkeypatch.setattr(module, "find_task", lambda name: find_task(TASK))
    return shutil.copytree(finished / "run", tmp_path / "run")


def card(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["card", *map(str, arguments)])
    error = "" if done.exception is None or isinstance(done.exception, SystemExit) else str(done.exception)
    return done.exit_code, done.stdout, done.stderr + error


def test_a_card_says_all_that_a_supplement_needs(run):
    code, said, noted = card(run)
    assert code == 0, noted
    assert [line.split("/")[-1] for line in said.splitlines()] == ["card.md", "card.tex", "card.json"]
    found = Card.model_validate_json((run / "card.json").read_bytes())
    page = (run / "card.md").read_text(encoding="utf-8")
    assert found.films is not None and (found.films.count, found.films.size, found.films.seed) == (30, "tiny", 0)
    assert found.audit is not None and [one.space for one in found.audit.spaces] == [
        "grey levels",
        "texture",
        "anatomy",
    ]
    assert found.audit.films.digest == found.films.digest
    assert found.audit.agreement, "the run's own REAL model is asked"
    for part in (
        "synthetic at tiny (0 + 30 films)",
        "FD (anatomy, 30 films)",
        "2 of the 5 seeds that a sentence about the generator takes",
        "DSC of a REAL model, all",
        "copies of training films",
        "tiny: 4 films learnt from, 30 films made of them",
        "seeds: 0, 1",
        "toy v1 at quick",
        "cxrbench run --provider toy",
        "parameters",
    ):
        assert part in page, part
    assert "FID" not in page


def test_the_row_has_a_cell_for_every_heading_and_is_safe_latex(run):
    assert card(run)[0] == 0
    found = Card.model_validate_json((run / "card.json").read_bytes())
    row = next(line for line in (run / "card.tex").read_text(encoding="utf-8").splitlines() if not line.startswith("%"))
    assert len(re.split(r"(?<!\\) & ", row)) == len(ROW) == len(row_cells(found))
    named = found.model_copy(update={"provider": found.provider.model_copy(update={"name": r"a_b & 50% \input{x}"})})
    latex = as_latex(named).splitlines()[-1]
    assert r"a\_b \& 50\% \textbackslash{}input\{x\}" in latex


def test_a_card_of_an_entry_is_not_written_into_it(run, tmp_path):
    mine = shutil.copytree(run, tmp_path / "entry" / "runs" / "toy")
    (tmp_path / "entry" / "submission.toml").touch()
    before = sorted(mine.iterdir())
    code, _, error = card(mine, "--no-audit")
    assert code and "name --out" in error and sorted(mine.iterdir()) == before
    assert card(mine, "--no-audit", "--out", tmp_path / "card")[0] == 0
    assert (tmp_path / "card" / "card.md").is_file() and sorted(mine.iterdir()) == before


def test_a_card_of_a_hostile_name_is_markdown_without_markup(run):
    assert card(run, "--no-audit")[0] == 0
    found = Card.model_validate_json((run / "card.json").read_bytes())
    named = found.model_copy(update={"provider": found.provider.model_copy(update={"name": "<script>*x*</script>|`"})})
    assert "<script>" not in as_markdown(named) and r"\|" in as_markdown(named)
    assert "were not asked about: --no-audit" in as_markdown(named)


def test_a_card_of_five_seeds_has_the_sentence_and_no_caution_about_seeds(fabricate):
    made = fabricate(seeds=range(5), arms=("real", "mixed"), placebos=("mixed",), sizes=("full",))
    results = assemble(made.plan, made.store, ["cxrbench", "run"])
    found = make_card(results, None, None, "not asked")
    assert re.search(r"\(95 % interval .* to .*, p .*, 5 seeds\): \w+", found.claims[0])
    assert found.headline is not None and found.headline.cells["arm"] == "MIXED"
    assert not [line for line in found.cautions if "seeds that a sentence" in line]
    assert found.gains == results.gains and found.cost[0].parameters == 1_234_567


def test_the_films_are_those_of_the_runs_own_cells_and_what_is_gone_is_said(run, fabricate):
    results, store = load_run(run), Store(home() / "store")
    first, second = (run_films(results, store, "full", seed) for seed in (0, 1))
    assert first.films.digest != second.films.digest and second.words == "size full, fold all, seed 1"
    with pytest.raises(InputError, match="no seed 7; it has 0, 1"):
        run_films(results, store, "", 7)
    with pytest.raises(InputError, match="unknown size of this run 'ful'"):
        run_films(results, store, "ful")
    for folder in (store.root / Level.SYNTHETIC.value).glob("*/*"):
        (folder / "dataset" / "images.npy").write_bytes(b"damaged")
    code, _, noted = card(run)
    assert code == 0, noted
    assert "the store has not the films of this run" in (run / "card.md").read_text(encoding="utf-8")
    code, _, noted = card(run, "--share", run / "shared", *WHOSE)
    assert code != 0 and "the store has not the films" in noted


def test_an_audit_of_other_films_is_refused(run, tmp_path):
    from cxrbench.benchmark.fidelity.audit import Audit

    assert card(run, "--format", "json")[0] == 0
    assert not (run / "card.json").exists(), "--format writes no file"
    found = Card.model_validate_json(card(run, "--format", "json")[1])
    assert found.audit is not None
    (tmp_path / "audit.json").write_text(found.audit.model_dump_json(by_alias=True), encoding="utf-8")
    assert card(run, "--audit", tmp_path / "audit.json")[0] == 0
    other = found.audit.model_copy(update={"films": found.audit.films.model_copy(update={"digest": "0" * 64})})
    (tmp_path / "audit.json").write_text(other.model_dump_json(by_alias=True), encoding="utf-8")
    code, _, noted = card(run, "--audit", tmp_path / "audit.json")
    assert code != 0 and "is of other films" in noted
    assert Audit.model_validate_json((tmp_path / "audit.json").read_bytes()) == other
    (tmp_path / "audit.json").write_text("{}", encoding="utf-8")
    lines = {
        (run, "--audit", tmp_path / "audit.json"): "expected the audit.json that `cxrbench audit --out` writes",
        (run, "--audit", tmp_path / "audit.json", "--no-audit"): "not both",
        (run, "--share", tmp_path / "x"): "--share needs --licence, --creator, --url",
        (run, "--licence", "CC0"): "--licence: goes with --share FOLDER",
        (tmp_path,): "expected the folder of a finished",
    }
    for arguments, expected in lines.items():
        code, _, noted = card(*arguments)
        assert code != 0 and expected in noted and "\n" not in noted.strip(), (arguments, noted)


# --------------------------------------------------------------------------- the films


@pytest.fixture
def shared(run, tmp_path) -> Path:
    """The run's films, shared."""
    code, _, noted = card(run, "--share", tmp_path / "shared", *WHOSE)
    assert code == 0, noted
    assert card(run, "--no-audit", "--share", tmp_path / "shared", *WHOSE)[0] != 0, "a folder that is there stays"
    return tmp_path / "shared"


def archive_of(folder: Path) -> Path:
    return next(folder.glob("films-*.zip"))


def described(folder: Path) -> dict:
    return json.loads((folder / "croissant.json").read_text(encoding="utf-8"))


def test_shared_films_are_read_again_as_they_are_without_ids_of_real_cases(shared, tmp_path, run):
    films = run_films(load_run(run), Store(home() / "store")).films
    with zipfile.ZipFile(archive_of(shared)) as archive:
        archive.extractall(tmp_path / "films")
        assert not [name for name in archive.namelist() if b"t00" in archive.read(name) and name.endswith(".csv")]
    again = read_pictures(tmp_path / "films", chests(4, 4), Progress())
    assert again.ids == films.ids
    assert np.array_equal(again.images, films.images) and np.array_equal(again.masks, films.masks)


def test_croissant_names_files_columns_and_sums_that_are_there(shared):
    said = described(shared)
    assert said["conformsTo"][0] == "http://mlcommons.org/croissant/1.0"
    files = {one["@id"]: one for one in said["distribution"]}
    content = archive_of(shared).read_bytes()
    packed = files[archive_of(shared).name]
    assert packed["sha256"] == hashlib.sha256(content).hexdigest() and packed["sha256"][:12] in packed["@id"]
    assert packed["contentSize"] == f"{len(content)} B"
    archive = zipfile.ZipFile(io.BytesIO(content))
    table = pd.read_csv(io.BytesIO(archive.read("films.csv")))
    assert files["films.csv"]["sha256"] == hashlib.sha256(archive.read("films.csv")).hexdigest()
    for one in files.values():
        if one["@type"] == "cr:FileSet":
            assert len([name for name in archive.namelist() if Path(name).match(one["includes"])]) == 30
    fields = {one["@id"]: one for records in said["recordSet"] for one in records["field"]}
    for one in fields.values():
        source = one["source"]
        assert source.get("fileSet", source.get("fileObject"))["@id"] in files
        assert source["extract"].get("column") in (None, *table.columns)
        assert one.get("references", {"field": {"@id": "films/id"}})["field"]["@id"] in fields
    name = re.search(NAME_OF_FILE, next(name for name in archive.namelist() if name.startswith("images/")))
    assert name is not None and name[1] in set(table["id"]) and re.search(NAME_OF_FILE, name[1])[1] == name[1]


def test_the_responsible_fields_say_where_films_come_from_and_what_is_known_of_copies(shared):
    said = described(shared)
    assert "fitted on 4 real films of chests" in said["rai:dataCollection"]
    privacy = " ".join(said["rai:personalSensitiveInformation"])
    assert "Copies of training films: " in privacy and "found" in privacy
    assert any("2 of the 5 seeds" in line for line in said["rai:dataLimitations"])
    assert said["license"] == "CC0-1.0" and said["creator"]["name"] == "The authors"


def test_the_same_films_are_the_same_archive_with_labels_and_boxes(tmp_path):
    films = chests(6, 0)
    cases = films.cases.assign(Mass=[0, 1] * 3)
    boxes = pd.DataFrame({"id": ["t01"], "finding": ["Mass"], "x": [1.0], "y": [2.0], "w": [3.0], "h": [4.0]})
    films = replace(films, cases=cases, boxes=boxes, info=films.info.changed(findings=("Mass",)))
    first, second = (pack(films, tmp_path / name) for name in ("a.zip", "b.zip"))
    assert first == second and set(first.tables) == {"films.csv", "boxes.csv"}
    zipfile.ZipFile(tmp_path / "a.zip").extractall(tmp_path / "films")
    again = read_pictures(tmp_path / "films", films, Progress())
    assert again.labels().tolist() == films.labels().tolist()
    assert again.boxes is not None and again.boxes[["id", "x", "h"]].to_numpy().tolist() == [["t01", 1.0, 4.0]]


def test_films_with_names_of_no_file_are_refused(run, tmp_path):
    from cxrbench.benchmark.card.croissant import Sharing
    from cxrbench.benchmark.card.share import share

    assert card(run, "--no-audit")[0] == 0
    found = Card.model_validate_json((run / "card.json").read_bytes())
    films: Dataset = chests(2, 0)
    odd = replace(films, cases=films.cases.assign(id=["../x", "y"]))
    with pytest.raises(InputError, match=r"'\.\./x' has a name that is none of a file"):
        share(found, odd, Sharing("CC0-1.0", "me", "https://example.org"), tmp_path / "shared")
    assert not (tmp_path / "shared").exists()


def test_the_reference_reader_of_croissant_reads_every_record(shared, monkeypatch, tmp_path):
    monkeypatch.setenv("CROISSANT_CACHE", str(tmp_path / "cache"))
    reader = pytest.importorskip("mlcroissant")
    found = reader.Dataset(jsonld=str(shared / "croissant.json"))
    assert not found.metadata.issues.errors and not found.metadata.issues.warnings
    rows = {}
    with zipfile.ZipFile(archive_of(shared)) as archive:
        for records in found.metadata.record_sets:
            rows[records.id] = list(found.records(records.id))
            assert len(rows[records.id]) == 30, records.id
        picture = rows["pictures"][0]
        name = picture["pictures/film"].decode()
        mine = np.asarray(Image.open(io.BytesIO(archive.read(f"images/{name}.png"))))
        assert np.array_equal(np.asarray(picture["pictures/picture"]), mine)
