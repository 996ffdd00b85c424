"""Find, read and write the folder of a bundle. Reading trusts nothing, writing is atomic.

    bundle.json            the model's description (spec.py), the sha256 of the others, and that of all this
    weights.safetensors    every weight by its stable name, `backbone/…` and `head/…`
    golden.safetensors     a few images, their metadata, and what the model said of them when it was saved
    novelty.safetensors    what the distance from the training images is measured by, if it is
    openvino.*             the same model in another format; so for each of `NETWORK_FORMATS` that it was saved in
    README.md              for people (about.py); it has no sha256, and nothing reads it

A new bundle is written next to the old one, and replaces it by renaming. A process killed between the two renames
leaves the old bundle as `bundle.previous`, where `find_bundle` finds it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tlkit.backbones.catalogue import BACKBONE_PREFIX, BACKBONES, HEAD_PREFIX
from tlkit.files import flush_folder, write_text
from tlkit.models.about import README_FILE, describe_bundle, measure_files
from tlkit.models.networks import NETWORK_FORMATS, find_network_format
from tlkit.models.novelty import MAX_DIRECTIONS, Novelty
from tlkit.models.spec import BundleSpec, check_class_names, parse_spec, spec_document
from tlkit.models.tensors import TensorFile, TensorKind, open_tensors, write_tensors
from tlkit.recipes.fields import SHA256
from tlkit.recipes.reading import RECIPE_FILE
from tlkit.untrusted import check_keys, open_regular_file, parse_json, quote, refusal

if TYPE_CHECKING:
    from tlkit.models.networks.base import Network

BUNDLE_FOLDER = "bundle"
PREVIOUS_SUFFIX = ".previous"
PARTIAL_SUFFIX = ".partial"
SPEC_FILE = "bundle.json"
WEIGHTS_FILE = "weights.safetensors"
GOLDEN_FILE = "golden.safetensors"
NOVELTY_FILE = "novelty.safetensors"
MAX_SPEC_BYTES = 4 * 1024**2
ROOM_FOR_HASHES = 1000
MAX_GOLDEN_IMAGES = 32


def find_bundle(path: Path) -> Path:
    """Return the bundle folder of a run folder, or of a bundle folder itself.

    Raises:
        BundleError: If there is no such folder, its training has not finished, or it is not a run.
    """
    expected = "a run folder created by `tlkit finetune`, or the bundle folder in it"
    try:
        mode = path.stat().st_mode
    except OSError as error:
        problem = "does not exist" if isinstance(error, FileNotFoundError) else f"cannot be opened ({error.strerror})"
        raise refusal(f"{path} {problem}.", expected=expected, fix="check the path.") from error
    if not stat.S_ISDIR(mode):
        raise refusal(f"{path} is a file.", expected=expected, fix="pass the folder that contains it.")
    for folder in (path, path / BUNDLE_FOLDER, path / f"{BUNDLE_FOLDER}{PREVIOUS_SUFFIX}"):
        if os.path.lexists(folder / SPEC_FILE):
            if folder != path and folder.is_symlink():
                raise refusal(f"{folder} is a symbolic link.", expected="a folder")
            return folder
    if os.path.lexists(path / RECIPE_FILE):
        raise refusal(
            f"{path} contains no bundle yet: its training has not finished.",
            expected="a finished run",
            fix="run the command that started it again, with --resume.",
        )
    raise refusal(f"{path} contains no bundle.", expected=expected, fix="check the path.")


def read_spec(path: Path, *, loader_version: int) -> BundleSpec:
    """Read the description of a bundle, and check everything that can be checked without TensorFlow.

    Args:
        path: A run folder, or the bundle folder.
        loader_version: The version of this tlkit's image loader (`tlkit.data.images.LOADER_VERSION`).

    Raises:
        BundleError: If the bundle is missing, unfinished, damaged, of another version or not as tlkit writes it.
    """
    folder = find_bundle(path)
    spec, _ = read_description(folder, loader_version=loader_version)
    with open_tensors(folder / WEIGHTS_FILE) as weights:
        check_weight_names(weights, spec, place=str(folder / WEIGHTS_FILE))
    with open_tensors(folder / GOLDEN_FILE) as golden:
        golden.check_kinds(golden_kinds(golden, spec, place=str(folder / GOLDEN_FILE)))
    if spec.measures_distance:
        with open_tensors(folder / NOVELTY_FILE):
            pass
    return spec


def read_description(folder: Path, *, loader_version: int) -> tuple[BundleSpec, dict[str, str]]:
    """Read `bundle.json`, and return the spec and the expected sha256 of each of the other files.

    Raises:
        BundleError: If the file is missing, damaged, of another version or not as tlkit writes it.
    """
    path = folder / SPEC_FILE
    with open_regular_file(path, max_bytes=MAX_SPEC_BYTES) as stream:
        document = parse_json(stream.read(MAX_SPEC_BYTES), place=str(path), levels=4)
    seal, hashes = (document.pop(key, None) if isinstance(document, dict) else None for key in ("sha256", "files"))
    spec = parse_spec(document, place=str(path), loader_version=loader_version)
    names = [WEIGHTS_FILE, GOLDEN_FILE, *([NOVELTY_FILE] if spec.measures_distance else [])]
    for network_format in map(find_network_format, NETWORK_FORMATS):
        if isinstance(hashes, dict) and not hashes.keys().isdisjoint(network_format.files):
            names += network_format.files
    files = check_keys(hashes, tuple(names), place=f"{path}: files")
    for name, sha256 in files.items():
        if not isinstance(sha256, str) or not SHA256.allows(sha256):
            raise refusal(f"{path}: files: {name} is {quote(sha256)}.", expected=SHA256.expected)
    found = hash_description({**document, "files": files})
    if seal != found:
        raise refusal(
            f"{path} gives the sha256 of its contents as {quote(seal)}.",
            expected=f"{found}; the file has changed since it was written",
        )
    return spec, files


def hash_description(document: Mapping[str, Any]) -> str:
    """Return the sha256, in hex, of the content of `bundle.json` without this hash, independent of its formatting."""
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def check_weight_names(weights: TensorFile, spec: BundleSpec, *, place: str) -> None:
    """Check the header of the weights before the model is built.

    Raises:
        BundleError: If a name belongs to no part of the model, or the size of the backbone is far off.
    """
    parts = (BACKBONE_PREFIX, HEAD_PREFIX)
    for entry in weights.entries:
        if not entry.name.startswith(parts):
            raise refusal(
                f"{place}: unknown array {quote(entry.name)}.", expected=f"names that begin with {', '.join(parts)}"
            )
    found = sum(entry.num_values for entry in weights.entries if entry.name.startswith("backbone/"))
    whole = BACKBONES[spec.backbone].num_parameters
    # Do not build a large network for a small file, nor read a large file, before refusing it.
    if not whole <= 2 * found <= 4 * whole:
        raise refusal(
            f"{place} holds {found:,} parameters of the backbone.",
            expected=f"{whole:,}, the number for {spec.backbone}",
        )


def golden_kinds(golden: TensorFile, spec: BundleSpec, *, place: str) -> dict[str, TensorKind]:
    """Return what the golden samples should be, given how many the file has.

    Raises:
        BundleError: If there are none, or too many.
    """
    count = max((entry.kind[1][0] for entry in golden.entries if entry.kind[1]), default=0)
    if not 1 <= count <= MAX_GOLDEN_IMAGES:
        raise refusal(f"{place} holds {count:,} golden samples.", expected=f"1 to {MAX_GOLDEN_IMAGES}")
    kinds: dict[str, TensorKind] = {
        "images": ("U8", (count, *spec.image_size, 3)),
        "answers": ("F32", (count, spec.comparison_width)),
    }
    if spec.metadata.width:
        kinds["metadata"] = ("F32", (count, spec.metadata.width))
    return kinds


def read_head_weights(path: Path, *, loader_version: int) -> dict[str, np.ndarray[Any, Any]]:
    """Return the weights of a bundle's head by name, float32, without the prefix of the head.

    Args:
        path: A run folder, or the bundle folder.
        loader_version: As for `read_spec`.

    Raises:
        BundleError: If the bundle is missing, damaged or not as tlkit writes it.
    """
    folder = find_bundle(path)
    spec, hashes = read_description(folder, loader_version=loader_version)
    with open_tensors(folder / WEIGHTS_FILE) as file:
        check_weight_names(file, spec, place=str(folder / WEIGHTS_FILE))
        return {
            name.removeprefix(HEAD_PREFIX): array
            for name, array in file.read(hashes[WEIGHTS_FILE])
            if name.startswith(HEAD_PREFIX)
        }


def read_novelty(folder: Path, sha256: str, num_channels: int) -> Novelty:
    """Read what the distance from the training images is measured by.

    Args:
        folder: The bundle folder.
        sha256: Of the file, in hex.
        num_channels: Of the model's pooled feature.

    Raises:
        BundleError: If the file is not as tlkit writes it for such a model.
    """
    with open_tensors(folder / NOVELTY_FILE) as file:
        shapes = [entry.kind[1] for entry in file.entries if entry.name == "directions"]
        number = min(shapes[0][0], MAX_DIRECTIONS) if shapes and len(shapes[0]) == 2 else 0
        file.check_kinds({"mean": ("F32", (num_channels,)), "directions": ("F32", (number, num_channels))})
        arrays = dict(file.read(sha256))
    return Novelty(arrays["mean"], arrays["directions"])


def check_spec(spec: BundleSpec) -> None:
    """Check, before training, that a bundle with this spec could be read again.

    Raises:
        BundleError: If a class name or another value is invalid.
    """
    check_class_names(
        spec.class_names,
        place="this data set",
        fix="rename the class in the data, and train again.",
        least=spec.fewest_classes,
    )
    parse_spec(spec_document(spec), place="this model", loader_version=spec.loader_version)
    if len(_description_text(spec, {}).encode()) > MAX_SPEC_BYTES - ROOM_FOR_HASHES:
        raise refusal(
            f"the {len(spec.class_names):,} class names of this data set are too long in total.",
            expected=f"at most {MAX_SPEC_BYTES:,} bytes of names",
            fix="use shorter class names, and train again.",
        )


def write_files(
    folder: Path,
    spec: BundleSpec,
    *,
    weights: Mapping[str, np.ndarray[Any, Any]],
    golden: Mapping[str, np.ndarray[Any, Any]],
    novelty: Mapping[str, np.ndarray[Any, Any]] | None = None,
    networks: Mapping[str, Network] | None = None,
) -> None:
    """Write a bundle folder; an earlier bundle is replaced only when the new one is complete and valid.

    Args:
        folder: The bundle folder itself, usually `RUN/bundle`; its parent exists.
        spec: The model's description.
        weights: float32 arrays by name.
        golden: `images`, uint8 (n, height, width, 3), 0..255; `metadata`, float32 (n, width); and `answers`, float32
            (n, comparison_width), as `Predictor.predict_for_comparison` gives them.
        novelty: `mean` and `directions`, float32 arrays as in `Novelty`, if distances are measured.
        networks: The same model in other formats, by the names in `NETWORK_FORMATS`.

    Raises:
        BundleError: If `folder` is something else, or the new bundle could not be read again.
    """
    check_spec(spec)
    if os.path.lexists(folder) and not os.path.lexists(folder / SPEC_FILE):
        raise refusal(
            f"{folder} exists and is not a bundle.",
            expected="a new path, or an earlier bundle to replace",
            fix="move it, or choose another output folder.",
        )
    partial, previous = (folder.with_name(folder.name + suffix) for suffix in (PARTIAL_SUFFIX, PREVIOUS_SUFFIX))
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir()
        _write_partial(partial, spec, weights=weights, golden=golden, novelty=novelty, networks=networks)
        read_spec(partial, loader_version=spec.loader_version)
        _replace(partial, folder, previous)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)  # the disk may be full
        raise


def _write_partial(
    partial: Path,
    spec: BundleSpec,
    *,
    weights: Mapping[str, np.ndarray[Any, Any]],
    golden: Mapping[str, np.ndarray[Any, Any]],
    novelty: Mapping[str, np.ndarray[Any, Any]] | None,
    networks: Mapping[str, Network] | None,
) -> None:
    """Write all files of a bundle to a new folder, flushed to disk."""
    files = {
        WEIGHTS_FILE: write_tensors(partial / WEIGHTS_FILE, weights),
        GOLDEN_FILE: write_tensors(partial / GOLDEN_FILE, golden),
    }
    if novelty:
        files[NOVELTY_FILE] = write_tensors(partial / NOVELTY_FILE, novelty)
    for name, network in (networks or {}).items():
        files |= find_network_format(name).save(network, partial, weights)
    write_description(partial, spec, files)


def write_description(folder: Path, spec: BundleSpec, files: Mapping[str, str]) -> None:
    """Write bundle.json, given the sha256 of the other files, and README.md."""
    write_text(folder / SPEC_FILE, _description_text(spec, files))
    write_text(folder / README_FILE, describe_bundle(spec, measure_files(folder, (SPEC_FILE, *files))))


def _description_text(spec: BundleSpec, files: Mapping[str, str]) -> str:
    document = {**spec_document(spec), "files": dict(files)}
    sealed = {**document, "sha256": hash_description(document)}
    return json.dumps(sealed, indent=1, ensure_ascii=False) + "\n"


def _replace(partial: Path, folder: Path, previous: Path) -> None:
    """Replace `folder` by `partial`; at any time, one complete bundle can be found."""
    if folder.exists():
        shutil.rmtree(previous, ignore_errors=True)
        folder.rename(previous)
    partial.rename(folder)
    flush_folder(folder.parent)
    shutil.rmtree(previous, ignore_errors=True)
