"""A bundle that carries its model for OpenVINO: converted, read with suspicion, and opened by the engine asked for."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tlkit.devices import ALL
from tlkit.errors import BackboneError, BundleError, NumericsError, SettingError
from tlkit.heads import HEADS
from tlkit.metadata.encoding import MetadataEncoding, NumberColumn
from tlkit.models import golden
from tlkit.models.classifier import Classifier, assemble_classifier
from tlkit.models.networks.classifier import NetworkClassifier, convert_classifier
from tlkit.models.networks.openvino import NETWORK_FORMAT, save
from tlkit.models.novelty import fit_novelty
from tlkit.models.opening import open_classifier
from tlkit.models.saving import read_bundle, write_bundle
from tlkit.models.spec import BundleSpec
from tlkit.models.tensors import open_tensors, write_tensors
from tlkit.outputs import DETECTION
from tlkit.recipes import HeadSettings

pytestmark = pytest.mark.usefixtures("openvino")

KERAS_FIX = "use --engine keras, which does not open this file, or get the bundle from its source again."
PAIR = ("openvino.xml", "openvino.safetensors")
METADATA = MetadataEncoding((NumberColumn("weight", 0.0, 1.0, -3.0, 3.0),))
SPEC = BundleSpec("mnist_cnn", (32, 32), "squash", 1, "avg", HeadSettings("linear"), ("a", "b", "c"))
SPECS = {
    **{
        kind: dataclasses.replace(SPEC, pooling=head.pooling, head=HeadSettings(kind, units=8))
        for kind, head in HEADS.items()
        if not head.finds_objects and kind not in ("fisheries", "vgg")  # of the same layers as dense
    },
    "detector": dataclasses.replace(
        SPEC,
        backbone="tiny",
        task=DETECTION,
        pooling="maps",
        head=HeadSettings("detector", dropout=0.0, units=8),
        thresholds=(0.5, 0.5, 0.5),
    ),
    "batch norm": dataclasses.replace(SPEC, backbone="tiny"),
    "grey": dataclasses.replace(SPEC, backbone="mnist_torch", pooling="none", head=HeadSettings("flat", dropout=0.0)),
    "box and metadata": dataclasses.replace(
        SPEC, pooling="none", head=HeadSettings("dense", units=8), has_box=True, metadata=METADATA
    ),
}


def draw_images(count: int, *, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), np.uint8)


def make_classifier(spec: BundleSpec = SPEC, *, seed: int = 5) -> Classifier:
    """Return a model with opinions that measures distances."""
    classifier = assemble_classifier(spec, weights="random", seed=seed)
    rng = np.random.default_rng(seed)
    for variable in classifier.head.trainable_weights:
        variable.assign(np.asarray(variable) + rng.normal(size=variable.shape, scale=0.05))
    channels = (classifier.map_shape or classifier.backbone.feature_shape("top"))[-1]
    classifier.novelty = fit_novelty(rng.normal(size=(40, channels)))
    classifier.spec = dataclasses.replace(classifier.spec, unknown_above=0.75)
    return classifier


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return make_classifier()


@pytest.fixture(scope="module")
def converted(openvino: Any, classifier: Classifier) -> NetworkClassifier:
    return convert_classifier(NETWORK_FORMAT, classifier, draw_images(1), np.zeros((1, 0), np.float32))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, classifier: Classifier, converted: NetworkClassifier) -> Path:
    """A bundle that carries its model for OpenVINO."""
    folder = tmp_path_factory.mktemp("written") / "bundle"
    write_bundle(folder, classifier, classifier.spec, draw_images(2), None, {"openvino": converted.network})
    return folder


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    """A copy of the bundle, to be spoilt."""
    return Path(shutil.copytree(written, tmp_path / "bundle"))


def replace_network(network: Any, folder: Path) -> None:
    for name in PAIR:
        (folder / name).unlink()
    save(network, folder, {})


def open_it(folder: Path, **options: Any) -> NetworkClassifier:
    model = open_classifier(folder, loader_version=1, **{"engine": "openvino", **options})
    assert isinstance(model, NetworkClassifier)
    return model


@pytest.mark.parametrize("name", SPECS)
def test_openvino_gives_the_answers_of_keras_and_from_a_bundle_too(name: str, tmp_path: Path) -> None:
    classifier = make_classifier(SPECS[name])
    images = draw_images(3)
    metadata = np.random.default_rng(2).normal(size=(3, classifier.spec.metadata.width)).astype(np.float32)
    converted = convert_classifier(NETWORK_FORMAT, classifier, images, metadata)
    rows = converted.predict(images, metadata)
    expected = classifier.predict(images, metadata)
    assert rows.dtype == np.float32
    assert rows.shape == expected.shape == (3, classifier.spec.row_width)
    np.testing.assert_allclose(rows, expected, atol=1e-4)
    compared = classifier.predict_for_comparison(images, metadata)
    np.testing.assert_allclose(converted.predict_for_comparison(images, metadata), compared, atol=1e-4)
    differences = np.ptp(compared, axis=0)
    assert (np.median(differences) if name == "detector" else differences.min()) > 2e-4
    maps = classifier.compute_maps(images)
    assert maps.shape[1:] == classifier.map_shape == converted.map_shape
    np.testing.assert_allclose(converted.compute_maps(images), maps, atol=1e-4)
    for model in (classifier, converted):
        parts = [model.predict_with_features(images, metadata), model.compute_maps(images).reshape(3, -1)]
        np.testing.assert_array_equal(model.predict_with_maps(images, metadata), np.concatenate(parts, axis=1))
    write_bundle(tmp_path / "bundle", classifier, classifier.spec, images, metadata, {"openvino": converted.network})
    np.testing.assert_array_equal(open_it(tmp_path).predict(images, metadata), rows)


def test_a_conversion_that_answers_otherwise_is_refused(classifier: Classifier, converted: NetworkClassifier) -> None:
    network_format = dataclasses.replace(NETWORK_FORMAT, convert=lambda _: converted.network)
    other = make_classifier(seed=6)
    images, metadata = draw_images(1), np.zeros((1, 0), np.float32)
    difference = np.abs(other.predict(images)[:, :3] - converted.predict(images)[:, :3]).max()
    other.novelty = None
    other.spec = dataclasses.replace(other.spec, unknown_above=None)
    with pytest.raises(NumericsError) as caught:
        convert_classifier(network_format, other, images, metadata)
    assert str(caught.value) == (
        f"the outputs of OpenVINO differ from those of Keras by up to {difference:.2g}.\n"
        "  Expected: at most 0.001\n"
        "  Fix: use --engine keras, and please report this as a bug in tlkit."
    )


def test_a_bundle_gives_what_was_converted_and_one_image_the_same_as_among_others(
    written: Path, converted: NetworkClassifier
) -> None:
    model = open_it(written)
    images = draw_images(7, seed=1)
    rows = model.predict(images)
    np.testing.assert_array_equal(rows, converted.predict(images))
    for number in range(7):
        np.testing.assert_array_equal(model.predict(images[number : number + 1])[0], rows[number])


def test_images_that_are_not_bytes_of_the_right_size_are_a_bug_of_the_caller(converted: NetworkClassifier) -> None:
    with pytest.raises(ValueError, match=r"Expected uint8 images .* Received: dtype=float32"):
        converted.predict(np.zeros((1, 32, 32, 3), np.float32))


def test_bfloat16_is_near_and_proves_itself_in_float32(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[Any] = []
    monkeypatch.setattr(
        "tlkit.models.networks.classifier.check_golden_samples", lambda model, *_: checked.append(model)
    )
    model = open_it(written, precision="bfloat16")
    assert len(checked) == 1
    assert checked[0] is not model
    images = draw_images(3)
    np.testing.assert_allclose(model.predict(images), checked[0].predict(images), atol=0.1)


@pytest.mark.parametrize("name", PAIR)
def test_a_linked_or_missing_file_is_refused(refuses: Any, folder: Path, tmp_path: Path, name: str) -> None:
    limit = 4 * 2**20 if name == PAIR[0] else 4 * 2**30
    expected = f"a regular file of at most {limit:,} bytes"
    (folder / name).rename(tmp_path / name)
    with refuses(f"{folder / name} cannot be opened (No such file or directory).", expected):
        open_it(folder)
    (folder / name).symlink_to(tmp_path / name)
    with refuses(f"{folder / name} is a symbolic link.", expected):
        open_it(folder, engine="auto")


@pytest.mark.parametrize("name", PAIR)
def test_a_changed_file_is_refused_before_openvino_sees_it(
    refuses: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, openvino: Any, name: str
) -> None:
    monkeypatch.setattr(openvino.Core, "read_model", None)
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    found, named = (hashlib.sha256(part).hexdigest() for part in ((folder / name).read_bytes(), content))
    with refuses(
        f"{folder / name} has the sha256 {found}.",
        f"{named}, as in bundle.json; the file has changed since",
        **({"fix": KERAS_FIX} if name == PAIR[0] else {}),
    ):
        open_it(folder)


def test_the_network_of_another_model_is_refused_by_the_golden_samples(
    refuses: Any, folder: Path, rehash: Callable[[Path], None]
) -> None:
    other = make_classifier(seed=6)
    images = draw_images(2)
    replace_network(convert_classifier(NETWORK_FORMAT, other, images, np.zeros((2, 0), np.float32)).network, folder)
    rehash(folder)
    with pytest.raises(BundleError, match=r"golden.safetensors: the model's outputs differ from the saved ones by"):
        open_it(folder)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "it is no XML"),
        (b"<net", "it is no XML"),
        (b"\x89PNG", "it is no XML"),
        (b"<net><layers/><edges/></net>", "it has 0 operations of its own"),
        (b'<!DOCTYPE net [<!ENTITY a "b">]><net>&a;</net>', "it declares a document type"),
        (
            b'<net><layers><layer id="0" type="TensorIterator"><body><layers/></body></layer></layers></net>',
            "it holds the operation 'TensorIterator'",
        ),
        (
            b'<net><layers><layer id="0" type="Const"><layer id="1" type="Const"/></layer></layers></net>',
            "it has 1 operations of its own",
        ),
    ],
)
def test_what_is_no_network_is_refused_before_openvino_sees_it(
    folder: Path,
    rehash: Callable[[Path], None],
    openvino: Any,
    monkeypatch: pytest.MonkeyPatch,
    content: bytes,
    found: str,
) -> None:
    monkeypatch.setattr(openvino.Core, "read_model", None)
    (folder / PAIR[0]).write_bytes(content)
    rehash(folder)
    with pytest.raises(BundleError) as caught:
        open_it(folder)
    assert caught.value.found.startswith(f"{folder / PAIR[0]}: {found}")
    assert caught.value.fix == KERAS_FIX


def test_more_constants_than_the_model_has_weights_are_refused_before_they_are_read(
    refuses: Any, folder: Path, rehash: Callable[[Path], None]
) -> None:
    with open_tensors(folder / "weights.safetensors") as weights:
        limit = max(entry.end for entry in weights.entries) + 2**20
    (folder / PAIR[1]).unlink()
    write_tensors(folder / PAIR[1], {"rest": np.zeros(limit + 1, np.uint8)})
    rehash(folder)
    with refuses(f"{folder / PAIR[1]} has {limit + 1:,} bytes of constants.", f"at most {limit:,}"):
        open_it(folder)


def test_a_graph_without_all_of_its_constants_is_refused(folder: Path, rehash: Callable[[Path], None]) -> None:
    (folder / PAIR[1]).unlink()
    write_tensors(folder / PAIR[1], {"places": np.frombuffer(b"[]", np.uint8), "rest": np.zeros(1000, np.uint8)})
    rehash(folder)
    with pytest.raises(BundleError, match=r"openvino.xml: OpenVINO .* cannot read or run it"):
        open_it(folder)


def test_no_weight_is_stored_twice(written: Path) -> None:
    weights, constants = ((written / name).stat().st_size for name in ("weights.safetensors", PAIR[1]))
    assert constants < weights / 10
    assert not (written / "openvino.bin").exists()


def test_constants_outside_of_the_weights_are_refused_before_the_weights_are_read(
    folder: Path, rehash: Callable[[Path], None]
) -> None:
    graph = (folder / PAIR[0]).read_text()
    (folder / PAIR[0]).write_text(re.sub(r'offset="\d+" size="\d+"', f'offset="0" size="{2**32}"', graph))
    rehash(folder)
    (folder / PAIR[1]).unlink()
    with pytest.raises(BundleError, match=r"openvino.xml: the constant '.*' ends at byte 4,294,967,296"):
        open_it(folder)


def build_network(openvino: Any, kind: str) -> Any:
    """Return a small network of other ports than SPEC's, or of the same ones with something in it that is refused."""
    ops = openvino.opset8
    images = ops.parameter([-1 if kind == "any size" else 1, 32, 32, 3], np.uint8, "images")
    images.output(0).get_tensor().set_names({"images"})
    mean = ops.reduce_mean(ops.convert(images, "f32"), np.array([1, 2]), keep_dims=False)
    if kind == "state":
        mean = ops.add(mean, openvino.opset6.read_value(mean, "state"))
    if kind == "broadcast":
        giant = ops.broadcast(mean, np.array([2**20, 2**11, 3]))
        mean = ops.add(mean, ops.reduce_mean(giant, np.array([0, 1]), keep_dims=False))
    if kind == "shape":
        giant = ops.broadcast(ops.constant(np.ones(1, np.float32)), np.array([2**30]))
        mean = ops.add(mean, ops.reduce_mean(giant, np.array([0]), keep_dims=True))
    if kind == "product":
        column = ops.constant(np.ones((8, 3), np.float32))
        mean = ops.add(
            mean,
            ops.matmul(
                ops.matmul(column, column, True, False), ops.constant(np.ones((3, 1), np.float32)), False, False
            ),
        )
    if kind == "at once":
        giant = ops.broadcast(mean, np.array([2**18, 3]))
        mean = ops.add(mean, ops.reduce_mean(giant, np.array([0]), keep_dims=True))
    if kind == "in a row":
        for _ in range(100):
            mean = ops.exp(ops.concat([mean], 1))
    if kind == "values":
        row = ops.reshape(ops.convert(images, "f32"), np.array([3072, 1]), False)
        square = ops.matmul(row, row, False, True)
        mean = ops.add(mean, ops.reduce_mean(square, np.array([0, 1]), keep_dims=False))
    answers = 4 if kind == "answers" else 3
    answer = mean if answers == 3 else ops.concat([mean, ops.reduce_max(mean, np.array([1]), keep_dims=True)], 1)
    feature = ops.abs(mean)
    results = [answer.output(0)] if kind == "outputs" else [answer.output(0), feature.output(0)]
    model = openvino.Model(results, [images])
    for port, name in zip(model.outputs, ("answer", "feature"), strict=False):
        port.get_tensor().set_names({name})
    return model


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("answers", "its inputs and outputs are "),
        ("outputs", "its inputs and outputs are "),
        ("any size", r".* has no fixed shape"),
        ("state", "it holds the operation '(ReadValue|Assign)'"),
        ("broadcast", r"it has 6,4.* values between its operations"),
        ("shape", "it computes 'Broadcast, ReduceMean' of constants"),
        ("product", "it computes 'MatMul' of constants"),
        ("in a row", r"it has 20\d operations in a row without a layer of weights"),
        ("at once", "it has 786,432 values from one operation"),
        ("values", "it has 9,449,488 values between its operations"),
    ],
)
def test_a_network_of_another_description_is_refused_before_it_is_compiled(
    folder: Path,
    rehash: Callable[[Path], None],
    openvino: Any,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    found: str,
) -> None:
    replace_network(build_network(openvino, kind), folder)
    rehash(folder)
    network_format = dataclasses.replace(NETWORK_FORMAT, compile=lambda *_: pytest.fail("it was compiled"))
    monkeypatch.setattr("tlkit.models.networks.openvino.NETWORK_FORMAT", network_format)
    with pytest.raises(BundleError, match=rf"openvino.xml: {found}"):
        open_it(folder)


def test_keras_never_opens_what_is_meant_for_openvino(folder: Path, classifier: Classifier) -> None:
    for name in PAIR:
        (folder / name).unlink()
        (folder / name).symlink_to("/etc/passwd")
    model = open_classifier(folder, loader_version=1, engine="keras")
    assert isinstance(model, Classifier)
    images = draw_images(1)
    np.testing.assert_array_equal(model.predict(images), classifier.predict(images))


def test_auto_is_openvino_where_the_bundle_carries_it_and_it_is_installed(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(open_classifier(written, loader_version=1), NetworkClassifier)
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert isinstance(open_classifier(written, loader_version=1), Classifier)
    with pytest.raises(BackboneError):
        open_it(written)


def test_a_bundle_without_a_model_for_openvino_is_run_by_keras_or_refused(
    refuses: Any, tmp_path: Path, classifier: Classifier
) -> None:
    folder = tmp_path / "bundle"
    write_bundle(folder, classifier, classifier.spec, draw_images(1))
    assert {path.name for path in folder.iterdir()}.isdisjoint(PAIR)
    model = open_classifier(folder, loader_version=1, batch_size=2)
    assert isinstance(model, Classifier)
    assert model.batch_size == 2
    with refuses(
        f"--engine openvino: {folder} has no model for OpenVINO.",
        "a bundle saved with OpenVINO installed",
        fix="use --engine keras, or leave out --engine.",
    ):
        open_it(folder)


def test_settings_of_the_other_engine_are_refused(written: Path) -> None:
    with pytest.raises(SettingError) as caught:
        open_it(written, engine="auto", batch_size=16)
    assert str(caught.value) == (
        "--batch-size 16 has no effect: OpenVINO computes one image at a time.\n"
        "  Expected: --batch-size only with Keras\n"
        "  Fix: leave out --batch-size, or use --engine keras."
    )
    with pytest.raises(SettingError) as caught:
        open_it(written, engine="auto", devices=ALL)
    assert str(caught.value) == (
        "--devices all has no effect: OpenVINO uses all cores of the processor as one device.\n"
        "  Expected: --devices only with Keras\n"
        "  Fix: leave out --devices, or use --engine keras."
    )
    with pytest.raises(SettingError) as caught:
        open_classifier(written, loader_version=1, engine="keras", precision="bfloat16")
    assert str(caught.value) == (
        "--precision bfloat16 has no effect: Keras predicts in float32.\n"
        "  Expected: --precision bfloat16 only with OpenVINO, and a bundle that has a model for it\n"
        "  Fix: leave out --precision."
    )


def test_an_engine_or_a_precision_that_does_not_exist_is_refused(written: Path) -> None:
    with pytest.raises(SettingError) as caught:
        open_it(written, engine="open-vino")
    assert str(caught.value) == (
        "--engine open-vino: unknown engine.\n  Expected: one of auto, keras, openvino\n  Fix: did you mean 'openvino'?"
    )
    with pytest.raises(SettingError) as caught:
        open_it(written, precision="float16")
    assert str(caught.value) == (
        "--precision float16 has no effect: OpenVINO predicts in float32 or bfloat16.\n"
        "  Expected: a precision that an engine supports\n"
        "  Fix: leave out --precision."
    )


def test_the_golden_tolerance_is_what_refuses(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golden, "GOLDEN_TOLERANCE", -1)
    with pytest.raises(BundleError):
        open_it(written)
    with pytest.raises(BundleError):
        read_bundle(written, loader_version=1)
