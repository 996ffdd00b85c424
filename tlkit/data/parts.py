"""Parts of a data set, for several machines or processes that know nothing of each other: `--part 3/8`.

A part is chosen by a hash of the image's path below the root of the data. So it is the same on every machine and in every
order of listing, and no part reads the files of another. What can only be known from all images is not known in a part:
which of them a run would hold out, what is white in grey of more than 8 bits, and whether each class has enough images.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Self

from tlkit.data.class_checks import check_class_names, count
from tlkit.data.dataset import find_candidates, name_unused_columns
from tlkit.data.file_index import FileFacts, FileIndex
from tlkit.data.formats.candidates import Candidate, Candidates
from tlkit.data.image_boxes import read_image_boxes
from tlkit.data.manifest import ImageRecord, Manifest, SkippedFile, shorten_path
from tlkit.data.records import Progress, check_strict, look_with
from tlkit.data.signatures import IMAGE_SUFFIXES
from tlkit.data.splits import NOT_GIVEN, check_fractions
from tlkit.data.views import ViewPlan
from tlkit.errors import DataError, SettingError
from tlkit.places.copies import list_failures, show_path
from tlkit.recipes.settings import SIMILARITY, DataSettings
from tlkit.tasks import Task, find_task
from tlkit.tasks.objects import BACKGROUND

_WRITTEN = re.compile(r"([0-9]{1,9})/([0-9]{1,9})")


@dataclass(frozen=True)
class Part:
    """One of several parts of a data set.

    Attributes:
        number: Which one, 1..count.
        count: How many there are.
    """

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the part that is written as `3/8`.

        Raises:
            SettingError: It is not written so, or there is no such part.
        """
        written = _WRITTEN.fullmatch(text.strip())
        if written is None or not 1 <= int(written[1]) <= int(written[2]):
            raise SettingError(
                f"--part is {text!r}.",
                expected="number/count, from 1/COUNT to COUNT/COUNT",
                fix="use --part 1/8 for the first of eight parts, and --part 8/8 for the last.",
            )
        return cls(int(written[1]), int(written[2]))

    def holds(self, path: Path, root: Path) -> bool:
        """Return whether an image belongs to this part: by its path below the root, or else its whole path."""
        return self._holds_name(shorten_path(path, root))

    def choose_objects(self) -> Callable[[str], bool]:
        """Return what tells whether an object of a place is copied for this part, by its key below the place.

        The images of the part are; so are all objects that are not images, such as annotations, and the first image of each
        folder, so that all parts see the same folders.
        """
        folders: set[str] = set()

        def choose(key: str) -> bool:
            folder, _, name = key.rpartition("/")
            if PurePosixPath(name).suffix.lower() not in IMAGE_SUFFIXES:
                return True
            is_first = folder not in folders
            folders.add(folder)
            return is_first or self._holds_name(key)

        return choose

    def _holds_name(self, name: str) -> bool:
        name = unicodedata.normalize("NFC", name)
        digest = hashlib.sha256(name.encode("utf-8", errors="surrogateescape")).digest()
        return int.from_bytes(digest[:8]) % self.count == self.number - 1

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


def check_part_settings(settings: DataSettings) -> None:
    """Check that the settings can be followed without all images.

    Raises:
        SettingError: One cannot.
    """
    if settings.sample != 1:
        raise SettingError(
            f"sample is {settings.sample:g}, and --part is given: a sample is drawn from all images, by their content.",
            expected="all images of the part",
            fix="remove --sample, or remove --part.",
        )
    if find_task(settings.task).has_masks:
        raise SettingError(
            f"task is {settings.task}, and --part is given: features do not depend on masks.",
            expected="the images alone with --part",
            fix="remove --masks and --task, or remove --part.",
        )
    if settings.group_by == SIMILARITY:
        raise SettingError(
            f"group_by is {SIMILARITY}, and --part is given: near copies can be in different parts.",
            expected="no --group-by with --part; it makes no difference to features",
            fix="remove --group-by.",
        )


def read_part(
    data: Path, settings: DataSettings, part: Part, *, views: ViewPlan, index: FileIndex, progress: Progress
) -> Manifest:
    """Read one part of a data set for its features; the other parts are listed, and not opened.

    An image counts as one for training if a run might train on it. There may be no image at all.

    Args:
        data: As for `read_dataset`.
        settings: How images are found.
        part: Which of them.
        views: The views of training images, for a notice on them.
        index: Cached facts about files.
        progress: Shows the progress of the file check.

    Raises:
        DataError: The data is not a data set, or has grey of more than 8 bits.
        SettingError: A setting does not apply to this data, or not to a part of it.
    """
    check_part_settings(settings)
    task = find_task(settings.task)
    boxes = read_image_boxes(data, settings.boxes, with_crowds=task.has_objects)
    found = find_candidates(data, settings, boxes)
    names = task.find_names([item.answer for item in found.items if item.answer is not None])
    check_class_names(data, task, names, None)
    given = {item.split for item in found.items if item.split}
    check_fractions(data, settings, given)
    is_decided = (
        bool(given) and settings.test_fraction == 0 and ("validation" in given or settings.validation_fraction == 0)
    )
    items = [item for item in found.items if part.holds(item.path, found.root)]
    facts = look_with(index, progress)([item.path for item in items])
    _refuse_deep_grey(facts, part)
    records = [_make_record(item, fact, task) for item, fact in zip(items, facts, strict=True) if fact.reason is None]
    skipped = (
        *(item for item in found.skipped if part.holds(item.path, found.root)),
        *(SkippedFile(fact.path, fact.reason) for fact in facts if fact.reason is not None),
        *(SkippedFile(*each) for each in list_failures(data).items() if part.holds(each[0], found.root)),
    )
    check_strict(settings, skipped)
    notices = (
        _describe_size(data, part, len(items), len(found.items)),
        *found.notices,
        *name_unused_columns(found, settings),
        *_describe_part(found, settings, views, is_decided=is_decided),
        *_describe_skipped(skipped),
    )
    return Manifest(found.root, tuple(names), tuple(records), skipped, notices, settings.task)


def _describe_size(data: Path, part: Part, num_images: int, num_found: int) -> str:
    """Return how many images the part has; of a place, other parts' images may not have been copied."""
    if show_path(data) == str(data):
        return f"Part {part}: {num_images:,} of {count(num_found, 'image')}."
    return f"Part {part}: {count(num_images, 'image')}."


def _make_record(item: Candidate, fact: FileFacts, task: Task) -> ImageRecord:
    split = "train" if item.split in (None, NOT_GIVEN) else item.split
    answer = item.answer or (BACKGROUND if task.has_objects else "")
    return ImageRecord(item.path, fact.sha256, fact.width, fact.height, split, answer)


def _refuse_deep_grey(facts: Sequence[FileFacts], part: Part) -> None:
    """Raise DataError for an image whose pixels depend on all images."""
    deep = next((fact for fact in facts if fact.grey), None)
    if deep and deep.grey:
        raise DataError(
            f"{deep.path}: {deep.grey.kind} grey, of which part {part} cannot know what is black and what is white.",
            expected="images of 8 bits with --part; the range of deeper grey is measured on all images",
            fix="remove --part, or convert the images to 8 bits.",
        )


def _describe_part(found: Candidates, settings: DataSettings, views: ViewPlan, *, is_decided: bool) -> Iterator[str]:
    """Yield a notice of each row that one run over all images would leave out."""
    if views.num_views > 1 and not is_decided:
        yield (
            f"All images of the part get {views.num_views} views, but those of a split that the data gives: which ones a "
            "run holds out for validation is decided among all images."
        )
    if settings.boxes and not find_task(settings.task).has_objects:
        yield "Images without a usable box are computed, too: boxes are checked among all images."


def _describe_skipped(skipped: Sequence[SkippedFile]) -> Iterator[str]:
    if skipped:
        verb = "is" if len(skipped) == 1 else "are"
        yield f"{count(len(skipped), 'file')} {verb} skipped; the first: {skipped[0].path} ({skipped[0].reason})."
