"""The list of formats, and what every one of them has to be."""

from __future__ import annotations

import dataclasses

from tlkit.errors import BackboneError
from tlkit.models.networks import NETWORK_FORMATS, PREDICTION_ENGINES, find_network_format
from tlkit.models.storage import GOLDEN_FILE, NOVELTY_FILE, SPEC_FILE, WEIGHTS_FILE


def test_every_format_is_found_by_its_name_and_has_files_of_its_own() -> None:
    records = [find_network_format(name) for name in NETWORK_FORMATS]
    assert tuple(record.name for record in records) == NETWORK_FORMATS
    assert ("auto", "keras", *NETWORK_FORMATS) == PREDICTION_ENGINES
    files = [SPEC_FILE, WEIGHTS_FILE, GOLDEN_FILE, NOVELTY_FILE, *(name for record in records for name in record.files)]
    assert len({*files}) == len(files)
    for record in records:
        assert "float32" in record.precisions, "the precision in which a network proves itself"


def test_a_format_is_available_where_what_it_requires_is_there() -> None:
    def refuse() -> None:
        raise BackboneError("it cannot be imported.", expected="it", fix="install it.")

    record = dataclasses.replace(find_network_format(NETWORK_FORMATS[0]), require=lambda: None)
    assert record.is_available
    assert not dataclasses.replace(record, require=refuse).is_available


def test_a_bundle_carries_a_format_if_it_has_its_network() -> None:
    record = find_network_format("openvino")
    assert record.is_in({"openvino.xml": "00", "openvino.safetensors": "00"})
    assert not record.is_in({"weights.safetensors": "00"})
