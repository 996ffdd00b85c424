"""Train and compute on one and on two devices, and print as JSON how much the results differ.

`test_replicas.py` runs this in a process of its own: TensorFlow can divide the processor into devices only before it starts.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tlkit.backbones.build import build_backbone
from tlkit.backbones.engines.base import make_keras_engine
from tlkit.backbones.fused import make_lean
from tlkit.backbones.maps import MapLayout
from tlkit.devices import ALL, choose_devices, describe_devices
from tlkit.errors import SettingError
from tlkit.features.extract import Loaded, run_batches
from tlkit.heads import build_head
from tlkit.outputs import CLASSIFICATION, DETECTION
from tlkit.recipes import ResolvedStage, TrainingSettings
from tlkit.runtime import start_keras
from tlkit.tasks import Outputs
from tlkit.training import call_sizes
from tlkit.training.batches import Batches, EpochPlan, HeldInputs
from tlkit.training.checkpoint import Checkpoint, Progress
from tlkit.training.loop import StageCallbacks, StageData, fit_stage
from tlkit.training.mixing import NO_MIXING, Mixing
from tlkit.training.rate_finder import sweep_rates
from tlkit.training.replicas import ONE_DEVICE, Replicas
from tlkit.training.steps import StageModel, compile_steps, prepare_stage
from tlkit.training.targets import FixedTargets

DEVICES = ("/device:CPU:0", "/device:CPU:1")
OUTPUTS = Outputs(CLASSIFICATION, 3)
MAPS = MapLayout(((4, 4, 5),))
OBJECTS = Outputs(DETECTION, 4 + 2, map_sizes=MAPS.sizes)
TRAINING = TrainingSettings(seed=3, weight_decay=0.1, label_smoothing=0.1)
NUM_IMAGES = 23
"""In batches of 8, 8 and 7: an odd one cannot be halved."""
PICTURE, MAP, VECTOR = (8, 8, 3), (4, 4, 5), (6,)

Arrays = dict[str, list[NDArray[Any]]]


def make_batches(shape: tuple[int, ...], mixing: Mixing = NO_MIXING, batch_size: int = 8) -> Batches:
    """Return random inputs whose images weigh from 0.5 to 1.5."""
    inputs = np.random.default_rng(0).normal(0.5, 1, (NUM_IMAGES, *shape)).astype(np.float16)
    labels = np.arange(NUM_IMAGES, dtype=np.int32) % 3
    plan = EpochPlan(NUM_IMAGES, batch_size, num_views=1, seed=0, mixing=mixing)
    nothing, weights = np.zeros((NUM_IMAGES, 0), np.float32), np.linspace(0.5, 1.5, NUM_IMAGES, dtype=np.float32)
    targets = FixedTargets(make_objects() if shape == (MAPS.width,) else labels)
    return Batches(plan, HeldInputs(tf.constant(inputs), 1), targets, nothing, weights)


def make_objects() -> NDArray[np.float32]:
    """Return up to two objects of each image: corners, class + 1 and whether they are ignored."""
    rng = np.random.default_rng(1)
    objects = np.zeros((NUM_IMAGES, 2, 6), np.float32)
    objects[..., :2] = rng.uniform(0, 0.5, (NUM_IMAGES, 2, 2))
    objects[..., 2:4] = objects[..., :2] + rng.uniform(0.2, 0.5, (NUM_IMAGES, 2, 2))
    objects[..., 4] = rng.integers(0, 3, (NUM_IMAGES, 2))
    return objects


def choose_outputs(kind: str) -> Outputs:
    return OBJECTS if kind == "detector" else OUTPUTS


def choose_shape(kind: str) -> tuple[int, ...]:
    return {"unfrozen": PICTURE, "linear": VECTOR, "detector": (MAPS.width,)}.get(kind, MAP)


def build_tail() -> keras.Model:
    """Return layers as unfrozen groups have them: frozen and trained batch norm, strides, and whole images dropped.

    Biases would have gradients of zero, since batch norm follows, and Adam makes steps of what rounding leaves of them.
    """
    layers = keras.layers
    images = keras.Input(PICTURE)
    x = layers.BatchNormalization(trainable=False)(layers.Conv2D(6, 3, padding="same", use_bias=False)(images))
    x = layers.BatchNormalization(trainable=False)(layers.DepthwiseConv2D(3, strides=2, use_bias=False)(x))
    x = layers.BatchNormalization(name="trained")(layers.Conv2D(6, 1, use_bias=False)(x))
    branch = layers.Conv2D(6, 3, padding="same", use_bias=False)(layers.ReLU()(x))
    branch = layers.Dropout(0.4, noise_shape=(None, 1, 1, 1))(branch)
    return make_lean(keras.Model(images, layers.GlobalAveragePooling2D()(layers.Add()([x, branch]))))


def make_model(kind: str, devices: Sequence[str]) -> StageModel:
    """Return a head of a kind, or for `unfrozen` a linear head with layers below it, for one device or several."""
    keras.utils.set_random_seed(0)
    replicas = Replicas(devices) if devices else ONE_DEVICE
    tail = build_tail() if kind == "unfrozen" else None
    head = build_head(
        "linear" if tail else kind,
        feature_shape=VECTOR if tail else MAPS if kind == "detector" else choose_shape(kind),
        outputs=choose_outputs(kind),
        dropout=0.5,
        units=4,
    )
    return StageModel(tail, head, tail_trains=tail is not None, replicas=replicas)


def train(kind: str, devices: Sequence[str], *, mixing: Mixing = NO_MIXING, batch_size: int = 8) -> Arrays:
    """Train two epochs at a rate of its own for each variable, then measure statistics anew where there is a reason."""
    model = make_model(kind, devices)
    shape, outputs = choose_shape(kind), choose_outputs(kind)
    rates = np.geomspace(1e-4, 1e-3, len(model.trainable_variables)).tolist()
    losses, plain = [], [variable.value for variable in model.variables]
    with model.held():
        optimizer, steps = prepare_stage(model, rates, outputs=outputs, training=TRAINING, xla_sizes=())
        for epoch in range(2):
            (block,) = make_batches(shape, mixing, batch_size).epoch(epoch)
            ones = [1.0] * block.num_batches
            sums = steps.train(block, slice(0, block.num_batches), ones)
            losses += [sums["loss"], sums["images"]]
        trained = [variable.numpy() for variable in model.variables]
        if steps.measure:
            (block,) = make_batches(shape, mixing, batch_size).epoch(2)
            means = [number / (number + 1) for number in range(block.num_batches)]
            losses += [steps.measure(block, slice(0, block.num_batches), means)["images"]]
        measured = [variable.numpy() for variable in model.variables]
        (block,) = make_batches(shape, batch_size=batch_size).epoch(0)
        by_image = steps.evaluate(block, slice(0, block.num_batches), ones)
    assert [variable.value for variable in model.variables] == plain, "a stage leaves the variables where they were"
    return {
        "weights": trained,
        "measured": measured,
        "state": [variable.numpy() for variable in optimizer.variables],
        "sums": losses,
        "by_image": [values for values in by_image.values() if values.ndim == 1],  # nearly equal boxes change places
        "afterwards": [variable.numpy() for variable in model.variables],
    }


def measure_difference(one: Sequence[NDArray[Any]], other: Sequence[NDArray[Any]]) -> float:
    """Return the largest difference of two lists of arrays, each relative to the largest number in its array."""
    assert [array.shape for array in one] == [array.shape for array in other]
    pairs = [(left.astype(np.float64), right.astype(np.float64)) for left, right in zip(one, other, strict=True)]
    return max(float(np.abs(left - right).max() / max(np.abs(left).max(), 1e-3)) for left, right in pairs if left.size)


def compare(kind: str, **how: Any) -> dict[str, float]:
    """Train on one device and on two; return by what the results differ, by name."""
    one, two = train(kind, (), **how), train(kind, DEVICES, **how)
    return {name: measure_difference(arrays, two[name]) for name, arrays in one.items()}


class Interrupted(Exception):  # noqa: N818
    """Ends a stage in the middle."""


def fit(devices: Sequence[str], state: Path, *, until: int = 4) -> tuple[list[NDArray[Any]], Progress]:
    """Train four epochs of a dense head, or go on with them, or end after some."""
    model = make_model("dense", devices)
    stage = ResolvedStage(name="s", epochs=4, batch_size=8, lr=1e-3, lr_ratio=1.0, patience=0)

    def end(rows: Sequence[dict[str, Any]]) -> None:
        if len(rows) == until < stage.epochs:
            raise Interrupted

    train = make_batches(MAP)
    validation = dataclasses.replace(train, plan=dataclasses.replace(train.plan, seed=None))
    progress = fit_stage(
        model,
        StageData(train, validation, OUTPUTS),
        rates=[1e-3] * len(model.trainable_variables),
        stage=stage,
        training=TRAINING,
        keeps_start=False,
        callbacks=StageCallbacks(
            end, lambda text, total: contextlib.nullcontext(lambda count: None), Checkpoint(state, print)
        ),
    )
    return [variable.numpy() for variable in model.variables], progress


def compare_stages(folder: Path) -> dict[str, float]:
    """Train a stage as a run does; return by what one resumed on as many devices, or on others, differs."""
    with mock.patch.object(call_sizes, "SECONDS_WORTH_SAVING", 0.0), mock.patch.object(call_sizes, "SAVING_SHARE", 0):
        for name in ("same", "fewer"):
            with contextlib.suppress(Interrupted):
                fit(DEVICES, folder / name, until=2)
        with contextlib.suppress(Interrupted):
            fit((), folder / "more", until=2)
        whole = {number: fit(DEVICES[:number] if number > 1 else (), folder / str(number)) for number in (1, 2)}
        resumed = {"same": fit(DEVICES, folder / "same"), "fewer": fit((), folder / "fewer")}
        resumed["more"] = fit(DEVICES, folder / "more")

    def list_figures(progress: Progress) -> list[NDArray[Any]]:
        names = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "learning_rate")
        return [np.array([row[name] for name in names]) for row in progress.rows]

    weights, progress = whole[2]
    return {
        "weights": measure_difference(whole[1][0], weights),
        "history": measure_difference(list_figures(whole[1][1]), list_figures(progress)),
        **{f"resumed on {name}": measure_difference(weights, found) for name, (found, _) in resumed.items()},
    }


def compare_sweeps() -> float:
    """Return by what the losses of a search for the rate differ."""

    def sweep(devices: Sequence[str]) -> list[float]:
        model = make_model("linear", devices)
        before = [variable.numpy() for variable in model.variables]
        found = sweep_rates(
            model,
            StageData(make_batches(VECTOR), make_batches(VECTOR), OUTPUTS),
            rates=[1.0] * len(model.trainable_variables),
            held=[],
            training=TRAINING,
            progress=lambda total: contextlib.nullcontext(lambda count: None),
        )
        assert measure_difference(before, [variable.numpy() for variable in model.variables]) == 0
        return list(found.losses[:100])

    return measure_difference([np.array(sweep(()))], [np.array(sweep(DEVICES))])


def compare_engines() -> dict[str, Any]:
    """Compute features of pictures in batches on one device and on two."""
    trunk = build_backbone("tiny", image_size=(32, 32), pooling="avg", weights="random").trunk("block1")
    assert trunk is not None
    pictures = np.random.default_rng(0).integers(0, 256, (21, 32, 32, 3), dtype=np.uint8)
    one, two = (make_keras_engine(trunk, precision="float32", batch_size=2, devices=each) for each in ((), DEVICES))
    used: list[str] = []

    def compute(engine: Any) -> NDArray[np.float32]:
        results = run_batches(
            range(len(pictures)),
            lambda number: Loaded[None]([(pictures[number],)]),
            engine.compute,
            batch_size=engine.batch_size,
            num_parallel=engine.num_parallel,
        )
        return np.stack([row for batch in results for result in batch for row in result.outputs])

    constant = tf.constant

    def note_device(*given: Any, **keywords: Any) -> Any:
        made = constant(*given, **keywords)
        used.append(made.device[-5:])
        return made

    with mock.patch.object(tf, "constant", note_device):
        found = compute(two)
    return {
        "is_equal": bool(np.array_equal(compute(one), found)),
        "num_parallel": [one.num_parallel, two.num_parallel],
        "devices": sorted(set(used)),
    }


def refuse(requested: int) -> str:
    """Return the error of too many devices."""
    try:
        choose_devices(requested)
    except SettingError as error:
        return str(error)
    return ""


def find_places(kind: str) -> dict[str, dict[str, int]]:
    """Return how many convolutions and updates a training step has on each device."""
    model = make_model(kind, DEVICES)
    with model.held():
        rates = [1e-3] * len(model.trainable_variables)
        optimizer, _ = prepare_stage(model, rates, outputs=OUTPUTS, training=TRAINING, xla_sizes=())
        steps = compile_steps(model, optimizer, outputs=OUTPUTS, training=TRAINING).train
        (block,) = make_batches(PICTURE if model.tail else VECTOR).epoch(0)
        steps(block, slice(0, 1), [1.0])
    (loop,) = steps._compiled.values()
    graph: Any = loop
    places: dict[str, dict[str, int]] = {}
    for function in graph.get_concrete_function().graph.as_graph_def().library.function:
        for node in function.node_def:
            if node.op in ("Conv2D", "ResourceApplyAdam"):
                counts = places.setdefault(node.device[-5:], {})
                counts[node.op] = counts.get(node.op, 0) + 1
    return places


def divide_processor() -> None:
    """Have TensorFlow see two devices, and start it."""
    processor, part = tf.config.list_physical_devices("CPU")[0], tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(processor, [part] * len(DEVICES))
    start_keras()


def main() -> None:
    """Print the results."""
    divide_processor()
    cases: dict[str, Callable[[], Any]] = {
        "linear": lambda: compare("linear"),
        "dense, mixed": lambda: compare("dense", mixing=Mixing(mixup=0.4)),
        "detector": lambda: compare("detector"),
        "unfrozen": lambda: compare("unfrozen"),
        "a batch of one": lambda: compare("linear", batch_size=1),
        "sweep": compare_sweeps,
        "engines": compare_engines,
        "places": lambda: find_places("unfrozen"),
        "found": lambda: [choose_devices(number) for number in (1, 2, ALL)],
        "described": lambda: describe_devices(choose_devices(ALL)),
        "refused": lambda: refuse(3),
    }
    results = {name: compute() for name, compute in cases.items()}
    with tempfile.TemporaryDirectory() as folder:
        results["stages"] = compare_stages(Path(folder))
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
