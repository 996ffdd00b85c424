"""What an image's answer means, by task: a class's name, the names of its labels joined by `|`, or a value, as text."""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.metadata.numbers import is_missing, is_numeric, parse_number
from tlkit.outputs import CLASSIFICATION, LABEL_SEPARATOR, MULTILABEL, REGRESSION

_NUM_VALUE_STRATA = 5


def normalize_class_name(name: str) -> str:
    """Return a class name in Unicode's composed form, as folders made on a Mac are spelled otherwise than on Linux."""
    return unicodedata.normalize("NFC", name)


def parse_answer(task: str, text: str) -> str:
    """Return a cell's answer in its one spelling: labels sorted, each once.

    Raises:
        ValueError: With the reason why there is none in the cell.
    """
    if task == MULTILABEL:
        names = {normalize_class_name(name.strip()) for name in text.split(LABEL_SEPARATOR)}
        return LABEL_SEPARATOR.join(sorted(names - {""}))
    if not text:
        raise ValueError("no label" if task == CLASSIFICATION else "no value")
    if task == CLASSIFICATION:
        return normalize_class_name(text)
    if is_missing(text):
        raise ValueError("no value")
    if math.isnan(parse_number(text)):
        raise ValueError(f"the value {text[:40]!r} {'stands for no data' if is_numeric(text) else 'is no number'}")
    return text


def names_of(task: str, answer: str) -> tuple[str, ...]:
    """Return the classes or labels that an answer names; a value names none."""
    if task == CLASSIFICATION:
        return (answer,)
    return tuple(answer.split(LABEL_SEPARATOR)) if task == MULTILABEL and answer else ()


def find_names(task: str, answers: Sequence[str]) -> list[str]:
    """Return all classes or labels, sorted; none for values."""
    return sorted({name for answer in answers for name in names_of(task, answer)})


def make_targets(task: str, answers: Sequence[str], names: Sequence[str]) -> NDArray[Any]:
    """Return the answers as arrays.

    Args:
        task: One of `tlkit.outputs.TASKS`.
        answers: One an image.
        names: Classes or labels in the order of their numbers; not needed for values.

    Returns:
        int32 (n,) classes; float32 (n, labels) of 0 and 1; or float64 (n, 1) values.
    """
    if task == REGRESSION:
        return np.array([float(answer) for answer in answers], dtype=np.float64).reshape(-1, 1)
    place_of = {name: place for place, name in enumerate(names)}
    if task == CLASSIFICATION:
        return np.array([place_of[answer] for answer in answers], dtype=np.int32)
    targets = np.zeros((len(answers), len(names)), np.float32)
    for row, answer in enumerate(answers):
        targets[row, [place_of[name] for name in names_of(task, answer)]] = 1.0
    return targets


def find_strata(task: str, answers: Sequence[str]) -> list[str]:
    """Return the group of each image whose members are shared out among the splits in proportion.

    It is the class; of several labels the rarest; of values the fifth of all values that it lies in.
    """
    if task == CLASSIFICATION:
        return list(answers)
    if task == MULTILABEL:
        counts = Counter(name for answer in answers for name in names_of(task, answer))
        return [min(names_of(task, answer), key=lambda name: (counts[name], name), default="") for answer in answers]
    values = make_targets(task, answers, ())[:, 0]
    edges = np.quantile(values, np.linspace(0, 1, _NUM_VALUE_STRATA + 1)[1:-1]) if len(values) else values
    return [str(stratum) for stratum in np.searchsorted(edges, values, side="right")]
