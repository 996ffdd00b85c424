"""Which columns a leak test judges: each fact once, and none that tells nothing apart."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tlkit.metadata.columns import ColumnRequest
from tlkit.metadata.encoding import fit_encoding
from tlkit.probes.leak_columns import LeakColumns, make_leak_columns


def read(**columns: Iterable[object]) -> LeakColumns:
    """Return the columns of a table by name; underscores of image facts become dashes."""
    requests = [ColumnRequest(name.replace("image_", "image-")) for name in columns]
    rows = [tuple(map(str, row)) for row in zip(*columns.values(), strict=True)]
    return make_leak_columns(fit_encoding(requests, rows), rows)


def names(columns: LeakColumns) -> list[tuple[str, ...]]:
    return [(column.name, *column.same_as) for column in columns.judged]


def test_columns_come_from_texts_one_by_one() -> None:
    columns = read(image_width=[512, 640] * 30, site=["a", "b", ""] * 20, depth=np.arange(60) / 7)
    facts = [(column.name, column.is_image_fact, column.is_in_table) for column in columns.judged]
    assert facts == [("image-width", True, False), ("site", False, True), ("depth", False, True)]
    assert columns.judged[1].is_filled is not None
    assert columns.judged[1].is_filled.tolist() == [True, True, False] * 20


def test_a_column_with_one_value_is_left_out() -> None:
    columns = read(water=["sea"] * 20, empty=[""] * 20, number=[3] * 20, site=["a", "b"] * 10)
    assert names(columns) == [("site",)]
    assert columns.constant == ("water", "empty", "number")


def test_a_name_for_every_image_is_left_out_and_a_number_for_every_image_is_judged() -> None:
    columns = read(file=[f"IMG_{number}" for number in range(20)], order=range(20))
    assert names(columns) == [("order",)]
    assert columns.unique == ("file",)


def test_cells_that_are_empty_or_not_are_judged_though_every_name_is_another() -> None:
    columns = read(note=[f"note {number}" if number % 2 else "" for number in range(20)])
    assert names(columns) == [("note",)]


def test_one_fact_under_several_names_is_one_column() -> None:
    widths = np.array([4000, 3000, 640, 512] * 10)
    columns = read(
        camera_width=widths,
        image_width=widths,
        shape=[f"{width}x480" for width in widths],
        code=[{4000: 2, 3000: 0, 640: 1, 512: 7}[width] for width in widths],
        half=widths < 2000,
    )
    assert names(columns) == [("camera_width", "image-width", "shape", "code"), ("half",)]
    assert columns.judged[0].is_image_fact
    assert columns.judged[0].is_in_table


def test_numbers_that_hardly_repeat_are_one_fact_if_they_order_the_images_alike() -> None:
    lengths = np.random.default_rng(0).permutation(40) + 1
    columns = read(
        inches=lengths,
        centimetres=2.54 * lengths,
        shortness=-lengths,
        image_bytes=np.random.default_rng(1).permutation(40),
    )
    assert names(columns) == [("inches", "centimetres", "shortness"), ("image-bytes",)]


def test_numbers_that_are_missing_elsewhere_are_another_fact() -> None:
    lengths = [str(number) for number in np.random.default_rng(0).permutation(40)]
    columns = read(length=lengths, measured=[text if place else "" for place, text in enumerate(lengths)])
    assert names(columns) == [("length",), ("measured",)]
