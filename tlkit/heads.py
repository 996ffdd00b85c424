"""The new layers on top of a backbone: feature and metadata in, outputs and a box out, a small Keras model.

Each head takes the backbone's feature (a pooled vector or a map), and metadata if there are any. It returns logits for
the loss and for calibration, and a box if requested. The last layers are initialised with zeros, so an untrained head
has no random preference, which few images might not unlearn. Layer names are fixed, because bundles address weights by
them.

Each head is a record in `HEADS`, which settings and checks use; Keras is only imported to build one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tlkit.head_bodies import build_conv, build_dense, build_flat, build_linear, build_vgg
from tlkit.metrics.whitenings import NONE
from tlkit.segmentation.head import build_conv_segmenter

if TYPE_CHECKING:
    import keras

    from tlkit.backbones.maps import MapLayout
    from tlkit.tasks import Outputs

LINEAR, DETECTOR, SEGMENTER = "linear", "detector", "segmenter"


@dataclass(frozen=True)
class Head:
    """A kind of head.

    Attributes:
        kind: Its name.
        summary: A short description.
        build_body: Builds the layers between the feature and the last layer; called with the feature, dropout,
            units and the whitening. None for a head that answers at places.
        pooling: The pooling of the backbone: "avg" for a vector, "none" for the feature map, or "maps" for several.
        finds_objects: Whether it answers at every cell of several maps: for any number of objects, or for a mask.
        sees_places: Whether its last layer sees positions in the map, which boxes require.
        scores_places: Whether its last layer scores every position of the map, and the logit is the mean. Such a head
            has no layer for boxes or metadata.
        is_affine: Whether a trained head is an affine function of its feature, so that a logit is a sum of contributions.
        merges_metadata: Whether its last layer takes metadata beside the feature, as in the course notes. Otherwise they
            have a last layer of their own, which can be trained first.
        has_units: Whether the width of a layer can be set.
        takes_any_size: Whether its weights fit maps, and so images, of any size.
    """

    kind: str
    summary: str
    build_body: Callable[[keras.KerasTensor, float, int, str], keras.KerasTensor] | None
    pooling: str = "none"
    sees_places: bool = False
    scores_places: bool = False
    is_affine: bool = False
    merges_metadata: bool = False
    has_units: bool = False
    takes_any_size: bool = False
    finds_objects: bool = False

    @property
    def takes_one_feature(self) -> bool:
        """Whether it takes a vector or one map, and not several maps."""
        return not self.finds_objects

    @property
    def takes_metadata(self) -> bool:
        """Whether metadata can join the features before its last layer."""
        return not self.scores_places and not self.finds_objects


def build_head(
    kind: str,
    *,
    feature_shape: tuple[int, ...] | MapLayout,
    outputs: Outputs,
    metadata_width: int = 0,
    dropout: float,
    units: int,
    whiten: str = NONE,
) -> keras.Model:
    """Build an untrained head.

    Args:
        kind: A key of `HEADS`.
        feature_shape: Without the batch axis: (channels,) for a pooled vector, (height, width, channels) for a map,
            or how several maps lie in a vector.
        outputs: The outputs.
        metadata_width: Number of metadata values per image. They go through batch norm and a separate last layer, whose
            logits are added (the sum of two layers is one layer on both inputs), so that it can be trained first; see
            `metadata_part`. Or into the last layer itself, if the head `merges_metadata`.
        dropout: Dropout `p`, 0 <= p < 1; `dense` uses p/4, p and p/2.
        units: Width of the dense layers or number of filters; not used by a head without such a layer.
        whiten: One of `tlkit.metrics.whitenings.WHITENINGS`: what fixed layers make of the feature, in place of the head's
            first batch norm; the channels of a map are whitened, wherever they are. Until they are fitted, they change
            nothing. Heads that find objects have none.

    Returns:
        A model from `feature`, float (batch, *feature_shape), and `metadata`, float (batch, metadata_width) if there
        are any, to `answer`, float32 (batch, *answer_shape), any range, and, with a box, `box`: its centre and size as
        fractions of the input, float32 (batch, 4): cx, cy, w, h, 0..1. Both are mappings by these names.

    Raises:
        BackboneError: If the backbone's map is too small for the head's pooling, or the feature too large to be whitened.
        ValueError: If this kind of head cannot learn boxes or take metadata.
    """
    import keras
    from keras import layers

    head = HEADS[kind]
    if outputs.has_box and not head.sees_places:
        raise ValueError(f"Boxes need a head that keeps positions, {join_kinds('sees_places')}. Received: {kind!r}")
    if metadata_width and not head.takes_metadata:
        raise ValueError(f"The {kind} head has no layer that metadata could join.")
    layout = None if isinstance(feature_shape, tuple) else feature_shape
    feature = keras.Input((layout.width,) if layout else feature_shape, name="feature")
    inputs = {"feature": feature}
    if head.build_body is None:
        assert layout is not None, "with pooling maps"
        maps = layout.unpack(feature)
        answer = build_on_maps(kind, maps, num_answers=outputs.num_answers, units=units, dropout=dropout)
        return keras.Model(inputs, {"answer": answer}, name="head")
    x = joined = head.build_body(feature, dropout, units, whiten)
    if metadata_width:
        inputs["metadata"] = keras.Input((metadata_width,), name="metadata")
        normed = layers.BatchNormalization(momentum=0.9, name="metadata_norm")(inputs["metadata"])
        joined = layers.Concatenate(name="join")([x, normed])
    if head.scores_places:
        x = layers.Conv2D(outputs.num_answers, 3, padding="same", kernel_initializer="zeros", name="score_map")(x)
        predicted = {"answer": layers.GlobalAveragePooling2D(name="logits", dtype="float32")(x)}
    else:
        predicted = {"answer": _build_last_layer(outputs.num_answers, "logits")(joined if head.merges_metadata else x)}
    if metadata_width and not head.merges_metadata:
        known = _build_last_layer(outputs.num_answers, "metadata_logits")(normed)
        predicted["answer"] = layers.Add(name="sum", dtype="float32")([predicted["answer"], known])
    if outputs.has_box:
        box = layers.Dense(4, activation="sigmoid", kernel_initializer="zeros", name="box", dtype="float32")(joined)
        predicted["box"] = box
    return keras.Model(inputs, predicted, name="head")


def build_on_maps(
    kind: str, maps: Sequence[keras.KerasTensor], *, num_answers: int, units: int, dropout: float
) -> keras.KerasTensor:
    """Build the layers of a head that answers at places, and return its answer.

    Args:
        kind: `DETECTOR` or `SEGMENTER`.
        maps: Float (n, height, width, channels), the finest first.
        num_answers: Number of values at a place.
        units: Number of filters.
        dropout: 0 <= dropout < 1.
    """
    if kind == SEGMENTER:
        return build_conv_segmenter(maps, num_outputs=num_answers, units=units, dropout=dropout)
    from tlkit.detection.grid import NUM_BOX_VALUES
    from tlkit.detection.head import build_detector

    return build_detector(maps, num_classes=num_answers - NUM_BOX_VALUES, units=units, dropout=dropout)


def join_kinds(ability: str) -> str:
    """Return the kinds of head with an ability, such as `sees_places`: "dense or flat"."""
    *first, last = [kind for kind, head in HEADS.items() if getattr(head, ability)]
    return f"{', '.join(first)} or {last}" if first else last


def metadata_part(head: keras.Model) -> keras.Model:
    """Return the part of a head that uses only metadata; it shares the head's layers.

    Args:
        head: From `build_head`, with metadata that it does not merge.

    Returns:
        A model from `metadata`, float (batch, metadata_width), to `answer`, float32 (batch, num_answers).
    """
    import keras

    metadata = head.input["metadata"]
    return keras.Model(
        {"metadata": metadata}, {"answer": head.get_layer("metadata_logits").output}, name="metadata_part"
    )


def call_head(head: keras.Model, feature: Any, metadata: Any, *, training: bool) -> dict[str, Any]:
    """Call a head, and return its outputs by name."""
    given = {"feature": feature, "metadata": metadata}
    outputs: dict[str, Any] = head({name: given[name] for name in head.input}, training=training)
    return outputs


def _build_last_layer(num_answers: int, name: str) -> keras.Layer:
    from keras import layers

    return layers.Dense(num_answers, kernel_initializer="zeros", name=name, dtype="float32")


HEADS = {
    head.kind: head
    for head in (
        Head(
            LINEAR,
            "one layer on the pooled feature",
            build_linear,
            pooling="avg",
            is_affine=True,
            takes_any_size=True,
        ),
        Head("dense", "the Fisheries head", build_dense, sees_places=True, has_units=True),
        Head("conv", "keeps the map", build_conv, scores_places=True, has_units=True, takes_any_size=True),
        Head("flat", "one layer on the whole map", build_flat, sees_places=True, is_affine=True),
        Head(
            "fisheries",
            "the same as dense, but its last layer takes metadata, too",
            build_dense,
            sees_places=True,
            merges_metadata=True,
            has_units=True,
        ),
        Head("vgg", "two dense layers on the whole map, as in VGG", build_vgg, sees_places=True, has_units=True),
        Head(
            DETECTOR,
            "finds objects on maps of several resolutions, for detection",
            None,
            pooling="maps",
            has_units=True,
            takes_any_size=True,
            finds_objects=True,
        ),
        Head(
            SEGMENTER,
            "gives a class to every place on maps of several resolutions, for segmentation",
            None,
            pooling="maps",
            has_units=True,
            takes_any_size=True,
            finds_objects=True,
        ),
    )
}
"""Every kind of head, by name."""
