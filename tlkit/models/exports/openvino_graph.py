"""What a stranger's OpenVINO graph may hold, judged from its text before OpenVINO parses it, and from its sizes after.

OpenVINO computes what depends on constants alone while it reads and compiles a graph. So a few kilobytes could keep it
busy for hours, or take all memory. A network as tlkit writes it is made of a few kinds of operations, hardly computes
anything from constants, and has a size that goes with that of its images.
"""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from tlkit.errors import BundleError
from tlkit.untrusted import quote, refusal

if TYPE_CHECKING:
    import openvino

KERAS_FIX = "give --engine keras, which does not open this file, or get the bundle again from where it came."
# fmt: off
OPERATIONS = frozenset({
    "Abs", "Add", "AvgPool", "Broadcast", "Clamp", "Concat", "Const", "Convert", "Convolution", "Divide", "Elu", "Erf", "Exp", "Gather", "Gelu",
    "GroupConvolution", "HSigmoid", "HSwish", "HardSigmoid", "MVN", "MatMul", "MaxPool", "Maximum", "Minimum", "Multiply",
    "Negative", "Pad", "Parameter", "Power", "ReduceMax", "ReduceMean", "ReduceSum", "ReLU", "Reshape", "Result", "ReverseSequence",
    "ShapeOf", "Sigmoid", "Softmax", "Sqrt", "SquaredDifference", "Squeeze", "StridedSlice", "Subtract", "Swish", "Tanh",
    "Transpose", "Unsqueeze",
})
# fmt: on
_COMPUTED_OF_CONSTANTS = {
    "ShapeOf": frozenset({"Gather"}),
    "Gather": frozenset({"Broadcast"}),
    "Broadcast": frozenset({"ReverseSequence"}),
}
"""What may depend on constants alone, and what may take it: the lengths by which some networks turn RGB into BGR."""
MAX_OPERATIONS = 50_000
MAX_VALUES_PER_PIXEL = 8_000
MAX_PRODUCTS_PER_PIXEL = 8_000_000


def check_graph_text(content: bytes, place: Path) -> None:
    """Refuse a graph that does what no network of tlkit does, before OpenVINO parses it.

    Raises:
        BundleError: It is no XML, holds an operation that is not on the list, or computes from constants alone.
    """
    if re.search(rb"<!(DOCTYPE|ENTITY)", content, re.IGNORECASE):
        raise not_ours(place, "it declares a document type", "plain XML")
    try:
        root = ElementTree.fromstring(content)  # noqa: S314 - no entities, see above
    except (ElementTree.ParseError, ValueError, LookupError, RecursionError) as error:
        raise not_ours(place, f"it is no XML ({quote(str(error))})", "a network as tlkit writes it") from error
    kinds = {layer.get("id", ""): layer.get("type", "") for layer in root.iterfind("layers/layer")}
    if not kinds or len(kinds) > MAX_OPERATIONS or len(kinds) != len(list(root.iter("layer"))):
        raise not_ours(place, f"it has {len(kinds):,} operations of its own", f"1 to {MAX_OPERATIONS:,}, each once")
    for kind in kinds.values():
        if kind not in OPERATIONS:
            raise not_ours(place, f"it holds the operation {quote(kind)}", f"only {', '.join(sorted(OPERATIONS))}")
    edges = [(edge.get("from-layer", ""), edge.get("to-layer", "")) for edge in root.iterfind("edges/edge")]
    constant = {name for name in kinds.keys() - _find_dependent(kinds, edges) if kinds[name] != "Const"}
    allowed = all(kinds[name] in _COMPUTED_OF_CONSTANTS for name in constant) and all(
        kinds.get(user) in _COMPUTED_OF_CONSTANTS[kinds[source]] for source, user in edges if source in constant
    )
    if not allowed:
        found = ", ".join(sorted({kinds[name] for name in constant}))
        raise not_ours(place, f"it computes {quote(found)} of constants", "a network that computes from its images")


def check_graph_size(model: openvino.Model, place: Path, *, num_pixels: int, num_weight_bytes: int) -> None:
    """Refuse a graph that asks for more memory or time than a network for images of this size.

    Args:
        model: As OpenVINO has read it; nothing has been computed.
        place: The file, for errors.
        num_pixels: Of an image.
        num_weight_bytes: Of the file of weights, which no constant lies outside of.

    Raises:
        BundleError: It does, or a size is not fixed.
    """
    num_bytes = num_values = num_products = 0
    for operation in model.get_ops():
        shapes = [output.get_partial_shape() for output in operation.outputs()]
        if any(shape.is_dynamic for shape in shapes):
            raise not_ours(place, f"{quote(operation.get_friendly_name())} has no fixed size", "fixed sizes")
        number = sum(math.prod(shape.to_shape()) for shape in shapes)
        if operation.get_type_name() == "Constant":
            num_bytes += number * operation.output(0).get_element_type().bitwidth // 8
        else:
            num_values += number
            num_products += number * _count_products(operation)
    for found, most, what in (
        (num_bytes, num_weight_bytes, "bytes of constants"),
        (num_values, MAX_VALUES_PER_PIXEL * num_pixels, "values between its operations"),
        (num_products, MAX_PRODUCTS_PER_PIXEL * num_pixels, "multiplications"),
    ):
        if found > most:
            raise not_ours(place, f"it has {found:,} {what}", f"at most {most:,}")


def not_ours(place: Path, found: str, expected: str) -> BundleError:
    """Return the error for a graph that tlkit has not written."""
    return refusal(f"{place}: {found}.", expected=expected, fix=KERAS_FIX)


def _find_dependent(kinds: dict[str, str], edges: list[tuple[str, str]]) -> set[str]:
    """Return the operations that depend on an input of the network, of which the shape is a constant."""
    users = defaultdict(list)
    for source, user in edges:
        users[source].append(user)
    waiting = [name for name, kind in kinds.items() if kind == "Parameter"]
    dependent = set(waiting)
    while waiting:
        fresh = [user for user in users[waiting.pop()] if user not in dependent and kinds.get(user) != "ShapeOf"]
        dependent.update(fresh)
        waiting += fresh
    return dependent


def _count_products(operation: openvino.Node) -> int:
    """Return how many multiplications, or the like, go into one value that an operation gives."""
    kind = operation.get_type_name()
    if kind == "MatMul":
        return int(max(operation.input(0).get_shape()[-2:]))
    if kind in ("Convolution", "GroupConvolution"):
        return int(math.prod(operation.input(1).get_shape()) // max(1, operation.output(0).get_shape()[1]))
    if kind in ("AvgPool", "MaxPool"):
        return math.prod(operation.get_attributes()["kernel"])
    return 1
