"""The papers' printed tables hold together: their own averages, identities, tests and fractions."""

from __future__ import annotations

from collections import Counter

import pytest

from cxrbench.benchmark.contracts.task import ArmName
from cxrbench.benchmark.data.findings import FINDINGS, LOCALISED
from cxrbench.benchmark.registry import TASKS, plugins
from cxrbench.benchmark.results.rows import MetricInfo
from cxrbench.benchmark.settings import override
from cxrbench.benchmark.significance.paired_tests import paired_t_over_classes
from cxrbench.leaderboard.attempts import BoardKey
from cxrbench.leaderboard.published import on_board, published, tables, why_not_beside
from cxrbench.leaderboard.site.beside import beside_rows, published_rows, why_none
from cxrbench.leaderboard.standings import board

from . import made_up

PRINTED = [
    *("ciano_table1", "ciano_table2", "ciano_table3", "neff_table1", "neff_table2", "sdfn_table1"),
    *("xing_table1", "xing_table2", "kumar_table1", "kumar_table2", "kumar_table3", "kumar_table4", "kumar_table5"),
]
"""The tables as the site shows them: by paper."""
CIANO = ("ciano_table1", "ciano_table2")
XING_BOXES = {
    "Atelectasis": 54,
    "Cardiomegaly": 44,
    "Effusion": 46,
    "Infiltration": 37,
    "Pneumonia": 36,
    "Pneumothorax": 30,
}
MISPRINT = ("Pneumothorax", "ori_5k")  # 0.031 is no k / 30


def numbers(table: str, heading: str) -> list[float]:
    return [float(text) for text in tables()[table].column(heading)]


def test_tables_are_shown_by_paper_those_of_no_task_last():
    assert list(tables()) == PRINTED


@pytest.mark.parametrize("name", PRINTED)
def test_every_table_is_there_and_rectangular(name):
    table = tables()[name]
    assert table.rows and table.title and table.paper.citation
    assert {len(row) for row in table.rows} == {len(table.headings)}


@pytest.mark.parametrize("name", CIANO)
def test_printed_averages_of_ciano_are_the_means_of_the_organs(name):
    for heading in tables()[name].headings[2:]:
        values = numbers(name, heading)
        for start in (0, 4):  # J, then DSC
            assert sum(values[start : start + 3]) / 3 == pytest.approx(values[start + 3], abs=0.0051)


@pytest.mark.parametrize("name", CIANO)
def test_dsc_and_j_of_ciano_keep_their_identity(name):
    """DSC = 2 J / (1 + J) holds for pooled counts; 0.011 points are what two roundings leave."""
    for heading in tables()[name].headings[2:]:
        values = numbers(name, heading)
        for j, dsc in zip(values[:3], values[4:7], strict=True):
            assert 200 * (j / 100) / (1 + j / 100) == pytest.approx(dsc, abs=0.011)


def test_printed_means_of_sdfn_are_the_means_of_the_classes():
    for heading in tables()["sdfn_table1"].headings[1:]:
        *classes, mean = numbers("sdfn_table1", heading)
        assert len(classes) == 14 and round(sum(classes) / 14, 3) == mean


@pytest.mark.parametrize(("other", "t", "p"), [("entire_cxr", 6.16, 3.4e-5), ("lung_region", 5.37, 1.3e-4)])
def test_the_papers_test_over_classes_gives_the_claim_of_sdfn(other, t, p):
    test = paired_t_over_classes(numbers("sdfn_table1", "sdfn")[:-1], numbers("sdfn_table1", other)[:-1])
    assert test.t == pytest.approx(t, abs=0.005) and test.p == pytest.approx(p, rel=0.03)


def test_cells_of_xing_are_fractions_of_the_test_boxes_cut_after_three_digits():
    wrong = []
    for row in tables()["xing_table2"].records()[:-1]:
        n = XING_BOXES[row["pathology"]]
        possible = {k * 1000 // n for k in range(n + 1)}
        wrong += [
            (row["pathology"], name)
            for name, text in row.items()
            if name != "pathology" and round(float(text) * 1000) not in possible
        ]
    assert wrong == [MISPRINT]


def test_totals_of_xing_are_macro_means_and_never_above_them():
    for heading in tables()["xing_table2"].headings[1:]:
        *classes, total = numbers("xing_table2", heading)
        assert total <= sum(classes) / 6 + 0.001  # cells are the best of each class, the total is of one checkpoint
    *classes, total = numbers("xing_table2", "ori_15k")
    assert total == pytest.approx(sum(classes) / 6, abs=0.001)


def test_totals_of_the_readers_are_sums():
    for heading in tables()["xing_table1"].headings[1:]:
        *classes, total = numbers("xing_table1", heading)
        assert sum(classes) == total


def test_parameters_of_kumar_add_up_with_the_heads_of_the_vae_counted_twice():
    rows = {
        (row["architecture"], row["component"]): int(row["parameters"]) for row in tables()["kumar_table5"].records()
    }
    assert rows["GAN", "Discriminator"] + rows["GAN", "Generator"] == rows["GAN", "Total"]
    parts = rows["VAE", "Encoder"] + rows["VAE", "Decoder"] + 2 * rows["VAE", "Mean and Logvar"]
    assert parts == rows["VAE", "Total"]


def test_numbers_on_boards_are_those_printed():
    found = {(one.task, one.size, one.arm, one.system, one.metric, one.structure): one for one in published()}
    assert len(found) == len(published())
    three = found["scr_official", "tiny", "finetune", "three_stage", "dsc", "average"]
    assert (three.value, three.printed, three.paper.name) == (pytest.approx(0.9628), "96.28", "Ciano et al. 2021")
    assert found["scr_3fold", "full", "mixed", "dcgan_pair", "dice", "average"].value == 0.9537
    assert found["scr_3fold", "reduced", "synthetic", "dcgan_pair", "hausdorff", "average"].value == 7.6091
    assert found["nih_classification", "full", "real", "sdfn", "auc", "Pleural_Thickening"].value == 0.791
    assert found["nih_localisation", "full", "mixed", "pix2pix_n", "cl_window_3", "Pneumonia"].value == 0.527


NUMBERS = {"scr_official": 112, "scr_3fold": 12, "nih_classification": 90, "nih_localisation": 21}
"""How many printed numbers stand on the boards of a task."""


def test_every_printed_number_is_of_a_metric_a_structure_and_an_arm_of_its_task():
    assert Counter(one.task for one in published()) == NUMBERS
    for name, plugin in plugins(TASKS).items():
        task = plugin.load()
        mine = [one for one in published() if one.task == name]
        assert {one.metric for one in mine} <= {metric.name for metric in task.metrics}, name
        assert {one.arm for one in mine} <= {arm.value for arm in ArmName}
        assert all(0 <= one.value <= 1 for one in mine if one.metric != "hausdorff")
    findings = {one.structure for one in published() if one.task.startswith("nih_")} - {"average"}
    assert findings == set(FINDINGS)
    assert {one.structure for one in published() if one.task == "nih_localisation"} == {*LOCALISED, "average"}


def test_printed_numbers_belong_to_real_films_alone():
    assert on_board("scr_official", "jsrt_scr") and not on_board("scr_official", "phantom")
    assert {one.data for one in published()} == {"jsrt_scr", "nih_cxr14"}


# ------------------------------------------------------------------------------------------------- on which boards

DATA = {
    "scr_official": "jsrt_scr",
    "scr_3fold": "jsrt_scr",
    "nih_classification": "nih_cxr14",
    "nih_localisation": "nih_cxr14",
}


def key_of(task: str, preset: str, version: int | None = None) -> BoardKey:
    said = plugins(TASKS)[task].load().version
    return BoardKey(task, said if version is None else version, DATA[task], preset, "2" * 64, "1" * 64)


def settings_of(task: str, preset: str, **changes: str) -> dict[str, object]:
    presets = plugins(TASKS)[task].load().presets
    return made_up.plain(override(presets[preset], list(changes.items()), task))


@pytest.mark.parametrize("task", DATA)
def test_printed_numbers_stand_beside_the_preset_paper_alone(task):
    changes = {"split": "paper"} if task == "nih_localisation" else {}
    assert why_not_beside(key_of(task, "paper"), settings_of(task, "paper", **changes)) == ""
    for preset in ("quick", "standard"):
        said = why_not_beside(key_of(task, preset), settings_of(task, preset, **changes))
        assert f"preset {preset} here, paper theirs" in said
    old = why_not_beside(key_of(task, "paper", 1), settings_of(task, "paper", **changes))
    assert "protocol version 1 here" in old


def test_a_board_of_64_pixels_says_that_the_numbers_are_of_128():
    said = why_not_beside(key_of("scr_3fold", "quick"), settings_of("scr_3fold", "quick"))
    assert "resolution 64 here, 128 theirs" in said
    other = settings_of("scr_official", "paper", organs='["heart"]')
    assert "organs heart here, not said theirs" in why_not_beside(key_of("scr_official", "paper"), other)


def test_a_board_shows_no_difference_where_the_numbers_are_not_of_its_kind():
    dice = MetricInfo(name="dice", label="Dice", decimals=4)

    def made(preset):
        one = made_up.attempt("dcgan_pair", key=key_of("scr_3fold", preset), metric=dice, phantom=False, headline=None)
        return board([one])

    theirs, other = made("paper"), made("quick")
    rows = beside_rows(theirs, theirs.all)
    assert rows and published_rows(theirs) and not why_none(theirs)
    assert beside_rows(other, other.all) == [] == published_rows(other) and "64" in why_none(other)


def test_the_window_of_15000_steps_stands_beside_the_third_window_and_split_paper():
    window = MetricInfo(name="cl_window_3", label="window 3", decimals=3)

    def made(split):
        settings = settings_of("nih_localisation", "paper", split=split)
        key = key_of("nih_localisation", "paper")
        one = made_up.attempt("pix2pix", key=key, metric=window, phantom=False, headline=None, settings=settings)
        return board([one])

    (average,) = [row for row in beside_rows(made("paper"), made("paper").all) if row.structure.endswith("average")]
    printed = tables()["xing_table2"].records()[-1]["ori_pix2pix_15k"]
    assert average.printed.startswith(f"{printed} (Xing") and "window 3" in average.structure
    assert {row.metric for row in published_rows(made("paper"))} == {"window 3"}
    assert beside_rows(made("patient"), made("patient").all) == []
    assert "split patient here, paper theirs" in why_none(made("patient"))
