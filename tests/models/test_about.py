"""README.md of a bundle: what the model answers, how to ask it, and how large it is."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tlkit.metadata.encoding import CategoryColumn, MetadataEncoding, NumberColumn
from tlkit.models.about import describe_bundle, describe_metadata, describe_model, format_size, measure_bundle
from tlkit.models.spec import BundleSpec
from tlkit.models.storage import read_spec
from tlkit.outputs import Target


def test_a_bundle_says_what_it_is_and_how_to_ask_it(bundle: Path) -> None:
    text = (bundle / "README.md").read_text("utf-8")

    assert "It says which of 3 classes an image shows: `cat`, `dog`, `../../etc/passwd`." in text
    assert "Its backbone is `tiny`; it reads images of any size as 48 × 48 pixels." in text
    assert 'pip install "tlkit==0.1.0"\ntlkit predict bundle photos/\n' in text
    assert 'print(tlkit.load("bundle").predict(["photo.jpg"]))' in text
    others = measure_bundle(bundle) - (bundle / "README.md").stat().st_size
    assert f"| together | {format_size(others)} |" in text


def test_what_is_written_for_people_is_no_part_of_the_model(bundle: Path, spec: BundleSpec) -> None:
    (bundle / "README.md").write_text("something else")
    assert read_spec(bundle, loader_version=3) == spec
    (bundle / "README.md").unlink()
    assert read_spec(bundle, loader_version=3) == spec


def test_each_task_is_described_in_its_own_words(spec: BundleSpec) -> None:
    some = dataclasses.replace(spec, class_names=("cat", "dog"))
    labels = dataclasses.replace(some, task="multilabel", thresholds=(0.5, 0.5))
    value = dataclasses.replace(some, task="regression", class_names=(), target=Target("price_usd", 1.0, 2.0, False))
    one = dataclasses.replace(some, class_names=("cat",), has_box=True)

    assert describe_model(labels) == "It says which of 2 labels an image has, any number of them: `cat`, `dog`."
    assert describe_model(value) == "It estimates `price_usd` from an image."
    assert describe_model(one) == "It knows one class, `cat`; and where the object is, as a box."


def test_many_classes_are_not_all_listed(spec: BundleSpec) -> None:
    many = dataclasses.replace(spec, class_names=tuple(f"c{number}" for number in range(1_234)))
    assert describe_model(many).endswith("`c98`, `c99` and 1,134 more.")


def test_metadata_is_named_and_asked_for_except_what_the_file_tells(spec: BundleSpec) -> None:
    columns = (NumberColumn("bedrooms", 1.0, 1.0, 0.0, 5.0), NumberColumn("image-width", 1.0, 1.0, 0.0, 5.0))
    encoding = MetadataEncoding((*columns, CategoryColumn("zip", ("1", "2"))))
    taking = dataclasses.replace(spec, metadata=encoding)

    assert describe_metadata(taking) == "It takes metadata beside the image: `bedrooms`, `image-width`, `zip`."
    text = describe_bundle(taking, {"bundle.json": 10})
    assert "tlkit predict bundle photos/ --table rows.csv\n" in text
    assert """predict(["photo.jpg"], metadata=[{'bedrooms': '', 'zip': ''}])""" in text


@pytest.mark.parametrize(
    ("num_bytes", "text"), [(812, "0.812 kB"), (999_600, "1 MB"), (9_420_000, "9.42 MB"), (1_234_000_000, "1.23 GB")]
)
def test_a_size_has_its_unit(num_bytes: int, text: str) -> None:
    assert format_size(num_bytes) == text
