"""Sets that need not fit into memory: rows of arrays are as the array would be, nothing on the way of a run copies them, and
what is made of them is the same bits, in memory or on the disk."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cxrbench.benchmark import files
from cxrbench.benchmark.contracts.collector import Collector, fill
from cxrbench.benchmark.contracts.provider import Batch, Provider
from cxrbench.benchmark.contracts.task import Arm, ArmName, Slot
from cxrbench.benchmark.data import dataset as dataset_module
from cxrbench.benchmark.data import film_rows, gathered, near_copies
from cxrbench.benchmark.data.augmentation import paper_augmentation
from cxrbench.benchmark.data.copies import copies
from cxrbench.benchmark.data.dataset import Annotation, Dataset, DatasetInfo, concatenate, load_dataset
from cxrbench.benchmark.data.film_rows import FilmRows, blocks, joined, taken
from cxrbench.benchmark.data.gathered import Gathered
from cxrbench.benchmark.data.odd_films import odd_films
from cxrbench.benchmark.data.same_pixels import copies_learnt
from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.progress import Progress
from cxrbench.tasks.examples import paint
from cxrbench.tasks.nih_classification import QUICK, NihClassification
from cxrbench.tasks.scr_official import ScrOfficial

ORGANS = ("left_lung", "right_lung", "heart")


def made(count: int, side: int, *, masks: bool = False, seed: int = 0, prefix: str = "f") -> Dataset:
    """Random films of `count // 2` patients, three in four for training, with a finding of every third."""
    rng = np.random.default_rng(seed)
    number = np.arange(count)
    cases = pd.DataFrame(
        {"id": [f"{prefix}{row:05d}" for row in number], "patient": [f"p{row // 2:05d}" for row in number]}
    )
    cases["split"] = np.where(number // 2 % 4 == 3, "test", "train")
    cases["Mass"] = (number % 3 == 0).astype(np.uint8)
    films = rng.integers(0, 256, (count, side, side), dtype=np.uint8)
    bits = rng.integers(0, 8, (count, side, side), dtype=np.uint8) if masks else None
    info = DatasetInfo(name="made", resolution=side, organs=ORGANS if masks else (), findings=("Mass",), pixel_mm=2.0)
    return Dataset(info=info, images=films, masks=bits, cases=cases)


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("CXRBENCH_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def nothing_held(monkeypatch) -> None:
    """Every set is too large for memory, and is gone through a few films at a time."""
    monkeypatch.setattr(film_rows, "HELD", 0)
    monkeypatch.setattr(film_rows, "MOST_ROWS", 5)


# ------------------------------------------------------------------------------------------- rows are as the array


@pytest.fixture
def films() -> tuple[FilmRows, np.ndarray]:
    """Rows of two arrays, and the same as an array."""
    rng = np.random.default_rng(1)
    one, two = rng.integers(0, 256, (4, 6, 6), dtype=np.uint8), rng.integers(0, 256, (3, 6, 6), dtype=np.uint8)
    rows = np.array([6, 0, 3, 3, 4, 1])
    return FilmRows([one, two], rows), np.concatenate([one, two])[rows]


KEYS = [
    *(0, -1, np.int64(2), slice(1, 4), slice(None), slice(None, None, -2), [3, 0], np.array([5, 5, 1]), []),
    *(
        np.array([True, False, True, True, False, False]),
        (2, slice(1, 3)),
        (slice(1, 5), slice(2, 4), slice(None, None, -1)),
    ),
    *(
        (slice(0, 2), None),
        (np.array([1, 2]), slice(0, 2)),
        (4, 3, 2),
        (..., 1),
        None,
        (np.array([0, 1]), np.array([2, 3])),
    ),
    *((slice(None), np.array([0, 2])), np.array([[0, 1], [2, 3]])),
]


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_indexing_gives_what_an_array_gives(films, key):
    rows, array = films
    found = rows[key if not isinstance(key, list) or key else np.array([], dtype=int)]
    np.testing.assert_array_equal(found, array[key if not isinstance(key, list) or key else np.array([], dtype=int)])
    assert found.dtype == np.uint8


@pytest.mark.parametrize("key", [6, -7, [0, 6]])
def test_rows_that_are_not_there_are_an_index_error(films, key):
    with pytest.raises(IndexError):
        films[0][key]


def test_what_numpy_and_torch_ask_of_an_array(films):
    import torch

    rows, array = films
    assert (rows.shape, rows.ndim, rows.size, rows.nbytes, len(rows)) == (array.shape, 3, array.size, array.nbytes, 6)
    for found in (np.asarray(rows), np.array(rows), np.stack(list(rows)), np.concatenate([rows]), rows.copy()):
        np.testing.assert_array_equal(found, array)
    np.testing.assert_array_equal(rows / 255, array / 255)
    np.testing.assert_array_equal(255 - rows, 255 - array)
    assert ((rows == array).all(), float(rows.mean()), rows.astype(float).max()) == (True, array.mean(), array.max())
    assert np.asarray(rows, dtype=np.float32).dtype == np.float32
    np.testing.assert_array_equal(torch.from_numpy(rows[1:3]).numpy(), array[1:3])
    with pytest.raises(AttributeError):
        _ = rows.no_such_thing
    with pytest.raises(ValueError, match="without a copy"):
        rows.__array__(copy=False)


def test_nothing_can_be_written_into_the_films_through_rows(films):
    rows, array = films
    with pytest.raises(ValueError, match="read-only"):
        rows[0][:] = 0
    with pytest.raises(TypeError):
        rows[0] = 0
    rows[1:3][:] = 0  # an array of its own
    np.testing.assert_array_equal(np.asarray(rows), array)


def test_few_films_are_an_array_and_many_are_rows_of_rows(films, monkeypatch):
    rows, array = films
    assert isinstance(taken(array, np.array([1, 0])), np.ndarray) and isinstance(joined([rows, array]), np.ndarray)
    monkeypatch.setattr(film_rows, "HELD", array.nbytes - 1)
    some = taken(rows, np.array([-1, 0, 2, 2, 1, 0]))
    assert isinstance(some, FilmRows)
    np.testing.assert_array_equal(some, array[[-1, 0, 2, 2, 1, 0]])
    both = joined([array, some, rows])
    assert isinstance(both, FilmRows)
    np.testing.assert_array_equal(both, np.concatenate([array, some, rows]))


def test_blocks_are_all_rows_and_divide_no_batch():
    for count, each, multiple in ((10, 1 << 30, 1), (5000, 1, 1), (5000, 1, 48), (7, 1 << 30, 3), (0, 1, 1)):
        found = [np.arange(count)[rows] for rows in blocks(count, each, multiple=multiple)]
        np.testing.assert_array_equal(np.concatenate([[], *found]), np.arange(count))
        assert all(len(rows) % multiple == 0 for rows in found[:-1])


# ------------------------------------------------------------------------------------------- same bits


def results(data: Dataset) -> dict[str, object]:
    """What a run makes of films on its way, by what makes it."""
    rows = np.array([7, 3, 3, 0, 11, 12, 20, 1])
    other = made(9, 24, masks=True, seed=5, prefix="g")
    task = ScrOfficial()
    part, copied = data.select(rows[[0, 1, 3, 4, 5]]), copies(data, 15, seed=3)
    arm = Arm(ArmName.MIXED, data.resized(16), other.resized(16), structures=ORGANS)
    training, held = ScrOfficial(replace(task.settings, resolution=16)).examples(arm, seed=0)
    return {
        "select": part.digest,
        "copies": copied.digest,
        "joined": concatenate([data, other], "both").digest,
        "resized": data.resized(11).digest,
        "augmented": paper_augmentation(part, 2, seed=1).digest,
        "painted": np.asarray(paint(data, ORGANS)).tobytes(),
        "examples": [np.asarray(one).tobytes() for one in (training.images, training.labels, held.images, held.labels)],
        "near": near_copies.near_copies(copied, data, other).to_json(),
        "learnt": copies_learnt(data, data.select(np.arange(6)), copied),
        "odd": odd_films(copied),
    }


def test_what_does_not_fit_into_memory_gives_the_same_bits(request, monkeypatch):
    data = made(24, 24, masks=True)
    held = results(data)
    request.getfixturevalue("nothing_held")
    monkeypatch.setattr(near_copies, "REFERENCES", 7)
    monkeypatch.setattr(near_copies, "QUERIES", 3)
    assert isinstance(data.select(np.arange(6)).images, FilmRows)
    assert results(data) == held


def test_a_saved_view_is_the_same_files(tmp_path, request):
    data = made(12, 16, masks=True)
    rows = np.array([5, 2, 9, 0])
    data.select(rows).save(tmp_path / "held")
    request.getfixturevalue("nothing_held")
    data.select(rows).save(tmp_path / "rows")
    for name in ("images.npy", "masks.npy", "cases.parquet", "dataset.json"):
        assert (tmp_path / "rows" / name).read_bytes() == (tmp_path / "held" / name).read_bytes()


class Mirror(Provider):
    """Films of 24 pixels with masks, labels and boxes, in batches of seven."""

    produces = frozenset(Annotation)

    def fit(self, train: Dataset, *, seed: int, progress: Progress) -> None:
        self.side = train.resolution

    def sample(self, n: int, *, seed: int) -> Iterator[Batch]:
        rng = np.random.default_rng(seed)
        for start in range(0, n, 7):
            size = min(7, n - start)
            shape = (size, 1, self.side, self.side)
            yield Batch(
                images=rng.random(shape, dtype=np.float32),
                masks=rng.random((size, 3, *shape[2:])) < 0.5,
                labels=np.ones((size, 1), dtype=np.uint8),
                boxes=[[("Mass", 1.0, 2.0, 3.0, 4.0)]] * size,
            )


def sampled(train: Dataset, count: int, resolution: int) -> Dataset:
    provider = Mirror()
    provider.fit(train, seed=0, progress=Progress())
    collector = Collector("mirror", train, train.annotations, count, resolution=resolution)
    return fill(collector, provider, seed=1, progress=Progress())


def test_samples_brought_to_a_size_as_they_come_are_those_that_are_resized_afterwards(request):
    boxes = pd.DataFrame({"id": ["f00000"], "finding": ["Mass"], "x": [1.0], "y": 1.0, "w": 2.0, "h": 2.0})
    train = replace(made(4, 24, masks=True), boxes=boxes)
    expected = sampled(train, 20, 0).resized(16)
    assert expected.resolution == 16
    for _ in range(2):
        found = sampled(train, 20, 16)
        assert (found.digest, found.info) == (expected.digest, expected.info)
        request.getfixturevalue("nothing_held")
    assert isinstance(found.images, np.memmap)


# ------------------------------------------------------------------------------------------- memory


MB = 1 << 20


@contextmanager
def at_most(most: float) -> Iterator[None]:
    """What Python and numpy take in the block stays below so many bytes (tracemalloc)."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < most, f"{peak / MB:.1f} MB, at most {most / MB:.1f} were allowed"


COUNT, SIDE = 1000, 128  # 16 MB of films
WHOLE = COUNT * SIDE * SIDE


@pytest.fixture
def large(tmp_path, monkeypatch) -> Dataset:
    """A kept set of 16 MB, where a set may hold half of one and a block is a quarter."""
    data = made(COUNT, SIDE).save(tmp_path / "large")
    monkeypatch.setattr(film_rows, "HELD", MB // 2)
    monkeypatch.setattr(film_rows, "BLOCK", MB // 4)
    monkeypatch.setattr(near_copies, "REFERENCES", 256)
    return data


def fast(resolution: int) -> NihClassification:
    """The task with a training of two steps, by a small network that sees films at a resolution."""
    cut = {"growth": 2, "blocks": (1, 1), "batch": 4, "least_steps": 0, "most_steps": 2, "epochs": 1}
    classifier = replace(QUICK.classifier, resolution=resolution, **cut)
    return NihClassification(
        replace(
            QUICK, resolution=SIDE, fit_resolution=SIDE, synthetic_most=0, synthetic_least=10, classifier=classifier
        )
    )


@pytest.mark.parametrize(
    "use",
    [
        lambda data: copies(data, COUNT, seed=0),
        lambda data: concatenate([data, replace(copies(data, COUNT, seed=0), cases=made_cases(data))], "both"),
        lambda data: data.select(np.arange(COUNT)[::-1]).digest,
        lambda data: data.resized(64).images.max(),
        lambda data: copies_learnt(data, data.select(np.arange(700)), data.select(np.arange(700, COUNT))),
        lambda data: odd_films(data.select(np.arange(500))),
        lambda data: near_copies.nearest_distances(data.images[:8], data.select(np.arange(COUNT)).images),
    ],
    ids=["copies", "joined", "digest", "resized", "learnt", "odd", "near"],
)
def test_nothing_on_the_way_of_a_run_copies_a_set(large, use):
    use(large)  # imports are no films
    with at_most(WHOLE / 3):
        use(large)


def made_cases(data: Dataset) -> pd.DataFrame:
    return data.cases.assign(id=[f"again{row}" for row in range(len(data))])


def test_the_same_limit_sees_a_copy(large):
    with pytest.raises(AssertionError, match="were allowed"), at_most(WHOLE / 3):
        np.array(large.images)


@pytest.mark.parametrize(("name", "resolution"), [(ArmName.REAL, SIDE), (ArmName.MIXED, 32)])
def test_a_cell_of_nih_classification_holds_no_set(large, name, resolution):
    import torch

    torch.set_num_threads(1)
    task, slot = fast(resolution), Slot("official", "full", name)

    def cell(data: Dataset) -> None:
        train = task.training_set(data, slot)
        synthetic = copies(train, task.synthetic_count(data, slot), seed=0) if name is ArmName.MIXED else None
        arm = Arm(name, train, synthetic, validation=task.validation_set(data, slot), structures=("Mass",))
        trained = task.train(arm, seed=0, device="cpu", progress=Progress())
        test = task.test_set(data, slot)
        assert len(task.predict(trained.model, test, device="cpu").ids) == len(test)

    cell(made(80, SIDE))  # imports are no films
    with at_most(WHOLE / 3):
        cell(large)


def test_sampling_holds_a_block_however_many_films_are_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(film_rows, "HELD", MB // 2)
    train = made(2, 96, masks=True)
    train = replace(train, info=train.info.changed(findings=()))
    sampled(train, 10, 48).save(tmp_path / "few")
    with at_most(4.5 * MB):  # 1500 films and masks are 6.6 MB at 48 pixels, 96 MB as they come
        found = sampled(train, 1500, 48).save(tmp_path / "many")
    assert len(load_dataset(tmp_path / "many", verify=True)) == len(found) == 1500


# ------------------------------------------------------------------------------------------- the edges


def test_what_is_gathered_on_the_disk_leaves_nothing_behind(home, nothing_held):
    blocks_given = [np.full((2, 3), number, dtype=np.float32) for number in range(4)]
    found = gathered.gathered(blocks_given, (3,), np.float32)
    assert isinstance(found, np.memmap) and not found.flags.writeable
    np.testing.assert_array_equal(found, np.concatenate(blocks_given))
    assert list((home / gathered.FOLDER).iterdir()) == []
    assert gathered.gathered([], (3, 3)).shape == (0, 3, 3)


def test_a_block_of_another_shape_or_type_is_refused():
    with pytest.raises(ValueError, match="expected uint8"):
        Gathered((2, 2)).add(np.zeros((1, 2, 3), dtype=np.uint8))
    with pytest.raises(ValueError, match="expected uint8"):
        Gathered((2, 2)).add(np.zeros((1, 2, 2)))


def test_a_disk_that_takes_nothing_is_one_line(home, nothing_held):
    files.write_text(home / gathered.FOLDER, "in the way")
    with pytest.raises(InputError, match=r"cannot write .* of films to .*scratch"):
        Gathered((2, 2)).add(np.zeros((1, 2, 2), dtype=np.uint8))


def test_code_of_others_gets_plain_arrays_up_to_a_size(nothing_held, monkeypatch):
    part = made(8, 16, masks=True).select(np.arange(6))
    given = part.read_only()
    assert type(given.images) is type(given.masks) is np.ndarray
    assert not given.images.flags.writeable and given.digest == part.digest
    monkeypatch.setattr(dataset_module, "PLAIN", 10)
    assert isinstance(part.read_only().images, FilmRows)
