"""A stranger's graph is refused from its text alone: no OpenVINO, and no byte of its weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from tlkit.errors import BundleError
from tlkit.models.networks.openvino_graph import check_graph_text

PLACE = Path("bundle/openvino.xml")
NUM_WEIGHT_BYTES = 1_000_000
GIANT = f'element_type="f32" shape="{2**30}" offset="0" size="{2**32}"'


def write_graph(*constants: str, kind: str = "Add") -> bytes:
    """Return a graph that applies an operation to its images and constants; each constant as its attributes."""
    layers = '<layer id="0" type="Parameter"/>'
    for number, data in enumerate(constants, start=1):
        layers += f'<layer id="{number}" name="c{number}" type="Const"><data {data}/></layer>'
    last = len(constants) + 1
    edges = "".join(f'<edge from-layer="{number}" to-layer="{last}"/>' for number in range(last))
    return f'<net><layers>{layers}<layer id="{last}" type="{kind}"/></layers><edges>{edges}</edges></net>'.encode()


def check(content: bytes) -> None:
    check_graph_text(content, PLACE, num_weight_bytes=NUM_WEIGHT_BYTES)


@pytest.mark.parametrize(
    "data",
    [
        'element_type="f32" shape="250000" offset="0" size="1000000"',
        'element_type="f32" shape="1" offset="999996" size="4"',
        'element_type="i64" shape="32" offset="0" size="256"',
    ],
)
def test_constants_within_the_weights_are_fine(data: str) -> None:
    check(write_graph(data))


@pytest.mark.parametrize(
    ("constants", "found", "expected"),
    [
        ((GIANT,) * 4, "the constant 'c1' ends at byte 4,294,967,296", "at most 1,000,000"),
        (
            ('element_type="f32" shape="1" offset="999997" size="4"',),
            "the constant 'c1' ends at byte 1,000,001",
            "at most 1,000,000",
        ),
        (
            ('element_type="f32" shape="150000" offset="0" size="600000"',) * 2,
            "its constants take 1,200,000 bytes",
            "at most 1,000,000",
        ),
        (
            ('element_type="i64" shape="33" offset="0" size="264"',),
            "the constant 'c1' is no weight and takes 264 bytes",
            "at most 256",
        ),
        (
            ('element_type="string" shape="9" offset="0" size="264"',),
            "the constant 'c1' is no weight and takes 264 bytes",
            "at most 256",
        ),
    ],
)
def test_constants_that_do_not_fit_into_the_weights_are_refused(
    constants: tuple[str, ...], found: str, expected: str
) -> None:
    with pytest.raises(BundleError) as caught:
        check(write_graph(*constants))
    assert caught.value.found == f"{PLACE}: {found}."
    assert caught.value.expected == expected


@pytest.mark.parametrize(
    "data",
    [
        'element_type="f32" shape="1"',
        'offset="-4" size="4"',
        f'offset="{2**64 - 4}" size="4"',
        'offset="0" size="four"',
        'offset="0" size="4\u0664"',
    ],
)
def test_a_constant_without_a_place_is_refused(data: str) -> None:
    with pytest.raises(BundleError) as caught:
        check(write_graph(data))
    assert caught.value.found == f"{PLACE}: the constant 'c1' has no place."
    assert caught.value.expected == "an offset and a size in bytes"


@pytest.mark.parametrize("kind", ["TopK", "Loop", "If", "TensorIterator", "ReadValue", "Custom"])
def test_other_operations_are_refused(kind: str) -> None:
    with pytest.raises(BundleError) as caught:
        check(write_graph(kind=kind))
    assert caught.value.found == f"{PLACE}: it holds the operation '{kind}'."


def test_operations_are_spelled_as_in_the_file_and_not_as_openvino_says_them() -> None:
    for kind in ("SoftMax", "ReLU"):
        check(write_graph(kind=kind))


def test_a_document_type_cannot_hide_in_utf_16() -> None:
    content = '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE net [<!ENTITY a "b">]><net>&a;</net>'
    with pytest.raises(BundleError) as caught:
        check(content.encode("utf-16"))
    assert caught.value.found == f"{PLACE}: it is not written in UTF-8."


def test_a_graph_of_more_operations_than_any_network_has_is_refused() -> None:
    layers = b"".join(b'<layer id="%d" type="ReLU"/>' % number for number in range(3_001))
    with pytest.raises(BundleError) as caught:
        check(b"<net><layers>" + layers + b"</layers></net>")
    assert caught.value.found == f"{PLACE}: it has 3,001 operations of its own."
    assert caught.value.expected == "1 to 3,000, each once"
