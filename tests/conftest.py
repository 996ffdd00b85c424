"""Fixtures: drawn images, the command line in process, and a cache folder of each test's own."""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import hashlib
import io
import json
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

# Networks and matrices are so small here that threads only wait for each other. NumPy reads this when it is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

import numpy as np
import pytest
from PIL import Image, ImageFile

from tests.browser import chromium, open_page, open_served  # noqa: F401 - fixtures for pages
from tlkit import interruption
from tlkit.errors import BundleError
from tlkit.files import held_lock
from tlkit.tasks import find_task
from tlkit.tasks.objects_task import ObjectsTask

# Keras reads these when it is first imported, which a test module may do before any fixture runs.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ["KERAS_HOME"] = tempfile.mkdtemp(prefix="tlkit-test-keras-")
# For fixtures of modules, which know no `cache_root`; the user's own cache is never written to.
os.environ["TLKIT_CACHE"] = tempfile.mkdtemp(prefix="tlkit-test-cache-")
for folder in (os.environ["KERAS_HOME"], os.environ["TLKIT_CACHE"]):
    atexit.register(shutil.rmtree, folder, ignore_errors=True)

VARIABLES = frozenset(os.environ.keys() - {"PYTEST_CURRENT_TEST"})
"""Environment variables of a process that runs tests; libraries set others when they are imported."""

gc.disable()  # until all is imported


def pytest_collection_finish() -> None:
    """Let the garbage collector look at what the tests make, and not each time at all that they have imported.

    Networks are made of so many objects that its usual thresholds would let it look again and again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


COLORS = {
    "red": (200, 40, 40),
    "green": (40, 170, 60),
    "blue": (40, 60, 200),
    "yellow": (220, 200, 50),
    "grey": (128, 128, 128),
}

FOREIGN_FIX = "get the bundle from its source again, or train the model again with `tlkit finetune`."

Refuses = Callable[..., contextlib.AbstractContextManager[None]]

READ_BUNDLES: dict[tuple[str, int], Any] = {}
"""Models that `bundles_are_read_once` has read, by the hash of the files and loader version: building one takes seconds."""


@dataclass(frozen=True)
class CliResult:
    """What one call of the command line gave."""

    exit_code: int
    stdout: str
    stderr: str

    def json(self) -> dict[str, Any]:
        """Return standard output as the one JSON object that it must be."""
        payload = json.loads(self.stdout)
        assert isinstance(payload, dict)
        return payload


def draw_image(class_name: str, index: int, size: tuple[int, int] = (40, 32)) -> Image.Image:
    """Return a drawn picture of a class, (width, height) `size`; every index gives another one.

    A class whose name begins with "striped" has vertical stripes; the others are flat. The colour is the one that the
    name holds, or else one made from the name's hash.
    """
    digest = hashlib.sha256(f"{class_name}/{index}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    named = next((color for name, color in COLORS.items() if name in class_name), None)
    color = named or tuple(hashlib.sha256(class_name.encode()).digest()[:3])
    width, height = size
    pixels = np.empty((height, width, 3), np.int16)
    pixels[:] = color
    if class_name.startswith("striped"):
        pixels[:, np.arange(width) // 4 % 2 == 0] = 255 - np.asarray(color)
    pixels += rng.integers(-20, 21, size=3) + rng.integers(-3, 4, size=pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def draw_image_folder(
    root: Path, layout: Mapping[str, int], *, size: tuple[int, int] = (40, 32), suffix: str = ".png", start: int = 0
) -> Path:
    """Draw images into `root` and return it.

    Args:
        root: The folder, made if missing.
        layout: Number of images by folder below the root, such as {"train/red": 6, "test/striped": 2}. The class is
            the folder's last part, so images of one class differ between splits only if `start` does or the
            folders do: the split is part of what makes an image.
        size: (width, height) in pixels.
        suffix: File type, such as ".png" or ".jpg".
        start: Number of the first image of each folder.
    """
    for folder, count in layout.items():
        class_name = Path(folder).name
        offset = int.from_bytes(hashlib.sha256(str(Path(folder).parent).encode()).digest()[:4], "little")
        (root / folder).mkdir(parents=True, exist_ok=True)
        for index in range(start, start + count):
            draw_image(class_name, offset + index, size).save(root / folder / f"{class_name}_{index:03d}{suffix}")
    return root


@pytest.fixture(scope="session", autouse=True)
def processor_without_bfloat16() -> Iterator[None]:
    """Let `auto` mean float32 on every machine, so that tests of numbers hold on all of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tlkit.runtime.CPU_DESCRIPTION", Path(os.devnull))
        yield


@pytest.fixture(scope="session", autouse=True)
def hidden_openvino() -> Iterator[pytest.MonkeyPatch]:
    """Hide OpenVINO: to convert a trunk anew for every test takes a second or two. `openvino` brings it back."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "openvino", None)
        yield patch


@pytest.fixture(scope="module")
def openvino(hidden_openvino: pytest.MonkeyPatch) -> Iterator[Any]:
    """OpenVINO; its absence skips the test."""
    from tlkit.backbones.engines.openvino_runtime import has_openvino, import_openvino

    hidden_openvino.undo()
    if not has_openvino():
        pytest.skip("OpenVINO is not installed; `pip install openvino` lifts this where there is a build of it")
    yield import_openvino()
    hidden_openvino.setitem(sys.modules, "openvino", None)


@pytest.fixture(scope="session", autouse=True)
def garbage_is_left_to_python() -> Iterator[None]:
    """Let no stage of a training look for garbage in all that the tests before it have made."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tlkit.runtime.gc", SimpleNamespace(**{**vars(gc), "collect": lambda: 0}))
        yield


@pytest.fixture(scope="session", autouse=True)
def one_golden_image() -> Iterator[None]:
    """Let a bundle check itself by one image instead of four, which are predicted one by one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tlkit.runs.model.NUM_GOLDEN_IMAGES", 1)
        yield


@pytest.fixture(scope="session", autouse=True)
def blank_figures() -> Iterator[pytest.MonkeyPatch]:
    """Let figures be laid out, and saved as an empty picture of their size: to draw the four of a run takes a second.

    Pictures of mistakes are not read. `drawn_figures` brings both back.
    """

    def save_blank(figure: Any, file: Any) -> None:
        width, height = figure.get_size_inches() * figure.dpi
        Image.new("1", (round(width), round(height))).save(file, "png")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tlkit.reports.figures.canvas.save_png", save_blank)
        patch.setattr("tlkit.runs.mistake_tiles.TileMaker.make_all", lambda *_, **__: None)
        yield patch


@pytest.fixture(scope="module")
def drawn_figures(blank_figures: pytest.MonkeyPatch) -> Iterator[None]:
    """Let figures be drawn, as for users."""
    from tlkit.reports.figures import canvas
    from tlkit.runs.mistake_tiles import TileMaker

    blanks = ((canvas, "save_png", canvas.save_png), (TileMaker, "make_all", TileMaker.make_all))
    blank_figures.undo()
    yield
    for place, name, blank in blanks:
        blank_figures.setattr(place, name, blank)


@contextlib.contextmanager
def run_eagerly(eagerly: bool) -> Iterator[None]:
    """Let TensorFlow run step by step, or compiled as it does for users, within the block."""
    import tensorflow as tf

    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(eagerly)
    yield
    tf.config.run_functions_eagerly(before)


@pytest.fixture
def untraced() -> Iterator[None]:
    """Let TensorFlow run step by step: to trace a network takes longer than a few steps through it."""
    with run_eagerly(True):
        yield


@pytest.fixture(scope="module")
def untraced_module() -> Iterator[None]:
    """Let the tests of a file, and their fixtures of the file, be `untraced`."""
    with run_eagerly(True):
        yield


@pytest.fixture
def traced(untraced: None) -> Iterator[None]:
    """Let TensorFlow run compiled, as it does for users, in a file whose other tests are `untraced`."""
    with run_eagerly(False):
        yield


def read_process_state() -> dict[str, Any]:
    """Return what any code can change for all that runs after it in the same process, by name."""
    state: dict[str, Any] = {
        "working directory": Path.cwd(),
        "sys.path": list(sys.path),
        "standard streams": (sys.__stdout__, sys.__stderr__),
        "signal handlers": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        "logging": (logging.root.level, list(logging.root.handlers), logging.root.manager.disable),
        "Pillow's limits": (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES),
        "help options": [],
        **{f"${name}": os.environ[name] for name in os.environ if name in VARIABLES or name.startswith("TLKIT_")},
    }
    if keras := sys.modules.get("keras"):
        state["Keras' settings"] = (
            keras.config.floatx(),
            keras.config.image_data_format(),
            keras.config.dtype_policy().name,
        )
    if matplotlib := sys.modules.get("matplotlib"):
        state["matplotlib's settings"] = dict.copy(matplotlib.rcParams)
    if main := sys.modules.get("tlkit.cli.main"):
        commands = [
            command
            for name in main.COMMANDS
            if (module := sys.modules.get(f"tlkit.cli.{name.replace('-', '_')}"))
            if (command := vars(module).get(name.replace("-", "_")))
        ]
        # A command keeps the option that it made in its first context.
        helps = [(command.name, option.opts) for command in commands if (option := command._help_option)]
        state["help options"] = [each for each in helps if each[1] != main.cli.context_settings["help_option_names"]]
    return state


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    """Fail the test that leaves the process in another state, and not another one that happens to run after it."""
    before = read_process_state()
    yield
    interruption._notes.clear()  # what was interrupted keeps its note, for the end of the process
    after = read_process_state()
    imported = {name for name in after.keys() - before.keys() if not name.startswith("$")}  # the library is new
    changed = {name for name in {*before, *after} - imported if before.get(name) != after.get(name)}
    assert changed == set(), "this test changes them for all tests after it"


@pytest.fixture(autouse=True)
def cache_root(
    nothing_is_left_behind: None, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A cache folder of the test's own, which `TLKIT_CACHE` names; outside `tmp_path`, where the data may lie."""
    root = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("TLKIT_CACHE", str(root))
    return root


@pytest.fixture
def make_image() -> Callable[..., Image.Image]:
    """`make_image(class_name, index, size=(40, 32))`: see `draw_image`."""
    return draw_image


def make_once(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder with what takes long to make; all workers of a test run share it, and the first one makes it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    folder.mkdir(exist_ok=True)
    while not (folder / "made").exists():
        try:
            with held_lock(folder / "lock"):
                if not (folder / "made").exists():
                    make(folder)
                    (folder / "made").touch()
        except BlockingIOError:  # another worker is making it
            time.sleep(0.1)
    return folder


@pytest.fixture(scope="session")
def make_image_folder() -> Callable[..., Path]:
    """`make_image_folder(root, {"train/red": 6}, size=…, suffix=…, start=…)`: see `draw_image_folder`."""
    return draw_image_folder


@pytest.fixture
def run_cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., CliResult]:
    """`run_cli("predict", run, folder, stdin="")`: run `tlkit` in process and return a `CliResult`.

    Words may be paths or numbers. A bug in tlkit (exit code 70) fails the test with its traceback.
    """
    from tlkit.cli.main import EXIT_BUG, main

    def run(*words: object, stdin: str = "", allow_bug: bool = False) -> CliResult:
        capsys.readouterr()
        content = stdin.encode("utf-8", "surrogateescape")
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(content))))
        exit_code = main([str(word) for word in words])
        captured = capsys.readouterr()
        assert exit_code != EXIT_BUG or allow_bug, captured.err
        return CliResult(exit_code, captured.out, captured.err)

    return run


def write_untrained_bundle(
    folder: Path, class_names: Sequence[str], *, fit: str = "squash", backbone: str = "mnist_cnn"
) -> Path:
    """Write a linear model on a backbone with random weights, 64 pixels, and return its folder.

    A new head is all zeros and says the same of every image. This one has opinions, and not the same one of all flat
    colours.
    """
    from tlkit.data.images import LOADER_VERSION
    from tlkit.models.classifier import assemble_classifier
    from tlkit.models.saving import write_bundle
    from tlkit.models.spec import BundleSpec
    from tlkit.recipes import HeadSettings

    spec = BundleSpec(backbone, (64, 64), fit, LOADER_VERSION, "avg", HeadSettings(kind="linear"), tuple(class_names))
    classifier = assemble_classifier(spec, weights="random", seed=1)
    kernel, bias = classifier.head.trainable_weights[-2:]
    kernel.assign(np.random.default_rng(0).normal(size=kernel.shape, scale=0.1))
    colors = np.array([COLORS[name] for name in ("red", "green", "yellow")], np.uint8)
    with run_eagerly(True):
        bias.assign(-classifier.logits(np.tile(colors[:, None, None], (1, 64, 64, 1))).mean(axis=0))
        write_bundle(folder, classifier, classifier.spec, np.zeros((1, 64, 64, 3), np.uint8))
    return folder


@pytest.fixture(scope="session")
def make_bundle() -> Callable[..., Path]:
    """`make_bundle(folder, class_names, fit="squash", backbone="mnist_cnn")`: see `write_untrained_bundle`."""
    return write_untrained_bundle


@pytest.fixture
def bundles_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the commands of a test take models that an earlier test has read, from there or from a copy; train none."""
    import tlkit.models.saving

    original = tlkit.models.saving.read_bundle

    @functools.wraps(original)
    def read(path: Path, *, loader_version: int) -> Any:
        files = sorted((path / "bundle" if (path / "bundle").is_dir() else path).glob("*"))
        digest = hashlib.sha256()
        for file in files:
            digest.update(file.name.encode() + file.read_bytes())
        key = (digest.hexdigest(), loader_version)
        if key not in READ_BUNDLES:
            READ_BUNDLES[key] = original(path, loader_version=loader_version)
        return READ_BUNDLES[key]

    monkeypatch.setattr(tlkit.models.saving, "read_bundle", read)


@pytest.fixture
def refuses() -> Refuses:
    """`with refuses(found, expected, fix=…)`: the body raises a `BundleError` with exactly this message."""

    @contextlib.contextmanager
    def expect(found: str, expected: str, *, fix: str = FOREIGN_FIX) -> Iterator[None]:
        with pytest.raises(BundleError) as caught:
            yield
        assert str(caught.value) == f"{found}\n  Expected: {expected}\n  Fix: {fix}"

    return expect


@pytest.fixture
def detection(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectsTask]:
    """The task `detection`, of which only that half exists that reads data."""
    monkeypatch.setattr(ObjectsTask, "__abstractmethods__", frozenset())
    module = ModuleType("tlkit.tasks.detection")
    task = ObjectsTask()  # type: ignore[abstract]
    vars(module)["TASK"] = task
    monkeypatch.setitem(sys.modules, module.__name__, module)
    find_task.cache_clear()
    yield task
    find_task.cache_clear()
