"""List the backbones, and describe one layer by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tlkit.backbones.catalogue import BACKBONES, BackboneEntry, find_backbone
from tlkit.backbones.imagenet_files import IMAGENET_FILES, fetched_backbones, models_folder
from tlkit.reports.console import Console

if TYPE_CHECKING:
    from tlkit.backbones.layer_table import LayerTable

BYTES_PER_FLOAT16 = 2


def list_backbones(console: Console) -> dict[str, Any]:
    """Print every backbone with its image size, parameters, layer groups and location of its ImageNet weights.

    Uses only the catalogue, without TensorFlow.

    Returns:
        The JSON result: `backbones`, one object each.
    """
    fetched = fetched_backbones()
    rows = [
        (
            entry.name,
            f"{entry.default_edge_px} px",
            f"{entry.num_parameters:,}",
            _name_range(entry.groups),
            _describe_weights(entry, fetched),
        )
        for entry in BACKBONES.values()
    ]
    console.table("Backbones", ("name", "image size", "parameters", "layer groups", "weights"), rows)
    console.say(f"Parameters exclude the classifier. Downloaded weights are in {models_folder()}.")
    console.say("tlkit backbones NAME prints the layers of one.")
    return {"backbones": [_entry_payload(entry, fetched) for entry in BACKBONES.values()]}


def describe_backbone(name: str, console: Console, *, edge_px: int | None = None) -> dict[str, Any]:
    """Show the layer table of a backbone, its layer groups and its totals.

    Args:
        name: As in the catalogue.
        console: Where it is shown.
        edge_px: Edge of the square input; None for the backbone's own.

    Returns:
        What `--json` prints: the catalogue's facts, `layers`, `layer_groups` and the totals.

    Raises:
        BackboneError: unknown name, or images too small for the network.
    """
    entry = find_backbone(name)
    image_size = entry.choose_image_size(edge_px)

    from tlkit.runtime import start_keras

    start_keras()
    from tlkit.backbones.layer_table import build_layer_table

    table = build_layer_table(entry, image_size=image_size)
    _show_layers(table, console)
    _show_groups(table, console)
    _show_totals(table, console)
    return {**_entry_payload(entry, fetched_backbones()), **_table_payload(table)}


def _show_layers(table: LayerTable, console: Console) -> None:
    rows = [
        (
            row.layer,
            row.group,
            _format_shape(row.output_shape),
            f"{row.num_activations:,}",
            f"{row.activation_bytes / 1000:,.1f}",
            f"{row.num_parameters:,}",
            f"{row.num_multiply_adds / 1e6:,.1f}" if row.num_multiply_adds else "",
            "all" if row.sees_everything else f"{max(row.field.size_px):,}",
        )
        for row in table.rows
    ]
    columns = (
        "layer", "group", "output shape", "activations", "float32 kB", "parameters", "million multiply-adds", "sees px",
    )  # fmt: skip
    console.table(f"{table.entry.name} at {_format_shape(table.image_size)} px", columns, rows)


def _show_groups(table: LayerTable, console: Console) -> None:
    rows = [
        (
            group,
            boundary,
            _format_shape(table.boundary_shape(group)),
            f"{_feature_bytes(table, group) / 1000:,.1f}",
            f"{table.group_parameters(group):,}",
        )
        for group, boundary in zip(table.entry.groups, table.entry.boundaries[1:], strict=True)
    ]
    columns = ("group", "boundary above it", "feature", "cached kB", "parameters")
    console.table("Layer groups, from the input up", columns, rows)
    console.say("Cached: the feature of one image in float16. At top, pooling heads cache only a vector.")


def _show_totals(table: LayerTable, console: Console) -> None:
    if table.num_backbone_parameters == table.num_parameters:
        console.say(f"{table.num_parameters:,} parameters, without a classifier.")
    else:
        console.say(
            f"{table.num_parameters:,} parameters with the 1,000-class classifier, "
            f"{table.num_backbone_parameters:,} without."
        )
    console.say(
        f"{table.num_activations:,} activations per image, {table.activation_bytes / 1_000_000:,.1f} MB in float32: the input "
        "and the outputs of all layers;"
    )
    console.say(f"{table.num_activations_with_relus:,} if relus inside layers are counted separately.")
    console.say(f"{table.num_multiply_adds / 1e9:,.2f} billion multiply-adds per image.")
    console.say(
        f"To train all of it takes {table.training_bytes / 1_000_000:,.0f} MB for weights, gradients and Adam's moments in "
        f"float32, and the {table.activation_bytes / 1_000_000:,.1f} MB of activations for each image of a batch."
    )
    console.say("Sees: the receptive field, the edge of the square of pixels that a number of the output depends on.")


def _entry_payload(entry: BackboneEntry, fetched: tuple[str, ...]) -> dict[str, Any]:
    return {
        "name": entry.name,
        "family": entry.family,
        "image_size": entry.default_edge_px,
        "smallest_image_size": entry.smallest_edge_px,
        "num_parameters": entry.num_parameters,
        "groups": list(entry.groups),
        "boundaries": list(entry.boundaries),
        "weights": _describe_weights(entry, fetched),
    }


def _table_payload(table: LayerTable) -> dict[str, Any]:
    return {
        "input_size": table.image_size[0],
        "layers": [
            {
                "layer": row.layer,
                "kind": row.kind,
                "group": row.group,
                "output_shape": list(row.output_shape),
                "activations": row.num_activations,
                "parameters": row.num_parameters,
                "multiply_adds": row.num_multiply_adds,
                "receptive_field": None if row.sees_everything else list(row.field.size_px),
            }
            for row in table.rows
        ],
        "layer_groups": [
            {
                "group": group,
                "boundary": boundary,
                "feature_shape": list(table.boundary_shape(group)),
                "float16_bytes": _feature_bytes(table, group),
                "parameters": table.group_parameters(group),
            }
            for group, boundary in zip(table.entry.groups, table.entry.boundaries[1:], strict=True)
        ],
        "total_parameters": table.num_parameters,
        "total_activations": table.num_activations,
        "total_activations_with_relus": table.num_activations_with_relus,
        "activation_bytes": table.activation_bytes,
        "multiply_adds": table.num_multiply_adds,
        "training_bytes": table.training_bytes,
    }


def _feature_bytes(table: LayerTable, group: str) -> int:
    """Return the size of one cached feature at the upper end of a group, in bytes of float16."""
    size = BYTES_PER_FLOAT16
    for edge in table.boundary_shape(group):
        size *= edge
    return size


def _describe_weights(entry: BackboneEntry, fetched: tuple[str, ...]) -> str:
    if entry.name not in IMAGENET_FILES:
        return entry.default_weights
    return "on this machine" if entry.name in fetched else "downloaded when used"


def _name_range(groups: tuple[str, ...]) -> str:
    """Return the names of layer groups, shortened in the middle: block1 … block5."""
    return ", ".join(groups) if len(groups) < 4 else f"{groups[0]}, {groups[1]} … {groups[-1]}"


def _format_shape(shape: tuple[int, ...]) -> str:
    return " x ".join(str(edge) for edge in shape)
