"""Read images and metadata as the exported model expects them, ask it, and print what it answers.

Needs NumPy and Pillow only. `predict_*.py` in this folder use it; `read_image` and `read_metadata` can be used alone.
"""

import argparse
import csv
import functools
import json
import math
import re
import sys
import time
import unicodedata
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

FOLDER = Path(__file__).resolve().parent.parent
MODEL = json.loads((FOLDER / "model.json").read_text("utf-8"))
GREY = (128, 128, 128)
LARGE = 2**24  # pixels from which an image is reduced by a whole number first
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}


def read_image(path):
    """Return the model's input, uint8 (height, width, 3), RGB, 0..255, and the upright image's facts."""
    height, width = MODEL["image_size"]
    with Image.open(path) as picture:
        facts = describe_image(path, picture)
        # A JPEG is decoded at a half, a quarter or an eighth, as long as it stays twice as large as the input.
        picture.draft(picture.mode, (2 * width, 2 * height))
        picture.load()
        rgb = convert_to_rgb(ImageOps.exif_transpose(picture), picture)
    if rgb.width * rgb.height > LARGE:
        room = min(rgb.width // (2 * width), rgb.height // (2 * height))
        rgb = rgb.reduce(next((factor for factor in (8, 4, 2) if factor <= room), 1))
    return np.asarray(resize(rgb, width, height)), facts


def resize(picture, width, height):
    """Return an RGB picture at the input's size; Pillow's bilinear resize is antialiased, others may not be."""
    left, top, right, bottom = find_frame(picture.width, picture.height)
    x0, x1, first_x, last_x = find_part(left, right, picture.width, width)
    y0, y1, first_y, last_y = find_part(top, bottom, picture.height, height)
    size = (last_x - first_x, last_y - first_y)

    def across(part):
        return part.resize((size[0], part.height), Image.Resampling.BILINEAR, box=(x0, 0, x1, part.height))

    def down(part):
        return part.resize((part.width, size[1]), Image.Resampling.BILINEAR, box=(0, y0, part.width, y1))

    # Each pass rounds to 8 bits. Pillow 13 orders them like this by itself, earlier releases do not.
    rows_lost, columns_lost = picture.height - size[1], picture.width - size[0]
    shown = across(down(picture)) if rows_lost > max(0, 2 * columns_lost) else down(across(picture))
    if size == (width, height):
        return shown
    sheet = Image.new("RGB", (width, height), GREY)
    sheet.paste(shown, (first_x, first_y))
    return sheet


def find_frame(width, height):
    """Return the part of an image that the input shows, in its pixels: left, top, right, bottom."""
    rows, columns = MODEL["image_size"]
    fit = MODEL["reading"]["fit"]
    if fit == "squash":
        return 0.0, 0.0, float(width), float(height)
    scale = (max if fit == "crop" else min)(columns / width, rows / height)
    left, top = (width - columns / scale) / 2, (height - rows / scale) / 2
    return left, top, left + columns / scale, top + rows / scale


def find_part(start, stop, edge, size):
    """Return, along one axis, the part of the image that is shown, and the pixels of the input that show it."""
    scale = size / (stop - start)
    first, last = max(0, math.ceil(-start * scale - 1e-6)), min(size, math.floor((edge - start) * scale + 1e-6))
    if last <= first:  # thinner than a pixel of the input
        first = min(max(0, math.floor((edge / 2 - start) * scale)), size - 1)
        return max(0.0, start), min(float(edge), stop), first, first + 1
    begin = max(0.0, start + first / scale)
    return begin, min(float(edge), start + last / scale), first, last


def convert_to_rgb(picture, source):
    """Return an image as RGB: transparent parts over white, grey of more than 8 bits by the recorded levels."""
    kind = find_grey_kind(source)
    if kind:
        picture = scale_grey(picture, kind)
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        paper = Image.new("RGBA", layer.size, "white")
        paper.alpha_composite(layer)
        return paper.convert("RGB")
    return picture.convert("RGB")


def find_grey_kind(picture):
    """Return how grey of more than 8 bits is stored, or None."""
    if getattr(picture, "tag_v2", {}).get(258) == (12,):
        return "12-bit"
    if picture.mode.startswith("I;16") or (picture.format == "PPM" and picture.mode == "I"):
        return "16-bit"
    return {"I": "32-bit", "F": "float"}.get(picture.mode)


def scale_grey(picture, kind):
    """Return 8-bit grey."""
    levels = next((item for item in MODEL["reading"]["grey"] if item["kind"] == kind), None)
    if levels is None:
        raise ValueError(f"{kind} grey, of which the training images had none, so that black and white are not known")
    black, white = levels["black"], levels["white"]
    values = np.asarray(picture)
    if kind != "float" and black == 0 and white > 0:
        white = int(white)
        return Image.fromarray(((values.astype(np.int64).clip(0, white) * 510 + white) // (2 * white)).astype(np.uint8))
    values = np.where(np.isfinite(values), values, black).astype(np.float64)
    scaled = np.clip((values - black) / ((white - black) or 1), 0, 1) * 255
    return Image.fromarray(np.rint(scaled).astype(np.uint8))


def describe_image(path, picture):
    """Return the upright size of an image, and what else of it can be metadata, as texts."""
    exif = picture.getexif()
    width, height = picture.size[::-1] if exif.get(274, 1) in (5, 6, 7, 8) else picture.size
    words = [str(exif.get(tag) or "").strip("\0 ") for tag in (271, 272)]
    return {
        "image-width": str(width),
        "image-height": str(height),
        "image-aspect": f"{width / height:.4f}",
        "image-bytes": str(Path(path).stat().st_size),
        "image-shape": f"{width}x{height}",
        "image-format": picture.format,
        "image-mode": picture.mode,
        "image-camera": " ".join(" ".join(words).split())[:80],
    }


def read_metadata(texts):
    """Return the model's second input, float32 (width,), from a text for each column."""
    metadata = MODEL["metadata"]
    encoded = []
    for column in metadata["columns"]:
        if column["name"] not in texts:
            raise ValueError(f"the model needs {column['name']}, for which --table has no row")
        text = texts[column["name"]]
        is_missing = text.strip().lower() in metadata["missing"]
        encode = encode_number if column["kind"] == "number" else encode_category
        encoded += encode(text, column, is_missing, metadata["same_words"])
    return np.array(encoded, np.float32)


def encode_number(text, column, is_missing, same_words):
    """Return the standardised value, or 0, and 1 if it is missing."""
    value = math.nan
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,9})?", text.strip()):
        value = float(text)
    elif not is_missing:
        value = column["words"].get(fold(text, same_words), math.nan)
    if math.isnan(value) or abs(value) >= column["largest"] or value in column["no_data"]:
        return [0.0, 1.0]
    return [min(max((value - column["mean"]) / column["scale"], -column["clip"]), column["clip"]), 0.0]


def encode_category(text, column, is_missing, same_words):
    """Return a 1 at the place of the value."""
    place = column["places"].get(fold(text, same_words), column["unknown"])
    encoded = [0.0] * column["width"]
    encoded[column["missing_place"] if is_missing else place] = 1.0
    return encoded


def fold(text, same_words):
    """Return the normal form of a category: case, spaces and zeros at the end of decimals do not count."""
    folded = unicodedata.normalize("NFKC", " ".join(text.split())).casefold()
    if re.fullmatch(r"[+-]?(0|[1-9][0-9]{0,14})\.[0-9]*", folded):
        folded = folded.rstrip("0").rstrip(".")
    return same_words.get(folded, folded)


def describe_answer(outputs, facts):
    """Return what the outputs for one image mean, as a dictionary for JSON."""
    row, width, height = {}, int(facts["image-width"]), int(facts["image-height"])
    if "probabilities" in outputs:
        probabilities = [float(value) for value in outputs["probabilities"]]
        ranked = sorted(zip(MODEL["class_names"], probabilities), key=lambda pair: -pair[1])
        if MODEL["task"] == "multilabel":
            limits = zip(MODEL["class_names"], probabilities, MODEL["thresholds"])
            row["labels"] = [name for name, probability, threshold in limits if probability >= threshold]
        else:
            row["class"], row["probability"] = ranked[0]
        row["probabilities"] = probabilities
    if "value" in outputs:
        row["value"] = float(outputs["value"][0])
    if "box" in outputs:
        row["box_fractions"] = [float(value) for value in outputs["box"]]
        row["box"] = place_box(row["box_fractions"], width, height)
    if "scores" in outputs:
        from tlkit_objects import find_objects

        place = functools.partial(place_box, width=width, height=height)
        row["detections"] = find_objects(outputs["boxes"], outputs["scores"], MODEL["objects"], place)
        limits = MODEL["thresholds"] or [0.0] * len(MODEL["class_names"])
        row["objects"] = [
            {"class": MODEL["class_names"][int(label)], "score": score, "box": box}
            for *box, score, label in row["detections"]
            if np.float32(score) >= np.float32(limits[int(label)])
        ]
    if "cells" in outputs:
        from tlkit_masks import describe_mask

        row.update(describe_mask(outputs["cells"], (height, width), find_frame(width, height), MODEL))
    if "distance" in outputs:
        row["distance"] = float(outputs["distance"])
        row["is_unknown"] = row["distance"] > MODEL["unknown_above"]
    return row


def place_box(fractions, width, height):
    """Return a box in pixels of the upright image, clipped to it."""
    left, top, right, bottom = find_frame(width, height)
    x0, y0, x1, y1 = fractions
    place = (
        left + x0 * (right - left),
        top + y0 * (bottom - top),
        left + x1 * (right - left),
        top + y1 * (bottom - top),
    )
    return [min(max(value, 0.0), limit) for value, limit in zip(place, (width, height, width, height))]


def find_images(given, table):
    """Yield each image with its row of the table, if any: that of its path, seen from the table, or of its name."""
    rows = read_table(table) if table else {}
    if not given:
        yield from ((str(path), row) for path, row in rows.items())
    names = {path.name: row for path, row in rows.items()}
    for place in map(Path, given):
        is_folder = place.is_dir()
        for path in sorted(place.rglob("*")) if is_folder else [place]:
            if not is_folder or path.suffix.lower() in SUFFIXES:
                yield str(path), rows.get(path.absolute(), names.get(path.name, {}))


def read_table(table):
    """Return the rows of a table by the image's path."""
    folder = Path(table).absolute().parent
    with Path(table).open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        return {folder / row["image"]: row for row in csv.DictReader(file)}


def ask(run, path, row):
    """Return the model's outputs for an image, by name, its facts, and the seconds that the model took."""
    pixels, facts = read_image(path)
    inputs = {"image": pixels[np.newaxis]}
    if MODEL["metadata"]:
        inputs["metadata"] = read_metadata({**facts, **row})[np.newaxis]
    start = time.perf_counter()
    outputs = run(inputs)
    seconds = time.perf_counter() - start
    return {name: np.asarray(value)[0] for name, value in outputs.items()}, facts, seconds


def main(open_model, name):
    """Ask a model about the images of the command line, and print one line of JSON for each."""
    parser = argparse.ArgumentParser(description="Ask the model about images; print one line of JSON for each.")
    parser.add_argument("images", nargs="*", help="files, or folders of them")
    parser.add_argument("--table", help="CSV file with a column `image` and the metadata columns of the model")
    parser.add_argument("--model", help=f"folder of the model (default: {name}-float32, or another {name}-*)")
    parser.add_argument("--maps", type=int, default=0, help="also print the map of the first images, if there is one")
    parser.add_argument("--all", action="store_true", help="also print `detections` below the thresholds, and `mask`")
    if MODEL["mask"]:
        parser.add_argument("--masks", help="new folder for the masks, a PNG file for each image, of its size")
    options = parser.parse_args()
    found = sorted(FOLDER.glob(f"{name}-*"), key=lambda folder: folder.name != f"{name}-float32")
    folders = [Path(options.model)] if options.model else found
    if not folders:
        sys.exit(f"There is no folder {name}-* in {FOLDER}.")
    masks = None
    if getattr(options, "masks", None):
        from tlkit_masks import MaskFolder

        masks = MaskFolder(options.masks, MODEL)
    run = open_model(folders[0])
    for number, (path, row) in enumerate(find_images(options.images, options.table)):
        try:
            outputs, facts, seconds = ask(run, path, row)
        except (OSError, ValueError) as error:
            print(json.dumps({"image": path, "error": f"{type(error).__name__}: {error}"}), flush=True)
            continue
        answer = {"image": path, **describe_answer(outputs, facts), "seconds": seconds}
        if masks:
            width, height = int(facts["image-width"]), int(facts["image-height"])
            answer["mask_file"] = masks.write(path, outputs["cells"], (height, width), find_frame(width, height))
        if not options.all:
            answer = {name: value for name, value in answer.items() if name not in ("detections", "mask")}
        if number < options.maps:
            answer.update(
                {name: outputs[name].tolist() for name in ("map", "boxes", "scores", "cells") if name in outputs}
            )
        print(json.dumps(answer), flush=True)
