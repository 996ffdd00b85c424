"""The map of a data set's images: features laid out in the plane, with small pictures, as a section of a page."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tlkit.data.images import UnusableImage, read_content, read_picture
from tlkit.data.manifest import Manifest
from tlkit.metadata.numbers import parse_number
from tlkit.outputs import GreyRange
from tlkit.places.copies import show_path
from tlkit.reports.console import Console
from tlkit.reports.map import MAX_POINTS, TILE_PX, Coloring, ImageMap, render_map
from tlkit.reports.page import Section
from tlkit.similarity.projection import NUM_STEPS, project_features
from tlkit.similarity.search import find_neighbours
from tlkit.tasks import find_task

MAX_PICTURES = 2_000
_MAX_NEIGHBOUR_CELLS = 120_000
_MAX_NEIGHBOURS = 8
_NUM_RANGES = 7


def make_map(
    features: NDArray[np.floating[Any]],
    manifest: Manifest,
    *,
    console: Console,
    colorings: Sequence[Coloring] = (),
    first: Sequence[int] = (),
    nearest: NDArray[np.int64] | None = None,
    max_bytes: int = 2_000_000,
) -> Section | None:
    """Return a page's section with one point for each image; None without images.

    Up to 20,000 images are laid out by t-SNE, which takes seconds to a minute, and up to 50,000 are shown; of more,
    a sample. Some 2,000 have their pictures on the page.

    Args:
        features: Float (n, channels): pooled features of the manifest's records, in their order.
        manifest: The images.
        console: Shows the progress.
        colorings: What points can be coloured by beside class and split, such as predictions and findings: n values each.
        first: Places of images that must not be missing in a sample, such as those with findings; important ones first.
        nearest: The nearest images of each, int64 (n, 8 or more), if they are known.
        max_bytes: What the pictures may take in the page.
    """
    records, root = manifest.records, manifest.root
    shown = _choose(len(records), first, MAX_POINTS)
    is_shown = set(shown.tolist())
    pictured = _choose(len(records), [place for place in first if place in is_shown], MAX_PICTURES, of=shown)
    with console.progress("Map", NUM_STEPS, "steps", closes=False) as advance:
        points = project_features(features[shown], advance=advance)
    k = min(_MAX_NEIGHBOURS, max(2, _MAX_NEIGHBOUR_CELLS // max(1, len(shown))))
    if nearest is not None and len(shown) == len(records):
        neighbours = nearest[:, :k]
    else:
        neighbours, _ = find_neighbours(features[shown], features[shown], k, exclude_self=True)
    known = [_color_by_answer([record.answer for record in records], manifest.task)]
    if len({record.split for record in records}) > 1:
        known.append(Coloring("split", [record.split for record in records]))
    image_map = ImageMap(
        points,
        [_name(records[place].path, root) for place in shown],
        [Coloring(each.title, [each.values[place] for place in shown], each.order) for each in (*known, *colorings)],
        neighbours,
        {
            int(np.searchsorted(shown, place)): picture
            for place, picture in zip(
                pictured, _read_tiles([records[place].path for place in pictured], manifest.grey), strict=True
            )
            if picture is not None
        },
    )
    note = f"A sample of {len(shown):,} of the {len(records):,} images." if len(shown) < len(records) else ""
    return render_map(image_map, note=note, max_bytes=max_bytes)


def _choose(number: int, first: Sequence[int], most: int, of: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    """Return at most so many places in ascending order: those named first, and others drawn by chance."""
    pool = np.arange(number) if of is None else of
    if len(pool) <= most:
        return pool
    chosen = list(dict.fromkeys(first))[:most]
    others = np.setdiff1d(pool, chosen)
    drawn = np.random.default_rng(0).permutation(others)[: most - len(chosen)]
    return np.sort(np.concatenate([np.array(chosen, np.int64), drawn]))


def _name(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else show_path(path)


def _color_by_answer(answers: Sequence[str], task: str) -> Coloring:
    """Return classes or labels as they are, and values as ranges that hold about equally many images."""
    kind = find_task(task)
    title = kind.nouns[0]
    if kind.has_names:
        return Coloring(title, [", ".join(kind.names_of(answer)) or "none" for answer in answers])
    values = np.array([parse_number(answer) for answer in answers], np.float64)
    edges = np.unique(np.quantile(values, np.linspace(0, 1, _NUM_RANGES + 1)))
    if len(edges) < 3:
        return Coloring(title, [f"{value:g}" for value in values], tuple(f"{edge:g}" for edge in edges))
    names = [f"{low:g} to {high:g}" for low, high in itertools.pairwise(edges)]
    ranges = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(names) - 1)
    return Coloring(title, [names[number] for number in ranges], tuple(names))


def _read_tiles(paths: Sequence[Path], grey: Sequence[GreyRange]) -> list[NDArray[np.uint8] | None]:
    """Return the middle square of each picture, uint8 (TILE_PX, TILE_PX, 3); None where the file gives none."""

    def read(path: Path) -> NDArray[np.uint8] | None:
        try:
            picture = read_picture(read_content(path), target=(TILE_PX, TILE_PX), grey=grey)
        except UnusableImage:
            return None
        edge = min(picture.size)
        left, top = (picture.width - edge) // 2, (picture.height - edge) // 2
        box = (left, top, left + edge, top + edge)
        return np.asarray(picture.resize((TILE_PX, TILE_PX), Image.Resampling.BILINEAR, box=box))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(read, paths))
