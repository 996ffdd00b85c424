"""Metadata of images to predict: which row of a table belongs to which file."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from tlkit.data.image_file import ImageFile
from tlkit.data.images import UnusableImage, check_image
from tlkit.data.metadata_source import MetadataSource, describe_facts
from tlkit.errors import DataError, SettingError
from tlkit.metadata.columns import IMAGE_FACTS
from tlkit.metadata.encoding import CategoryColumn, MetadataEncoding, NumberColumn


@pytest.fixture
def table(tmp_path: Path) -> Path:
    (tmp_path / "tables").mkdir()
    return tmp_path / "tables" / "boats.csv"


def open_source(
    names: Sequence[str], table: Path | None, *, image_column: str = "", images: Sequence[Path] = ()
) -> MetadataSource:
    encoding = MetadataEncoding(
        tuple(
            NumberColumn(name, 12.0, 5.0, 0.0, 23.0) if name == "hour" else CategoryColumn(name, ("Heron", "Otter"))
            for name in names
        )
    )
    return MetadataSource(encoding, table, image_column=image_column, images=images)


def find(source: MetadataSource, path: Path) -> tuple[str, ...] | None:
    return source.find(path, ImageFile(path.read_bytes() if path.is_file() else b""))


def write(table: Path, *rows: str, encoding: str = "utf-8") -> Path:
    table.write_text("\n".join(rows) + "\n", encoding=encoding)
    return table


def test_a_row_belongs_to_the_file_at_its_path_from_the_tables_folder(table: Path, tmp_path: Path) -> None:
    absolute = tmp_path / "far" / "3.jpg"
    write(table, "file,boat", "1.jpg,Heron", "../photos/2.jpg,Otter", f"{absolute},Stork")
    source = open_source(["boat"], table)
    paths = [table.parent / "1.jpg", tmp_path / "photos" / "x" / ".." / "2.jpg", absolute]
    assert [find(source, path) for path in paths] == [("Heron",), ("Otter",), ("Stork",)]
    assert source.table_name == "boats.csv"


def test_a_relative_path_starts_from_the_working_directory(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(table, "file,boat", "photos/1.jpg,Heron", "../photos/1.jpg,Otter")
    source = open_source(["boat"], table)
    monkeypatch.chdir(tmp_path)
    assert find(source, Path("photos/1.jpg")) == ("Otter",)
    assert find(source, Path(os.path.relpath(table.parent / "photos" / "1.jpg"))) == ("Heron",)


def test_a_file_elsewhere_is_found_by_its_name_if_one_row_and_one_image_have_it(table: Path, tmp_path: Path) -> None:
    write(
        table,
        "file,boat",
        "a/1.jpg,Heron",
        "a/2.jpg,Otter",
        "b/2.jpg,Stork",
        "C:\\boats\\Möwe 4.JPG,Otter",
        "c/5.jpg,Heron",
    )
    images = [tmp_path / name for name in ("1.jpg", "2.jpg", "3.jpg", "mo\u0308we 4.jpg", "5.jpg", "x/5.jpg")]
    source = open_source(["boat"], table, images=images)
    assert [find(source, path) for path in images] == [("Heron",), None, None, ("Otter",), None, None]
    assert find(source, table.parent / "b" / "2.jpg") == ("Stork",)


def test_a_row_whose_own_file_is_there_belongs_to_no_other_file(table: Path, tmp_path: Path) -> None:
    (table.parent / "a").mkdir()
    (table.parent / "a" / "1.jpg").write_bytes(b"")
    write(table, "file,boat", "a/1.jpg,Heron")
    images = [tmp_path / "1.jpg"]
    assert find(open_source(["boat"], table, images=images), images[0]) is None
    assert find(open_source(["boat"], table, images=images), table.parent / "a" / "1.jpg") == ("Heron",)


def test_no_row_goes_by_its_name_where_the_images_are_not_known(table: Path, tmp_path: Path) -> None:
    write(table, "file,boat", "a/1.jpg,Heron")
    source = open_source(["boat"], table)
    assert find(source, tmp_path / "1.jpg") is None
    assert find(source, table.parent / "a" / "1.jpg") == ("Heron",)


def test_paths_and_numbers_are_read_as_in_training_and_told(table: Path) -> None:
    (table.parent / "img").mkdir()
    (table.parent / "img" / "1.jpg").write_bytes(b"")
    write(table, "file;hour", "img\\1.jpg;7,5")
    source = open_source(["hour"], table)
    assert find(source, table.parent / "img" / "1.jpg") == ("7.5",)
    assert source.notices == (
        "boats.csv: hour: 7,5 is read as 7.5.",
        "boats.csv: 1 file was found by reading paths with backslashes.",
    )


def test_values_that_training_never_saw_are_counted(table: Path) -> None:
    write(table, "file,boat,hour", "1.jpg,HERON,3", "2.jpg,Stork,200", "3.jpg,,x")
    source = open_source(["boat", "hour"], table)
    for name in ("1.jpg", "2.jpg", "3.jpg"):
        texts = find(source, table.parent / name)
        assert texts is not None
        source.count(texts)
    assert source.describe_odd_values() == [
        "boat: 1 of 3 values were never seen in training and count as unknown (such as 'Stork').",
        "hour: 1 of 3 values are far outside the usual range, 0 to 23, and are clipped (such as 200).",
        "hour: 1 of 3 values are not numbers and count as missing (such as 'x').",
    ]


def test_rows_that_say_the_same_of_a_file_are_one(table: Path) -> None:
    write(table, "file,boat,left", "a/1.jpg,Heron,1", "a/./1.jpg,Heron,2")
    source = open_source(["boat"], table)
    assert find(source, table.parent / "a" / "1.jpg") == ("Heron",)


def test_rows_without_a_path_are_passed_over(table: Path) -> None:
    write(table, "file,boat", ",Heron", ",Otter", "1.jpg,Stork")
    source = open_source(["boat"], table)
    assert (find(source, table.parent / "1.jpg"), find(source, table.parent)) == (("Stork",), None)


def test_columns_come_in_the_models_order_and_a_missing_value_is_empty(table: Path) -> None:
    write(table, "hour,file,x,boat", "3,1.jpg,y,", " 4 ,2.jpg,y,Heron")
    source = open_source(["boat", "hour"], table)
    assert [find(source, table.parent / name) for name in ("1.jpg", "2.jpg")] == [("", "3"), ("Heron", "4")]


def test_a_table_with_a_byte_order_mark_and_semicolons_is_read(table: Path) -> None:
    write(table, "Path;boat", "1.jpg;Möwe", encoding="utf-8-sig")
    assert find(open_source(["boat"], table), table.parent / "1.jpg") == ("Möwe",)


def test_a_parquet_table_is_read(table: Path) -> None:
    path = table.with_suffix(".parquet")
    columns = {"file": ["1.jpg", "2.jpg"], "boat": ["Heron", None], "hour": [3, 4]}
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    source = open_source(["hour", "boat"], path)
    assert [find(source, table.parent / name) for name in ("1.jpg", "2.jpg")] == [("3", "Heron"), ("4", "")]


def test_the_column_of_paths_may_be_named(table: Path) -> None:
    write(table, "path,copy,boat", "1.jpg,2.jpg,Heron")
    assert find(open_source(["boat"], table, image_column="copy"), table.parent / "2.jpg") == ("Heron",)


def test_facts_come_from_the_file_and_the_rest_from_the_table(
    table: Path, quarters: Image.Image, encode: Callable[..., bytes]
) -> None:
    exif = Image.Exif()
    exif[274] = 6
    photo = table.parent / "1.jpg"
    photo.write_bytes(encode(quarters, "JPEG", exif=exif))
    write(table, "file,boat", "1.jpg,Heron")
    source = open_source(["image-shape", "boat", "image-bytes"], table)
    assert find(source, photo) == ("48x64", "Heron", str(photo.stat().st_size))
    assert find(open_source(["image-mode", "image-width"], None), photo) == ("RGB", "48")


def test_a_model_that_takes_nothing_is_given_nothing(tmp_path: Path) -> None:
    source = open_source([], None)
    assert (find(source, tmp_path / "not there.jpg"), source.table_name) == ((), "")


def test_facts_of_a_file_that_is_no_picture_are_its_reason(table: Path) -> None:
    (table.parent / "1.jpg").write_bytes(b"")
    with pytest.raises(UnusableImage) as caught:
        find(open_source(["image-width"], None), table.parent / "1.jpg")
    assert caught.value.reason == "empty file"


@pytest.mark.parametrize(
    ("names", "rows", "options", "message"),
    [
        (
            ["boat", "image-width", "hour"],
            None,
            {},
            "the model also takes boat, hour, but no table was given.\n"
            "  Expected: a table with image paths and these columns\n"
            "  Fix: add --table TABLE.",
        ),
        (
            ["image-width"],
            ["file,boat", "1.jpg,Heron"],
            {},
            "--table {table} has no effect: the model uses no table columns.\n"
            "  Expected: a table only if the model was trained with --metadata columns of a table\n"
            "  Fix: remove --table.",
        ),
        (
            ["image-width"],
            None,
            {"image_column": "photo"},
            "--image-column photo has no effect: there is no table.\n"
            "  Expected: --image-column only with --table\n"
            "  Fix: remove --image-column.",
        ),
        (
            ["boat"],
            ["file,boot", "1.jpg,Heron"],
            {},
            "{table}: no column 'boat' (--metadata).\n  Expected: one of file, boot\n  Fix: did you mean 'boot'?",
        ),
        (
            ["boat"],
            ["photo,boat", "1.jpg,Heron"],
            {},
            "{table}: no image column among photo, boat.\n"
            "  Expected: a column named path, image_path, image, filepath, file_path, filename, file_name, file or "
            "image_name\n"
            "  Fix: name the column with --image-column.",
        ),
        (
            ["boat"],
            ["photo,boat", "1.jpg,Heron"],
            {"image_column": "foto"},
            "{table}: no column 'foto' (--image-column).\n  Expected: one of photo, boat\n  Fix: did you mean 'photo'?",
        ),
        (
            ["boat", "hour"],
            ["file,boat,hour", "1.jpg,Heron,3", "2.jpg,Heron,3", "./1.jpg,Heron,4"],
            {},
            "{table}: line 4 contradicts an earlier row for ./1.jpg.\n"
            "  Expected: the same boat, hour in all rows of an image\n"
            "  Fix: fix or remove one of the rows.",
        ),
        (
            ["boat"],
            ["file,boat", "1.jpg"],
            {},
            "{table}: line 2 has 1 cell.\n"
            "  Expected: 2, as in the first line\n"
            "  Fix: fix the line; put a cell that contains the separator in double quotes.",
        ),
    ],
)
def test_a_table_that_does_not_fit_is_an_error(
    table: Path, names: Sequence[str], rows: Sequence[str] | None, options: dict[str, Any], message: str
) -> None:
    with pytest.raises((DataError, SettingError)) as caught:
        open_source(names, write(table, *rows) if rows else None, **options)
    assert str(caught.value) == message.format(table=table)


def test_a_table_that_is_not_there_is_an_error(table: Path) -> None:
    with pytest.raises(DataError) as caught:
        open_source(["boat"], table)
    assert str(caught.value) == (
        f"{table}: the table cannot be read (No such file or directory).\n"
        "  Expected: a CSV file of at most 128 MiB, with the column names in its first line\n"
        "  Fix: check the path; for a large table, keep only the columns you need, or save it as Parquet."
    )


@pytest.mark.parametrize("cell", [".", "/"])
def test_a_path_without_a_name_belongs_to_no_image(table: Path, tmp_path: Path, cell: str) -> None:
    write(table, "file,boat", f"{cell},Heron", "a/1.jpg,Otter")
    images = [tmp_path / "1.jpg"]
    assert find(open_source(["boat"], table, images=images), images[0]) == ("Otter",)


MAKE, MODEL, ORIENTATION = 271, 272, 274
Encode = Callable[..., bytes]


def with_exif(tags: dict[int, object]) -> Image.Exif:
    exif = Image.Exif()
    exif.update(tags)
    return exif


def read_facts(content: bytes) -> dict[str, str]:
    return describe_facts(check_image(content), num_bytes=len(content))


@pytest.mark.parametrize(
    ("mode", "file_format", "stored_mode"),
    [
        ("RGB", "JPEG", "RGB"),
        ("L", "JPEG", "L"),
        ("CMYK", "JPEG", "CMYK"),
        ("RGB", "PNG", "RGB"),
        ("RGBA", "PNG", "RGBA"),
        ("L", "PNG", "L"),
        ("P", "PNG", "P"),
        ("1", "PNG", "1"),
        ("RGB", "WEBP", "RGB"),
        ("P", "GIF", "P"),
    ],
)
def test_the_facts_are_those_of_the_file(
    quarters: Image.Image, encode: Encode, mode: str, file_format: str, stored_mode: str
) -> None:
    content = encode(quarters.convert(mode), file_format)
    assert read_facts(content) == {
        "image-width": "64",
        "image-height": "48",
        "image-aspect": "1.3333",
        "image-bytes": str(len(content)),
        "image-shape": "64x48",
        "image-format": file_format,
        "image-mode": stored_mode,
        "image-camera": "",
    }


def test_every_fact_has_its_place(quarters: Image.Image, encode: Encode) -> None:
    assert list(read_facts(encode(quarters, "PNG"))) == list(IMAGE_FACTS)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    ("tags", "camera"),
    [
        ({MAKE: "NIKON CORPORATION", MODEL: "NIKON D90"}, "NIKON CORPORATION NIKON D90"),
        ({MAKE: " Canon \0\0", MODEL: "EOS\t 5D"}, "Canon EOS 5D"),
        ({MODEL: "Pixel 7"}, "Pixel 7"),
        ({MAKE: "x" * 60, MODEL: "y" * 60}, "x" * 60 + " " + "y" * 19),
        ({ORIENTATION: 6}, ""),
    ],
)
def test_the_camera_is_make_and_model(
    quarters: Image.Image, encode: Encode, file_format: str, tags: dict[int, object], camera: str
) -> None:
    content = encode(quarters, file_format, exif=with_exif(tags))
    assert read_facts(content)["image-camera"] == camera


def test_a_picture_that_lies_on_its_side_has_its_upright_size(quarters: Image.Image, encode: Encode) -> None:
    content = encode(quarters, "JPEG", exif=with_exif({ORIENTATION: 6}))
    facts = read_facts(content)
    assert {name: facts[name] for name in ("image-width", "image-height", "image-aspect", "image-shape")} == {
        "image-width": "48",
        "image-height": "64",
        "image-aspect": "0.7500",
        "image-shape": "48x64",
    }


@pytest.mark.parametrize("length", [8, 12, 20])
@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
def test_damaged_exif_is_no_camera_and_no_word_about_it(
    quarters: Image.Image, encode: Encode, file_format: str, length: int
) -> None:
    exif = with_exif({MAKE: "Canon", MODEL: "EOS 5D Mark IV with a long name"}).tobytes()
    content = encode(quarters, file_format, exif=exif[:length])
    with warnings.catch_warnings(record=True) as caught:
        warnings.resetwarnings()
        facts = read_facts(content)
    assert (facts["image-camera"], facts["image-format"]) == ("", file_format)
    assert caught == []


def test_a_large_picture_has_facts_without_a_warning(
    quarters: Image.Image, encode: Encode, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = encode(quarters, "PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)
    with warnings.catch_warnings(record=True) as caught:
        warnings.resetwarnings()
        assert read_facts(content)["image-format"] == "PNG"
    assert caught == []
