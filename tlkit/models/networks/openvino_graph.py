"""Check an untrusted OpenVINO graph: its text before OpenVINO parses it, and its sizes afterwards.

OpenVINO folds constants while it reads and compiles a graph, so a few kilobytes could keep it busy for hours or use all
memory. tlkit's networks use few kinds of operations, compute almost nothing from constants, and have sizes in
proportion to their images.
"""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from tlkit.errors import BundleError
from tlkit.models.networks.base import KERAS_FIX
from tlkit.untrusted import quote, refusal

if TYPE_CHECKING:
    import openvino

# fmt: off
OPERATIONS = frozenset({
    "Abs", "Add", "AvgPool", "Broadcast", "Clamp", "Concat", "Const", "Convert", "Convolution", "Divide", "Elu", "Erf", "Exp", "Gather", "Gelu",
    "GroupConvolution", "HSigmoid", "HSwish", "HardSigmoid", "Interpolate", "MVN", "MatMul", "MaxPool", "Maximum", "Minimum", "Multiply",
    "Negative", "Pad", "Parameter", "Power", "ReduceMax", "ReduceMean", "ReduceSum", "ReLU", "Reshape", "Result", "ReverseSequence",
    "ShapeOf", "Sigmoid", "SoftMax", "Sqrt", "SquaredDifference", "Squeeze", "StridedSlice", "Subtract", "Swish", "Tanh", "Tile",
    "Transpose", "Unsqueeze",
})
# fmt: on
_COMPUTED_OF_CONSTANTS = {
    "ShapeOf": frozenset({"Gather"}),
    "Gather": frozenset({"Broadcast"}),
    "Broadcast": frozenset({"ReverseSequence"}),
}
"""Operations that may depend only on constants, and those that may read them: lengths for reversing RGB in some
networks."""
MAX_OPERATIONS = 3_000
MAX_IN_A_ROW = 160
"""Operations in a row that OpenVINO may fuse, in time quadratic in their number."""
_NEVER_JOINED = frozenset({"Constant", "Convolution", "GroupConvolution", "MVN", "MatMul", "Parameter", "Softmax"})
MAX_SHAPE_BYTES = 256
"""Size of a constant that is not a weight, such as a shape or axes."""
MAX_VALUES_PER_PIXEL = 8_000
MAX_VALUES_AT_ONCE_PER_PIXEL = 512
MAX_PRODUCTS_PER_PIXEL = 3_000_000


def check_graph_text(content: bytes, place: Path, *, num_weight_bytes: int) -> None:
    """Refuse a graph that cannot come from tlkit, before OpenVINO parses it.

    Args:
        content: The file's bytes.
        place: The file, for errors.
        num_weight_bytes: Size limit of all constants together.

    Raises:
        BundleError: It is not XML, has an unknown operation, computes from constants alone, or has constants that are
            too large.
    """
    if b"\0" in content:  # in UTF-16, a document type would not be seen
        raise not_ours(place, "it is not written in UTF-8", "plain XML")
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
    _check_constants(root, place, num_weight_bytes)
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
    num_bytes = num_values = most_values = num_products = 0
    in_a_row: dict[str, int] = {}
    for operation in model.get_ordered_ops():
        shapes = [output.get_partial_shape() for output in operation.outputs()]
        if any(shape.is_dynamic for shape in shapes):
            raise not_ours(place, f"{quote(operation.get_friendly_name())} has no fixed size", "fixed sizes")
        number = sum(math.prod(shape.to_shape()) for shape in shapes)
        in_a_row[operation.get_name()] = _count_in_a_row(operation, in_a_row)
        if operation.get_type_name() == "Constant":
            num_bytes += number * operation.output(0).get_element_type().bitwidth // 8
        else:
            num_values += number
            most_values = max(most_values, number)
            num_products += number * _count_products(operation)
    for found, most, what in (
        (max(in_a_row.values()), MAX_IN_A_ROW, "operations in a row without a layer of weights"),
        (num_bytes, num_weight_bytes, "bytes of constants"),
        (num_values, MAX_VALUES_PER_PIXEL * num_pixels, "values between its operations"),
        (most_values, MAX_VALUES_AT_ONCE_PER_PIXEL * num_pixels, "values from one operation"),
        (num_products, MAX_PRODUCTS_PER_PIXEL * num_pixels, "multiplications"),
    ):
        if found > most:
            raise not_ours(place, f"it has {found:,} {what}", f"at most {most:,}")


def not_ours(place: Path, found: str, expected: str) -> BundleError:
    """Return the error for a graph that tlkit has not written."""
    return refusal(f"{place}: {found}.", expected=expected, fix=KERAS_FIX)


def _check_constants(root: ElementTree.Element, place: Path, num_weight_bytes: int) -> None:
    """Refuse constants that lie outside the weights, or take more bytes than they have, or describe giant shapes."""
    num_bytes = 0
    for layer in root.iterfind("layers/layer[@type='Const']"):
        data = layer.find("data")
        facts = {} if data is None else data.attrib
        name = quote(layer.get("name", ""))
        if not all(re.fullmatch(r"[0-9]{1,15}", facts.get(key, "")) for key in ("offset", "size")):
            raise not_ours(place, f"the constant {name} has no place", "an offset and a size in bytes")
        begin, size = int(facts["offset"]), int(facts["size"])
        if begin + size > num_weight_bytes:
            raise not_ours(place, f"the constant {name} ends at byte {begin + size:,}", f"at most {num_weight_bytes:,}")
        if facts.get("element_type") != "f32" and size > MAX_SHAPE_BYTES:  # a shape, or places to look at
            raise not_ours(
                place, f"the constant {name} is no weight and takes {size:,} bytes", f"at most {MAX_SHAPE_BYTES:,}"
            )
        num_bytes += size
    if num_bytes > num_weight_bytes:
        raise not_ours(place, f"its constants take {num_bytes:,} bytes", f"at most {num_weight_bytes:,}")


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


def _count_in_a_row(operation: openvino.Node, before: dict[str, int]) -> int:
    """Return the length of the longest row of operations that ends here and that OpenVINO may join into one."""
    if operation.get_type_name() in _NEVER_JOINED:
        return 0
    sources = (source.get_source_output().get_node().get_name() for source in operation.inputs())
    return 1 + max((before[source] for source in sources), default=0)


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
