"""Find contradictions: one image in two splits or two classes, or one class spelled in two ways."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from tlkit.data.manifest import Finding, ImageRecord
from tlkit.tasks import Task

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
                own, others = getattr(record, attribute), getattr(other, attribute)
                findings.append(Finding(record.path, f"{where}: {own!r} here, {others!r} as {other.path}"))
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
