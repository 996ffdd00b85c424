"""Small changes of a picture that change a classifier's answer: the fast gradient sign method, and projected gradients.

All changes stay within a distance of each colour of each pixel, a whole number of 0..255, and results are whole numbers:
they are pictures that can be saved. Without it, a model could be fooled by a picture that no file can hold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from tlkit.dreaming.gradients import Gradient, compile_gradient
from tlkit.dreaming.painting import to_pixels
from tlkit.heads import call_head

if TYPE_CHECKING:
    from tlkit.models.classifier import Classifier
    from tlkit.models.predictor import Predictor

NUM_STEPS = 20
STEP_SHARE = 2.5
"""The steps together could go so many times the allowed distance: Madry et al."""
LARGEST_CHANGE = 32
"""The largest change that is tried, of 0..255."""

Pictures = NDArray[np.uint8]


class Attack:
    """Attacks on a classifier.

    Args:
        classifier: Its classes exclude each other.
    """

    def __init__(self, classifier: Classifier) -> None:
        model, head = classifier.backbone.model, classifier.head

        def lose(pictures: Any, classes: Any, metadata: Any) -> Any:
            logits = call_head(head, model(pictures, training=False), metadata, training=False)["answer"]
            return -ops.sum(classes * ops.log_softmax(logits, axis=1), axis=1)

        self._gradient: Gradient = compile_gradient(lose)
        self._num_classes = classifier.spec.outputs.num_answers

    def find_signs(
        self, pictures: Pictures, classes: NDArray[np.int64], metadata: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return in which direction each colour makes a class less probable: -1, 0 or 1, float32 (n, height, width, 3).

        The fast gradient sign method adds a multiple of it: Goodfellow et al., 2014, https://arxiv.org/abs/1412.6572.

        Args:
            pictures: uint8 (n, height, width, 3), RGB, 0..255.
            classes: The class of each picture, int64 (n,).
            metadata: float32 (n, width), as the model's `spec.metadata` encodes it.
        """
        signs: NDArray[np.float32] = np.sign(self._gradient(pictures, self._encode(classes), metadata)[1])
        return signs

    def follow_gradient(
        self,
        pictures: Pictures,
        classes: NDArray[np.int64],
        metadata: NDArray[np.float32],
        distance: int,
        *,
        towards: bool,
        rng: np.random.Generator,
    ) -> Pictures:
        """Return pictures changed in 20 steps from a random start, none further than the distance.

        Madry et al., 2017, https://arxiv.org/abs/1706.06083.

        Args:
            pictures: As in `find_signs`.
            classes: The class that is left, or made for, int64 (n,).
            metadata: As in `find_signs`.
            distance: The largest change of a colour, 0..255.
            towards: Whether the class is made for; otherwise it is left.
            rng: Draws the start.
        """
        sign = -1 if towards else 1
        given = np.asarray(pictures, np.float32)
        low, high = np.maximum(given - distance, 0), np.minimum(given + distance, 255)
        changed = np.clip(given + rng.uniform(-distance, distance, given.shape).astype(np.float32), low, high)
        targets, size = self._encode(classes), STEP_SHARE * distance / NUM_STEPS
        for _ in range(NUM_STEPS):
            slopes = self._gradient(changed, targets, metadata)[1]
            changed = np.clip(changed + np.float32(sign * size) * np.sign(slopes), low, high)
        return to_pixels(changed)

    def _encode(self, classes: NDArray[np.int64]) -> NDArray[np.float32]:
        return np.eye(self._num_classes, dtype=np.float32)[classes]


def find_smallest_change(
    attack: Attack, predictor: Predictor, picture: Pictures, target: int, *, seed: int = 0
) -> tuple[int, Pictures] | None:
    """Return the smallest distance at which a picture is taken for a class, and the changed picture.

    The distance is doubled until the attack succeeds, and halved back; each time the model itself is asked about the
    picture as a file would hold it.

    Args:
        attack: On the model.
        predictor: The model, by the engine that predicts.
        picture: uint8 (height, width, 3), RGB, 0..255.
        target: The class.
        seed: Seed of the random starts.

    Returns:
        The distance, 0..32, and uint8 (height, width, 3); None if no change up to 32 succeeds.
    """
    metadata = np.zeros((1, predictor.spec.metadata.width), np.float32)
    classes = np.array([target], np.int64)

    def attempt(distance: int) -> Pictures | None:
        rng = np.random.default_rng((seed, distance))
        changed = attack.follow_gradient(picture[np.newaxis], classes, metadata, distance, towards=True, rng=rng)
        return changed[0] if predict_classes(predictor, changed, metadata)[0] == target else None

    if predict_classes(predictor, picture[np.newaxis], metadata)[0] == target:
        return 0, picture
    failed, distance = 0, 1
    while (found := attempt(distance)) is None:
        failed, distance = distance, 2 * distance
        if distance > LARGEST_CHANGE:
            return None
    while distance - failed > 1:
        middle = (failed + distance) // 2
        closer = attempt(middle)
        failed, distance, found = (failed, middle, closer) if closer is not None else (middle, distance, found)
    return distance, found


def predict_classes(predictor: Predictor, pictures: Pictures, metadata: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the class of each picture, int64 (n,)."""
    rows = predictor.predict(pictures, metadata)
    return np.asarray(rows[:, : predictor.spec.outputs.num_answers].argmax(axis=1), np.int64)
