"""YOLO's data.yaml: what stands in it, and what its entries mean on another machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tlkit.data.formats.data_yaml import DataYaml, find_entry, parse_data_yaml


@pytest.mark.parametrize(
    ("text", "splits"),
    [
        (
            "train: ../train/images\nval: ../valid/images\n",
            {"train": ["../train/images"], "validation": ["../valid/images"]},
        ),
        ("train: [a, 'b, c']\nvalid:\n  - d\n  - e\n", {"train": ["a", "b, c"], "validation": ["d", "e"]}),
        ("train: a  # 118 images\nval: b\ntest: # optional\n", {"train": ["a"], "validation": ["b"]}),
        ("train: ~\nval: null\ntest: ''\ntraining: a\n", {}),
        ("'train': \"a\"\ntest:\n- b\nnc: 1\n", {"train": ["a"], "test": ["b"]}),
    ],
)
def test_splits_are_texts_and_lists(text: str, splits: dict[str, list[str]]) -> None:
    assert parse_data_yaml(text) == DataYaml(splits=splits)


def test_names_path_and_key_points_are_read() -> None:
    text = "path: /data/dogs  # root\ntrain: a\nkpt_shape: [17, 3]\nnames:\n  0: cat\n  1: dog\n"
    assert parse_data_yaml(text) == DataYaml({0: "cat", 1: "dog"}, {"train": ["a"]}, "/data/dogs", has_key_points=True)


@pytest.mark.parametrize(
    ("entry", "base", "found"),
    [
        ("images/train", "", "images/train"),
        ("train", "images", "images/train"),
        ("train", "./images/", "images/train"),
        ("../images/train", "", "images/train"),
        ("/home/me/sets/dogs/images/train", "", "images/train"),
        ("C:\\sets\\dogs\\images\\train", "", "images/train"),
        ("images/train", "../datasets/dogs", "images/train"),
        ("../valid/images", "", None),
        ("x" * 5000, "", None),
        ("a\0b", "", None),
        ("/dev/null", "", None),
    ],
)
def test_an_entry_is_found_though_it_comes_from_elsewhere(
    tmp_path: Path, entry: str, base: str, found: str | None
) -> None:
    (tmp_path / "images/train").mkdir(parents=True)
    assert find_entry(entry, folder=tmp_path, base=base) == (tmp_path / found if found else None)


def test_an_entry_may_lie_outside_the_folder_where_there_is_none_in_it(tmp_path: Path) -> None:
    for name in ("train", "set/train"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "val").mkdir()
    assert find_entry("../train", folder=tmp_path / "set", base="") == tmp_path / "set/train"
    assert find_entry("../val", folder=tmp_path / "set", base="") == tmp_path / "val"
    assert find_entry(str(tmp_path / "val"), folder=tmp_path / "set", base="") == tmp_path / "val"
