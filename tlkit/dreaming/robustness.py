"""How often a classifier is still right when its pictures are changed a little, on purpose or at random."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tlkit.data.manifest import ImageRecord
from tlkit.dreaming.attacks import Attack, predict_classes
from tlkit.dreaming.painting import to_pixels
from tlkit.inference.scoring import load_record
from tlkit.metrics.intervals import Interval, compute_wilson_interval

if TYPE_CHECKING:
    from tlkit.models.predictor import Predictor

DISTANCES = (1, 2, 4, 8)
"""Changes of each colour, of 0..255."""
NOISE, ONE_STEP, MANY_STEPS = "random noise", "one step (FGSM)", "20 steps (PGD)"
CHANGES = (NOISE, ONE_STEP, MANY_STEPS)
COLUMNS = ("change", "of 255", "accuracy", "right before, wrong after")
PICTURES_AT_ONCE = 8


@dataclass(frozen=True)
class Robustness:
    """What is left of a classifier's accuracy under one kind of change.

    Attributes:
        change: One of `CHANGES`.
        distance: The change of each colour, of 0..255.
        accuracy: Share of all images whose class is still predicted, 0..1; an attack leaves alone what is wrong without it.
        success: Share of the images that were right before and are wrong now, 0..1; None if none was right.
    """

    change: str
    distance: int
    accuracy: Interval
    success: Interval | None


@dataclass(frozen=True, eq=False)
class Attacked:
    """An image and what became of it by `MANY_STEPS` at one distance.

    Attributes:
        record: The image.
        before: As the network sees it, uint8 (height, width, 3).
        after: As it was changed.
        classes: Numbers of the classes that were predicted before and after.
        distance: The change of each colour, of 0..255.
    """

    record: ImageRecord
    before: NDArray[np.uint8]
    after: NDArray[np.uint8]
    classes: tuple[int, int]
    distance: int


@dataclass(frozen=True, eq=False)
class RobustnessStudy:
    """The result of `measure_robustness`.

    Attributes:
        num_images: Images that were changed.
        clean: Accuracy without a change.
        figures: By distance, then by change.
        examples: Images that were right and are wrong, each at the smallest distance that was enough.
    """

    num_images: int
    clean: Interval
    figures: tuple[Robustness, ...]
    examples: tuple[Attacked, ...]

    def list_rows(self) -> list[tuple[str, ...]]:
        """Return a row of `COLUMNS` for each figure."""
        return [
            (
                each.change,
                str(each.distance),
                each.accuracy.in_brief(),
                each.success.in_brief() if each.success else "-",
            )
            for each in self.figures
        ]

    def as_document(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "images": self.num_images,
            "accuracy": dataclasses.asdict(self.clean),
            "changes": [dataclasses.asdict(each) for each in self.figures],
        }


def measure_robustness(
    attack: Attack,
    predictor: Predictor,
    records: Sequence[ImageRecord],
    *,
    seed: int = 0,
    num_examples: int = 24,
    advance: Callable[[int], None] = lambda count: None,
) -> RobustnessStudy:
    """Change images within several distances, and ask the model about each.

    Args:
        attack: On the model.
        predictor: The model, by the engine that predicts.
        records: Labelled images, at least one.
        seed: Seed of noise and random starts.
        num_examples: Examples to keep, at most.
        advance: Called with the number of images since the last call.

    Raises:
        DataError: A file has changed since the manifest was made.
    """
    rng = np.random.default_rng(seed)
    right_before: list[bool] = []
    right_after: dict[tuple[str, int], list[bool]] = {(change, size): [] for size in DISTANCES for change in CHANGES}
    examples: list[Attacked] = []
    for start in range(0, len(records), PICTURES_AT_ONCE):
        batch = _Batch.load(records[start : start + PICTURES_AT_ONCE], predictor)
        right_before += list(batch.is_right)
        for distance, after in batch.add_noise(rng):
            right_after[NOISE, distance] += list(after)
        for distance, after in batch.take_steps(attack):
            right_after[ONE_STEP, distance] += list(after & batch.is_right)
        for distance, after, turned in batch.follow_gradients(attack, rng):
            right_after[MANY_STEPS, distance] += list(after)
            examples += turned
        advance(len(batch.records))
    return RobustnessStudy(
        len(records),
        compute_wilson_interval(sum(right_before), len(records)),
        tuple(_summarise(*key, right_before, after) for key, after in right_after.items()),
        tuple(examples[:num_examples]),
    )


@dataclass(frozen=True, eq=False)
class _Batch:
    """Images and what the model says of them.

    Attributes:
        records: The images.
        predictor: The model.
        pictures: uint8 (n, height, width, 3).
        metadata: float32 (n, width).
        truth: Numbers of the true classes, int64 (n,).
        before: Numbers of the classes that are predicted, int64 (n,).
    """

    records: Sequence[ImageRecord]
    predictor: Predictor
    pictures: NDArray[np.uint8]
    metadata: NDArray[np.float32]
    truth: NDArray[np.int64]
    before: NDArray[np.int64]

    @classmethod
    def load(cls, records: Sequence[ImageRecord], predictor: Predictor) -> _Batch:
        spec = predictor.spec
        pictures = np.stack([load_record(record, spec) for record in records])
        metadata = np.asarray(spec.metadata.encode([record.metadata for record in records]), np.float32)
        truth = np.array([spec.class_names.index(record.answer) for record in records], np.int64)
        return cls(records, predictor, pictures, metadata, truth, predict_classes(predictor, pictures, metadata))

    @property
    def is_right(self) -> NDArray[np.bool_]:
        is_right: NDArray[np.bool_] = self.before == self.truth
        return is_right

    def add_noise(self, rng: np.random.Generator) -> Iterator[tuple[int, NDArray[np.bool_]]]:
        """Yield which are right at each distance."""
        for distance in DISTANCES:
            changed = to_pixels(self.pictures + rng.choice((-distance, distance), self.pictures.shape))
            yield distance, predict_classes(self.predictor, changed, self.metadata) == self.truth

    def take_steps(self, attack: Attack) -> Iterator[tuple[int, NDArray[np.bool_]]]:
        """Yield which are right at each distance; all go along the same gradient."""
        signs = attack.find_signs(self.pictures, self.truth, self.metadata)
        for distance in DISTANCES:
            changed = to_pixels(self.pictures + distance * signs)
            yield distance, predict_classes(self.predictor, changed, self.metadata) == self.truth

    def follow_gradients(
        self, attack: Attack, rng: np.random.Generator
    ) -> Iterator[tuple[int, NDArray[np.bool_], list[Attacked]]]:
        """Yield which are right at each distance, and those that were until then.

        What turns a picture within a distance is within all larger ones, so it is not attacked again.
        """
        is_right = self.is_right.copy()
        for distance in DISTANCES:
            left = np.flatnonzero(is_right)
            turned = []
            if len(left):
                changed = attack.follow_gradient(
                    self.pictures[left], self.truth[left], self.metadata[left], distance, towards=False, rng=rng
                )
                after = predict_classes(self.predictor, changed, self.metadata[left])
                for place, picture, number in zip(map(int, left), changed, map(int, after), strict=True):
                    if number != self.truth[place]:
                        classes = (int(self.before[place]), number)
                        turned.append(Attacked(self.records[place], self.pictures[place], picture, classes, distance))
                is_right[left[after != self.truth[left]]] = False
            yield distance, is_right.copy(), turned


def _summarise(change: str, distance: int, before: Sequence[bool], after: Sequence[bool]) -> Robustness:
    num_right = sum(before)
    num_fooled = sum(was and not now for was, now in zip(before, after, strict=True))
    success = compute_wilson_interval(num_fooled, num_right) if num_right else None
    return Robustness(change, distance, compute_wilson_interval(sum(after), len(after)), success)
