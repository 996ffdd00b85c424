"""Check a data set's classes before training, and collect notices about them."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from tlkit.data.manifest import SPLITS, Finding, ImageRecord, SkippedFile
from tlkit.errors import DataError, name_fix
from tlkit.outputs import MAX_CLASS_NAME_LENGTH
from tlkit.tasks import Task
from tlkit.untrusted import is_clean_text

_DUPLICATES = (
    ("split", "in more than one split", "their scores are too optimistic"),
    ("answer", "{answers}", "one of the labels is wrong"),
)


def find_duplicates(task: Task, records: Sequence[ImageRecord]) -> tuple[list[str], list[Finding]]:
    """Return notices about identical files in two splits or two classes, and a finding for each file."""
    groups = [group for group in _group_by_bytes(records) if len(group) > 1]
    answers = task.conflict
    notices, findings = [], []
    for attribute, where, harm in _DUPLICATES:
        where = where.format(answers=answers)
        torn = [group for group in groups if len({getattr(record, attribute) for record in group}) > 1]
        if torn:
            first = torn[0][0]
            second = _find_other(first, torn[0], attribute)
            number = f"{len(torn):,} image{' is' if len(torn) == 1 else 's are'}"
            notices.append(
                f"{number} {where}, so {harm}; a run lists all in findings.csv, for example {first.path} and "
                f"{second.path}."
            )
        for group in torn:
            for record in group:
                other = _find_other(record, group, attribute)
                describe = task.describe_answer if attribute == "answer" else repr
                own, others = describe(getattr(record, attribute)), describe(getattr(other, attribute))
                place = " in another place" if own == others else ""  # the same number of objects
                findings.append(Finding(record.path, f"{where}: {own} here, {others}{place} as {other.path}"))
    return notices, findings


def find_variants(task: Task, records: Sequence[ImageRecord]) -> Iterator[str]:
    """Yield a notice of classes or labels whose names differ only in case, spaces, hyphens or Unicode form."""
    counts = Counter(name for record in records for name in task.names_of(record.answer))
    alike: dict[str, list[str]] = defaultdict(list)
    for name in sorted(counts):
        alike[fold_spelling(name)].append(name)
    groups = [
        " and ".join(f"{name!r} ({counts[name]:,})" for name in names) for names in alike.values() if len(names) > 1
    ]
    if groups:
        what = task.nouns[1].capitalize()
        yield f"{what} that are spelled alike are kept apart, with their numbers of images: {'; '.join(groups)}."


def fold_spelling(name: str) -> str:
    """Normalize case, spaces, hyphens and Unicode form, so that names spelled alike compare equal."""
    text = unicodedata.normalize("NFKC", name).casefold().replace("_", " ").replace("-", " ")
    return " ".join("".join(each for each in text if unicodedata.category(each) != "Cf").split())


def _group_by_bytes(records: Sequence[ImageRecord]) -> list[list[ImageRecord]]:
    by_hash: Mapping[str, list[ImageRecord]] = defaultdict(list)
    for record in records:
        by_hash[record.sha256].append(record)
    return list(by_hash.values())


def _find_other(record: ImageRecord, group: Sequence[ImageRecord], attribute: str) -> ImageRecord:
    return next(other for other in group if getattr(other, attribute) != getattr(record, attribute))


def _check_values(data: Path, records: Sequence[ImageRecord]) -> None:
    """Raise DataError unless a regression can be trained and validated on these values."""
    for split, fewest in (("train", 2), ("validation", 2)):
        chosen = [float(record.answer) for record in records if record.split == split]
        if len(chosen) < fewest or len(set(chosen)) < fewest:
            raise DataError(
                f"{data}: the {split} images have {count(len(set(chosen)), 'different value')}.",
                expected=f"{fewest} or more different values",
                fix="add images, or choose another column with --target.",
            )


def _check_enough_values(data: Path, records: Sequence[ImageRecord]) -> None:
    number = len({record.sha256 for record in records})
    if number < 10:
        raise DataError(
            f"{data}: only {count(number, 'usable image')} with a value.",
            expected="ten or more different images, for training and validation",
            fix="add images; unusable files do not count.",
        )


def check_class_names(data: Path, task: Task, names: Collection[str], pinned: Sequence[str] | None) -> None:
    """Check class names before any file is opened.

    Args:
        data: The user's path, for the message.
        task: What is learned of an image.
        names: The class or label names that were found.
        pinned: The names of an existing model; None without one.

    Raises:
        DataError: A name cannot be stored in a model, or is not in `pinned`.
    """
    one, many = task.nouns
    for name in sorted(names):
        if not is_clean_text(name, max_length=MAX_CLASS_NAME_LENGTH):
            raise DataError(
                f"{data}: the {one} name {name[:80]!r} is invalid.",
                expected=f"1 to {MAX_CLASS_NAME_LENGTH} characters without control characters",
                fix=f"rename the {one}.",
            )
        if pinned is not None and name not in pinned:
            raise DataError(
                f"{data}: the model has no {one} {name!r}.",
                expected=f"its {many}: {name_some(pinned, at_most=20)}",
                fix=name_fix(name, pinned),
            )


def check_trainable(
    data: Path, task: Task, names: Sequence[str], records: Sequence[ImageRecord], *, with_boxes: bool = False
) -> None:
    """Check that every class or label has images for training and for validation.

    Args:
        data: The user's path, for the message.
        task: What is learned of an image.
        names: The required classes or labels.
        records: The images with their final splits.
        with_boxes: Whether boxes are trained too; a single class is then enough.

    Raises:
        DataError: There are fewer than two classes, or one lacks images for training or for validation. A class of
            objects needs none for validation: many data sets come with few objects of some classes, and fixed splits.
    """
    if not task.has_names:
        _check_values(data, records)
        return
    if len(names) < 2 and task.is_exclusive and not with_boxes:
        raise DataError(
            f"{data}: there is only one class, {names[0]!r}.",
            expected="two or more classes, each a folder of images or a name in the table's label column",
            fix="add images of another class; if these folders are not the classes, use the folder above or below.",
        )
    if not names and task.has_objects:
        raise DataError(
            f"{data}: no image has an object to learn.",
            expected=f"{'masks' if task.has_masks else 'boxes'} with classes, on some of the images",
            fix="check that --masks names the masks of these images; 0 or black is background."
            if task.has_masks
            else "check that --boxes names the annotations of these images; crowds and difficult objects do not count.",
        )
    if not names:
        raise DataError(
            f"{data}: no image has a label.",
            expected="label names separated by | in the table's label column",
            fix="name the column with --label-column.",
        )
    splits = _find_splits(task, records)
    for split, purpose in (("train", "learned"), *([] if task.has_objects else [("validation", "measured")])):
        lacking = [name for name in names if split not in splits[name]]
        if lacking:
            present = [other for other in SPLITS if any(other in splits[name] for name in lacking)]
            only = f", only for {' and '.join(present)}" if present else ""
            raise DataError(
                f"{data}: there are no usable {split} images of {_name_all(task, lacking)}{only}.",
                expected=f"{split} images of every {task.nouns[0]}, so that it can be {purpose}",
                fix=_suggest(task, lacking[0], [name for name in names if split in splits[name]], split),
            )


def check_enough_images(data: Path, task: Task, names: Sequence[str], records: Sequence[ImageRecord]) -> None:
    """Check that every class or label, or a data set of values, can be split into training and validation images.

    Raises:
        DataError: A class or label has fewer than two different images; or there are fewer than ten values.
    """
    if not task.has_names:
        _check_enough_values(data, records)
        return
    distinct: dict[str, set[str]] = {name: set() for name in names}
    for record in records:
        for name in task.names_of(record.answer):
            distinct[name].add(record.sha256)
    poor = [name for name in names if len(distinct[name]) < 2]
    if poor:
        one, many = task.nouns
        found = "has one usable image" if distinct[poor[0]] else "has no usable image"
        others = f"; the same goes for {count(len(poor) - 1, f'other {one}', f'other {many}')}" if len(poor) > 1 else ""
        raise DataError(
            f"{data}: the {one} {poor[0]!r} {found}{others}.",
            expected=f"two or more different images of every {one}, for training and validation",
            fix=f"add images, or remove {_name_removed(task)}; unusable files do not count.",
        )


def find_notices(
    task: Task, names: Sequence[str], records: Sequence[ImageRecord], skipped: Sequence[SkippedFile]
) -> Iterator[str]:
    """Yield notices, one sentence each, about what makes scores less reliable but does not stop the run."""
    if skipped:
        first = skipped[0]
        verb = "is" if len(skipped) == 1 else "are"
        yield f"{count(len(skipped), 'file')} {verb} skipped; the first: {first.path} ({first.reason})."
    if task.is_exclusive and len(names) == 1:
        yield (
            f"There is only one class, so the model predicts {names[0]} for every image: a box shows where it would "
            "be, not whether there is one. Only the distance from the training images detects unknown images."
        )
    yield from find_variants(task, records)
    splits = _find_splits(task, records)
    for split in ("validation", "test") if task.has_objects else ("test",):
        untested = [name for name in names if split not in splits[name]]
        if untested and any(split in found for found in splits.values()):
            yield f"The {split} split has no images of {_name_all(task, untested)}."


def name_some(names: Sequence[str], *, at_most: int = 5) -> str:
    """Join names with commas; a long list is cut, with the number of the rest."""
    shown = ", ".join(names[:at_most])
    return shown if len(names) <= at_most else f"{shown} and {len(names) - at_most} more"


def count(number: int, singular: str, plural: str = "") -> str:
    """Return `1 file` or `2 files`."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def _name_all(task: Task, names: Sequence[str]) -> str:
    """Return `class 'a'` or `classes 'a', 'b'`; likewise for labels."""
    return f"{task.nouns[len(names) > 1]} {name_some([repr(name) for name in names])}"


def _find_splits(task: Task, records: Iterable[ImageRecord]) -> Mapping[str, set[str]]:
    splits: Mapping[str, set[str]] = defaultdict(set)
    for record in records:
        for name in task.names_of(record.answer):
            splits[name].add(record.split)
    return splits


def _name_removed(task: Task) -> str:
    """Return what is removed with a class or label."""
    if task.has_masks:
        return "it from the masks"
    return "its boxes" if task.has_objects else f"the {task.nouns[0]}"


def _suggest(task: Task, lacking: str, others: Sequence[str], split: str) -> str:
    like_it = [name for name in others if _fold(name) == _fold(lacking)]
    spelling = f" (or is it {like_it[0]!r}, spelled differently?)" if like_it else ""
    removed = _name_removed(task)
    return f"add {split} images of {lacking!r}{spelling}, or remove {removed}."


def _fold(name: str) -> str:
    """Normalize a name's case, spaces and Unicode form, which file systems and typing vary."""
    return "".join(character for character in name.casefold() if character.isalnum())
