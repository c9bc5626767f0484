"""The papers' printed tables hold together: their own averages, identities, tests and fractions."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from cxrbench.benchmark.registry import TASKS, plugins
from cxrbench.benchmark.significance.paired_tests import paired_t_over_classes
from cxrbench.leaderboard.published import DATA, TITLES, on_board, published, tables

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


@pytest.mark.parametrize("name", sorted(TITLES))
def test_every_table_is_there_and_rectangular(name):
    table = tables()[name]
    assert table.rows and table.paper.citation
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
    assert found["nih_localisation", "full", "mixed", "pix2pix_n", "cl", "Pneumonia"].value == 0.527


def test_numbers_on_boards_name_metrics_of_the_tasks():
    for name, plugin in plugins(TASKS).items():
        metrics = {asdict(metric)["name"] for metric in plugin.load().metrics}
        if name != "nih_localisation":
            assert {one.metric for one in published() if one.task == name} <= metrics


def test_printed_numbers_belong_to_real_films_alone():
    assert on_board("scr_official", "jsrt_scr") and not on_board("scr_official", "phantom")
    assert all("phantom" not in data for data in DATA.values())
