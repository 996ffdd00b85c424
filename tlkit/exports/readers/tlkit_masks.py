"""Make masks of what a model says at the cells of its grid. Needs NumPy and Pillow only."""

import base64
import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image

VALUES_AT_ONCE = 2**22


class MaskFolder:
    """A folder for masks, one PNG file for each image; an image whose name is taken gets a number."""

    def __init__(self, folder, model):
        self.folder, self.model = Path(folder), model
        if self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
            sys.exit(f"{self.folder} is not empty; --masks takes a new folder.")
        self.folder.mkdir(parents=True, exist_ok=True)
        names = "".join(f"{name}\n" for name in ("background", *model["class_names"]))
        (self.folder / "classes.txt").write_text(names, "utf-8")

    def write(self, image, cells, picture_size, frame):
        """Write the mask of an upright image of this (height, width), and return the path of the file."""
        stem, number = Path(image).stem, 1
        path = self.folder / f"{stem}.png"
        while path.exists():
            number += 1
            path = self.folder / f"{stem}-{number}.png"
        mask = draw_mask(cells, picture_size, frame, picture_size, self.model["mask"]["not_seen"])
        make_picture(mask, self.model["mask"]["colours"]).save(path)
        return str(path)


def describe_mask(cells, picture_size, frame, model):
    """Return the share of each class that is there, and the mask at some places of the image, a PNG file in base64."""
    rule = model["mask"]
    mask = draw_mask(cells, picture_size, frame, (rule["places"], rule["places"]), rule["not_seen"])
    file = io.BytesIO()
    make_picture(mask, rule["colours"]).save(file, format="PNG")
    return {
        "areas": measure_areas(mask, model["class_names"], rule["not_seen"]),
        "mask": base64.b64encode(file.getvalue()).decode("ascii"),
    }


def draw_mask(cells, picture_size, frame, mask_size, not_seen):
    """Return the class at places spread evenly over an upright image, uint8 (rows, columns) of `mask_size`.

    `cells` is float (rows, columns, classes), `frame` the part of the image that they cover, in its pixels: left, top,
    right, bottom. The answer is 0 for background, 1 for the first class, or `not_seen`.
    """
    left, top, right, bottom = frame
    height, width = picture_size
    rows, columns = cells.shape[:2]
    x = ((np.arange(mask_size[1]) + 0.5) * (width / mask_size[1]) - left) / (right - left)
    y = ((np.arange(mask_size[0]) + 0.5) * (height / mask_size[0]) - top) / (bottom - top)
    cells = np.asarray(cells, np.float32)
    before, after, share = find_neighbours(x * columns, columns)
    across = cells[:, before] * (1 - share[:, None]) + cells[:, after] * share[:, None]
    above, below, part = find_neighbours(y * rows, rows)
    mask = np.full(mask_size, not_seen, np.uint8)
    step = max(1, VALUES_AT_ONCE // (mask_size[1] * cells.shape[2]))
    for start in range(0, mask_size[0], step):
        some = slice(start, start + step)
        weight = part[some, None, None]
        mask[some] = (across[above[some]] * (1 - weight) + across[below[some]] * weight).argmax(axis=-1)
    mask[(y < 0) | (y >= 1)] = not_seen
    mask[:, (x < 0) | (x >= 1)] = not_seen
    return mask


def find_neighbours(at, number):
    """Return the cells whose centres lie before and after each place, and how near the second one is, 0..1."""
    place = np.clip(at - 0.5, 0, number - 1)
    before = np.floor(place).astype(np.int64)
    return before, np.minimum(before + 1, number - 1), (place - before).astype(np.float32)


def measure_areas(mask, class_names, not_seen):
    """Return the share of what the model saw that each class takes, the classes that are there alone."""
    counts = np.bincount(mask[mask != not_seen].ravel(), minlength=len(class_names) + 1)
    shares = counts / max(int(counts.sum()), 1)
    return [{"class": name, "share": float(share)} for name, share in zip(class_names, shares[1:]) if share]


def make_picture(mask, colours):
    """Return a picture whose values are those of the mask; its palette has a colour for each class, and white."""
    height, width = mask.shape
    picture = Image.frombytes("P", (width, height), mask.tobytes())
    picture.putpalette([level for colour in colours for level in colour] + [255] * 3 * (256 - len(colours)))
    return picture
