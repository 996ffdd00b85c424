from __future__ import annotations

import numpy as np
import pytest

from tlkit.similarity import projection
from tlkit.similarity.projection import calibrate_similarities, compute_components, project_features
from tlkit.similarity.repulsion import GridRepulsion, compute_repulsion


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projection, "_STEPS_EXAGGERATED", 60)
    monkeypatch.setattr(projection, "NUM_STEPS", 160)


def draw_clusters(num_clusters: int, size: int, spread: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(num_clusters), size)
    centres = rng.normal(size=(num_clusters, 32))
    return (centres[labels] + spread * rng.normal(size=(len(labels), 32))).astype(np.float32), labels


def find_nearest(points: np.ndarray) -> np.ndarray:
    distances = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    nearest: np.ndarray = distances.argmin(axis=1)
    return nearest


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize("size", [30, 110], ids=["exact repulsion", "repulsion on a grid"])
def test_the_nearest_image_on_the_map_is_of_the_same_cluster(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projection, "MAX_EXACT_POINTS", 400)
    features, labels = draw_clusters(5, size)
    points = project_features(features)
    assert (labels[find_nearest(points)] == labels).mean() > 0.95
    assert f"{points.dtype} {points.shape}" == f"float32 ({5 * size}, 2)"


@pytest.mark.usefixtures("few_steps")
def test_the_same_features_give_the_same_map_whatever_their_length() -> None:
    features, _ = draw_clusters(3, 20)
    first = project_features(features)
    np.testing.assert_array_equal(first, project_features(features))
    np.testing.assert_allclose(first, project_features(features * np.float32(4)), atol=1e-4)


@pytest.mark.usefixtures("few_steps")
def test_of_many_rows_a_sample_is_laid_out_and_the_others_lie_within_their_cluster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(projection, "MAX_LAID_OUT", 60)
    features, labels = draw_clusters(4, 50)
    points = project_features(features, seed=3)
    assert np.isfinite(points).all()
    assert (labels[find_nearest(points)] == labels).mean() > 0.97


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize("num_rows", [0, 1, 2, 3, 4, 7])
def test_a_handful_of_images_has_a_map(num_rows: int) -> None:
    points = project_features(draw_clusters(1, 8)[0][:num_rows])
    assert points.shape == (num_rows, 2)
    assert np.isfinite(points).all()


@pytest.mark.usefixtures("few_steps")
def test_equal_images_have_a_map() -> None:
    points = project_features(np.ones((40, 6), np.float16))
    assert np.isfinite(points).all()


def test_the_exact_repulsion_is_the_sum_over_all_pairs() -> None:
    points = (3 * np.random.default_rng(2).normal(size=(300, 2))).astype(np.float32)
    gaps = points[:, None].astype(np.float64) - points[None]
    nearness = 1 / (1 + (gaps**2).sum(axis=2))
    expected = (nearness[..., None] ** 2 * gaps).sum(axis=1) / (nearness.sum() - len(points))
    np.testing.assert_allclose(compute_repulsion(points), expected, atol=1e-7)


def test_the_repulsion_on_a_grid_is_that_of_the_sums() -> None:
    points = (8 * np.random.default_rng(1).normal(size=(700, 2))).astype(np.float32)
    exact, gridded = compute_repulsion(points), GridRepulsion().compute(points)
    assert np.abs(exact - gridded).max() < 0.05 * np.abs(exact).max()
    assert np.linalg.norm(exact - gridded) < 0.05 * np.linalg.norm(exact)


def test_similarities_have_the_perplexity_asked_for() -> None:
    distances = np.sort(np.random.default_rng(0).random((30, 45)), axis=1)
    similarities = calibrate_similarities(distances, 15)
    entropies = -(similarities * np.log(similarities)).sum(axis=1)
    np.testing.assert_allclose(np.exp(entropies), 15, rtol=1e-3)
    assert (np.diff(similarities, axis=1) <= 0).all()


def test_components_are_those_of_the_whole_decomposition() -> None:
    features, _ = draw_clusters(6, 30)
    scaled = features / np.linalg.norm(features, axis=1, keepdims=True)
    left, lengths, _ = np.linalg.svd(scaled - scaled.mean(axis=0), full_matrices=False)
    components = compute_components(features)
    np.testing.assert_allclose(np.abs(components[:, :4]), np.abs(left * lengths)[:, :4], atol=1e-4)


def test_the_steps_are_told_while_they_are_done(few_steps: None) -> None:
    done: list[int] = []
    project_features(draw_clusters(2, 8)[0], advance=done.append)
    assert sum(done) == projection.NUM_STEPS
