"""Fréchet and kernel distances, precision to coverage, authenticity: golden numbers, other libraries, swapped sides."""

from __future__ import annotations

import numpy as np
import pytest

from cxrbench.benchmark.errors import InputError
from cxrbench.benchmark.metrics.diversity import alike
from cxrbench.benchmark.metrics.frechet import frechet_distance, frechet_limit, frechet_to_floor
from cxrbench.benchmark.metrics.kernel_distance import kernel_distance
from cxrbench.benchmark.metrics.neighbours import authentic, copying_score, nearest, neighbours, resampled


@pytest.fixture(scope="module")
def golden() -> tuple[np.ndarray, np.ndarray]:
    """Real and synthetic features of the golden fixture."""
    rng = np.random.default_rng(0)
    real = rng.standard_normal((1000, 64))
    return real, rng.standard_normal((1000, 64)) * 0.9 + 0.1


@pytest.mark.parametrize(("k", "expected"), [(5, [0.944, 0.349, 3.2988, 0.999]), (3, [0.899, 0.237, 3.4277, 0.991])])
def test_precision_recall_density_coverage_of_the_golden_fixture(golden, k, expected):
    found = neighbours(*golden, k=k).means()
    assert [round(found[name], 4) for name in ("precision", "recall", "density", "coverage")] == expected


def test_distances_of_the_golden_fixture(golden):
    assert round(frechet_distance(*golden), 6) == 3.242293
    assert round(kernel_distance(*golden)[0], 7) == 0.0300046


def test_authenticity_of_the_golden_fixture_and_of_copies(golden):
    real, other = golden
    assert round(100 * authentic(real, other).mean(), 1) == 63.6
    assert authentic(real, real[::2]).mean() == 0


def test_few_films_give_the_same_frechet_distance_as_the_covariances(golden):
    """The nuclear norm, for no more films than dimensions, against the root of the product of the covariances."""
    from scipy import linalg

    real, other = golden[0][:40], golden[1][:50]
    first, second = np.cov(real.T), np.cov(other.T)
    apart = real.mean(0) - other.mean(0)
    shared = np.sqrt(linalg.eigvals(first @ second).astype(complex)).real.sum()
    expected = apart @ apart + np.trace(first) + np.trace(second) - 2 * shared
    assert frechet_distance(real, other) == pytest.approx(expected, abs=1e-5)


def test_a_shift_of_the_mean_is_its_square_and_a_factor_is_its_own(golden):
    real = golden[0]
    assert frechet_distance(real, real) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(real, real + 0.5) == pytest.approx(64 * 0.25, abs=1e-9)
    centred = real - real.mean(0)
    assert frechet_distance(centred, 2 * centred) == pytest.approx((centred**2).sum() / 999, abs=1e-8)


def test_a_dimension_without_spread_is_no_error(golden):
    real, other = (np.hstack([part, np.ones((1000, 1))]) for part in golden)
    assert frechet_distance(real, other) == pytest.approx(3.242293, abs=1e-6)


def test_frechet_and_kernel_distance_agree_with_torch_fidelity(golden):
    fid = pytest.importorskip("torch_fidelity.metric_fid")
    kid = pytest.importorskip("torch_fidelity.metric_kid")
    real, other = golden
    statistics = [{"mu": part.mean(0), "sigma": np.cov(part, rowvar=False)} for part in golden]
    theirs = fid.fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert frechet_distance(real, other) == pytest.approx(theirs, abs=1e-6)
    kernels = [
        kid.kernel_poly(a, b, kid_kernel_poly_degree=3, kid_kernel_poly_gamma=None, kid_kernel_poly_coef0=1)
        for a, b in ((real, real), (real, other), (other, other))
    ]
    theirs = kid.mmd2(*kernels)
    assert kernel_distance(real, other)[0] == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("k", [3, 5])
def test_neighbours_agree_with_prdc_exactly(golden, k):
    prdc = pytest.importorskip("prdc")
    real, other = golden[0][:700], golden[1]
    theirs = prdc.compute_prdc(real_features=real, fake_features=other, nearest_k=k)
    assert neighbours(real, other, k).means() == pytest.approx(theirs, abs=1e-15)


def exactly(real: np.ndarray, synthetic: np.ndarray, k: int) -> tuple[np.ndarray, ...]:
    """Precision, recall, density and coverage of each film, of sums of squared differences of all pairs."""
    from scipy.spatial.distance import cdist

    def balls(side: np.ndarray) -> np.ndarray:
        return np.partition(cdist(side, side, "sqeuclidean"), k, axis=1)[:, k]

    apart = cdist(real, synthetic, "sqeuclidean")
    inside = apart < balls(real)[:, None]
    recalled = (apart < balls(synthetic)[None]).any(axis=1)
    return inside.any(axis=0), recalled, inside.sum(axis=0) / k, inside.any(axis=1)


def odd_sides(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Features of two sides whose distances are hard to tell apart in single precision, and more than one block of them."""
    rng = np.random.default_rng(11)
    real, other = rng.standard_normal((1500, 12)), rng.standard_normal((1100, 12))
    if kind == "far from nothing":
        return real + 1e6, other + 1e6
    if kind == "whole numbers, with ties":
        return np.rint(2 * real[:, :4]), np.rint(2 * other[:, :4])
    if kind == "copies":
        return real, np.vstack([real[:700], real[:400]])
    if kind == "one film":
        return real, np.repeat(real[:1], 1100, axis=0)
    if kind == "huge and tiny":
        return real * 10.0 ** rng.integers(-12, 12, (1500, 1)), other * 1e-9
    if kind == "few, hardly told apart":
        return real, real[rng.integers(0, 12, 1100)] + 1e-6 * other
    return real, other


@pytest.mark.parametrize(
    "kind",
    [
        "plain",
        "far from nothing",
        "whole numbers, with ties",
        "copies",
        "one film",
        "huge and tiny",
        "few, hardly told apart",
    ],
)
def test_neighbours_of_many_films_are_those_of_all_distances_in_double_precision(kind):
    real, other = odd_sides(kind)
    for sides in ((real, other), (other, real)):
        found = neighbours(*sides, 4)
        for mine, theirs in zip(vars(found).values(), exactly(*sides, 4), strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_bounds_hold_the_distance_and_are_near_it():
    from scipy.spatial.distance import cdist

    from cxrbench.benchmark.metrics.bounded_distances import Distances

    rng = np.random.default_rng(12)
    a, b = rng.standard_normal((300, 700)) + 3, 2 * rng.standard_normal((200, 700))
    apart, whole = Distances(a, b), slice(None)
    low = apart.at_least(whole, whole)
    high, exact = apart.at_most(low, whole, whole), cdist(a, b, "sqeuclidean")
    assert (low * apart.unit <= exact).all() and (exact <= high * apart.unit).all()
    assert ((high - low) * apart.unit < 1e-3 * exact).all()


def test_a_film_that_is_shown_often_is_at_no_distance_and_few_others_are_as_near():
    from cxrbench.benchmark.metrics.bounded_distances import radii

    films = np.vstack([np.repeat([[0.1, 0.2]], 3000, axis=0), [[0.1, 0.5], [0.1, 1.2]]])
    assert (radii(films, 5)[:3000] == 0).all()
    assert radii(films, 5)[3000:] == pytest.approx([0.09, 1.0])


def test_features_that_are_no_numbers_are_an_error():
    films = np.random.default_rng(0).standard_normal((30, 3))
    with pytest.raises(InputError, match="not finite"):
        neighbours(films, np.where(films > 1, np.nan, films))


def test_the_standard_error_of_the_kernel_distance_is_that_of_new_films():
    rng = np.random.default_rng(1)
    drawn = [
        kernel_distance(rng.standard_normal((100, 8)), 1.2 * rng.standard_normal((100, 8)) + 0.3) for _ in range(200)
    ]
    values, errors = np.array(drawn).T
    assert 0.85 < np.sqrt((errors**2).mean()) / values.std() < 1.15


# --------------------------------------------------------------------------- which side is which


def sides(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Real and synthetic features with one defect of the synthetic ones."""
    rng = np.random.default_rng(2)
    real, other = rng.standard_normal((600, 8)), rng.standard_normal((600, 8))
    if kind == "collapse":  # a few films again and again, all of them good
        return real, other[rng.integers(0, 12, 600)] + 1e-3 * rng.standard_normal((600, 8))
    if kind == "noise":  # everything real and far more
        return real, 4 * other
    if kind == "shift":
        return real, other + 20
    return real, real[rng.permutation(600)]  # a copycat


def test_a_collapse_is_precise_and_does_not_recall():
    found = neighbours(*sides("collapse")).means()
    assert found["precision"] > 0.8 and found["recall"] < 0.2 and found["coverage"] < 0.2
    swapped = neighbours(*sides("collapse")[::-1]).means()
    assert swapped["precision"] < 0.2 and swapped["recall"] > 0.8


def test_noise_recalls_and_is_not_precise():
    found = neighbours(*sides("noise")).means()
    assert found["precision"] < 0.2 and found["density"] < 0.2 and found["recall"] > 0.8


def test_a_shift_has_neither_and_a_copy_both_but_nothing_authentic():
    assert max(neighbours(*sides("shift")).means().values()) == 0
    real, copied = sides("copy")
    assert min(neighbours(real, copied).means().values()) >= 1
    assert not authentic(real, copied).any()
    assert authentic(*sides("noise")).mean() > 0.9


def test_the_copying_score_is_negative_for_copies_and_about_nothing_for_new_films():
    rng = np.random.default_rng(3)
    training, held_out, new = (rng.standard_normal((400, 8)) for _ in range(3))
    far = nearest(held_out, training)[0]
    near = nearest(training[:300] + 0.05 * rng.standard_normal((300, 8)), training)[0]
    assert copying_score(far, near) < -10
    assert abs(copying_score(far, nearest(new, training)[0])) < 3
    assert copying_score(far, nearest(new + 3, training)[0]) > 5


# --------------------------------------------------------------------------- floor, limit, intervals


def test_the_ratio_of_real_films_to_their_floor_has_one_in_its_interval():
    rng = np.random.default_rng(4)
    inside, wide = 0, []
    for seed in range(40):
        found = frechet_to_floor(rng.standard_normal((240, 10)), rng.standard_normal((120, 10)), seed=seed)
        inside += found.low <= 1 <= found.high
        wide.append(found.high / found.low)
    assert inside >= 34
    assert np.median(wide) < 3
    assert found.films == 120


def test_a_shift_is_above_the_floor_and_its_interval():
    rng = np.random.default_rng(5)
    found = frechet_to_floor(rng.standard_normal((400, 10)), rng.standard_normal((1000, 10)) + 0.4)
    assert found.films == 200 and found.low > 1.5


def test_films_that_are_all_the_same_have_finite_numbers():
    same = frechet_to_floor(np.ones((60, 3)), np.ones((30, 3)))
    assert (same.distance, same.floor, same.ratio) == (0, 0, 1)
    other = frechet_to_floor(np.ones((60, 3)), np.zeros((30, 3)))
    assert other.ratio > 1e6 and np.isfinite([other.low, other.high]).all()


def test_the_limit_is_the_distance_of_the_distributions():
    rng = np.random.default_rng(6)
    real, other = rng.standard_normal((4000, 20)), rng.standard_normal((4000, 20)) + 0.1
    limit = frechet_limit(real, other)
    assert limit is not None
    assert abs(limit - 0.2) < 0.03 < frechet_distance(real[:400], other[:400]) - 0.2
    assert frechet_limit(real[:79], other) is None


def test_too_few_films_say_how_few_are_enough():
    with pytest.raises(InputError, match="at least 20 synthetic and 40 real"):
        frechet_to_floor(np.zeros((39, 3)), np.zeros((100, 3)))
    with pytest.raises(InputError, match="more than k = 5"):
        neighbours(np.zeros((5, 3)), np.zeros((10, 3)))


def test_a_mean_lies_in_its_bootstrap_interval_and_this_is_as_wide_as_the_theory():
    values = (np.random.default_rng(7).random(400) < 0.3).astype(float)
    low, high = resampled(values)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(0.3 * 0.7 / 400), rel=0.15)


def test_alike_is_one_of_the_same_film_and_less_of_films_that_differ():
    pytest.importorskip("torchmetrics")
    rng = np.random.default_rng(8)
    film = rng.integers(0, 255, (1, 64, 64), dtype=np.uint8)
    assert alike(np.repeat(film, 5, axis=0), pairs=10).mean() == pytest.approx(1, abs=1e-6)
    assert alike(rng.integers(0, 255, (20, 64, 64), dtype=np.uint8), pairs=30).mean() < 0.3
    with pytest.raises(InputError, match="22 pixels"):
        alike(np.zeros((5, 16, 16), dtype=np.uint8))
