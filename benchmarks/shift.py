"""Compare the accuracy that `tlkit drift` expects with the true one, on test images that were changed in known ways.

    python -m benchmarks.shift runs/clothing

The run's test images (at most 400) are blurred, darkened, compressed, cropped, shrunk, turned and so on, one set each, and
drawn anew so that half of the classes are four times as frequent. Labels are used only to measure the true accuracy.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter

from tlkit.data.image_file import OpenImage
from tlkit.data.images import LOADER_VERSION, read_content, read_picture
from tlkit.data.manifest import ImageRecord, Manifest, read_manifest
from tlkit.data.views import PICTURE_ITSELF
from tlkit.inference.scoring import render_views
from tlkit.models.opening import open_classifier
from tlkit.models.predictor import Predictor
from tlkit.probes.shift import estimate_score, list_decisions

Change = Callable[[Image.Image], Image.Image]
MAX_TEST, MAX_VALIDATION = 400, 1000


def blur(part: int) -> Change:
    """Blur by the longer edge divided by `part`."""
    return lambda picture: picture.filter(ImageFilter.GaussianBlur(max(picture.size) / part))


def darken(factor: float) -> Change:
    """Multiply all values."""
    return lambda picture: ImageEnhance.Brightness(picture).enhance(factor)


def compress(quality: int) -> Change:
    """Save as JPEG and read again."""

    def change(picture: Image.Image) -> Image.Image:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=quality)
        return Image.open(file).convert("RGB")

    return change


def crop(part: float) -> Change:
    """Cut out a random part of both edges."""

    def change(picture: Image.Image) -> Image.Image:
        rng = np.random.default_rng(picture.width * picture.height)
        width, height = int(picture.width * part), int(picture.height * part)
        left, top = (int(rng.integers(room + 1)) for room in (picture.width - width, picture.height - height))
        return picture.crop((left, top, left + width, top + height))

    return change


def shrink(edge: int) -> Change:
    """Resize to this longer edge."""
    return lambda picture: picture.resize([max(1, side * edge // max(picture.size)) for side in picture.size])


def add_noise(picture: Image.Image) -> Image.Image:
    """Add Gaussian noise with a standard deviation of 30."""
    noise = np.random.default_rng(0).normal(0, 30, (picture.height, picture.width, 3))
    return Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8))


CHANGES: dict[str, Change] = {
    "unchanged": lambda picture: picture,
    "blurred": blur(150),
    "very blurred": blur(60),
    "dark": darken(0.4),
    "very dark": darken(0.15),
    "JPEG 10": compress(10),
    "JPEG 3": compress(3),
    "crop 60%": crop(0.6),
    "crop 35%": crop(0.35),
    "48 pixels": shrink(48),
    "24 pixels": shrink(24),
    "grey": lambda picture: picture.convert("L").convert("RGB"),
    "turned": lambda picture: picture.transpose(Image.Transpose.ROTATE_90),
    "upside down": lambda picture: picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
    "noise": add_noise,
}


def answer(predictor: Predictor, manifest: Manifest, records: list[ImageRecord], change: Change) -> NDArray[np.float32]:
    """Return the probabilities of changed images, float32 (n, classes)."""
    spec, rows = predictor.spec, []
    for record in records:
        picture = change(read_picture(read_content(record.path), target=spec.image_size, grey=spec.grey))
        (pixels,) = render_views(OpenImage(picture, spec.grey), spec, PICTURE_ITSELF)
        rows.append(predictor.predict(pixels[np.newaxis])[0, : len(manifest.class_names)])
    return np.stack(rows)


def draw_other_mix(labels: NDArray[Any]) -> NDArray[np.int64]:
    """Return places, drawn anew, in which even classes are four times as frequent as before beside odd ones."""
    chances = np.where(labels % 2 == 0, 4.0, 1.0)
    return np.random.default_rng(0).choice(len(labels), len(labels), p=chances / chances.sum())


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
def main(run: Path) -> None:
    """Print a table with a row for each change."""
    manifest, predictor = read_manifest(run), open_classifier(run, loader_version=LOADER_VERSION)
    rng = np.random.default_rng(0)
    splits = [
        [records[place] for place in rng.permutation(len(records))[:most]]
        for records, most in ((manifest.in_split("validation"), MAX_VALIDATION), (manifest.in_split("test"), MAX_TEST))
    ]
    known, labels = answer(predictor, manifest, splits[0], CHANGES["unchanged"]), manifest.targets(splits[1])
    is_right = (known.argmax(axis=1) == manifest.targets(splits[0]))[:, None]
    print("| change | true | expected | interval | holds it |\n|---|---|---|---|---|")
    errors, num_held = [], 0
    for name, change in [*CHANGES.items(), ("another mix of classes", CHANGES["unchanged"])]:
        new = answer(predictor, manifest, splits[1], change)
        drawn = draw_other_mix(labels) if name.startswith("another") else np.arange(len(labels))
        true = float((new.argmax(axis=1) == labels)[drawn].mean())
        expected = estimate_score(
            list_decisions(known, is_exclusive=True), is_right, list_decisions(new[drawn], is_exclusive=True)
        )
        holds = expected.low <= true <= expected.high
        errors.append(abs(expected.value - true))
        num_held += holds
        interval = f"{expected.low:.3f} to {expected.high:.3f}"
        print(f"| {name} | {true:.3f} | {expected.value:.3f} | {interval} | {'yes' if holds else 'no'} |", flush=True)
    print(
        f"\nOff by {100 * np.mean(errors):.1f} points on average; {num_held} of {len(errors)} intervals hold the truth."
    )


if __name__ == "__main__":
    main()
