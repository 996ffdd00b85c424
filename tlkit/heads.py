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

from tlkit.errors import BackboneError
from tlkit.metrics.whitenings import MAX_WHITENED, NONE, WITH_MATRIX
from tlkit.segmentation.head import build_conv_segmenter

if TYPE_CHECKING:
    import keras

    from tlkit.backbones.maps import MapLayout
    from tlkit.tasks import Outputs

LINEAR, DETECTOR, SEGMENTER = "linear", "detector", "segmenter"
STANDARDISE, WHITEN = "standardise", "whiten"
"""Layers of fixed weights at the input: (x - mean) / deviation, and a matrix; see `tlkit.training.whitening`."""


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
            `metadata_part`.
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
    x = head.build_body(feature, dropout, units, whiten)
    if head.scores_places:
        x = layers.Conv2D(outputs.num_answers, 3, padding="same", kernel_initializer="zeros", name="score_map")(x)
        predicted = {"answer": layers.GlobalAveragePooling2D(name="logits", dtype="float32")(x)}
    else:
        predicted = {"answer": _build_last_layer(outputs.num_answers, "logits")(x)}
    if metadata_width:
        metadata = keras.Input((metadata_width,), name="metadata")
        inputs["metadata"] = metadata
        normed = layers.BatchNormalization(momentum=0.9, name="metadata_norm")(metadata)
        known = _build_last_layer(outputs.num_answers, "metadata_logits")(normed)
        predicted["answer"] = layers.Add(name="sum", dtype="float32")([predicted["answer"], known])
        x = layers.Concatenate(name="join")([x, normed])
    if outputs.has_box:
        box = layers.Dense(4, activation="sigmoid", kernel_initializer="zeros", name="box", dtype="float32")(x)
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
        head: From `build_head`, with metadata.

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


def _build_input_norm(feature: keras.KerasTensor, whiten: str) -> keras.KerasTensor:
    """Build the fixed layers, whose weights training features determine."""
    from keras import layers

    x = layers.BatchNormalization(center=False, scale=False, trainable=False, name=STANDARDISE)(feature)
    if whiten not in WITH_MATRIX:
        return x
    width = x.shape[-1]
    if width > MAX_WHITENED:
        raise BackboneError(
            f"whiten = {whiten}, but the head's first layer has {width:,} inputs: their covariance is a matrix of "
            f"{width:,} x {width:,}.",
            expected=f"at most {MAX_WHITENED:,} inputs",
            fix="use --head linear, conv or dense, or --whiten standard.",
        )
    return layers.Dense(width, use_bias=False, kernel_initializer="identity", trainable=False, name=WHITEN)(x)


def _build_linear(feature: keras.KerasTensor, dropout: float, units: int, whiten: str) -> keras.KerasTensor:
    """Standardise the pooled vector; scale and shift would be redundant with the dense layer."""
    from keras import layers

    if whiten == NONE:
        x = layers.BatchNormalization(momentum=0.9, center=False, scale=False, name=STANDARDISE)(feature)
    else:
        x = _build_input_norm(feature, whiten)
    return layers.Dropout(dropout, name="dropout")(x)


def _build_flat(feature: keras.KerasTensor, dropout: float, units: int, whiten: str) -> keras.KerasTensor:
    """Flatten the whole map, so that positions matter, as in digits."""
    from keras import layers

    x = layers.Flatten(name="flatten")(feature)
    return layers.Dropout(dropout, name="dropout")(x if whiten == NONE else _build_input_norm(x, whiten))


def _build_dense(feature: keras.KerasTensor, dropout: float, units: int, whiten: str) -> keras.KerasTensor:
    """Build the Fisheries head of the course notes: pool, norm, dropout p/4, then two dense layers with norm and
    dropout.
    """
    from keras import layers

    if min(feature.shape[1:3]) < 2:
        raise BackboneError(
            f"The dense head halves the backbone's map, which is only {feature.shape[1]} x {feature.shape[2]}.",
            expected="a map of at least 2 x 2, which needs an image of at least 64 pixels with most backbones",
            fix="use a larger --image-size, or --head linear.",
        )
    x = layers.MaxPooling2D(name="pool")(feature)
    x = layers.BatchNormalization(momentum=0.9, name="norm_0")(x) if whiten == NONE else _build_input_norm(x, whiten)
    x = layers.Dropout(dropout / 4, name="dropout_0")(x)
    x = layers.Flatten(name="flatten")(x)
    for number, rate in ((1, dropout), (2, dropout / 2)):
        x = layers.Dense(units, activation="relu", name=f"dense_{number}")(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"norm_{number}")(x)
        x = layers.Dropout(rate, name=f"dropout_{number}")(x)
    return x


def _build_conv(feature: keras.KerasTensor, dropout: float, units: int, whiten: str) -> keras.KerasTensor:
    """Build two 3x3 convolutions at the map's resolution, so that the score map keeps the image's layout."""
    from keras import layers

    if whiten == NONE:
        x = layers.BatchNormalization(momentum=0.9, name="norm_0")(feature)
    else:
        x = _build_input_norm(feature, whiten)
    for number in (1, 2):
        x = layers.Conv2D(units, 3, padding="same", activation="relu", name=f"conv_{number}")(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"norm_{number}")(x)
    return layers.SpatialDropout2D(dropout, name="dropout")(x)


HEADS = {
    head.kind: head
    for head in (
        Head(
            LINEAR,
            "one layer on the pooled feature",
            _build_linear,
            pooling="avg",
            is_affine=True,
            takes_any_size=True,
        ),
        Head("dense", "the Fisheries head", _build_dense, sees_places=True, has_units=True),
        Head("conv", "keeps the map", _build_conv, scores_places=True, has_units=True, takes_any_size=True),
        Head("flat", "one layer on the whole map", _build_flat, sees_places=True, is_affine=True),
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
