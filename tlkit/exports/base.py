"""The interface of exports: one record per format, which says what it is for, what it needs, and how it is written."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tlkit.errors import SettingError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tlkit.exports.shipped import ShippedModel

FLOAT32, FLOAT16, DYNAMIC, INT8 = PRECISIONS = ("float32", "float16", "dynamic", "int8")
"""How weights are stored: `dynamic` is 8-bit weights with float arithmetic where a runtime has no 8-bit kernel."""
TOLERANCES = {FLOAT32: 1e-3, FLOAT16: 2e-2}
"""Largest difference of an output that the proof accepts; other precisions are judged by their score."""
MAX_CALIBRATION_IMAGES = 100


@dataclass(frozen=True, eq=False)
class CalibrationImages:
    """Training images from which the ranges of a quantised network are measured.

    Attributes:
        images: uint8 (n, height, width, 3), RGB, 0..255, n >= 1.
        metadata: float32 (n, width), encoded; width 0 if the model takes none.
    """

    images: NDArray[np.uint8]
    metadata: NDArray[np.float32]


@dataclass(frozen=True)
class Export:
    """A format in which a model is exported.

    Attributes:
        name: Name of the format, and of its module.
        title: Name for people.
        use: What it is for, in a few words.
        packages: Modules that write the format and, last, the one that runs it.
        extra: Extra of tlkit that installs them; empty if they come with tlkit.
        precisions: Some of `PRECISIONS`, float32 first.
        calibrated: Those of them that need calibration images.
        file: Name of the file, or folder, that the runtime opens.
        write: Writes a shipped model in a precision into an empty folder, and returns the files. Takes seconds to
            minutes.
        int8_packages: Modules that write int8 besides; the extra `onnx` installs them.
    """

    name: str
    title: str
    use: str
    packages: tuple[str, ...]
    extra: str
    precisions: tuple[str, ...]
    calibrated: tuple[str, ...]
    file: str
    write: Callable[[ShippedModel, Path, str, CalibrationImages | None], Sequence[Path]]
    int8_packages: tuple[str, ...] = ()

    @property
    def missing_packages(self) -> tuple[str, ...]:
        """The packages that are not installed."""
        return _find_missing(self.packages)

    @property
    def runtime(self) -> str:
        """The package that a recipient installs to run the format."""
        return self.packages[-1].replace("_", "-")

    @property
    def runner(self) -> str:
        """Name of the script that asks a model of this format, in `readers/`."""
        return f"predict_{self.name}.py"

    @property
    def installation(self) -> str:
        """The command that installs what the format needs here."""
        return f"pip install 'tlkit[{self.extra}]'" if self.extra else f"pip install {' '.join(self.packages)}"

    def require(self, precision: str = FLOAT32) -> None:
        """Check that the format can be written and proved here in a precision.

        Raises:
            SettingError: A package is missing.
        """
        if missing := self.missing_packages:
            raise SettingError(
                f"--format {self.name}: {' and '.join(missing)} cannot be imported.",
                expected=f"the packages that write and run {self.title}",
                fix=self.installation,
            )
        if precision == INT8 and (missing := _find_missing(self.int8_packages)):
            raise SettingError(
                f"--format {self.name} --precision {INT8}: {' and '.join(missing)} cannot be imported.",
                expected=f"the packages that write {self.title} with numbers of 8 bits",
                fix="pip install 'tlkit[onnx]'",
            )


def _find_missing(packages: Sequence[str]) -> tuple[str, ...]:
    return tuple(package for package in packages if importlib.util.find_spec(package) is None)


def name_folder(export: Export, precision: str) -> str:
    """Return the name of the folder of a format and precision in an export, such as onnx-float32."""
    return f"{export.name}-{precision}"
