"""Compare the accuracy that `tlkit drift` expects with the true one, on images with a known shift.

    python -m benchmarks.shift runs/clothing
    python -m benchmarks.shift runs/clothing --domain other-cameras/ --domain dark-backgrounds/

The run's test images (at most 400) are blurred, darkened, compressed, cropped, shrunk, turned and so on, one set each, and
drawn anew so that half of the classes are four times as frequent. With --domain they are replaced by images of a domain
that was held out whole, in class folders. Labels are used only to measure the true accuracy.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter

from tlkit.data.image_file import OpenImage
from tlkit.data.images import LOADER_VERSION, check_image, read_content, read_picture
from tlkit.data.manifest import ImageRecord, Manifest, read_manifest
from tlkit.data.views import PICTURE_ITSELF
from tlkit.inference.scoring import render_views, score_records
from tlkit.models.opening import open_classifier
from tlkit.models.predictor import Predictor
from tlkit.probes.drift import judge_answers, pair_rehearsals
from tlkit.probes.expected_score import estimate_score, learn_from, list_decisions
from tlkit.probes.rehearsal import MAX_REHEARSED, rehearse
from tlkit.probes.shift import compare_features
from tlkit.runs.new_images import draw_sample

Change = Callable[[Image.Image], Image.Image]
MAX_NEW, MAX_VALIDATION = 400, 1000


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


@dataclass(frozen=True, eq=False)
class ShiftedImages:
    """New images: their name, the images with their labels, and how the pictures are changed."""

    name: str
    records: Sequence[ImageRecord]
    labels: NDArray[Any]
    change: Change


def list_changed(manifest: Manifest) -> Iterator[ShiftedImages]:
    """Yield the test images changed in each way, and in another mix of classes."""
    test = draw_sample(manifest.in_split("test") or manifest.in_split("validation"), MAX_NEW, 0)
    labels = manifest.targets(test)
    for name, change in CHANGES.items():
        yield ShiftedImages(name, test, labels, change)
    chances = np.where(labels % 2 == 0, 4.0, 1.0)
    drawn = np.random.default_rng(0).choice(len(labels), len(labels), p=chances / chances.sum())
    records = [test[place] for place in drawn]
    yield ShiftedImages("another mix of classes", records, labels[drawn], CHANGES["unchanged"])


def list_domains(manifest: Manifest, folders: Sequence[Path]) -> Iterator[ShiftedImages]:
    """Yield the images in the class folders of each domain."""
    for folder in folders:
        records = []
        for name in manifest.class_names:
            for path in sorted((folder / name).iterdir()):
                content = read_content(path)
                facts = check_image(content)
                sha256 = hashlib.sha256(content).hexdigest()
                records.append(ImageRecord(path.absolute(), sha256, facts.width, facts.height, "test", name))
        chosen = draw_sample(records, MAX_NEW, 0)
        yield ShiftedImages(folder.name, chosen, manifest.targets(chosen), CHANGES["unchanged"])


def answer(predictor: Predictor, shifted: ShiftedImages) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the probabilities of changed images, float32 (n, classes), and their features, (n, channels)."""
    spec, rows = predictor.spec, []
    for record in shifted.records:
        picture = shifted.change(read_picture(read_content(record.path), target=spec.image_size, grey=spec.grey))
        (pixels,) = render_views(OpenImage(picture, spec.grey), spec, PICTURE_ITSELF)
        rows.append(predictor.predict_with_features(pixels[np.newaxis])[0])
    table = np.stack(rows)
    return table[:, : len(spec.class_names)], table[:, spec.row_width :]


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--domain", "domains", multiple=True, type=click.Path(path_type=Path), help="Class folders of new images."
)
def main(run: Path, domains: tuple[Path, ...]) -> None:
    """Print a table with a row for each set of new images."""
    manifest, predictor = read_manifest(run), open_classifier(run, loader_version=LOADER_VERSION)
    spec = predictor.spec
    held_out = manifest.in_split("validation")
    known = score_records(predictor, draw_sample(held_out, MAX_VALIDATION, 0), with_features=True)
    assert known.features is not None
    rehearsed = rehearse(predictor, draw_sample(known.records, MAX_REHEARSED, 0))
    rehearsals = pair_rehearsals(spec, known, rehearsed)
    print(f"Rehearsed: {learn_from(rehearsals)}\n")
    print("| images | true | expected | interval | holds it |\n|---|---|---|---|---|")
    errors, num_held = [], 0
    for shifted in list_domains(manifest, domains) if domains else list_changed(manifest):
        probabilities, features = answer(predictor, shifted)
        true = float((probabilities.argmax(axis=1) == shifted.labels).mean())
        expected = estimate_score(
            judge_answers(spec, known),
            list_decisions(probabilities, is_exclusive=True),
            rehearsals=rehearsals,
            separability=compare_features(known.features, features).separability,
        )
        holds = expected.low <= true <= expected.high
        errors.append(abs(expected.value - true))
        num_held += holds
        interval = f"{expected.low:.3f} to {expected.high:.3f}"
        print(
            f"| {shifted.name} | {true:.3f} | {expected.value:.3f} | {interval} | {'yes' if holds else 'no'} |",
            flush=True,
        )
    print(
        f"\nOff by {100 * np.mean(errors):.1f} points on average; {num_held} of {len(errors)} intervals hold the truth."
    )


if __name__ == "__main__":
    main()
