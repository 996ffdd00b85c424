"""Engines as bytes: a trunk in the form in which its engine runs it, to be sent to other processes."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tlkit.backbones.engines.base import Engine
from tlkit.devices import find_practice


@dataclass(frozen=True, eq=False)
class EngineParcel:
    """What another process needs to run the same engine.

    Attributes:
        name: As in `Engine`.
        precision: As in `Engine`.
        batch_size: As in `Engine`.
        contents: The files of the trunk, by path, each uint8 (num_bytes,).
    """

    name: str
    precision: str
    batch_size: int
    contents: dict[str, NDArray[np.uint8]]

    @classmethod
    def pack(cls, engine: Engine) -> Self:
        """Return the parcel of an engine that can be saved."""
        assert engine.save is not None, "both engines can be saved"
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            engine.save(folder)
            files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
            contents = {path.relative_to(folder).as_posix(): np.fromfile(path, np.uint8) for path in files}
        return cls(engine.name, engine.precision, engine.batch_size, contents)

    def open(self) -> Engine:
        """Return the engine, compiled for this processor; TensorFlow is only imported to run Keras."""
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:  # Windows keeps what OpenVINO has mapped
            folder = Path(name)
            for path, content in self.contents.items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                content.tofile(folder / path)
            return self._read_openvino(folder) if self.name == "openvino" else self._read_keras(folder)

    def _read_openvino(self, folder: Path) -> Engine:
        from tlkit.backbones.engines.openvino import make_openvino_engine
        from tlkit.backbones.engines.openvino_runtime import TRUNK_GRAPH, open_core, require_openvino

        require_openvino()
        model = open_core().read_model(folder / TRUNK_GRAPH)
        return make_openvino_engine(model, precision=self.precision, batch_size=self.batch_size)

    def _read_keras(self, folder: Path) -> Engine:
        from tlkit.runtime import start_keras

        start_keras()
        import tensorflow as tf

        module = tf.saved_model.load(str(folder))

        def compute(images: NDArray[np.uint8]) -> NDArray[np.float32]:
            return np.asarray(module.run(tf.constant(images, tf.uint8)), np.float32)

        return Engine(self.name, self.precision, self.batch_size, find_practice().num_parallel, compute)
