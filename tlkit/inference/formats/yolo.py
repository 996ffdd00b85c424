"""Write found objects as YOLO: a text file for each image, and the class names in `classes.txt`.

A line is class number, centre x, centre y, width, height, score; the four numbers are fractions of the upright image. An
image without objects has an empty file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tlkit.data.boxes import compute_fractions
from tlkit.files import write_text
from tlkit.inference.formats.label_folder import LabelFolder, open_label_folder
from tlkit.reports.lettering import one_line
from tlkit.tasks.predictions import Prediction

NAMES_FILE = "classes.txt"


@contextmanager
def open_yolo(
    folder: Path, class_names: Sequence[str], *, roots: Sequence[str], warn: Callable[[str], None]
) -> Iterator[YoloWriter]:
    """Yield a writer for predictions.

    Args:
        folder: The folder, new or empty.
        class_names: All classes, in the order of their numbers.
        roots: As for `LabelFolder`.
        warn: Likewise.

    Raises:
        RunError: The folder is in use or cannot be written to.
    """
    with open_label_folder(folder, ".txt", roots=roots, warn=warn, reserved=[NAMES_FILE]) as labels:
        write_text(folder / NAMES_FILE, "".join(f"{one_line(name)}\n" for name in class_names))
        yield YoloWriter(labels, class_names)


class YoloWriter:
    """Writes the file of each image."""

    def __init__(self, labels: LabelFolder, class_names: Sequence[str]) -> None:
        self._labels = labels
        self._numbers = {name: number for number, name in enumerate(class_names)}

    def write(self, prediction: Prediction) -> None:
        """Write the file of one image."""
        if prediction.error or prediction.upright_size is None:
            self._labels.write_error(prediction.path, prediction.error)
            return
        height, width = prediction.upright_size
        lines = []
        for each in prediction.objects or ():
            fractions = (f"{number:.6f}" for number in compute_fractions(each.box, (width, height)))
            lines.append(f"{self._numbers[each.class_name]} {' '.join(fractions)} {each.score}\n")
        self._labels.write(prediction.path, "".join(lines).encode("ascii"))
