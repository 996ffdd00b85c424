"""The masks of a data set: found once, looked up by path, and written as the answers of their images."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from tlkit.data.boxes import Annotation, Complaint
from tlkit.data.class_checks import count
from tlkit.data.file_index import FileFacts
from tlkit.data.formats.candidates import Candidates
from tlkit.data.formats.masks import FoundMasks, read_masks
from tlkit.data.formats.scenes import NOT_LISTED, list_images, read_scenes
from tlkit.data.image_boxes import locate_boxes
from tlkit.data.images import UnusableImage
from tlkit.data.manifest import SkippedFile
from tlkit.data.masks import fit_mask, load_mask
from tlkit.errors import DataError, SettingError
from tlkit.recipes.settings import DataSettings
from tlkit.tasks import find_task
from tlkit.tasks.mask_text import write_mask

NO_MASK = "no mask has its name"
_TABLE_SETTINGS = ("image_column", "label_column", "label_separator", "split_column", "metadata")


@dataclass(frozen=True)
class WrittenMask:
    """An image's answer, or the reason why it has none."""

    text: str = ""
    reason: str = ""


@dataclass
class ImageMasks:
    """Masks by image path.

    Args:
        source: Where they were read; absolute.
        found: The masks.
        complaints: What is wrong with the pixels of masks.
    """

    source: Path
    found: FoundMasks
    complaints: list[Complaint] = field(default_factory=list)

    @property
    def files(self) -> frozenset[Path]:
        """The files with masks, including unusable ones."""
        used = {Path(part.path) for mask in self.found.by_image.values() for part in mask.parts}
        return frozenset(used | {complaint.path for complaint in self.found.complaints})

    def write(self, facts: FileFacts) -> WrittenMask:
        """Return the mask of a valid image as its answer."""
        fitted = fit_mask(self.found.by_image[facts.path], facts)
        if isinstance(fitted, str):
            return WrittenMask(reason=fitted)
        try:
            return WrittenMask(write_mask(load_mask(fitted, fitted.names), fitted.names))
        except UnusableImage as unusable:
            return WrittenMask(reason=unusable.reason)


def read_image_masks(
    data: Path, settings: DataSettings, progress: Callable[[int], AbstractContextManager[Callable[[int], None]]]
) -> ImageMasks | None:
    """Find the masks that the settings give; None without.

    Args:
        data: The folder of the images.
        settings: How images and masks are found.
        progress: Shows the progress of reading masks.

    Raises:
        DataError: They cannot be read, or none belongs to an image.
        SettingError: A setting does not apply, or there are no masks for a task of masks.
    """
    if not settings.masks:
        if find_task(settings.task).has_masks:
            raise SettingError(
                f"task is {settings.task}, but no masks are given.",
                expected="--masks with a folder of PNG files, or a COCO .json",
                fix="add --masks MASKS.",
            )
        return None
    asked = next((name for name in _TABLE_SETTINGS if getattr(settings, name)), None)
    if asked:
        raise SettingError(
            f"{asked} is {getattr(settings, asked)!r}, but the task is {settings.task}.",
            expected="images and splits from folders, and classes from the masks",
            fix=f"remove --{asked.replace('_', '-')}.",
        )
    if not data.is_dir():
        what = "not a folder" if data.exists() else "no such file or folder"
        raise DataError(
            f"{data}: {what}.", expected="a folder of images, with --masks", fix="use the folder of the images."
        )
    source = Path(os.path.abspath(locate_boxes(data, settings.masks, option="--masks")))  # noqa: PTH100 - takes ".." away
    images = list_images(data, without=())
    with progress(len(images)) as advance:
        found = read_masks(source, images=images, image_folder=data, advance=advance)
    return ImageMasks(source, found)


def find_masked(data: Path, masks: ImageMasks) -> Candidates:
    """Return the images of a folder that have masks; the others are skipped.

    Raises:
        DataError: The folders of an image name several splits.
    """
    annotations = {path: Annotation(path, None, ()) for path in masks.found.by_image}
    others = list_images(data, without=annotations.keys() | masks.files)
    found = read_scenes(data, annotations, source=masks.source, others=others, are_background=False)
    skipped = tuple(SkippedFile(item.path, NO_MASK) if item.reason == NOT_LISTED else item for item in found.skipped)
    notices = (
        f"{count(len(annotations), 'image')} with a mask in {masks.source}.",
        *masks.found.sentences(),
        *found.notices,
    )
    return Candidates(found.root, found.items, skipped, notices)
