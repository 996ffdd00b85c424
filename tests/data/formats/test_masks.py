"""Masks of every kind are found for their images, read alike, and named where they are not used."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tlkit.data.file_index import FileFacts
from tlkit.data.formats.mask_parts import MaskPart, MaskReference
from tlkit.data.formats.masks import FoundMask, read_masks
from tlkit.data.images import UnusableImage
from tlkit.data.masks import fit_mask, load_mask
from tlkit.errors import DataError

MASK = np.zeros((20, 30), np.uint8)
MASK[3:9, 4:12], MASK[12:18, 15:28] = 1, 2
NAMES = ("class_1", "class_2")
COLOURS = np.array([(0, 0, 0), (128, 0, 0), (0, 128, 0)], np.uint8)


def save(path: Path, pixels: np.ndarray, **settings: Any) -> Path:
    """Write pixels as an image file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **settings)
    return path


def make_images(folder: Path, *names: str) -> list[Path]:
    """Write grey pictures of the mask's size."""
    return [save(folder / name, np.full((20, 30, 3), 90, np.uint8)) for name in names]


def read_one(path: Path, image: Path, names: tuple[str, ...] = NAMES) -> np.ndarray:
    """Return the mask of an image."""
    found = read_masks(path, images=[image], image_folder=image.parent)
    assert found.complaints == []
    reference = MaskReference(found.by_image[image].parts)
    assert set(reference.names) <= set(names)
    return load_mask(reference, names)


def count_runs(values: np.ndarray) -> list[int]:
    """Return how many values are equal in a row, first those that are False."""
    edges = (np.flatnonzero(values[1:] != values[:-1]) + 1).tolist()
    places = [0, *([0] if values[0] else []), *edges, len(values)]
    return [stop - start for start, stop in itertools.pairwise(places)]


def make_coco(path: Path, segmentations: list[tuple[int, object]], file_name: str = "a.jpg") -> Path:
    content = {
        "images": [{"id": 5, "file_name": file_name, "height": 20, "width": 30}],
        "categories": [{"id": 3, "name": "class_1"}, {"id": 8, "name": "class_2"}],
        "annotations": [
            {"id": n, "image_id": 5, "category_id": category, "segmentation": each}
            for n, (category, each) in enumerate(segmentations)
        ],
    }
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    "kind", ["numbers", "colours", "levels", "files of classes", "COCO", "COCO run lengths", "LabelMe", "VOC"]
)
def test_the_same_mask_is_read_from_every_format(tmp_path: Path, kind: str) -> None:
    (image,) = make_images(tmp_path / "photos", "a.jpg")
    masks = tmp_path / "masks"
    masks.mkdir()
    squares = [[4, 3, 12, 3, 12, 9, 4, 9]], [[15, 12, 28, 12, 28, 18, 15, 18]]
    if kind == "numbers":
        save(masks / "a.png", MASK)
    elif kind == "colours":
        save(masks / "a.png", COLOURS[MASK])
    elif kind == "levels":
        save(masks / "a_mask.png", MASK * 127)
    elif kind == "files of classes":
        for number in (1, 2):
            save(masks / f"a_class_{number}.png", np.where(number == MASK, 255, 0).astype(np.uint8))
    elif kind == "COCO":
        make_coco(masks / "all.json", [(3, squares[0]), (8, squares[1])])
    elif kind == "COCO run lengths":
        runs = [count_runs(np.equal(MASK.T, number).ravel()) for number in (1, 2)]
        make_coco(
            masks / "all.json",
            [(c, {"size": [20, 30], "counts": each}) for c, each in zip((3, 8), runs, strict=True)],
        )
    elif kind == "LabelMe":
        shapes = [
            {"label": name, "points": np.reshape(square, (-1, 2)).tolist(), "shape_type": "polygon"}
            for name, square in zip(NAMES, squares, strict=True)
        ]
        content = {"shapes": shapes, "imagePath": "a.jpg", "imageHeight": 20, "imageWidth": 30}
        (masks / "a.json").write_text(json.dumps(content))
    else:
        edged = MASK.copy()
        edged[0] = 255
        save(masks / "a.png", edged)
        mask = read_one(masks, image)
        assert (mask[0] == 255).all()
        assert (mask[1:] == MASK[1:]).all()
        return
    assert (read_one(masks, image) == MASK).all()


def test_one_json_file_is_enough_and_smaller_shapes_cover_larger_ones(tmp_path: Path) -> None:
    (image,) = make_images(tmp_path, "a.jpg")
    inner, outer = [[6, 5, 9, 5, 9, 8, 6, 8]], [[4, 3, 12, 3, 12, 9, 4, 9]]
    mask = read_one(make_coco(tmp_path / "all.json", [(8, inner), (3, outer)]), image)
    assert ((mask == 2).sum(), (mask == 1).sum()) == (9, 48 - 9)


def test_a_table_names_the_classes_and_their_order_is_that_of_the_names(tmp_path: Path) -> None:
    (image,) = make_images(tmp_path / "photos", "a.jpg")
    save(tmp_path / "masks" / "a.png", MASK)
    (tmp_path / "masks" / "classes.txt").write_text("weed\nfish\n")
    found = read_masks(tmp_path / "masks", images=[image], image_folder=image.parent)
    assert found.sentences() == (f"Classes of masks are named by {tmp_path / 'masks' / 'classes.txt'}.",)
    reference = MaskReference(found.by_image[image].parts)
    assert reference.names == ("fish", "weed")
    assert (load_mask(reference, ("fish", "weed")) == np.array([0, 2, 1])[MASK]).all()
    assert (load_mask(reference, ("fish",)) == np.array([0, 255, 1])[MASK]).all()


def test_masks_lie_beside_their_images_or_in_mirrored_folders(tmp_path: Path) -> None:
    beside = make_images(tmp_path / "one", "a.jpg", "b.jpg")
    masks = [save(tmp_path / "one" / f"{name}_mask.png", MASK) for name in "ab"]
    found = read_masks(tmp_path / "one", images=[*beside, *masks], image_folder=tmp_path / "one")
    assert sorted(found.by_image) == beside
    photos = make_images(tmp_path / "two", "x/1.jpg", "y/1.jpg")
    save(tmp_path / "other" / "x" / "1.png", MASK)
    save(tmp_path / "other" / "y" / "1.png", MASK * 2)
    found = read_masks(tmp_path / "other", images=photos, image_folder=tmp_path / "two")
    assert [Path(found.by_image[image].parts[0].path).parent.name for image in photos] == ["x", "y"]


def test_files_that_are_not_used_are_named(tmp_path: Path) -> None:
    images = make_images(tmp_path / "photos", "a.jpg", "b.jpg", "c.jpg", "x/1.jpg", "y/1.jpg")
    masks = tmp_path / "masks"
    save(masks / "a.png", MASK)
    save(masks / "b.jpg", MASK)
    save(masks / "c.png", np.random.default_rng(0).integers(0, 256, (90, 90, 3)).astype(np.uint8))
    save(masks / "1.png", MASK)
    save(masks / "zebra.png", MASK)
    (masks / "all.json").write_text("{}")
    found = read_masks(masks, images=images, image_folder=tmp_path / "photos")
    assert list(found.by_image) == images[:1]
    number = len(np.unique(np.asarray(Image.open(masks / "c.png")).reshape(-1, 3), axis=0))
    assert found.sentences() == (
        f"{masks} has 1 JSON file; only masks that are images are read.",
        "Masks have the values 0, 1, 2: 0 is background; 1 is class_1, 2 is class_2.",
        f"1 × mask that has the name of several images; skipped, e.g. {masks / '1.png'}.",
        f"1 × mask without an image of its name; skipped, e.g. {masks / 'zebra.png'}.",
        "1 × mask that is not read: a JPEG, whose compression mixes the classes at their edges, "
        f"e.g. {masks / 'b.jpg'}.",
        f"1 × mask that is not read: {number:,} colours, as smooth edges or compression make them; a mask has one value "
        f"for each class, e.g. {masks / 'c.png'}.",
    )


def test_masks_of_an_image_that_differ_in_size_leave_it_out(tmp_path: Path) -> None:
    images = make_images(tmp_path / "photos", "a.jpg", "b.jpg")
    masks = tmp_path / "masks"
    for number, mask in ((1, MASK), (2, MASK[:10])):
        save(masks / f"a_class_{number}.png", np.where(mask == number, 255, 0).astype(np.uint8))
        save(masks / f"b_class_{number}.png", np.where(number == MASK, 255, 0).astype(np.uint8))
    found = read_masks(masks, images=images, image_folder=tmp_path / "photos")
    assert list(found.by_image) == images[1:]
    assert (
        found.sentences()[-1] == f"1 × masks of one image that differ in size; the image is skipped, e.g. {images[0]}."
    )


@pytest.mark.parametrize(
    ("name", "found"),
    [("nowhere", "no such file or folder"), ("a.txt", "not a folder and not a .json file"), ("empty", None)],
)
def test_a_path_without_masks_is_an_error(tmp_path: Path, name: str, found: str | None) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.txt").touch()
    with pytest.raises(DataError) as refused:
        read_masks(tmp_path / name, images=[], image_folder=tmp_path)
    assert str(refused.value) == (
        f"{tmp_path / name}: {found or 'the folder has no masks'}.\n"
        "  Expected: a folder of PNG files with a number or a colour for each class, or of LabelMe's JSON files, or a "
        ".json file (COCO)\n"
        "  Fix: use the folder or the file with the masks."
    )


def test_masks_of_other_images_are_an_error(tmp_path: Path) -> None:
    images = make_images(tmp_path / "photos", "a.jpg")
    save(tmp_path / "masks" / "b.png", MASK)
    with pytest.raises(DataError) as refused:
        read_masks(tmp_path / "masks", images=images, image_folder=tmp_path / "photos")
    assert str(refused.value) == (
        f"{tmp_path / 'masks'}: it has no masks of images in {tmp_path / 'photos'} (1 × mask without an image of its name; "
        f"skipped; e.g. {tmp_path / 'masks' / 'b.png'}).\n"
        "  Expected: a mask of the same name for each image\n"
        "  Fix: check that masks and images belong together, and have the same names."
    )


def test_a_json_file_that_is_no_annotation_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "all.json").write_text('{"images": []}')
    with pytest.raises(DataError) as refused:
        read_masks(tmp_path / "all.json", images=[], image_folder=tmp_path)
    assert str(refused.value) == (
        f"{tmp_path / 'all.json'}: the masks cannot be read (no lists of images, annotations and categories, and no list of "
        "shapes).\n"
        '  Expected: a COCO file with the lists "images", "annotations" and "categories", or a LabelMe file with "shapes"\n'
        "  Fix: export the masks again, as COCO or as PNG files."
    )


def make_facts(height: int, width: int, orientation: int = 1) -> FileFacts:
    return FileFacts(Path("a.jpg"), "ab", width, height, orientation, None)


def test_a_mask_must_have_the_proportions_of_its_image() -> None:
    mask = FoundMask((), (20, 30))
    assert fit_mask(mask, make_facts(20, 30)) == MaskReference(())
    assert fit_mask(mask, make_facts(401, 600)) == MaskReference(())
    assert fit_mask(mask, make_facts(30, 20, 6)) == MaskReference((), 6)
    assert fit_mask(mask, make_facts(20, 30, 6)) == MaskReference(())
    assert fit_mask(mask, make_facts(400, 500)) == (
        "its mask has 30 x 20 pixels, other proportions than the image's 500 x 400"
    )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_mask_is_turned_like_its_image(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = save(tmp_path / "turned.png", MASK, exif=exif)
    expected = load_mask(MaskReference(_list_parts(content)), NAMES)
    plain = save(tmp_path / "plain.png", MASK)
    assert (load_mask(MaskReference(_list_parts(plain), orientation), NAMES) == expected).all()


def _list_parts(path: Path) -> tuple[MaskPart, ...]:
    image = save(path.parent / "photos" / f"{path.stem}.jpg", MASK)
    return read_masks(path.parent, images=[image], image_folder=image.parent).by_image[image].parts


def test_a_mask_that_has_changed_or_gone_is_refused(tmp_path: Path) -> None:
    (image,) = make_images(tmp_path / "photos", "a.jpg")
    path = save(tmp_path / "masks" / "a.png", MASK)
    found = read_masks(tmp_path / "masks", images=[image], image_folder=image.parent)
    reference = MaskReference(found.by_image[image].parts)
    save(path, MASK[:, ::-1])
    with pytest.raises(UnusableImage) as refused:
        load_mask(reference, NAMES)
    assert str(refused.value) == f"its mask {path}: changed since it was checked"
    path.unlink()
    with pytest.raises(UnusableImage) as refused:
        load_mask(reference, NAMES)
    assert str(refused.value) == f"its mask {path}: no such file"
