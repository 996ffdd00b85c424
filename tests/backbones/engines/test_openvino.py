from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tlkit.backbones.build import Backbone, build_backbone
from tlkit.backbones.engines import openvino as openvino_engine
from tlkit.backbones.engines.base import Engine
from tlkit.backbones.engines.openvino_runtime import compile_model, import_converter

pytestmark = pytest.mark.usefixtures("openvino")
BATCH_SIZE = 3
warnings: list[str] = []


def make_engine(trunk: keras.Model, root: Path, *, precision: str = "float32", **description: Any) -> Engine:
    model = openvino_engine.load_trunk(
        lambda: trunk,
        batch_size=BATCH_SIZE,
        description={"backbone": "tiny", **description},
        root=root,
        warn=warnings.append,
    )
    return openvino_engine.make_openvino_engine(model, precision=precision, batch_size=BATCH_SIZE)


@pytest.fixture(scope="module")
def tiny() -> Backbone:
    return build_backbone("tiny", image_size=(32, 32), pooling="avg", weights="random")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("engines") / "not" / "there" / "yet"


@pytest.fixture(scope="module")
def engine(openvino: Any, tiny: Backbone, root: Path) -> Engine:
    return make_engine(tiny.model, root)


@pytest.fixture
def conversions(openvino: Any, monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """One entry for each conversion from now on; in place of the trunk, one is made that takes no time."""
    made: list[None] = []

    def convert(trunk: keras.Model, batch_size: int) -> Any:
        made.append(None)
        images = openvino.opset8.parameter([batch_size, 32, 32, 3], np.uint8, "images")
        return openvino.Model([openvino.opset8.convert(images, "f32")], [images])

    monkeypatch.setattr(openvino_engine, "convert_trunk", convert)
    return made


def draw_images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (BATCH_SIZE, 32, 32, 3), dtype=np.uint8)


def expect(tiny: Backbone, images: np.ndarray) -> np.ndarray:
    return np.asarray(tiny.model(images.astype(np.float32), training=False))


def test_images_that_openvino_refuses_leave_it_ready_for_others(tiny: Backbone, engine: Engine) -> None:
    for _ in range(engine.num_parallel + 1):
        with pytest.raises(RuntimeError, match="shape"):
            engine.compute(np.zeros((BATCH_SIZE, 8, 8, 3), np.uint8))
    images = draw_images()
    assert np.allclose(engine.compute(images), expect(tiny, images), atol=1e-4)


def test_openvino_gives_the_trunks_features(tiny: Backbone, engine: Engine) -> None:
    images = draw_images()
    features = engine.compute(images)
    assert (engine.name, engine.precision, engine.batch_size) == ("openvino", "float32", BATCH_SIZE)
    assert features.dtype == np.float32
    expected = expect(tiny, images)
    assert features.shape == expected.shape
    assert np.abs(features - expected).max() < 1e-5 * np.abs(expected).max()


def test_what_is_returned_is_not_overwritten_by_the_next_batch(engine: Engine) -> None:
    images = draw_images()
    first = engine.compute(images)
    kept = first.copy()
    for divisor in range(2, 10):
        assert (engine.compute(images // divisor) != kept).any()
    np.testing.assert_array_equal(first, kept)


def test_a_row_does_not_depend_on_its_neighbours(engine: Engine) -> None:
    images = draw_images()
    alone = images[[0, 0, 0]]
    np.testing.assert_array_equal(engine.compute(images)[0], engine.compute(alone)[0])


def test_more_threads_than_requests_wait_for_their_turn(engine: Engine) -> None:
    from concurrent.futures import ThreadPoolExecutor

    images = draw_images()
    with ThreadPoolExecutor(engine.num_parallel + 3) as pool:
        found = list(pool.map(engine.compute, [images] * 12))
    for features in found:
        np.testing.assert_array_equal(features, found[0])


def test_a_second_start_reads_what_the_first_has_written(
    tiny: Backbone, root: Path, engine: Engine, conversions: list[None]
) -> None:
    again = make_engine(tiny.model, root)
    assert not conversions
    images = draw_images()
    np.testing.assert_array_equal(again.compute(images), engine.compute(images))


def test_precision_is_asked_of_openvino_at_every_start(
    tiny: Backbone, root: Path, engine: Engine, conversions: list[None]
) -> None:
    images = draw_images()
    features = make_engine(tiny.model, root, precision="bfloat16").compute(images)
    assert not conversions
    expected = expect(tiny, images)
    assert np.abs(features - expected).max() < 0.05 * np.abs(expected).max()


def test_other_weights_are_converted_anew(tiny: Backbone, root: Path, conversions: list[None]) -> None:
    make_engine(tiny.model, root, weights_sha256="another")
    assert len(conversions) == 1


@pytest.mark.parametrize("name", ["trunk.xml", "trunk.bin", "trunk.json"])
@pytest.mark.parametrize("damage", ["lost", "altered"])
def test_a_damaged_trunk_is_converted_anew(
    tiny: Backbone, tmp_path: Path, conversions: list[None], name: str, damage: str
) -> None:
    make_engine(tiny.model, tmp_path)
    (folder,) = tmp_path.iterdir()
    file = folder / name
    content = file.read_bytes()
    if damage == "lost":
        file.unlink()
    else:
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]) if content else b"0")
    make_engine(tiny.model, tmp_path)
    assert len(conversions) == 2
    make_engine(tiny.model, tmp_path)
    assert len(conversions) == 2


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("Check 'x' failed:\nfull")])
def test_a_trunk_is_whole_or_not_there_and_its_lack_costs_a_warning(
    tiny: Backbone,
    tmp_path: Path,
    conversions: list[None],
    openvino: Any,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    def fill_the_disk(model: Any, path: Path, compress_to_fp16: bool) -> None:
        path.write_text("<half")
        raise error

    monkeypatch.setattr(openvino, "save_model", fill_the_disk)
    images = draw_images()
    assert make_engine(tiny.model, tmp_path).compute(images).shape == (BATCH_SIZE, 32, 32, 3)
    assert not list(tmp_path.iterdir())
    problem = "No space left on device" if isinstance(error, OSError) else "full"
    assert warnings[-1].endswith(f": the network converted for OpenVINO cannot be kept there ({problem}).")


def test_the_stray_outputs_of_an_efficientnet_are_cut(openvino: Any) -> None:
    images = keras.Input((8, 8, 3))
    hidden = keras.layers.Conv2D(4, 3, activation="silu")(images)
    trunk = keras.Model(images, keras.layers.Conv2D(2, 3, activation="silu")(hidden))
    model = openvino_engine.convert_trunk(trunk, 1)
    assert [list(output.shape) for output in model.outputs] == [[1, 4, 4, 2]]
    pixels = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3), dtype=np.uint8)
    run, _ = compile_model(model, "float32")
    found = run([pixels])[0]
    np.testing.assert_allclose(found, np.asarray(trunk(pixels.astype(np.float32))), rtol=1e-3, atol=1e-3)


@pytest.mark.usefixtures("openvino")
def test_vectors_as_constants_leave_the_converter_the_same_network(tiny: Backbone) -> None:
    run = tf.function(lambda images: tiny.model(tf.cast(images, tf.float32), training=False))
    plain = import_converter()(run.get_concrete_function(tf.TensorSpec((2, 32, 32, 3), tf.uint8)))
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    models = openvino_engine.convert_trunk(tiny.model, 2), plain
    given, expected = (compile_model(model, "float32")[0]([images])[0] for model in models)
    np.testing.assert_array_equal(given, expected)
    assert given.any()


INTERRUPTED = """
import os, signal, time
import openvino
from tlkit.backbones.engines.openvino_runtime import compile_model, import_converter
def compile():
    images = openvino.opset13.parameter([1, 4], openvino.Type.f32)
    return compile_model(openvino.Model([openvino.opset13.relu(images)], [images]), "float32")
first, second = compile(), compile()
del first
del second
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(10)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.usefixtures("openvino")
def test_networks_that_are_closed_leave_a_stack_for_signals() -> None:
    result = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "interrupted\n")
