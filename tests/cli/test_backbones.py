from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tlkit.backbones.catalogue import BACKBONES

RunCli = Callable[..., Any]


def table_lines(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_backbones_lists_every_network(run_cli: RunCli) -> None:
    result = run_cli("backbones")
    assert result.exit_code == 0
    lines = table_lines(result.stdout)
    assert ["tiny", "96", "px", "2,324,832", "stem,", "block1", "…", "block4", "bundled"] in lines
    assert ["nasnet_large", "331", "px", "84,916,818", "stem,", "cells", "downloaded", "when", "used"] in lines
    assert result.stderr == ""


def test_backbones_lists_every_network_for_a_script(run_cli: RunCli) -> None:
    entries = {entry["name"]: entry for entry in run_cli("backbones", "--json").json()["backbones"]}
    assert list(entries) == list(BACKBONES)
    assert entries["resnet50"] == {
        "name": "resnet50",
        "family": "resnet",
        "image_size": 224,
        "smallest_image_size": 32,
        "num_parameters": 23_587_712,
        "groups": ["conv1", "conv2", "conv3", "conv4", "conv5"],
        "boundaries": ["pixels", "conv1", "conv2", "conv3", "conv4", "top"],
        "weights": "downloaded when used",
    }


def test_backbones_prints_the_layer_table_of_the_course_notes(run_cli: RunCli) -> None:
    result = run_cli("backbones", "vgg16")
    assert result.exit_code == 0
    lines = table_lines(result.stdout)
    assert [
        "block1_conv2",
        "block1",
        "224",
        "x",
        "224",
        "x",
        "64",
        "3,211,264",
        "12,845.1",
        "36,928",
        "1,849.7",
        "5",
    ] in lines
    assert ["fc1", "classifier", "4096", "4,096", "16.4", "102,764,544", "102.8", "all"] in lines
    assert ["block5", "top", "7", "x", "7", "x", "512", "50.2", "7,079,424"] in lines
    assert "138,357,544 parameters with the 1,000-class classifier, 14,714,688 without." in result.stdout
    assert "15,262,696 activations per image, 61.1 MB in float32" in result.stdout
    assert "28,818,408 if relus inside layers are counted separately." in result.stdout
    assert "15.47 billion multiply-adds per image." in result.stdout
    assert "takes 2,214 MB for weights, gradients and Adam's moments in float32, and the 61.1 MB" in result.stdout


def test_backbones_prints_the_layer_table_at_another_size_for_a_script(run_cli: RunCli) -> None:
    result = run_cli("backbones", "tiny", "--image-size", 64, "--json")
    payload = result.json()
    assert payload["input_size"] == 64
    assert payload["layers"][0] == {
        "layer": "image",
        "kind": "InputLayer",
        "group": "input",
        "output_shape": [64, 64, 3],
        "activations": 12_288,
        "parameters": 0,
        "multiply_adds": 0,
        "receptive_field": [1, 1],
    }
    assert payload["layers"][-1]["receptive_field"] == [207, 207]
    assert payload["multiply_adds"] == sum(layer["multiply_adds"] for layer in payload["layers"])
    assert payload["training_bytes"] == 16 * payload["total_parameters"]
    assert "2,324,832 parameters, without a classifier." in result.stderr


@pytest.mark.parametrize("size", ["31", "20"])
def test_backbones_refuses_a_size_below_the_networks_least(run_cli: RunCli, size: str) -> None:
    result = run_cli("backbones", "vgg16", "--image-size", size)
    assert result.exit_code == 1
    assert result.stderr == (
        f"Error: An image size of {size} px is too small for vgg16.\n"
        "  Expected: 32 px or more; its own is 224 px\n"
        "  Fix: give --image-size 224, or leave it out.\n"
    )


def test_backbones_refuses_a_size_without_a_network(run_cli: RunCli) -> None:
    result = run_cli("backbones", "--image-size", "64")
    assert result.exit_code == 2
    assert "Error: --image-size requires the NAME of a backbone." in result.stderr


def test_backbones_names_the_nearest_network(run_cli: RunCli) -> None:
    result = run_cli("backbones", "resnet-50")
    assert result.exit_code == 1
    assert "Error: There is no backbone 'resnet-50'." in result.stderr
    assert "Fix: did you mean 'resnet50'?" in result.stderr


def test_backbones_help_has_an_example(run_cli: RunCli) -> None:
    assert "Example: tlkit backbones vgg16" in run_cli("backbones", "--help").stdout
