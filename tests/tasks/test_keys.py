"""Which tasks' keys move when a line of a module changes: those whose numbers the module can move, and no other.

What a task's numbers are made by is its own file and the steps of a run, with all that these import (`benchmark.digest`).
"""

from __future__ import annotations

import pytest

from cxrbench.benchmark.digest import NO_NUMBERS, PACKAGE, source_closure
from cxrbench.benchmark.registry import TASKS, plugins

OFFICIAL, THREE, CLASSES, BOXES = "scr_official", "scr_3fold", "nih_classification", "nih_localisation"
NONE: set[str] = set()
ALL = {OFFICIAL, THREE, CLASSES, BOXES}
SEGMENT, NIH = {OFFICIAL, THREE}, {CLASSES, BOXES}

MOVES = {
    "tasks/scr_official.py": {OFFICIAL},
    "tasks/scr_3fold.py": {THREE},
    "tasks/nih_classification.py": {CLASSES},
    "tasks/nih_localisation.py": {BOXES},
    "tasks/segmentation.py": SEGMENT,
    "tasks/examples.py": SEGMENT,
    "tasks/patient_shares.py": NIH,
    "tasks/labelled_films.py": {CLASSES},
    "tasks/box_split.py": {BOXES},
    "tasks/localisation_tables.py": {BOXES},
    "tasks/detections.py": {BOXES},
    "tasks/found_boxes.py": NONE,
    "tasks/lungs/regions.py": {CLASSES},
    "tasks/lungs/record.py": {CLASSES},
    "tasks/lungs/rules.py": {CLASSES},
    "tasks/lungs/unet.py": {CLASSES},
    "tasks/lungs/cross_validation.py": NONE,
    "tasks/lungs/command.py": NONE,
    "tasks/lungs/films.py": {CLASSES},
    "tasks/lungs/look.py": NONE,
    "tasks/finding_scores.py": {CLASSES},
    "tasks/models/smanet_like.py": {OFFICIAL},
    "tasks/models/unet.py": {OFFICIAL},
    "tasks/models/segmenter.py": SEGMENT,
    "tasks/models/neff_unet.py": {THREE},
    "tasks/models/labelled_films.py": {CLASSES},
    "tasks/models/sdfn.py": {CLASSES},
    "tasks/models/sdfn_settings.py": {CLASSES},
    "tasks/models/densenet.py": {CLASSES},
    "tasks/models/activation_maps.py": {CLASSES},
    "tasks/models/faster_rcnn.py": {BOXES},
    "tasks/models/detector_backbones.py": {BOXES},
    "tasks/models/detector_settings.py": {BOXES},
    "tasks/models/box_pictures.py": {BOXES},
    "tasks/models/encoders.py": {OFFICIAL, BOXES},
    "tasks/models/saved.py": ALL,
    "benchmark/metrics/scores.py": ALL,
    "benchmark/metrics/changes.py": ALL,
    "benchmark/metrics/segmentation.py": SEGMENT,
    "benchmark/metrics/classification.py": {CLASSES},
    "benchmark/metrics/class_scores.py": {CLASSES},
    "benchmark/metrics/auc_bootstrap.py": {CLASSES},
    "benchmark/metrics/localisation.py": {BOXES},
    "benchmark/draws.py": ALL,  # of copies, in every placebo
    "benchmark/exact.py": ALL,
    "benchmark/data/copies.py": ALL,
    "benchmark/data/sizes.py": ALL,
    "benchmark/data/dataset.py": ALL,
    "benchmark/data/film_rows.py": ALL,
    "benchmark/data/gathered.py": ALL,
    "benchmark/data/originals.py": ALL,
    "benchmark/data/resize.py": ALL,
    "benchmark/data/near_copies.py": ALL,  # what a record says of its synthetic films
    "benchmark/data/findings.py": ALL,
    "benchmark/data/splits.py": ALL,
    "benchmark/data/parts.py": ALL,
    "benchmark/data/same_pixels.py": ALL,  # what a record says of its real films
    "benchmark/data/organs.py": {THREE, CLASSES},
    "benchmark/data/augmentation.py": {OFFICIAL},
    "benchmark/contracts/task.py": ALL,
    "benchmark/contracts/provider.py": ALL,
    "benchmark/contracts/collector.py": ALL,  # it makes a dataset of what a provider samples
    "benchmark/contracts/initial_weights.py": ALL,  # what classes say beside their numbers
    "benchmark/contracts/paper_table.py": ALL,
    "benchmark/contracts/keeping.py": ALL,
    "benchmark/contracts/ranges.py": ALL,
    "benchmark/data/odd_films.py": ALL,  # what a record says of its synthetic films
    "benchmark/contracts/label_by.py": ALL,
    "benchmark/training/weights.py": {OFFICIAL, *NIH},
    "benchmark/device.py": ALL,
    "benchmark/digest.py": ALL,
    "benchmark/files.py": ALL,
    "benchmark/schema.py": ALL,
    "benchmark/settings.py": ALL,
}
"""Every module of the package is here or in a room below."""

SILENT = (
    *(
        "baselines",
        "leaderboard",
        "benchmark/card",
        "benchmark/cli",
        "benchmark/python",
        "benchmark/report",
        "benchmark/results",
        "benchmark/speed",
    ),
    *(
        "benchmark/audit",
        "benchmark/fidelity",
        "benchmark/reader_study",
        "benchmark/significance",
        "benchmark/data/importers",
        "benchmark/data/phantom",
    ),
    *(
        "benchmark/contracts/conformance.py",
        "benchmark/contracts/external.py",
        "benchmark/contracts/fitted_elsewhere.py",
        "benchmark/contracts/model_files.py",
        "benchmark/contracts/placed_organs.py",
        "benchmark/contracts/named_sources.py",
        "benchmark/contracts/model_folders.py",
        "benchmark/contracts/pictures.py",
        "benchmark/contracts/picture_arrays.py",
        "benchmark/contracts/picture_folders.py",
        "benchmark/contracts/picture_masks.py",
        "benchmark/contracts/picture_rows.py",
        "benchmark/contracts/picture_sources.py",
        "benchmark/contracts/picture_tables.py",
        "benchmark/data/overview.py",
        "benchmark/data/contact_sheet.py",
        "benchmark/data/finding_lists.py",
        "benchmark/data/copy_pairs.py",
        "benchmark/data/people.py",
        "benchmark/data/reading",
        "benchmark/data/remarks.py",
        "benchmark/data/unchanged.py",
        "benchmark/metrics/diversity.py",
        "benchmark/metrics/frechet.py",
        "benchmark/metrics/kernel_distance.py",
        "benchmark/metrics/bounded_distances.py",
        "benchmark/metrics/neighbours.py",
        "benchmark/metrics/precision.py",
    ),
    *("benchmark/bounds.py", "benchmark/console_tables.py", "benchmark/disk.py", "benchmark/processes.py", *NO_NUMBERS),
    *("benchmark/extras.py", "benchmark/fork_server.py", "benchmark/large_pages.py"),
    *("benchmark/papers.py", "benchmark/paper_tables.py", "benchmark/plain_files.py", "benchmark/presets.py"),
)
"""Rooms and modules that move no key. Films that are drawn or imported have a digest of their own in every key, a provider
of a folder or a program its own as well."""

RUN = "benchmark/runs"
"""A module of this room makes, trains and scores, or plans, starts and shows: it moves all keys or none."""

TRAINING = "benchmark/training"
"""The loop and what it stands on: all."""


@pytest.fixture(scope="module")
def moved() -> dict[str, set[str]]:
    """The tasks whose keys move, by module."""
    steps = source_closure(PACKAGE / RUN / "steps.py")
    found: dict[str, set[str]] = {}
    for name, plugin in plugins(TASKS).items():
        for path in {*source_closure(plugin.source()), *steps}:
            found.setdefault(path.relative_to(PACKAGE).as_posix(), set()).add(name)
    return found


def modules() -> list[str]:
    """Every module of the package but those that only say what a folder is for."""
    parts = ("baselines", "benchmark", "leaderboard", "tasks")
    paths = sorted(path for part in parts for path in (PACKAGE / part).rglob("*.py"))
    return [path.relative_to(PACKAGE).as_posix() for path in paths if path.name != "__init__.py"]


def below(module: str, *rooms: str) -> bool:
    return any(module == room or module.startswith(f"{room}/") for room in rooms)


def test_every_module_has_a_line_here():
    named = [module for module in modules() if module in MOVES or below(module, *SILENT, RUN, TRAINING)]
    assert named == modules()
    gone = [name for name in (*MOVES, *SILENT) if not (PACKAGE / name).exists()]
    assert gone == []


@pytest.mark.parametrize("module", sorted(MOVES))
def test_a_module_moves_the_tasks_whose_numbers_it_makes(moved, module):
    assert moved.get(module, NONE) == MOVES[module]


@pytest.mark.parametrize("room", SILENT)
def test_what_shows_compares_draws_or_checks_moves_no_key(moved, room):
    assert [module for module in moved if below(module, room)] == []


def test_what_runs_a_cell_moves_all_keys_and_what_plans_and_starts_it_none(moved):
    assert {module: tasks for module, tasks in moved.items() if below(module, RUN) and tasks != ALL} == {}
    assert f"{RUN}/steps.py" in moved and f"{RUN}/record.py" in moved
    assert not {
        f"{RUN}/{name}.py"
        for name in (
            "plan",
            "request",
            "schedule",
            "chains",
            "cluster",
            "limits",
            "rehearsal",
            "asked",
            "worker",
            "timings",
            "examine",
            "held_films",
            "lock",
            "own_store",
            "kept",
            "prune",
            "archive",
            "safe_files",
            "chosen",
            "fitting",
            "further",
            "few_films",
            "told",
        )
    } & set(moved)


def test_the_training_loop_moves_all_keys(moved):
    for name in ("loop", "recipe", "observer", "stopping", "history", "rate", "checkpoint", "by_eye"):
        assert moved[f"{TRAINING}/{name}.py"] == ALL


def test_lung_regions_depend_on_no_other_task():
    closure = {path.relative_to(PACKAGE).as_posix() for path in source_closure(PACKAGE / "tasks/lungs/regions.py")}
    assert {module for module in closure if module.startswith("tasks/")} == {
        *(f"tasks/lungs/{name}.py" for name in ("record", "regions", "rules", "unet")),
        "tasks/models/saved.py",
    }
