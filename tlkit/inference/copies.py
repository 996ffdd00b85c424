"""What becomes of a picture that has an answer: an overlay, a copy in the folder of its class, or nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from tlkit.data.file_walk import OUTPUT_MARKER
from tlkit.data.images import UnusableImage
from tlkit.inference.files import MakePreview, PredictedFile
from tlkit.inference.predictions import write_caption
from tlkit.inference.scoring import count_files
from tlkit.models.spec import BundleSpec
from tlkit.outputs import Box
from tlkit.reports.console import Console
from tlkit.reports.output_folder import make_output_folder
from tlkit.reports.sorting import SortedFolders
from tlkit.tasks.predictions import UNCERTAIN, UNKNOWN

if TYPE_CHECKING:
    from tlkit.inference.previews import Previews
    from tlkit.reports.overlays import OverlayFolder

OVERLAYS = "overlays"
SORTED_IMAGES = "sorted images"
CLASS, FLAG = "class", "flag"


class PredictionCopies:
    """Overlays and sorted copies. One that cannot be made is warned of, and costs nothing else.

    Args:
        overlay: Folder for the overlays; None: there are none.
        sort_into: Folder for the sorted copies; None: there are none.
        spec: The model's.
        console: Is warned.

    Attributes:
        num_failures: Pictures that have an answer, but no overlay or no copy.
    """

    def __init__(self, overlay: Path | None, sort_into: Path | None, spec: BundleSpec, console: Console) -> None:
        self.num_failures = 0
        self._spec = spec
        self._places = {answer: place for place, answer in enumerate(_list_answers(spec))}
        self._console = console
        self._previews: Previews | None = None
        self._overlays: OverlayFolder | None = None
        self._sorted: SortedFolders | None = None
        if overlay:
            from tlkit.inference.previews import Previews
            from tlkit.reports.overlays import OverlayFolder

            self._previews = Previews(spec.grey)
            make_output_folder(overlay, kind=OVERLAYS, marker=OUTPUT_MARKER)
            self._overlays = OverlayFolder(overlay)
        if sort_into:
            make_output_folder(sort_into, kind=SORTED_IMAGES, marker=OUTPUT_MARKER)
            self._sorted = SortedFolders(sort_into, [name for _, name in _list_answers(spec)])

    @property
    def make_preview(self) -> MakePreview | None:
        """What makes the previews that the overlays are drawn on; None if there are none."""
        return self._previews.make if self._previews else None

    def write(self, file: PredictedFile, *, min_probability: float | None) -> None:
        """Make the overlay and the copy of a picture, if they are wanted and it has an answer."""
        if self._previews and isinstance(file.preview, Image.Image) and file.upright_size:
            self._previews.release(file.upright_size)
        if file.prediction.error:
            return
        failures = []
        for make in (self._draw, self._sort):
            try:
                make(file, min_probability)
            except (UnusableImage, OSError) as error:
                failures.append(str((isinstance(error, OSError) and error.strerror) or error))
        if failures:
            self.num_failures += 1
            if self.num_failures == 1:
                self._console.warn(f"{file.path} has its row, but could not be copied: {failures[0]}.")

    def warn_of_failures(self) -> None:
        """Say how many pictures could not be copied, if there was more than one."""
        if self.num_failures > 1:
            self._console.warn(f"{count_files(self.num_failures)} have their rows, but could not be copied.")

    def _draw(self, file: PredictedFile, min_probability: float | None) -> None:
        if isinstance(file.preview, UnusableImage):
            raise file.preview
        if self._overlays and self._previews:
            preview = file.preview or self._previews.read(file.path)
            caption = write_caption(file.prediction, self._spec, min_probability=min_probability)
            self._overlays.write(file.path, preview, caption, _in_fractions(file))

    def _sort(self, file: PredictedFile, _: float | None) -> None:
        if self._sorted:
            flag = file.prediction.flag
            answer = (FLAG, flag) if flag else (CLASS, file.prediction.ranked[0][0])
            self._sorted.copy(file.path, self._places[answer])


def _list_answers(spec: BundleSpec) -> list[tuple[str, str]]:
    """Return what pictures are sorted as; a class may be called like a flag, and has the name's folder then."""
    return [*((CLASS, name) for name in spec.class_names), (FLAG, UNKNOWN), (FLAG, UNCERTAIN)]


def _in_fractions(file: PredictedFile) -> Box | None:
    """Return the box in fractions of the picture."""
    if file.prediction.box is None or file.upright_size is None:
        return None
    height, width = file.upright_size
    left, top, right, bottom = file.prediction.box
    return left / width, top / height, right / width, bottom / height
