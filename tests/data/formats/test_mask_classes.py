"""Tables of class names: every spelling that tools write, and what is wrong with others."""

from __future__ import annotations

from pathlib import Path

import pytest

from tlkit.data.formats.mask_classes import find_class_table, find_role, read_class_table
from tlkit.errors import DataError


@pytest.mark.parametrize(
    ("name", "text", "by_value"),
    [
        ("classes.txt", "fish\nweed\n", {"1": "fish", "2": "weed"}),
        ("classes.txt", "background\nfish\n", {"0": "", "1": "fish"}),
        ("class_names.txt", "__ignore__\n_background_\nfish\n", {"0": "", "1": "fish"}),
        ("labels.txt", "0: background\n3: fish\n255: void\n", {"0": "", "3": "fish", "255": None}),
        (
            "labelmap.txt",
            "# label:color_rgb:parts:actions\nbackground:0,0,0::\nfish:255,0,16::\n",
            {"#000000": "", "#ff0010": "fish"},
        ),
        ("class_dict.csv", "name,r,g,b\nSky,128,128,128\nVoid,0,0,0\n", {"#808080": "Sky", "#000000": None}),
        ("_classes.csv", "Pixel Value, Class\n0, background\n1, fish\n", {"0": "", "1": "fish"}),
        ("classes.csv", "\ufeffname,value\nfish,7\n", {"7": "fish"}),
    ],
)
def test_a_table_names_values(tmp_path: Path, name: str, text: str, by_value: dict[str, str | None]) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    table = read_class_table(tmp_path / name)
    assert table.by_value == by_value
    assert table.has_colours == any(value.startswith("#") for value in by_value)


def test_a_table_may_lie_beside_the_folder_of_masks(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    assert find_class_table(tmp_path / "masks") is None
    (tmp_path / "classes.txt").write_text("fish\n")
    table = find_class_table(tmp_path / "masks")
    assert table is not None
    assert table.source == tmp_path / "classes.txt"


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("classes.txt", "", "no names"),
        ("classes.csv", "colour,r,g,b\nred,1,2,3\n", "no column name"),
        ("classes.csv", "name,size\nred,1\n", "neither columns r, g and b nor a column value"),
        ("classes.csv", "name,value\nred,x\n", "'x' is not a number of a class"),
        ("classes.csv", "name,r,g,b\nred,256,0,0\n", "256 in a colour is above 255"),
        ("classes.csv", "name,value\nred,1\nblue,1\n", "1 stands twice"),
        ("classes.csv", "name,value\n" + "r" * 300 + ",1\n", f"{'r' * 40!r} cannot be a class name"),
    ],
)
def test_a_damaged_table_is_refused(tmp_path: Path, name: str, text: str, reason: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError) as refused:
        read_class_table(tmp_path / name)
    assert str(refused.value) == (
        f"{tmp_path / name}: the names of classes cannot be read ({reason}).\n"
        "  Expected: one name per line, or rows of name,r,g,b or name,value below such a header\n"
        "  Fix: correct the file, or remove it to have classes named by number."
    )


def test_names_of_background_and_of_what_is_ignored_are_known() -> None:
    assert [find_role(name) for name in ("Background", " bg ", "Void", "don't care", "fish ")] == [
        "", "", None, None, "fish",
    ]  # fmt: skip
