from __future__ import annotations

import dataclasses
import hashlib
import json
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tlkit.backbones.own import mnist_cnn
from tlkit.backbones.weights import finalize_normalization
from tlkit.errors import NumericsError
from tlkit.models import golden
from tlkit.models.classifier import Classifier, assemble_classifier
from tlkit.models.novelty import fit_novelty
from tlkit.models.saving import read_bundle, write_bundle
from tlkit.models.spec import BundleSpec, Provenance
from tlkit.models.storage import read_spec
from tlkit.recipes import HeadSettings

Edit = Callable[[Path, Callable[[dict[str, Any]], object]], None]
PARTS = ("kernel", "bias")
HEADS = {
    "linear": ("avg", HeadSettings("linear", dropout=0.2)),
    "dense": ("none", HeadSettings("dense", dropout=0.5, units=8)),
    "conv": ("none", HeadSettings("conv", dropout=0.1, units=8)),
}


def make_spec(head: str = "linear", *, backbone: str = "mnist_cnn", num_classes: int = 3) -> BundleSpec:
    pooling, settings = HEADS[head]
    return BundleSpec(
        backbone=backbone,
        image_size=(32, 32),
        fit="squash",
        loader_version=1,
        pooling=pooling,
        head=settings,
        class_names=tuple(f"class {number}" for number in range(num_classes)),
    )


def draw_images(count: int, *, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), np.uint8)


def train_a_little(classifier: Classifier) -> None:
    """Move every weight away from what a fresh build would give it, and keep the answers undecided."""
    rng = np.random.default_rng(1)
    weights = classifier.named_weights()
    for variable in weights.values():
        value = np.asarray(variable)
        noise = rng.normal(0, 0.05 * (np.abs(value).mean() + 0.1), value.shape)
        variable.assign(np.abs(value + noise) if "variance" in variable.name else value + noise)
    largest = np.abs(classifier.logits(draw_images(4))).max()
    for name in weights.keys() & {f"head/{layer}/{part}" for layer in ("logits", "score_map") for part in PARTS}:
        weights[name].assign(np.asarray(weights[name]) / largest)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Classifier]:
    """A small classifier and the bundle that it was saved in."""
    classifier = assemble_classifier(make_spec(), weights="random", seed=5)
    train_a_little(classifier)
    folder = tmp_path_factory.mktemp("trained") / "bundle"
    write_bundle(folder, classifier, classifier.spec, draw_images(4))
    return folder, classifier


@pytest.fixture
def folder(trained: tuple[Path, Classifier], tmp_path: Path) -> Path:
    """A copy of the bundle, to be spoilt."""
    return Path(shutil.copytree(trained[0], tmp_path / "bundle"))


@pytest.mark.parametrize(("backbone", "head"), [("tiny", "linear"), ("mnist_cnn", "dense"), ("mnist_cnn", "conv")])
def test_a_bundle_gives_the_same_predictions_to_the_bit(backbone: str, head: str, tmp_path: Path) -> None:
    classifier = assemble_classifier(make_spec(head, backbone=backbone), weights="random", seed=3)
    train_a_little(classifier)
    images = draw_images(6, seed=2)
    expected = classifier.predict(images)
    assert np.ptp(expected, axis=0).max() > 1e-3  # the model tells the images apart, or the comparison shows nothing

    write_bundle(tmp_path / "bundle", classifier, classifier.spec, draw_images(2))
    again = read_bundle(tmp_path, loader_version=1)

    np.testing.assert_array_equal(again.predict(images), expected)
    np.testing.assert_array_equal(again.logits(images), classifier.logits(images))
    assert again.spec == classifier.spec
    for name, variable in classifier.named_weights().items():
        np.testing.assert_array_equal(np.asarray(again.named_weights()[name]), np.asarray(variable), err_msg=name)


def test_a_normalization_layer_uses_the_weights_that_were_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = mnist_cnn.build

    def build_with_normalization(inputs: Any, *, pooling: str | None) -> keras.Model:
        return keras.Model(inputs, build(inputs, pooling=pooling)(keras.layers.Normalization()(inputs)))

    monkeypatch.setattr(mnist_cnn, "build", build_with_normalization)
    classifier = assemble_classifier(make_spec(), weights="random", seed=3)
    weights = classifier.named_weights()
    weights["backbone/normalization_1/mean"].assign(np.array([100, 120, 140], np.float32))
    weights["backbone/normalization_1/variance"].assign(np.array([900, 1600, 2500], np.float32))
    finalize_normalization(classifier.backbone.model)
    images = draw_images(2)
    expected = classifier.logits(images)
    # Golden samples prove the point too, but the difference is to be seen here, not as a refusal.
    monkeypatch.setattr(golden, "GOLDEN_TOLERANCE", 1)
    write_bundle(tmp_path / "bundle", classifier, classifier.spec, images)
    np.testing.assert_array_equal(read_bundle(tmp_path, loader_version=1).logits(images), expected)


def test_probabilities_are_the_softmax_of_the_logits_even_for_large_ones(trained: tuple[Path, Classifier]) -> None:
    _, classifier = trained
    images = draw_images(3)
    logits, probabilities = classifier.logits(images), classifier.predict(images)
    assert logits.dtype == probabilities.dtype == np.float32
    assert logits.shape == probabilities.shape == (3, 3)
    np.testing.assert_allclose(probabilities, np.asarray(keras.ops.softmax(logits)), rtol=1e-5)
    bias = classifier.named_weights()["head/logits/bias"]
    before = np.asarray(bias).copy()
    bias.assign(np.array([1e4, 0, -1e4], np.float32))
    np.testing.assert_array_equal(classifier.predict(images), [[1, 0, 0]] * 3)
    bias.assign(before)


def test_images_that_are_not_bytes_of_the_right_size_are_a_bug_of_the_caller(trained: tuple[Path, Classifier]) -> None:
    _, classifier = trained
    for images in (
        np.zeros((1, 32, 32, 3), np.float32),
        np.zeros((1, 33, 32, 3), np.uint8),
        np.zeros((32, 32, 3), "u1"),
    ):
        with pytest.raises(ValueError) as caught:
            classifier.predict(images)
        assert str(caught.value) == (
            "Expected uint8 images of shape (n, 32, 32, 3), 0..255. "
            f"Received: dtype={images.dtype}, shape={images.shape}"
        )


def test_the_seed_decides_the_head_and_the_random_backbone() -> None:
    def kernels(seed: int) -> list[np.ndarray[Any, Any]]:
        weights = assemble_classifier(make_spec("dense"), weights="random", seed=seed).named_weights()
        return [np.asarray(weights[name]) for name in ("head/dense_1/kernel", "backbone/conv1_conv/kernel")]

    for one, same, other in zip(kernels(1), kernels(1), kernels(2), strict=True):
        np.testing.assert_array_equal(one, same)
        assert np.abs(one - other).max() > 0.01


def test_the_origin_is_recorded_without_the_path_of_the_users_files(
    trained: tuple[Path, Classifier], tmp_path: Path
) -> None:
    weights = {
        name.removeprefix("backbone/"): np.asarray(value)
        for name, value in trained[1].named_weights().items()
        if name.startswith("backbone/")
    }
    save_file(weights, tmp_path / "pond.safetensors")
    classifier = assemble_classifier(make_spec(), weights=str(tmp_path / "pond.safetensors"), seed=0)
    provenance = classifier.spec.provenance
    assert provenance.weights_source == "pond.safetensors"
    assert provenance.weights_sha256 == classifier.backbone.weights.sha256
    assert provenance.keras_version == keras.__version__
    assert provenance.created.endswith("+00:00")


def test_a_read_bundle_names_itself_as_the_source_of_its_weights(trained: tuple[Path, Classifier]) -> None:
    path, classifier = trained
    again = read_bundle(path, loader_version=1)
    assert again.backbone.weights.source == str(path)
    assert again.backbone.weights.sha256 == classifier.backbone.trunk_sha256("top")


def test_a_description_of_another_model_is_a_bug_of_the_caller(
    trained: tuple[Path, Classifier], tmp_path: Path
) -> None:
    _, classifier = trained
    told_otherwise = dataclasses.replace(classifier.spec, unfrozen="conv2", provenance=Provenance())
    write_bundle(tmp_path / "bundle", classifier, told_otherwise, draw_images(1))
    assert read_spec(tmp_path, loader_version=1) == told_otherwise
    other = dataclasses.replace(classifier.spec, class_names=("a", "b", "c"))
    with pytest.raises(ValueError) as caught:
        write_bundle(tmp_path / "bundle", classifier, other, draw_images(1))
    assert str(caught.value) == f"The spec describes a different model. Expected: {classifier.spec}. Received: {other}"


@pytest.mark.parametrize("count", [0, 33])
def test_a_bundle_needs_a_few_golden_images(trained: tuple[Path, Classifier], tmp_path: Path, count: int) -> None:
    _, classifier = trained
    with pytest.raises(ValueError) as caught:
        write_bundle(tmp_path / "bundle", classifier, classifier.spec, np.zeros((count, 32, 32, 3), np.uint8))
    assert str(caught.value) == f"Expected 1 to 32 golden images. Received: {count}"


def test_a_model_whose_training_diverged_is_not_saved(tmp_path: Path) -> None:
    classifier = assemble_classifier(make_spec(), weights="random", seed=0)
    classifier.named_weights()["head/logits/bias"].assign(np.array([0, np.nan, 0], np.float32))
    with pytest.raises(NumericsError) as caught:
        write_bundle(tmp_path / "bundle", classifier, classifier.spec, draw_images(1))
    assert str(caught.value) == (
        "head/logits/bias has values that are not finite: the model cannot be saved.\n"
        "  Expected: finite weights and outputs\n"
        "  Fix: train again with a lower learning rate (--lr)."
    )
    assert list(tmp_path.iterdir()) == []


def test_what_could_not_be_saved_is_refused_before_the_model_is_built(refuses: Any) -> None:
    with refuses(
        "this data set: the class name 'b\\x07' cannot be used.",
        "1 to 200 characters without control characters",
        fix="rename the class in the data, and train again.",
    ):
        assemble_classifier(dataclasses.replace(make_spec(), class_names=("a", "b\a")), weights="nowhere.h5", seed=0)
    with refuses("this model: pooling is 'none'.", "'avg', which the linear head needs"):
        assemble_classifier(dataclasses.replace(make_spec(), pooling="none"), weights="nowhere.h5", seed=0)


def spoil_weights(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "weights.safetensors"
    weights = {name: array.copy() for name, array in load_file(path).items()}
    change(weights)
    save_file(weights, path)


def drift_message(folder: Path, difference: float) -> tuple[str, str]:
    """Return `found` and `expected` of the refusal for answers that differ from the saved ones."""
    path = folder / "golden.safetensors"
    return (
        f"{path}: the model's outputs differ from the saved ones by up to {difference:.2g}.",
        "at most 0.001",
    )


def test_altered_weights_are_refused(refuses: Any, folder: Path, rehash: Callable[[Path], None]) -> None:
    path = folder / "weights.safetensors"
    named = json.loads((folder / "bundle.json").read_text())["files"][path.name]
    spoil_weights(folder, lambda weights: weights["head/logits/bias"].__iadd__([0, 0.1, 0]))
    with refuses(
        f"{path} has the sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}.",
        f"{named}, as in bundle.json; the file has changed since",
    ):
        read_bundle(folder, loader_version=1)

    rehash(folder)
    saved = load_file(folder / "golden.safetensors")["answers"]
    scores = saved * np.exp([0, 0.1, 0])
    difference = np.abs(scores / scores.sum(axis=1, keepdims=True) - saved).max()
    with refuses(*drift_message(folder, difference)):
        read_bundle(folder, loader_version=1)


def test_weights_that_are_not_finite_are_refused(refuses: Any, folder: Path, rehash: Callable[[Path], None]) -> None:
    spoil_weights(folder, lambda weights: weights["backbone/conv1_conv/kernel"].fill(np.nan))
    rehash(folder)
    with refuses(
        f"{folder / 'weights.safetensors'}: 'backbone/conv1_conv/kernel' holds values that are not finite.",
        "finite numbers",
    ):
        read_bundle(folder, loader_version=1)


MODEL_HAS = "as bundle.json describes the model"


@pytest.mark.parametrize(
    ("change", "found", "expected"),
    [
        (lambda w: w.pop("head/logits/bias"), "'head/logits/bias' is missing", "F32 3"),
        (lambda w: w.update({"head/spy": np.zeros(1, "f4")}), "'head/spy' is F32 1", "missing"),
        (
            lambda w: w.update({"head/logits/bias": np.zeros(4, "f4")}),
            "'head/logits/bias' is F32 4",
            "F32 3",
        ),
        (
            lambda w: w.update({"head/logits/bias": np.zeros((3, 1), "f4")}),
            "'head/logits/bias' is F32 3 x 1",
            "F32 3",
        ),
        (
            lambda w: w.update({"head/logits/bias": np.zeros(3, "u1")}),
            "'head/logits/bias' is U8 3",
            "F32 3",
        ),
    ],
)
def test_weights_that_do_not_fit_the_description_are_refused(
    refuses: Any, folder: Path, rehash: Callable[[Path], None], change: Any, found: str, expected: str
) -> None:
    spoil_weights(folder, change)
    rehash(folder)
    with refuses(f"{folder / 'weights.safetensors'}: {found}.", f"{expected}, {MODEL_HAS}"):
        read_bundle(folder, loader_version=1)


@pytest.mark.parametrize(
    ("head", "image_size", "found", "expected"),
    [
        ("dense", 2048, "'head/norm_0/gamma' is missing", "F32 64"),
        ("conv", 32, "'head/norm_0/gamma' is missing", "F32 64"),
    ],
)
def test_a_few_bytes_cannot_ask_for_a_head_of_many_gigabytes(
    refuses: Any, folder: Path, edit_description: Edit, head: str, image_size: int, found: str, expected: str
) -> None:
    """Dense: 510 x 510 x 64 x 8,192 kernel values, 545 GB. Conv: 9 x 8,192 x 90,000, 27 GB."""
    edit_description(
        folder,
        lambda document: document.update(
            pooling="none",
            image_size=[image_size, image_size],
            head={"kind": head, "dropout": 0.2, "units": 8192, "nms": "soft"},
            class_names=[f"{number}" for number in range(90_000)],
        ),
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with refuses(f"{folder / 'weights.safetensors'}: {found}.", f"{expected}, {MODEL_HAS}"):
        read_bundle(folder, loader_version=1)
    with keras.StatelessScope():  # on leaving one, as later models do, Keras initialises whatever it still has noted
        pass
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kilobytes


def test_a_head_that_cannot_sit_on_this_backbone_is_refused(refuses: Any, folder: Path, edit_description: Edit) -> None:
    edit_description(folder, lambda document: document["head"].update(kind="dense"))
    path = folder / "bundle.json"
    with refuses(f"{path}: pooling is 'avg'.", "'none', which the dense head needs"):
        read_bundle(folder, loader_version=1)


def test_altered_golden_samples_are_refused(refuses: Any, folder: Path, rehash: Callable[[Path], None]) -> None:
    path = folder / "golden.safetensors"
    named = json.loads((folder / "bundle.json").read_text())["files"][path.name]
    golden = {name: array.copy() for name, array in load_file(path).items()}
    golden["answers"][3, 2] -= 0.002
    save_file(golden, path)
    with refuses(
        f"{path} has the sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}.",
        f"{named}, as in bundle.json; the file has changed since",
    ):
        read_bundle(folder, loader_version=1)
    rehash(folder)
    with refuses(*drift_message(folder, 0.002)):
        read_bundle(folder, loader_version=1)


def add_distance(classifier: Classifier) -> None:
    """Let a classifier measure distances and be less sure."""
    features = np.random.default_rng(3).normal(size=(40, classifier.backbone.feature_shape("top")[-1]))
    classifier.novelty = fit_novelty(features)
    classifier.spec = dataclasses.replace(classifier.spec, temperature=2.5, unknown_above=0.75)


@pytest.mark.parametrize("head", ["linear", "dense"])
def test_temperature_and_distance_come_back_with_the_bundle(tmp_path: Path, head: str) -> None:
    classifier = assemble_classifier(make_spec(head), weights="random", seed=0)
    train_a_little(classifier)
    images = draw_images(3)
    plain = classifier.predict(images)
    add_distance(classifier)
    rows = classifier.predict(images)
    assert rows.shape == (3, classifier.spec.row_width) == (3, 4)
    assert (rows[:, :3].max(axis=1) < plain.max(axis=1)).all()
    assert ((rows[:, 3] >= 0) & (rows[:, 3] <= 1)).all()
    write_bundle(tmp_path / "bundle", classifier, classifier.spec, images)
    again = read_bundle(tmp_path, loader_version=1)
    assert again.spec == classifier.spec
    np.testing.assert_array_equal(again.predict(images), rows)


def test_a_bundle_that_says_it_measures_distances_must_bring_what_they_are_measured_by(
    refuses: Any, tmp_path: Path, edit_description: Edit
) -> None:
    classifier = assemble_classifier(make_spec(), weights="random", seed=0)
    train_a_little(classifier)
    write_bundle(tmp_path / "bundle", classifier, classifier.spec, draw_images(1))
    edit_description(tmp_path / "bundle", lambda document: document.update(unknown_above=0.5))
    with refuses(
        f"{tmp_path / 'bundle' / 'bundle.json'}: files has no key 'novelty.safetensors'.",
        "an object with exactly these keys: weights.safetensors, golden.safetensors, novelty.safetensors",
    ):
        read_bundle(tmp_path, loader_version=1)


@pytest.mark.parametrize(
    ("mean", "directions", "found", "expected"),
    [
        ((5,), (2, 5), "'mean' is F32 5", "F32 64"),
        ((64,), (65, 64), "'directions' is F32 65 x 64", "F32 64 x 64"),
        ((64,), (128,), "'directions' is F32 128", "F32 0 x 64"),
    ],
)
def test_what_distances_are_measured_by_must_fit_the_model(
    refuses: Any,
    folder: Path,
    edit_description: Edit,
    rehash: Callable[[Path], None],
    mean: tuple[int, ...],
    directions: tuple[int, ...],
    found: str,
    expected: str,
) -> None:
    edit_description(folder, lambda document: document.update(unknown_above=0.5))
    golden = load_file(folder / "golden.safetensors")
    golden["answers"] = np.pad(golden["answers"], [(0, 0), (0, 1)])
    save_file(golden, folder / "golden.safetensors")
    path = folder / "novelty.safetensors"
    save_file({"mean": np.zeros(mean, np.float32), "directions": np.zeros(directions, np.float32)}, path)
    rehash(folder)
    with refuses(f"{path}: {found}.", f"{expected}, {MODEL_HAS}"):
        read_bundle(folder, loader_version=1)
