"""Measure how many planted copies are found, and what the exact search for neighbours costs.

    python benchmarks/near_copies.py copies clothing/train houses/ --weights mobilenet_v2_1.0_224_no_top.weights.h5
    python benchmarks/near_copies.py search --rows 100000 --rows 1000000

`copies` takes photos of each folder, plants copies of 16 kinds, 40 of each, computes features by tlkit, and prints the
part of each kind that ends in the group of its original, and the pairs of other photos that were called copies: look at
them, since real data sets have copies of their own. `search` times a block of queries on made-up rows and states what all
of them would take. The figures are in near_copies.md.
"""

from __future__ import annotations

import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
import numpy as np
from PIL import Image, ImageEnhance

import tlkit
from tlkit.audit.copies import group_copies
from tlkit.audit.outliers import NUM_NEIGHBOURS
from tlkit.data.dataset import read_dataset
from tlkit.data.file_index import FileIndex
from tlkit.data.looks import read_looks
from tlkit.recipes import DataSettings
from tlkit.reports.console import Console
from tlkit.similarity.search import find_neighbours

TURN = Image.Transpose
Change = Callable[[Image.Image, np.random.Generator], Image.Image]


def cut(picture: Image.Image, rng: np.random.Generator, keep: float) -> Image.Image:
    """Return a part of a picture, the fraction `keep` of both edges, at a random place."""
    width, height = round(picture.width * keep), round(picture.height * keep)
    left, top = int(rng.integers(picture.width - width + 1)), int(rng.integers(picture.height - height + 1))
    return picture.crop((left, top, left + width, top + height))


KINDS: dict[str, Change] = {
    "JPEG 30": lambda picture, rng: picture,
    "half size": lambda picture, rng: picture.resize((picture.width // 2, picture.height // 2)),
    "mirrored": lambda picture, rng: picture.transpose(TURN.FLIP_LEFT_RIGHT),
    "flipped": lambda picture, rng: picture.transpose(TURN.FLIP_TOP_BOTTOM),
    "turned 90": lambda picture, rng: picture.transpose(TURN.ROTATE_90),
    "turned 180": lambda picture, rng: picture.transpose(TURN.ROTATE_180),
    "turned 270": lambda picture, rng: picture.transpose(TURN.ROTATE_270),
    "brighter": lambda picture, rng: ImageEnhance.Brightness(picture).enhance(1.4),
    "darker": lambda picture, rng: ImageEnhance.Brightness(picture).enhance(0.6),
    "cut by 5%": partial(cut, keep=0.95),
    "cut by 15%": partial(cut, keep=0.85),
    "cut by 30%": partial(cut, keep=0.7),
    "mirrored, cut by 15%": lambda picture, rng: cut(picture.transpose(TURN.FLIP_LEFT_RIGHT), rng, 0.85),
    "turned 90, cut by 15%": lambda picture, rng: cut(picture.transpose(TURN.ROTATE_90), rng, 0.85),
    "turned 180, cut by 15%": lambda picture, rng: cut(picture.transpose(TURN.ROTATE_180), rng, 0.85),
    "rotated 5": lambda picture, rng: picture.rotate(5, Image.Resampling.BILINEAR),
}


@click.group()
def main() -> None:
    """Choose what to measure."""


@main.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--weights")
@click.option("--backbone", default="mobilenet_v2", show_default=True)
@click.option("--photos", default=600, show_default=True, help="Photos taken of each folder.")
@click.option("--each", default=40, show_default=True, help="Copies planted of each kind.")
def copies(folders: tuple[Path, ...], weights: str | None, backbone: str, photos: int, each: int) -> None:
    """Plant copies among photos of FOLDERS, and look for them."""
    for folder in folders:
        with tempfile.TemporaryDirectory() as root:
            plant(folder, Path(root) / "planted", photos, each)
            measure(folder.name, Path(root) / "planted", backbone, weights)


def plant(source: Path, out: Path, num_photos: int, num_copies: int) -> None:
    """Copy photos into `out`/photos, and copies of some into `out`/copies, named KIND_NUMBER.jpg."""
    rng = np.random.default_rng(0)
    suffixes = {".jpg", ".jpeg", ".png", ".webp"}
    files = sorted(path for path in source.rglob("*") if path.suffix.lower() in suffixes)
    if len(files) > num_photos:
        files = [files[number] for number in sorted(rng.choice(len(files), num_photos, replace=False))]
    for name in ("photos", "copies"):
        (out / name).mkdir(parents=True)
    for number, path in enumerate(files):
        shutil.copy(path, out / "photos" / f"photo_{number}{path.suffix.lower()}")
    for kind, change in KINDS.items():
        for number in rng.choice(len(files), min(num_copies, len(files)), replace=False):
            with Image.open(files[number]) as picture:
                changed = change(picture.convert("RGB"), rng)
            changed.save(out / "copies" / f"{kind}_{number}.jpg", quality=30 if kind == "JPEG 30" else 92)


def measure(name: str, data: Path, backbone: str, weights: str | None) -> None:
    """Print what part of each kind is found, and how many pairs of other photos are in one group."""
    console = Console(verbosity=-1)
    features, paths = tlkit.compute_features(data, backbone=backbone, weights=weights, console=console)
    manifest = read_dataset(data, DataSettings(), seed=0, index=FileIndex(data.parent / "index"))
    record_of = {record.path: record for record in manifest.records}
    records = [record_of[path] for path in paths]
    started = time.process_time()
    looks = read_looks(records, progress=partial(console.progress, "Looking at pictures"))
    looked = time.process_time()
    nearest = find_neighbours(features, features, NUM_NEIGHBOURS, exclude_self=True)
    groups = group_copies(records, nearest, looks).groups
    compared = time.process_time()
    kinds, numbers = zip(*(path.stem.rsplit("_", 1) for path in paths), strict=True)
    group_of = {
        number: groups[place]
        for place, (kind, number) in enumerate(zip(kinds, numbers, strict=True))
        if kind == "photo"
    }
    print(
        f"{name}: {len(records)} pictures, looks {looked - started:.1f} s, copies {compared - looked:.1f} s of processor time"
    )
    for kind in KINDS:
        places = [place for place, found in enumerate(kinds) if found == kind]
        found = [groups[place] >= 0 and groups[place] == group_of[numbers[place]] for place in places]
        print(f"  {kind:22s} {np.mean(found):.2f}")
    others: dict[int, set[str]] = {}
    for place in np.flatnonzero(groups >= 0):
        others.setdefault(int(groups[place]), set()).add(numbers[place])
    mixed = [sorted(group) for group in others.values() if len(group) > 1]
    print(f"  groups {len(others)}, of several photos {len(mixed)}: {mixed[:20]}")


@main.command()
@click.option("--rows", multiple=True, default=(100_000,), show_default=True, type=int)
@click.option("--channels", default=1280, show_default=True)
@click.option("--neighbours", default=6, show_default=True)
@click.option("--queries", default=2048, show_default=True, help="Queries that are timed.")
def search(rows: tuple[int, ...], channels: int, neighbours: int, queries: int) -> None:
    """Time the search for neighbours of made-up float16 rows."""
    rng = np.random.default_rng(0)
    for num_rows in rows:
        base = np.empty((num_rows, channels), np.float16)
        for start in range(0, num_rows, 4096):
            part = base[start : start + 4096]
            part[:] = np.maximum(rng.standard_normal(part.shape, np.float32), 0)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started, clock = time.process_time(), time.perf_counter()
        find_neighbours(base[:queries], base, neighbours)
        processor, seconds = time.process_time() - started, time.perf_counter() - clock
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        print(
            f"{num_rows:,} rows of {channels} ({base.nbytes / 1e9:.2f} GB): {queries} queries {processor:.1f} s of processor "
            f"time ({seconds:.1f} s), {memory / 1e3:.0f} MB more; all rows {processor * num_rows / queries / 60:,.0f} minutes"
        )


if __name__ == "__main__":
    main()
