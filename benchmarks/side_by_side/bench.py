"""What every row is handed: how much to measure, where to work, and what is there to compare with."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.side_by_side.pictures import draw_photos, link_photos
from benchmarks.side_by_side.processes import ROOT

PEERS = ROOT / ".venv-peers"
PEERS_PYTHON = PEERS / "bin" / "python"
PEERS_ARE_THERE = PEERS / "installed-from-requirements"


class NotMeasured(Exception):  # noqa: N818
    """A row that cannot be measured here; the message is the reason, in a sentence."""


@dataclass(frozen=True)
class Sizes:
    """How much of each thing is measured.

    Attributes:
        rounds: Times that each side runs.
        peer_rounds: The same for PyTorch, which takes longest.
        short_rounds: The same where one run takes a second or less.
        photos: Photos that precompute gets, by backbone.
        bound_photos: Photos for the comparison with the machine's bound.
        growth: Numbers of small images, ascending.
        head_rows: Cached rows of an epoch of the head; then the rows that validate it.
        head_epochs: Epochs of the head.
        tail_photos: Training photos of an epoch with conv5 unfrozen.
        whole_photos: Training photos of an epoch with everything unfrozen.
        tuning_epochs: Epochs of both, of which the first does not count.
        guide_epochs: Epochs of the guide's loop.
        cache_rows: Numbers of rows of a cache, ascending.
    """

    rounds: int = 3
    peer_rounds: int = 2
    short_rounds: int = 7
    photos: dict[str, int] = field(default_factory=lambda: {"resnet50": 800, "vgg16": 250, "mobilenet_v2": 1000})
    bound_photos: int = 800
    growth: tuple[int, ...] = (250, 1_000, 4_000, 16_000)
    head_rows: tuple[int, int] = (20_000, 400)
    head_epochs: int = 6
    tail_photos: int = 256
    whole_photos: int = 96
    tuning_epochs: int = 4
    guide_epochs: int = 10
    cache_rows: tuple[int, ...] = (10_000, 100_000, 1_000_000)


QUICK = Sizes(
    rounds=1,
    peer_rounds=1,
    short_rounds=2,
    photos={"resnet50": 48, "vgg16": 16, "mobilenet_v2": 64},
    bound_photos=64,
    growth=(32, 96),
    head_rows=(600, 40),
    head_epochs=3,
    tail_photos=32,
    whole_photos=16,
    tuning_epochs=2,
    guide_epochs=2,
    cache_rows=(1_000, 10_000),
)


@dataclass(frozen=True)
class Bench:
    """One run of the benchmark.

    Attributes:
        sizes: How much to measure.
        scratch: A folder for all files, removed in the end.
        photos: The user's photos for the speed rows; drawn ones if None.
        data: A real data set with train, validation and test folders, or None.
        weights: Real weights of `guide.BACKBONE`; with `data` only.
        tlkit_words: More words for `tlkit precompute` and `tlkit finetune`.
        growth_backbone: The network of the growing image folder.
    """

    sizes: Sizes
    scratch: Path
    photos: Path | None
    data: Path | None
    weights: str
    tlkit_words: tuple[str, ...]
    growth_backbone: str
    _start: float = field(default_factory=time.perf_counter)

    def say(self, text: str) -> None:
        """Tell the user how far it is, with the minutes so far."""
        seconds = time.perf_counter() - self._start
        print(f"[{seconds // 60:3.0f}:{seconds % 60:02.0f}] {text}", flush=True)

    def folder(self, name: str) -> Path:
        """Return a new folder of this name in the scratch folder."""
        folder = self.scratch / f"{name}-{len(os.listdir(self.scratch))}"
        folder.mkdir()
        return folder

    def photo_folder(self, count: int) -> tuple[Path, int]:
        """Return a folder with two classes of photos of about 500 x 375, and how many there are: `count` at most."""
        data = self.folder("photos")
        return data, self._fill(data, count, skip=0)

    def split_photo_folder(self, count: int) -> tuple[Path, int]:
        """Return a folder with train and validation, a quarter as many, and the number of training photos."""
        data = self.folder("photos")
        num_validation = self._fill(data / "validation", max(4, count // 4), skip=0)
        return data, self._fill(data / "train", count, skip=num_validation)

    def _fill(self, folder: Path, count: int, *, skip: int) -> int:
        """Put at most `count` photos into class folders, not the first `skip`; return how many there are."""
        if self.photos:
            return link_photos(self.photos, folder, count, skip=skip)
        draw_photos(folder, count, seed=skip)
        return count


def find_peers() -> str:
    """Return the Python with PyTorch and scikit-learn.

    Raises:
        NotMeasured: There is none.
    """
    if not PEERS_ARE_THERE.is_file():
        raise NotMeasured(f"there is no {PEERS.name}, which `make bench` makes from benchmarks/peers/requirements.txt")
    return str(PEERS_PYTHON)
