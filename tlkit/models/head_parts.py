"""The head that a description asks for, on a backbone, and the names of its weights."""

from __future__ import annotations

import keras

from tlkit.backbones.build import Backbone
from tlkit.backbones.catalogue import HEAD_PREFIX, TOP
from tlkit.backbones.weights import stable_names
from tlkit.heads import build_head
from tlkit.models.spec import BundleSpec
from tlkit.untrusted import refusal


def list_map_sizes(backbone: Backbone) -> tuple[tuple[int, int], ...]:
    """Return (height, width) of the maps in a feature of several; empty if it is none."""
    layout = backbone.map_layout(TOP)
    return layout.sizes if layout else ()


def check_pooling(spec: BundleSpec, *, place: str) -> None:
    """Check that the backbone's pooling is what the head needs.

    Raises:
        BundleError: It is not.
    """
    if spec.pooling != spec.head.record.pooling:
        raise refusal(
            f"{place}: pooling is {spec.pooling!r}.",
            expected=f"{spec.head.record.pooling!r}, which the {spec.head.kind} head needs",
        )


def build_head_of(spec: BundleSpec, backbone: Backbone) -> keras.Model:
    """Return the untrained head of a spec."""
    return build_head(
        spec.head.kind,
        feature_shape=backbone.map_layout(TOP) or backbone.feature_shape(TOP),
        outputs=spec.outputs,
        metadata_width=spec.metadata.width,
        dropout=spec.head.dropout,
        units=spec.head.units,
        whiten=spec.head.whiten,
    )


def name_head_weights(head: keras.Model) -> dict[str, keras.Variable]:
    """Return the weights of a head by their names in a bundle."""
    return {HEAD_PREFIX + name: variable for name, variable in stable_names(head).items()}
