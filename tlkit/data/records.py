"""Turn candidates into records: check names and files, and choose each image's box."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from tlkit.data.class_checks import check_class_names
from tlkit.data.file_index import FileFacts, FileIndex
from tlkit.data.formats.candidates import Candidate
from tlkit.data.image_boxes import ImageBoxes
from tlkit.data.image_masks import ImageMasks, WrittenMask
from tlkit.data.manifest import ImageRecord, SkippedFile
from tlkit.data.metadata_source import describe_facts
from tlkit.data.splits import NOT_GIVEN
from tlkit.errors import DataError
from tlkit.recipes.settings import DataSettings
from tlkit.tasks import Task, find_task
from tlkit.tasks.objects import MAX_OBJECTS, write_objects

Progress = Callable[[int], AbstractContextManager[Callable[[int], None]]]
"""Called with the number of files to check; the context's function is called with the number of files done."""


def look_with(index: FileIndex, progress: Progress) -> Callable[[Sequence[Path]], list[FileFacts]]:
    """Return a function that looks up files and shows progress."""

    def look(paths: Sequence[Path]) -> list[FileFacts]:
        with progress(len(paths)) as advance:
            return index.look(paths, advance=advance)

    return look


def read_records(
    data: Path,
    items: Sequence[Candidate],
    settings: DataSettings,
    pinned_names: Sequence[str] | None,
    look: Callable[[Sequence[Path]], list[FileFacts]],
    boxes: ImageBoxes | None,
    masks: ImageMasks | None = None,
) -> tuple[list[ImageRecord], list[SkippedFile], list[str]]:
    """Check class names, and decode files that are not yet known to be valid.

    Returns:
        The usable images, with empty splits where none is given; the other files; and the classes or labels. Names are
        checked before any file is opened, unless they come from the boxes, which are checked against the images.
    """
    task = find_task(settings.task)
    answers = [item.answer for item in items if item.answer is not None]
    names = task.find_names(answers)
    check_class_names(data, task, names, pinned_names)
    if boxes:
        boxes.match_classes(names)
    facts = look([item.path for item in items])
    if boxes:
        boxes.settle_units(facts)
    records, skipped = [], []
    for item, fact in zip(items, facts, strict=True):
        found = _build_record(item, fact, task, masks.write(fact) if masks and not fact.reason else boxes)
        if isinstance(found, ImageRecord):
            records.append(found)
        else:
            skipped.append(found)
    if boxes and not task.has_objects:  # images without objects are read, too
        boxes.check_any_is_used()
    if not records:
        raise DataError(
            f"{data}: none of {len(items):,} files is a usable image; {skipped[0].path}: {skipped[0].reason}.",
            expected="images in JPEG, PNG, WebP, TIFF or another common format",
            fix="check the folder, or the paths in the table.",
        )
    if len(answers) < len(items):
        names = task.find_names([record.answer for record in records])
        check_class_names(data, task, names, pinned_names)
    return records, skipped, names


def _build_record(
    item: Candidate, fact: FileFacts, task: Task, boxes: ImageBoxes | WrittenMask | None
) -> ImageRecord | SkippedFile:
    if fact.reason is not None:
        return SkippedFile(item.path, fact.reason)
    box, answer = None, item.answer
    if isinstance(boxes, WrittenMask):
        if boxes.reason:
            return SkippedFile(item.path, boxes.reason)
        answer = boxes.text
    elif boxes and task.has_objects:
        objects = boxes.list_objects(fact)
        if len(objects) > MAX_OBJECTS:
            return SkippedFile(item.path, f"{len(objects):,} boxes, more than {MAX_OBJECTS:,}")
        answer = write_objects(objects)
    elif boxes and answer is None:
        box = boxes.choose_class(fact)
        answer = box.class_name if box else None
    elif boxes and answer is not None:
        box = boxes.choose(fact, task.names_of(answer))
    if answer is None:
        return SkippedFile(item.path, "no valid box with a class")
    corners = box.corners if box else None
    split = item.split or NOT_GIVEN
    return ImageRecord(item.path, fact.sha256, fact.width, fact.height, split, answer, corners, item.metadata, fact)


def check_strict(settings: DataSettings, skipped: Sequence[SkippedFile]) -> None:
    """Check that all files are usable, if --strict is set.

    Raises:
        DataError: For the first that is not.
    """
    if settings.strict and skipped:
        raise DataError(
            f"{skipped[0].path}: {skipped[0].reason}.",
            expected="only usable images, because of --strict",
            fix="fix or remove the file, or remove --strict to skip it.",
        )


def describe_record(record: ImageRecord) -> dict[str, str]:
    """Return the facts of an image's file, as it was looked at, as metadata: see `describe_facts`."""
    if record.facts is None:
        raise ValueError(f"Expected a record that was not read back from a run's folder. Received: {record}")
    return describe_facts(record.facts, num_bytes=record.facts.num_bytes)
