"""The methods of explanation, by name, and the functions that apply any of them to feature maps and to pictures.

Names are known without TensorFlow: a method's module is imported when it is used.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tlkit.backbones.catalogue import PIXELS, TOP, find_backbone
from tlkit.errors import SettingError, name_fix
from tlkit.models.spec import BundleSpec
from tlkit.tasks import find_task

if TYPE_CHECKING:
    from tlkit.explain.explainer import Explainer

AUTO, EXACT = "auto", "exact"


@dataclass(frozen=True)
class Method:
    """A way to explain an output.

    Attributes:
        name: What the user types.
        summary: What a place of the map holds, in a few words.
        function: Module and function that compute the maps.
    """

    name: str
    summary: str
    function: str

    def compute(
        self,
        explainer: Explainer,
        inputs: NDArray[Any],
        targets: NDArray[np.int64],
        metadata: NDArray[np.float32] | None,
    ) -> NDArray[np.float32]:
        """Return the maps of feature maps or of pictures, as the function's module says."""
        module, name = self.function.split(".")
        found: NDArray[np.float32] = getattr(importlib.import_module(f"tlkit.explain.{module}"), name)(
            explainer, inputs, targets, metadata
        )
        return found


FEATURE_METHODS = {
    method.name: method
    for method in (
        Method(EXACT, "the score of the place, as the head sums it up", "feature_maps.compute_exact"),
        Method("gradcam", "channels weighted by their mean gradient", "feature_maps.compute_gradcam"),
        Method("hirescam", "gradient times feature", "feature_maps.compute_hirescam"),
        Method("occlusion", "the fall of the output without the place", "feature_maps.compute_map_occlusion"),
        Method("rise", "the output with and without the place, under random masks", "feature_maps.compute_map_rise"),
    )
}
"""Methods that start from a feature map."""

PIXEL_METHODS = {
    method.name: method
    for method in (
        Method(
            "pixel-occlusion", "the fall of the output where a patch is blurred", "pixel_maps.compute_pixel_occlusion"
        ),
        Method(
            "pixel-rise", "the output with and without the place, under random masks", "pixel_maps.compute_pixel_rise"
        ),
        Method("integrated-gradients", "what the pixel adds from grey on", "pixel_maps.compute_integrated_gradients"),
        Method("smoothgrad", "size of the mean gradient under noise", "pixel_maps.compute_smoothgrad"),
        Method("guided-backprop", "size of the gradient through active ReLUs", "pixel_maps.compute_guided_backprop"),
        Method("saliency", "size of the gradient", "pixel_maps.compute_saliency"),
    )
}
"""Methods that go through the whole network."""

DEFAULT = "gradcam"
"""What `auto` takes where the head does not say exactly what each place contributes; see docs/explain.md."""
DEFAULT_OF_OBJECTS = "hirescam"
"""And for an object, since Grad-CAM's weights hold for the whole map and show other objects of the class, too."""


def check_method(method: str, boundary: str | None, spec: BundleSpec) -> None:
    """Refuse a method that does not exist, or a boundary that does not go with it; None stands for the top.

    Raises:
        BackboneError: The backbone has no such boundary.
        SettingError: There is no such method, or it takes no map at this boundary.
    """
    map_methods = (AUTO, *FEATURE_METHODS)
    methods = (*map_methods, *PIXEL_METHODS)
    if method not in methods:
        raise SettingError(
            f"--method {method}: there is no such method.",
            expected=f"one of {', '.join(methods)}",
            fix=name_fix(method, methods),
        )
    if method == EXACT:
        _check_exact(boundary, spec)
    if boundary is None:
        return
    entry = find_backbone(spec.backbone)
    name = entry.boundary(boundary)
    if method in PIXEL_METHODS:
        raise SettingError(
            f"--boundary {boundary} has no effect: --method {method} starts from the pixels.",
            expected=f"--boundary only with {', '.join(map_methods)}",
            fix="leave out --boundary.",
        )
    if name == PIXELS:
        raise SettingError(
            "--boundary pixels has no feature map.",
            expected=f"one of {', '.join(entry.boundaries[1:])}",
            fix="choose a method that starts from the pixels, such as --method pixel-occlusion.",
        )


def _check_exact(boundary: str | None, spec: BundleSpec) -> None:
    """Refuse the exact map where the head's answer is no sum of what places contribute."""
    head = spec.head.record
    if find_task(spec.task).has_masks:
        return
    others = ", ".join(each for each in (AUTO, *FEATURE_METHODS, *PIXEL_METHODS) if each != EXACT)
    if not head.is_affine and not head.scores_places:
        answer = "the score of an object" if head.finds_objects else "an answer"
        raise SettingError(
            f"--method {EXACT}: {answer} of a {head.kind} head is no sum over places.",
            expected=f"one of {others}",
            fix="leave out --method, or use --method occlusion.",
        )
    if boundary is not None and find_backbone(spec.backbone).boundary(boundary) != TOP:
        raise SettingError(
            f"--method {EXACT}: at --boundary {boundary} an answer is no sum over places.",
            expected=f"--method {EXACT} at the top, or one of {others}",
            fix="leave out --boundary.",
        )


def explain_features(
    explainer: Explainer,
    features: NDArray[np.floating[Any]],
    targets: NDArray[np.int64],
    metadata: NDArray[np.float32] | None = None,
    *,
    method: str = AUTO,
) -> NDArray[np.float32]:
    """Return the evidence for one output of each image, place by place.

    Args:
        explainer: The model.
        features: Those at the explainer's boundary, float16 or float32 (n, *feature_shape).
        targets: The output that is explained of each image, int64 (n,): a class or label, 0 for a value, and with a box
            num_answers + 0..3 for its cx, cy, w, h; or outputs whose mean is explained, (n, k).
        metadata: float32 (n, width), as the model's `spec.metadata` encodes it; None if the model takes none.
        method: `auto` or one of `FEATURE_METHODS`. `auto` is exact where the head allows it, HiResCAM for objects, and
            Grad-CAM elsewhere.

    Returns:
        float32 (n, h, w), signed: positive where a place speaks for the output. With `exact` the mean over the places
        is the logit, or the value in standard deviations, less what metadata add to it; for a mask, the mean over its
        places is that of their log-odds.
    """
    from tlkit.explain.feature_maps import has_exact

    if method == AUTO:
        inexact = DEFAULT_OF_OBJECTS if explainer.finds_objects else DEFAULT
        method = EXACT if has_exact(explainer, targets) else inexact
    if len(features) == 0:
        return np.zeros((0, *explainer.map_size), np.float32)
    return FEATURE_METHODS[method].compute(explainer, features, targets, metadata)


def explain_pictures(
    explainer: Explainer,
    pictures: NDArray[np.uint8],
    targets: NDArray[np.int64],
    metadata: NDArray[np.float32] | None = None,
    *,
    method: str = AUTO,
) -> NDArray[np.float32]:
    """Return the evidence for one output of each picture, by any method.

    Args:
        explainer: The model.
        pictures: The network's input, uint8 (n, height, width, 3), RGB, 0..255.
        targets: As for `explain_features`.
        metadata: As for `explain_features`.
        method: `auto`, or one of `FEATURE_METHODS` and `PIXEL_METHODS`.

    Returns:
        float32 (n, rows, columns); the resolution is the method's.

    Raises:
        SettingError: The method does not go with the network.
    """
    if method in PIXEL_METHODS:
        return PIXEL_METHODS[method].compute(explainer, pictures, targets, metadata)
    return explain_features(explainer, explainer.compute_features(pictures), targets, metadata, method=method)
