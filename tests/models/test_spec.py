from __future__ import annotations

import copy
import dataclasses
import json
import re
from typing import Any

import pytest

from tlkit.errors import BundleError
from tlkit.models.spec import BundleSpec, check_class_names, parse_spec, spec_document
from tlkit.recipes import HeadSettings

SQUARE = "height and width of a square, each a whole number, 32 to 2048"
MAP_SIZES = "at most 8 pairs of height and width, 1 to 48, from large to small"
KEYS = (
    "backbone, image_size, fit, loader_version, pooling, head, class_names, task, target, thresholds, metadata, has_box, "
    "temperature, unknown_above, unfrozen, grey, map_sizes, provenance, format_version"
)
OLDER_OR_NEWER = "use the tlkit version that made the bundle, or train the model again."


def parse(document: Any) -> BundleSpec:
    return parse_spec(json.loads(json.dumps(document)), place="bundle.json", loader_version=3)


def test_a_description_survives_json_with_every_value(spec: BundleSpec) -> None:
    assert parse(spec_document(spec)) == spec


def test_the_sizes_of_maps_survive_json(spec: BundleSpec) -> None:
    with_maps = dataclasses.replace(spec, pooling="maps", map_sizes=((6, 6), (3, 3)))
    assert parse(spec_document(with_maps)) == with_maps


@pytest.mark.parametrize(
    ("change", "found", "expected"),
    [
        (
            {"run": "rm -rf /"},
            "bundle.json has an unknown key 'run'.",
            f"an object with exactly these keys: {KEYS}",
        ),
        (
            {"image_size": [999_999_999, 999_999_999]},
            "bundle.json: image_size is [999999999, 999999999].",
            SQUARE,
        ),
        ({"image_size": [31, 31]}, "bundle.json: image_size is [31, 31].", SQUARE),
        ({"image_size": [96.0, 96.0]}, "bundle.json: image_size is [96.0, 96.0].", SQUARE),
        ({"image_size": [True, True]}, "bundle.json: image_size is [True, True].", SQUARE),
        ({"image_size": [96]}, "bundle.json: image_size is [96].", SQUARE),
        ({"image_size": [96, 64]}, "bundle.json: image_size is [96, 64].", SQUARE),
        ({"image_size": 96}, "bundle.json: image_size is 96.", SQUARE),
        ({"fit": "stretch"}, "bundle.json: fit is 'stretch'.", "one of squash, crop, pad"),
        ({"fit": ["pad"]}, "bundle.json: fit is ['pad'].", "one of squash, crop, pad"),
        ({"pooling": "max"}, "bundle.json: pooling is 'max'.", "one of avg, none, maps"),
        (
            {"unfrozen": "conv5"},
            "bundle.json: unfrozen is 'conv5'.",
            "one of none, all, stem, block1, block2, block3, block4",
        ),
        ({"map_sizes": [[6, 6]]}, "bundle.json: map_sizes is [[6, 6]].", "an empty list"),
        ({"pooling": "maps", "map_sizes": [[3, 3], [6, 6]]}, "bundle.json: map_sizes is [[3, 3], [6, 6]].", MAP_SIZES),
        ({"pooling": "maps", "map_sizes": [[99, 99]]}, "bundle.json: map_sizes is [[99, 99]].", MAP_SIZES),
        ({"pooling": "maps", "map_sizes": [[0, 3]]}, "bundle.json: map_sizes is [[0, 3]].", MAP_SIZES),
        ({"pooling": "maps", "map_sizes": [[True, 3]]}, "bundle.json: map_sizes is [[True, 3]].", MAP_SIZES),
        ({"pooling": "maps", "map_sizes": [3, 3]}, "bundle.json: map_sizes is [3, 3].", MAP_SIZES),
        ({"pooling": "maps", "map_sizes": "12"}, "bundle.json: map_sizes is '12'.", MAP_SIZES),
        ({"pooling": "maps", "map_sizes": [[2, 2]] * 9}, f"bundle.json: map_sizes is {[[2, 2]] * 9}.", MAP_SIZES),
        (
            {"head": "os.system"},
            "bundle.json: head is 'os.system'.",
            "an object with exactly these keys: kind, dropout, units, nms, whiten, whiten_floor",
        ),
        (
            {"head": {"kind": "dense", "dropout": 0.5}},
            "bundle.json: head has no key 'units'.",
            "an object with exactly these keys: kind, dropout, units, nms, whiten, whiten_floor",
        ),
        (
            {"head": {"kind": "dense", "dropout": 0.5, "units": 8193, "nms": "soft"}},
            "bundle.json: head: units is 8193.",
            "a whole number, 1 to 8192",
        ),
        (
            {"head": {"kind": "dense", "dropout": 1.5, "units": 64, "nms": "soft"}},
            "bundle.json: head: dropout is 1.5.",
            "a fraction, 0 <= x < 1",
        ),
        (
            {"head": {"kind": "lambda", "dropout": 0.5, "units": 64, "nms": "soft"}},
            "bundle.json: head: kind is 'lambda'.",
            "one of linear, dense, conv, flat, fisheries, vgg, detector, segmenter",
        ),
        (
            {"head": {"kind": "detector", "dropout": 0.5, "units": 64, "nms": "none"}},
            "bundle.json: head: nms is 'none'.",
            "one of soft, hard",
        ),
        (
            {"class_names": ["cat"]},
            "bundle.json: class_names is 1 names.",
            "a list of 2 to 100,000 names",
        ),
        ({"class_names": "cat, dog"}, "bundle.json: class_names is 'cat, dog'.", "a list of 2 to 100,000 names"),
        (
            {"class_names": [str(number) for number in range(100_001)]},
            "bundle.json: class_names is 100,001 names.",
            "a list of 2 to 100,000 names",
        ),
        (
            {"class_names": ["cat", "\x1b]0;owned\x07"]},
            r"bundle.json: the class name '\x1b]0;owned\x07' cannot be used.",
            "1 to 200 characters without control characters",
        ),
        (
            {"class_names": ["cat", "x" * 201]},
            f"bundle.json: the class name '{'x' * 76}... cannot be used.",
            "1 to 200 characters without control characters",
        ),
        (
            {"class_names": ["cat", "dog", "cat"]},
            "bundle.json: the class name 'cat' appears twice.",
            "different names",
        ),
        ({"temperature": 0}, "bundle.json: temperature is 0.", "a number, 0.01 to 100"),
        ({"temperature": True}, "bundle.json: temperature is True.", "a number, 0.01 to 100"),
        ({"unknown_above": 1.5}, "bundle.json: unknown_above is 1.5.", "a number, 0 to 1"),
        ({"unknown_above": float("nan")}, "bundle.json: unknown_above is nan.", "a number, 0 to 1"),
        (
            {"provenance": {}},
            "bundle.json: provenance has no key 'weights_source'.",
            "an object with exactly these keys: weights_source, weights_sha256, tlkit_version, keras_version, created",
        ),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(
    refuses: Any, spec: BundleSpec, change: dict[str, Any], found: str, expected: str
) -> None:
    with refuses(found, expected):
        parse(spec_document(spec) | change)


FULL = {
    "task": "multilabel",
    "thresholds": [0.25, 0.5, 0.75],
    "metadata": [
        {"name": "hour", "kind": "number", "mean": 13.5, "scale": 4.0, "low": 0.0, "high": 23.0},
        {"name": "boat", "kind": "category", "values": ["Heron", "Otter"]},
    ],
}
AGE = {"name": "age", "mean": 40.0, "scale": 9.5, "is_log": False}


def test_a_model_with_metadata_and_labels_survives_json(spec: BundleSpec) -> None:
    read = parse(spec_document(spec) | FULL)
    assert spec_document(read) == spec_document(spec) | FULL
    assert (read.metadata.names, read.metadata.width, read.thresholds) == (("hour", "boat"), 6, (0.25, 0.5, 0.75))


def test_a_model_of_a_value_survives_json(spec: BundleSpec) -> None:
    document = spec_document(spec) | {"task": "regression", "class_names": [], "target": AGE}
    read = parse(document)
    assert spec_document(read) == document
    assert read.outputs.num_answers == 1


CLEAN = "1 to 200 characters without control characters"


@pytest.mark.parametrize(
    ("change", "found", "expected"),
    [
        (
            {"task": "tracking"},
            "bundle.json: task is 'tracking'.",
            "one of classification, multilabel, regression, detection, segmentation",
        ),
        (
            {"task": "regression", "target": AGE},
            "bundle.json: class_names is 3 names.",
            "a list of 0 to 0 names",
        ),
        (
            {"task": "regression", "class_names": [], "target": None},
            "bundle.json: target is None.",
            "an object with exactly these keys: name, mean, scale, is_log",
        ),
        ({"target": AGE}, f"bundle.json: target is {AGE}.", "null, because the task is not regression"),
        (
            {"task": "regression", "class_names": [], "target": {**AGE, "scale": 0}},
            "bundle.json: target: scale is 0.",
            "a finite number, above 0",
        ),
        (
            {"task": "regression", "class_names": [], "target": {**AGE, "is_log": 1}},
            "bundle.json: target: is_log is 1.",
            "true or false",
        ),
        (
            {"task": "multilabel", "thresholds": [0.5]},
            "bundle.json: thresholds is [0.5].",
            "one fraction per label, or an empty list",
        ),
        ({"metadata": "boat"}, "bundle.json: metadata is 'boat'.", "a list of at most 100 columns"),
        (
            {"metadata": [{"name": "a", "kind": "text", "values": []}]},
            "bundle.json: metadata 1: kind is 'text'.",
            "number or category",
        ),
        (
            {"metadata": [{"name": "a\x1b", "kind": "number", "mean": 0, "scale": 1, "low": 0, "high": 1}]},
            r"bundle.json: metadata 1: the name 'a\x1b' cannot be used.",
            CLEAN,
        ),
        (
            {"metadata": [{"name": "a", "kind": "category", "values": ["x", "x"]}]},
            "bundle.json: metadata 1: a value appears twice.",
            "different values",
        ),
        (
            {"metadata": [{"name": "a", "kind": "category", "values": [7]}]},
            "bundle.json: metadata 1: the value 7 cannot be used.",
            "1 to 80 characters without control characters",
        ),
        (
            {"metadata": [FULL["metadata"][0]] * 2},
            "bundle.json: metadata: a name appears twice.",
            "columns with different names",
        ),
    ],
)
def test_answers_and_metadata_that_do_not_fit_are_refused(
    refuses: Any, spec: BundleSpec, change: dict[str, Any], found: str, expected: str
) -> None:
    with refuses(found, expected):
        parse(spec_document(spec) | change)


def test_a_long_value_of_the_head_does_not_fill_the_terminal(refuses: Any, spec: BundleSpec) -> None:
    head = {"kind": "\x1b" * 1000, "dropout": 0.5, "units": 64, "nms": "soft"}
    escaped = "\\x1b" * 15 + "\\x"
    with refuses(
        f"bundle.json: head: kind is '{escaped}...",
        "one of linear, dense, conv, flat, fisheries, vgg, detector, segmenter",
    ):
        parse(spec_document(spec) | {"head": head})


def test_a_head_of_before_whitening_has_none(spec: BundleSpec) -> None:
    document = spec_document(spec)
    document["head"] = {"kind": "dense", "dropout": 0.25, "units": 64, "nms": "soft"}
    assert parse(document).head == HeadSettings("dense", 0.25, 64, whiten="none")


def test_every_key_is_needed(refuses: Any, spec: BundleSpec) -> None:
    for key in set(spec_document(spec)) - {"format_version", "loader_version"}:
        document = spec_document(spec)
        del document[key]
        with refuses(f"bundle.json has no key {key!r}.", f"an object with exactly these keys: {KEYS}"):
            parse(document)


def test_text_about_the_origin_cannot_steer_a_terminal(refuses: Any, spec: BundleSpec) -> None:
    document = copy.deepcopy(spec_document(spec))
    document["provenance"]["created"] = "\x1b[8m"
    with refuses(
        r"bundle.json: provenance: created is '\x1b[8m'.",
        "text of 1 to 500 characters without control characters",
    ):
        parse(document)


@pytest.mark.parametrize("backbone", ["resnet9000", 3, ["tiny"], None])
def test_an_unknown_backbone_is_refused(refuses: Any, spec: BundleSpec, backbone: Any) -> None:
    with refuses(
        f"bundle.json: backbone is {backbone!r}.",
        "a backbone that this tlkit has; `tlkit backbones` lists them",
        fix="use the tlkit version that made the bundle, or a newer one.",
    ):
        parse(spec_document(spec) | {"backbone": backbone})


@pytest.mark.parametrize("version", [1, 3, 5, 7, "6", True, 6.0, None])
def test_another_format_is_refused_before_its_unknown_keys(refuses: Any, spec: BundleSpec, version: Any) -> None:
    with refuses(
        f"bundle.json: format_version is {version!r}.", "6, the bundle format that this tlkit reads", fix=OLDER_OR_NEWER
    ):
        parse(spec_document(spec) | {"format_version": version, "from_the_future": 1})


def test_another_image_loader_is_refused(refuses: Any, spec: BundleSpec) -> None:
    with refuses(
        "bundle.json: loader_version is 2.",
        "3, this tlkit's image loader; another would feed the model other pixels",
        fix=OLDER_OR_NEWER,
    ):
        parse(spec_document(spec) | {"loader_version": 2})


@pytest.mark.parametrize("document", [[], "bundle", 1, None])
def test_a_description_that_is_no_object_is_refused(refuses: Any, document: Any) -> None:
    with refuses(
        "bundle.json: format_version is None.", "6, the bundle format that this tlkit reads", fix=OLDER_OR_NEWER
    ):
        parse(document)


def test_a_bad_class_name_of_the_users_own_data_gets_a_fix_of_its_own(refuses: Any) -> None:
    with refuses(
        r"the data: the class name 'a\nb' cannot be used.",
        "1 to 200 characters without control characters",
        fix="rename it.",
    ):
        check_class_names(("a\nb", "c"), place="the data", fix="rename it.")


def test_no_message_carries_a_raw_control_character(spec: BundleSpec) -> None:
    def spoil(value: Any) -> list[Any]:
        """Return copies of a JSON value, each with one part replaced by a terminal command, and one with such a key."""
        spoilt: list[Any] = ["\x1b[2J\u202e"]
        if isinstance(value, dict):
            spoilt.append(value | {"\x1b[2J\u202e": 1})
            spoilt += [value | {key: bad} for key, part in value.items() for bad in spoil(part)]
        if isinstance(value, list):
            spoilt += [
                [bad if at == place else part for at, part in enumerate(value)]
                for place in range(len(value))
                for bad in spoil(value[place])
            ]
        return spoilt

    document = json.loads(json.dumps(spec_document(spec)))
    spoilt_documents = spoil(document)
    assert len(spoilt_documents) == 39
    for bad in spoilt_documents:
        with pytest.raises(BundleError) as caught:
            parse(bad)
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", str(caught.value))
