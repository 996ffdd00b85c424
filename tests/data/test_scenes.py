"""Data sets whose answer is the objects in each image, in every format of annotations."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tlkit.data.dataset import read_dataset, read_evaluation_set
from tlkit.data.file_index import FileIndex
from tlkit.data.manifest import Manifest, read_manifest, write_manifest
from tlkit.data.parts import Part, read_part
from tlkit.data.views import ViewPlan
from tlkit.errors import DataError, SettingError
from tlkit.recipes.settings import DataSettings
from tlkit.tasks.objects import SceneObject, read_objects

pytestmark = pytest.mark.usefixtures("detection")

SIZE = (64, 48)
Read = Callable[..., Manifest]


@pytest.fixture
def draw(tmp_path: Path) -> Callable[..., Path]:
    """`draw("images/1.png")`: an image of its own colour, at a path below the data's folder."""
    numbers: dict[str, int] = {}

    def draw(name: str, **options: Any) -> Path:
        number = numbers.setdefault(name, len(numbers))
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", SIZE, (5 * number % 256, number // 50, 200)).save(path, **options)
        return path

    return draw


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """`read("labels")`: read the data with the annotations at a path below it."""

    def read(boxes: str | None, *, data: str = "data", **options: Any) -> Manifest:
        settings = DataSettings(task="detection", boxes=boxes and str(tmp_path / "data" / boxes), **options)
        return read_dataset(tmp_path / data, settings, seed=0, index=FileIndex(tmp_path / "cache"))

    return read


def objects_of(manifest: Manifest) -> dict[str, tuple[SceneObject, ...]]:
    return {item.path.relative_to(manifest.root).as_posix(): read_objects(item.answer) for item in manifest.records}


def write_voc(image: Path, objects: Sequence[str]) -> None:
    size = f"<size><width>{SIZE[0]}</width><height>{SIZE[1]}</height></size>"
    text = f"<annotation><filename>{image.name}</filename>{size}{''.join(objects)}</annotation>"
    image.with_suffix(".xml").write_text(text)


def voc_object(name: str, box: tuple[int, int, int, int], **marks: int) -> str:
    corners = "".join(
        f"<{edge}>{value}</{edge}>" for edge, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    )
    flags = "".join(f"<{mark}>{value}</{mark}>" for mark, value in marks.items())
    return f"<object><name>{name}</name>{flags}<bndbox>{corners}</bndbox></object>"


def write_coco(path: Path, images: Sequence[Path], annotations: Sequence[dict[str, Any]]) -> None:
    entries = [
        {"id": number, "file_name": image.name, "width": SIZE[0], "height": SIZE[1]}
        for number, image in enumerate(images)
    ]
    rows = [{"id": number, "category_id": 1, "iscrowd": 0, **each} for number, each in enumerate(annotations)]
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}, {"id": 3, "name": "never seen"}]
    path.write_text(json.dumps({"images": entries, "annotations": rows, "categories": categories}))


def test_voc_gives_every_object_its_class_and_difficult_ones_are_ignored(draw: Callable[..., Path], read: Read) -> None:
    cat, dog = voc_object("cat", (1, 2, 30, 40), difficult=0, truncated=1), voc_object("dog", (5, 5, 20, 20))
    hard = voc_object("dog", (31, 2, 40, 40), difficult=1)
    for number, found in enumerate([[cat, dog], [cat, hard], [dog], [cat], [], [dog]]):
        write_voc(draw(f"{number}.png"), found)
    manifest = read(".")
    assert objects_of(manifest) == {
        "0.png": (SceneObject("cat", 1, 2, 30, 40), SceneObject("dog", 5, 5, 20, 20)),
        "1.png": (SceneObject("cat", 1, 2, 30, 40), SceneObject("dog", 31, 2, 40, 40, is_ignored=True)),
        "2.png": (SceneObject("dog", 5, 5, 20, 20),),
        "3.png": (SceneObject("cat", 1, 2, 30, 40),),
        "4.png": (),
        "5.png": (SceneObject("dog", 5, 5, 20, 20),),
    }
    assert manifest.class_names == ("cat", "dog")
    assert all(record.box is None for record in manifest.records)
    assert manifest.notices == (
        "6 objects of 2 classes on 5 images: 1 to 2 each, median 1.",
        "1 image without an object to learn: background.",
        "1 object ignored, neither learnt nor missed: crowds, difficult ones, or without a class.",
    )


def test_an_image_without_annotation_is_background_and_counted(draw: Callable[..., Path], read: Read) -> None:
    for number in range(5):
        write_voc(draw(f"{number}.png"), [voc_object("cat", (1, 2, 30, 40))])
    for number in (5, 6):
        draw(f"{number}.png")
    draw("masks/0.png")
    manifest = read(".")
    assert objects_of(manifest)["5.png"] == ()
    assert [(item.path.name, item.reason) for item in manifest.skipped] == [("0.png", "mask of an image")]
    root = manifest.root
    assert manifest.notices[:3] == (
        "2 × image without annotation, used as background, in which nothing is to be found; if they are only not annotated "
        f"yet, move them out of {root}, e.g. {root / '5.png'}.",
        "5 objects of 1 class on 5 images: 1 each.",
        "2 images without an object to learn: background.",
    )


def test_coco_lists_background_keeps_crowds_as_regions_and_passes_over_what_it_does_not_list(
    draw: Callable[..., Path], read: Read, tmp_path: Path
) -> None:
    images = [draw(f"images/{number}.png") for number in range(6)]
    draw("images/unlisted.png")
    crowd = {"counts": [0, 5], "size": [48, 64]}
    write_coco(
        tmp_path / "data" / "annotations.json",
        images[:5],
        [
            {"image_id": 0, "bbox": [1, 2, 10, 20]},
            {"image_id": 0, "bbox": [20, 2, 10, 20], "category_id": 2},
            {"image_id": 0, "bbox": [30, 30, 20, 10], "iscrowd": 1, "segmentation": crowd},
            {"image_id": 1, "iscrowd": 1, "segmentation": crowd},
            {"image_id": 1, "bbox": [1, 2, 10, 20], "category_id": 2},
            {"image_id": 2, "bbox": [1, 2, 10, 20]},
            {"image_id": 2, "bbox": [1, 2, 5, 5], "category_id": 9},
        ],
    )
    manifest = read("annotations.json")
    found = objects_of(manifest)
    assert found["images/0.png"] == (
        SceneObject("cat", 1, 2, 11, 22),
        SceneObject("dog", 20, 2, 30, 22),
        SceneObject("cat", 30, 30, 50, 40, is_ignored=True),
    )
    assert found["images/2.png"][1] == SceneObject("", 1, 2, 6, 7, is_ignored=True)
    assert found["images/4.png"] == ()
    assert manifest.class_names == ("cat", "dog")
    assert {item.path.name: item.reason for item in manifest.skipped} == {
        "5.png": "no annotation names it",
        "unlisted.png": "no annotation names it",
    }
    boxes = tmp_path / "data" / "annotations.json"
    assert manifest.notices[2:6] == (
        "2 objects ignored, neither learnt nor missed: crowds, difficult ones, or without a class.",
        f"1 × annotation whose bbox is not four numbers; skipped, e.g. {boxes}.",
        f"1 × annotation of an unknown category id; its box has no class, e.g. {boxes}.",
        f"1 × box without a class although others have one; ignored, e.g. {images[2]}.",
    )


def test_yolo_without_text_or_with_an_empty_one_is_background_of_its_split(
    draw: Callable[..., Path], read: Read, tmp_path: Path
) -> None:
    lines = b"0 0.5 0.5 0.25 0.5\r\n1 0.25 0.25 0.125 0.25\r\n"
    for split, texts in (("train", [lines, lines, b"", None]), ("val", [lines, b" \r\n", None])):
        for number, text in enumerate(texts):
            image = draw(f"images/{split}/{split} {number}.png")
            label = tmp_path / "data" / "labels" / split / f"{image.stem}.txt"
            label.parent.mkdir(parents=True, exist_ok=True)
            if text is not None:
                label.write_bytes(text)
    (tmp_path / "data" / "data.yaml").write_bytes(b"train: images/train\r\nval: images/val\r\nnames: [fish, crab]\r\n")
    for boxes in (".", "data.yaml", "labels"):
        manifest = read(boxes)
        found = {item.path.name: (item.split, len(read_objects(item.answer))) for item in manifest.records}
        assert found == {
            "train 0.png": ("train", 2),
            "train 1.png": ("train", 2),
            "train 2.png": ("train", 0),
            "train 3.png": ("train", 0),
            "val 0.png": ("validation", 2),
            "val 1.png": ("validation", 0),
            "val 2.png": ("validation", 0),
        }
        assert read_objects(manifest.records[0].answer) == (
            SceneObject("fish", 24, 12, 40, 36),
            SceneObject("crab", 12, 6, 20, 18),
        )


def test_background_has_the_split_that_the_annotations_give_to_the_other_images_of_its_folder(
    draw: Callable[..., Path], read: Read, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    for folder in ("first", "second"):
        for number in range(4):
            image = draw(f"{folder}/images/{folder}{number}.png")
            if number < 3:
                (data / folder / "labels").mkdir(exist_ok=True)
                (data / folder / "labels" / f"{image.stem}.txt").write_text("0 0.5 0.5 0.25 0.5")
    (data / "data.yaml").write_text("train: first/images\nval: second/images\nnames: [fish]")
    header = "filename,class,xmin,ymin,xmax,ymax"
    (data / "tables").mkdir()
    for name, folder in (("train_labels.csv", "first"), ("val_labels.csv", "second")):
        rows = [f"{folder}{number}.png,fish,1,2,30,40" for number in range(3)]
        (data / "tables" / name).write_text("\n".join([header, *rows]))
    for boxes in ("data.yaml", "tables"):
        manifest = read(boxes)
        splits = {record.path.name: record.split for record in manifest.records}
        assert (splits["first3.png"], splits["second3.png"]) == ("train", "validation")
        assert manifest.skipped == ()


def test_a_table_of_boxes_is_a_data_set_by_itself_and_its_other_images_are_not_looked_at(
    draw: Callable[..., Path], read: Read, tmp_path: Path
) -> None:
    rows = ["filename,width,height,class,xmin,ymin,xmax,ymax"]
    for number in range(4):
        draw(f"a b{number}.png")
        rows += [f"a b{number}.png,64,48,cat,1,2,30,40", f"a b{number}.png,64,48,dog,10,12,30,40"]
    draw("a b4.png")
    draw("other.png")
    (tmp_path / "data" / "labels.csv").write_bytes("\r\n".join([*rows, "a b4.png,64,48,,,,,"]).encode())
    manifest = read("labels.csv", data="data/labels.csv")
    assert {name: len(found) for name, found in objects_of(manifest).items()} == {
        **{f"a b{number}.png": 2 for number in range(4)},
        "a b4.png": 0,
    }
    assert manifest.skipped == ()
    assert objects_of(read("labels.csv"))["other.png"] == ()


def test_boxes_without_any_class_are_one_class(draw: Callable[..., Path], read: Read, tmp_path: Path) -> None:
    rows = [f"{draw(f'{number}.png').name},1,2,30,40" for number in range(4)]
    (tmp_path / "data" / "boxes.csv").write_text("\n".join(["path,xmin,ymin,xmax,ymax", *rows]))
    manifest = read("boxes.csv")
    assert manifest.class_names == ("object",)
    assert manifest.notices[1:] == ("No box has a class, so there is one class, 'object'.",)


def test_class_folders_above_the_images_are_not_used_and_this_is_said(draw: Callable[..., Path], read: Read) -> None:
    for number in range(6):
        write_voc(draw(f"{'indoor' if number % 2 else 'outdoor'}/{number}.png"), [voc_object("cat", (1, 2, 30, 40))])
    manifest = read(".")
    assert manifest.class_names == ("cat",)
    assert manifest.notices[1] == "The boxes give the classes, not the image folders: indoor, outdoor."


def test_every_box_is_checked_and_turned_with_its_image(draw: Callable[..., Path], read: Read, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    names = [draw(f"{number}.jpg", quality=100).name for number in range(3)] + [draw("turned.jpg", exif=exif).name]
    boxes = [(30, 40, 1, 2), (-5, 3, 20, 30), (100, 100, 120, 120), (4, 4, 4.5, 20), (1, 2, 30, 40), (1, 2, 30, 40)]
    rows = [
        f"{name},64,48,cat,{left},{top},{right},{bottom}" for name in names for left, top, right, bottom in boxes[:4]
    ]
    rows += [
        f"0.jpg,64,48,{name},{left},{top},{right},{bottom}"
        for name in ("cat", "dog")
        for left, top, right, bottom in boxes[4:]
    ]
    rows += ["1.jpg,64,48,dog,1,2,9,9"]
    (tmp_path / "data" / "boxes.csv").write_text("\n".join(["filename,width,height,class,xmin,ymin,xmax,ymax", *rows]))
    manifest = read("boxes.csv")
    found = objects_of(manifest)
    assert found["2.jpg"] == (SceneObject("cat", 1, 2, 30, 40), SceneObject("cat", 0, 3, 20, 30))
    # Stored 64 x 48, shown 48 x 64, turned a quarter clockwise: x becomes the distance from the old bottom edge.
    assert found["turned.jpg"] == (SceneObject("cat", 8, 1, 46, 30), SceneObject("cat", 18, 0, 45, 20))
    assert found["0.jpg"] == (
        SceneObject("cat", 1, 2, 30, 40),
        SceneObject("cat", 0, 3, 20, 30),
        SceneObject("dog", 1, 2, 30, 40),
    )
    assert [each.rpartition(", e.g. ")[0] for each in manifest.notices[1:]] == [
        "3 × box identical to an earlier one; skipped",
        "4 × box with left and right, or top and bottom, swapped; fixed",
        "4 × box that extends beyond the image; clipped",
        "4 × box entirely outside the image; skipped",
        "4 × box smaller than one pixel; skipped",
        "1 × box with the same corners as one of another class; both are used",
    ]


def write_scenes(draw: Callable[..., Path], tmp_path: Path, scenes: Sequence[Sequence[str]]) -> Path:
    """Draw an image for each list of classes, and write their boxes as COCO; return its path."""
    images = [draw(f"images/{number}.png") for number in range(len(scenes))]
    number_of = {"cat": 1, "dog": 2, "never seen": 3}
    rows = [
        {"image_id": number, "bbox": [5 * place, 2, 4, 20], "category_id": number_of[name]}
        for number, names in enumerate(scenes)
        for place, name in enumerate(names)
    ]
    path = tmp_path / "data" / "annotations.json"
    write_coco(path, images, rows)
    return path


def test_splits_divide_rare_classes_and_background(draw: Callable[..., Path], read: Read, tmp_path: Path) -> None:
    write_scenes(draw, tmp_path, [["cat"]] * 20 + [["cat", "dog"]] * 5 + [[]] * 10)
    manifest = read("annotations.json", test_fraction=0.2)
    columns, rows = manifest.class_table()
    assert columns == ("objects on images", "train", "validation", "test", "total")
    assert rows == (
        ("cat", "15 on 15", "5 on 5", "5 on 5", "25 on 25"),
        ("dog", "3 on 3", "1 on 1", "1 on 1", "5 on 5"),
        ("background", "6", "2", "2", "10"),
        ("images", "21", "7", "7", "35"),
    )


def test_a_class_on_one_image_is_refused(draw: Callable[..., Path], read: Read, tmp_path: Path) -> None:
    write_scenes(draw, tmp_path, [["cat"]] * 5 + [["dog", "dog"]])
    with pytest.raises(DataError) as caught:
        read("annotations.json")
    assert str(caught.value) == str(
        DataError(
            f"{tmp_path / 'data'}: the class 'dog' has one usable image.",
            expected="two or more different images of every class, for training and validation",
            fix="add images, or remove its boxes; unusable files do not count.",
        )
    )


def test_given_splits_may_lack_a_class_for_validation_but_not_for_training(
    draw: Callable[..., Path], read: Read, tmp_path: Path
) -> None:
    def write(splits: dict[str, Sequence[Sequence[str]]]) -> None:
        for split, scenes in splits.items():
            for number, names in enumerate(scenes):
                write_voc(draw(f"{split}/{number}.png"), [voc_object(name, (1, 2, 30, 40)) for name in names])

    write({"train": [["cat"], ["cat", "dog"]], "val": [["cat"], []]})
    manifest = read(".")
    assert manifest.notices[-1] == "The validation split has no images of class 'dog'."
    write({"train": [["cat"], ["cat"]], "val": [["cat"], ["dog"]]})
    with pytest.raises(DataError) as caught:
        read(".")
    assert str(caught.value) == str(
        DataError(
            f"{tmp_path / 'data'}: there are no usable train images of class 'dog', only for validation.",
            expected="train images of every class, so that it can be learned",
            fix="add train images of 'dog', or remove its boxes.",
        )
    )


def test_images_without_any_object_to_learn_are_refused(draw: Callable[..., Path], read: Read) -> None:
    for number in range(4):
        write_voc(draw(f"{number}.png"), [voc_object("cat", (1, 2, 30, 40), difficult=1)])
    with pytest.raises(DataError) as caught:
        read(".")
    assert str(caught.value) == str(
        DataError(
            f"{draw('0.png').parent}: no image has an object to learn.",
            expected="boxes with classes, on some of the images",
            fix="check that --boxes names the annotations of these images; crowds and difficult objects do not count.",
        )
    )


def test_an_image_with_too_many_boxes_is_skipped_by_name(draw: Callable[..., Path], read: Read, tmp_path: Path) -> None:
    rows = [f"{draw(f'{number}.png').name},1,2,30,40,cat" for number in range(5)]
    rows += [f"4.png,{number / 1000},2,{10 + number / 1000},40,cat" for number in range(1000)]
    (tmp_path / "data" / "boxes.csv").write_text("\n".join(["path,xmin,ymin,xmax,ymax,class", *rows]))
    manifest = read("boxes.csv")
    assert [(item.path.name, item.reason) for item in manifest.skipped] == [("4.png", "1,001 boxes, more than 1,000")]
    assert len(manifest.records) == 4
    with pytest.raises(DataError, match=r"4\.png: 1,001 boxes, more than 1,000\."):
        read("boxes.csv", strict=True)


def test_the_manifest_comes_back_and_its_hash_depends_on_every_box(
    draw: Callable[..., Path], read: Read, tmp_path: Path
) -> None:
    path = write_scenes(draw, tmp_path, [["cat", "dog"]] * 6 + [[]] * 2)
    manifest = read("annotations.json")
    write_manifest(manifest, tmp_path)
    again = read_manifest(tmp_path)
    assert again.records == manifest.records
    assert again.targets(again.records).shape == (8, 2, 6)
    assert again.compute_hash() == manifest.compute_hash()
    path.write_text(path.read_text().replace("[5, 2, 4, 20]", "[5, 2, 4, 21]", 1))
    assert read("annotations.json").compute_hash() != manifest.compute_hash()


def test_a_manifest_with_as_many_objects_as_can_be_comes_back(
    draw: Callable[..., Path], read: Read, tmp_path: Path
) -> None:
    name = "x" * 200
    rows = [f"{draw(f'{number}.png').name},1,2,30,40,{name}" for number in range(4)]
    rows += [f"3.png,{number / 1000},2,{10 + number / 1000},40,{name}" for number in range(999)]
    (tmp_path / "data" / "boxes.csv").write_text("\n".join(["path,xmin,ymin,xmax,ymax,class", *rows]))
    manifest = read("boxes.csv")
    write_manifest(manifest, tmp_path)
    assert read_manifest(tmp_path).records == manifest.records


def test_an_evaluation_set_may_be_background_alone_and_an_unknown_class_is_refused(
    draw: Callable[..., Path], tmp_path: Path
) -> None:
    def evaluate(scenes: Sequence[Sequence[str]]) -> Manifest:
        settings = DataSettings(task="detection", boxes=str(write_scenes(draw, tmp_path, scenes)))
        return read_evaluation_set(
            tmp_path / "data", settings, class_names=("cat", "cow"), index=FileIndex(tmp_path / "cache")
        )

    background = evaluate([[], []])
    assert [(record.split, record.answer) for record in background.records] == [("test", "[]")] * 2
    assert background.targets(background.records).tolist() == [[[0] * 6]] * 2
    with pytest.raises(DataError) as caught:
        evaluate([["cat", "dog"]])
    assert str(caught.value) == str(
        DataError(
            f"{tmp_path / 'data'}: the model has no class 'dog'.",
            expected="its classes: cat, cow",
            fix="choose one of these.",
        )
    )


def test_copies_with_other_objects_are_a_finding(draw: Callable[..., Path], read: Read, tmp_path: Path) -> None:
    path = write_scenes(draw, tmp_path, [["cat"], ["cat", "dog"], ["cat"], ["dog"], ["dog"]])
    images = tmp_path / "data" / "images"
    (images / "1.png").write_bytes((images / "0.png").read_bytes())
    (images / "4.png").write_bytes((images / "3.png").read_bytes())
    path.write_text(path.read_text().replace('"image_id": 4, "bbox": [0, 2', '"image_id": 4, "bbox": [9, 2'))
    content = json.loads(path.read_text())
    content["annotations"][-1]["bbox"] = [9, 2, 4, 20]
    path.write_text(json.dumps(content))
    draw("images/5.png")
    findings = {item.path.name: item.finding for item in read("annotations.json", validation_fraction=0.4).findings}
    assert findings["0.png"] == f"annotated in two ways: 1 × cat here, 1 × cat, 1 × dog as {images / '1.png'}"
    assert findings["3.png"] == f"annotated in two ways: 1 × dog here, 1 × dog in another place as {images / '4.png'}"


@pytest.mark.parametrize(
    ("options", "found", "fix"),
    [
        ({"boxes": None}, "task is detection, but no boxes are given.", "add --boxes ANNOTATIONS, or --boxes {data}"),
        (
            {"label_column": "class"},
            "label_column is 'class', but the task is detection.",
            "remove --label-column.",
        ),
        (
            {"data": "data/other.csv"},
            "task is detection, but {data}/other.csv is neither a folder nor the table of the boxes.",
            "use the folder of the images, or --boxes {data}/other.csv.",
        ),
    ],
)
def test_settings_that_do_not_apply_are_refused(
    draw: Callable[..., Path], read: Read, tmp_path: Path, options: dict[str, Any], found: str, fix: str
) -> None:
    write_scenes(draw, tmp_path, [["cat"]] * 4)
    data = tmp_path / "data"
    (data / "other.csv").write_text("path,class\nimages/0.png,cat\n")
    with pytest.raises(SettingError) as caught:
        read(**{"boxes": "annotations.json", **options})
    assert caught.value.found == found.format(data=data)
    assert caught.value.fix.startswith(fix.format(data=data))


def test_parts_hold_the_images_of_a_whole_run(draw: Callable[..., Path], read: Read, tmp_path: Path) -> None:
    boxes = write_scenes(draw, tmp_path, [["cat"]] * 6 + [[]] * 6)
    settings = DataSettings(task="detection", boxes=str(boxes))
    paths: list[Path] = []
    for number in (1, 2):
        part = read_part(
            tmp_path / "data",
            settings,
            Part(number, 2),
            views=ViewPlan(),
            index=FileIndex(tmp_path / "cache"),
            progress=lambda total: nullcontext(lambda count: None),
        )
        paths += [record.path for record in part.records]
    assert sorted(paths) == sorted(record.path for record in read("annotations.json").records)


def test_a_sample_keeps_every_class_and_background(draw: Callable[..., Path], read: Read, tmp_path: Path) -> None:
    write_scenes(draw, tmp_path, [["cat"]] * 40 + [["dog"]] * 4 + [[]] * 20)
    manifest = read("annotations.json", sample=0.1)
    assert manifest.class_table()[1] == (
        ("cat", "3 on 3", "1 on 1", "4 on 4"),
        ("dog", "1 on 1", "1 on 1", "2 on 2"),
        ("background", "1", "1", "2"),
        ("images", "5", "3", "8"),
    )
