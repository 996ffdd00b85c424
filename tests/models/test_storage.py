from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tlkit.backbones.catalogue import BACKBONES
from tlkit.errors import BundleError
from tlkit.models import storage
from tlkit.models.spec import BundleSpec
from tlkit.models.storage import check_spec, find_bundle, hash_description, read_spec, write_files

RUN_EXPECTED = "a run folder created by `tlkit finetune`, or the bundle folder in it"
NUM_TINY = BACKBONES["tiny"].num_parameters or 2000
Edit = Callable[[Path, Callable[[dict[str, Any]], object]], None]


def test_a_bundle_is_found_from_the_run_and_from_its_own_folder(bundle: Path) -> None:
    assert find_bundle(bundle.parent) == bundle
    assert find_bundle(bundle) == bundle


def test_a_missing_path_a_file_and_a_foreign_folder_are_no_bundles(refuses: Any, bundle: Path, tmp_path: Path) -> None:
    with refuses(f"{tmp_path / 'nowhere'} does not exist.", RUN_EXPECTED, fix="check the path."):
        find_bundle(tmp_path / "nowhere")
    with refuses(f"{bundle / 'bundle.json'} is a file.", RUN_EXPECTED, fix="pass the folder that contains it."):
        find_bundle(bundle / "bundle.json")
    with refuses(f"{tmp_path} contains no bundle.", RUN_EXPECTED, fix="check the path."):
        find_bundle(tmp_path)
    endless = tmp_path / ("x" * 300)
    with refuses(f"{endless} cannot be opened (File name too long).", RUN_EXPECTED, fix="check the path."):
        find_bundle(endless)


def test_a_run_that_is_still_in_training_is_to_be_resumed(refuses: Any, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").touch()
    with refuses(
        f"{tmp_path} contains no bundle yet: its training has not finished.",
        "a finished run",
        fix="run the command that started it again, with --resume.",
    ):
        find_bundle(tmp_path)


def test_a_bundle_folder_that_leads_out_of_the_run_is_not_followed(refuses: Any, bundle: Path, tmp_path: Path) -> None:
    run = tmp_path / "other"
    run.mkdir()
    (run / "bundle").symlink_to(bundle)
    with refuses(f"{run / 'bundle'} is a symbolic link.", "a folder"):
        find_bundle(run)
    (tmp_path / "mine").symlink_to(bundle.parent)
    assert find_bundle(tmp_path / "mine") == tmp_path / "mine" / "bundle"  # a link that the user named is the user's
    assert find_bundle(run / "bundle") == run / "bundle"


def test_the_description_is_read_without_tensorflow(bundle: Path, spec: BundleSpec) -> None:
    assert read_spec(bundle.parent, loader_version=3) == spec
    code = (
        "import sys; from pathlib import Path; from tlkit.models.storage import read_spec; "
        f"read_spec(Path({str(bundle)!r}), loader_version=3); "
        "print([name for name in ('tensorflow', 'keras', 'h5py', 'PIL') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


@pytest.mark.parametrize("name", ["bundle.json", "weights.safetensors", "golden.safetensors", "novelty.safetensors"])
def test_a_linked_or_missing_file_is_refused(refuses: Any, bundle: Path, tmp_path: Path, name: str) -> None:
    limit = "4,194,304" if name == "bundle.json" else "4,294,967,296"
    (bundle / name).rename(tmp_path / name)
    (bundle / name).symlink_to(tmp_path / name)
    with refuses(f"{bundle / name} is a symbolic link.", f"a regular file of at most {limit} bytes"):
        read_spec(bundle, loader_version=3)
    if name != "bundle.json":
        (bundle / name).unlink()
        with refuses(
            f"{bundle / name} cannot be opened (No such file or directory).",
            f"a regular file of at most {limit} bytes",
        ):
            read_spec(bundle, loader_version=3)


def test_a_giant_description_is_refused_unread(refuses: Any, bundle: Path) -> None:
    os.truncate(bundle / "bundle.json", 2**40)
    with refuses(f"{bundle / 'bundle.json'} has 1,099,511,627,776 bytes.", "a regular file of at most 4,194,304 bytes"):
        read_spec(bundle, loader_version=3)


def test_a_deeply_nested_description_is_refused(refuses: Any, bundle: Path) -> None:
    (bundle / "bundle.json").write_bytes(b'{"a":' * 800_000)
    with refuses(
        f"{bundle / 'bundle.json'} is not JSON that tlkit reads: more than 4 levels deep.",
        "UTF-8 JSON as tlkit writes it",
    ):
        read_spec(bundle, loader_version=3)


def test_extra_and_missing_keys_are_refused(refuses: Any, bundle: Path, edit_description: Edit) -> None:
    path = bundle / "bundle.json"
    keys = (
        "an object with exactly these keys: backbone, image_size, fit, loader_version, pooling, head, class_names, "
        "task, target, thresholds, metadata, has_box, temperature, "
        "unknown_above, unfrozen, grey, map_sizes, provenance, format_version"
    )
    edit_description(bundle, lambda document: document.update(on_load="import os"))
    with refuses(f"{path} has an unknown key 'on_load'.", keys):
        read_spec(bundle, loader_version=3)
    edit_description(bundle, lambda document: (document.pop("on_load"), document.pop("fit")))
    with refuses(f"{path} has no key 'fit'.", keys):
        read_spec(bundle, loader_version=3)


GOOD = dict.fromkeys(("weights.safetensors", "golden.safetensors", "novelty.safetensors"), "0" * 64)
FILES = "an object with exactly these keys: weights.safetensors, golden.safetensors, novelty.safetensors"


@pytest.mark.parametrize(
    ("files", "found", "expected"),
    [
        (None, " is None.", FILES),
        ({"weights.safetensors": "0" * 64}, " has no key 'golden.safetensors'.", FILES),
        ({**GOOD, "/etc/passwd": "0" * 64}, " has an unknown key '/etc/passwd'.", FILES),
        (
            {**GOOD, "openvino.xml": "0" * 64},
            " has no key 'openvino.safetensors'.",
            f"{FILES}, openvino.xml, openvino.safetensors",
        ),
        (
            {**GOOD, "openvino.safetensors": "0" * 64},
            " has no key 'openvino.xml'.",
            f"{FILES}, openvino.xml, openvino.safetensors",
        ),
        (
            {**GOOD, "weights.safetensors": "0" * 63},
            f": weights.safetensors is {'0' * 63!r}.",
            "a sha256 in hex",
        ),
        ({**GOOD, "weights.safetensors": 7}, ": weights.safetensors is 7.", "a sha256 in hex"),
    ],
)
def test_the_list_of_files_names_nothing_but_the_models(
    refuses: Any, bundle: Path, edit_description: Edit, files: Any, found: str, expected: str
) -> None:
    edit_description(bundle, lambda document: document.update(files=files))
    with refuses(f"{bundle / 'bundle.json'}: files{found}", expected):
        read_spec(bundle, loader_version=3)


def test_truncated_weights_are_refused(refuses: Any, bundle: Path) -> None:
    path = bundle / "weights.safetensors"
    os.truncate(path, path.stat().st_size - 1)
    num_bytes = 4 * (NUM_TINY + 3)
    with refuses(f"{path} holds {num_bytes - 1:,} bytes of numbers.", f"{num_bytes:,}, as its header says"):
        read_spec(bundle, loader_version=3)


def test_an_array_outside_backbone_and_head_is_refused(refuses: Any, bundle: Path) -> None:
    path = bundle / "weights.safetensors"
    save_file(load_file(path) | {"../other": np.zeros(1, np.float32)}, path)
    with refuses(f"{path}: unknown array '../other'.", "names that begin with backbone/, head/"):
        read_spec(bundle, loader_version=3)


def test_a_small_file_cannot_ask_for_the_largest_backbone(refuses: Any, bundle: Path, edit_description: Edit) -> None:
    edit_description(bundle, lambda document: document.update(backbone="vgg16", unfrozen="none"))
    with refuses(
        f"{bundle / 'weights.safetensors'} holds {NUM_TINY:,} parameters of the backbone.",
        "14,714,688, the number for vgg16",
    ):
        read_spec(bundle, loader_version=3)


@pytest.mark.parametrize(
    ("images", "probabilities", "found", "expected"),
    [
        ((0,), (0,), None, None),
        ((33, 48, 48, 3), (33, 3), " holds 33 golden samples.", "1 to 32"),
        (
            (2, 48, 48, 3),
            (2, 5),
            ": 'answers' is F32 2 x 5.",
            "F32 2 x 4, as bundle.json describes the model",
        ),
        (
            (2, 48, 48, 3),
            (1, 3),
            ": 'answers' is F32 1 x 3.",
            "F32 2 x 4, as bundle.json describes the model",
        ),
        (
            (2, 96, 96, 3),
            (2, 3),
            ": 'images' is U8 2 x 96 x 96 x 3.",
            "U8 2 x 48 x 48 x 3, as bundle.json describes the model",
        ),
    ],
)
def test_golden_samples_of_another_shape_are_refused(
    refuses: Any, bundle: Path, images: Any, probabilities: Any, found: str | None, expected: str | None
) -> None:
    path = bundle / "golden.safetensors"
    arrays = {"images": np.zeros(images, np.uint8), "answers": np.zeros(probabilities, np.float32)}
    save_file(arrays if found else {}, path)
    with refuses(f"{path}{found or ' holds 0 golden samples.'}", expected or "1 to 32"):
        read_spec(bundle, loader_version=3)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def arrays(bundle: Path) -> dict[str, Any]:
    """Weights and golden samples for `write_files`, other than those of `bundle`."""
    weights = load_file(bundle / "weights.safetensors")
    return {
        "weights": weights | {"head/logits/bias": np.ones(3, np.float32)},
        "golden": load_file(bundle / "golden.safetensors"),
        "novelty": load_file(bundle / "novelty.safetensors"),
    }


def test_a_bundle_replaces_an_earlier_one_and_leaves_nothing_else(
    bundle: Path, spec: BundleSpec, arrays: dict[str, Any]
) -> None:
    (bundle.parent / "bundle.partial").mkdir()
    (bundle.parent / "bundle.partial" / "rest of a killed run").touch()
    write_files(bundle, dataclasses.replace(spec, unfrozen="all"), **arrays)
    assert read_spec(bundle, loader_version=3).unfrozen == "all"
    assert [path.name for path in bundle.parent.iterdir()] == ["bundle"]
    assert load_file(bundle / "weights.safetensors")["head/logits/bias"].tolist() == [1, 1, 1]


def test_a_bundle_is_found_and_whole_at_every_moment_of_being_replaced(
    bundle: Path, spec: BundleSpec, arrays: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    steps = {"count": 0}

    def kill_before(owner: Any, name: str, at: int) -> None:
        original = getattr(owner, name)

        def step(*arguments: Any, **keywords: Any) -> Any:
            if steps["count"] == at:
                raise Killed
            steps["count"] += 1
            return original(*arguments, **keywords)

        monkeypatch.setattr(owner, name, step)

    for at in range(20):
        steps["count"] = 0
        new = dataclasses.replace(spec, unfrozen="all" if at % 2 else "none")
        with monkeypatch.context():
            for owner, name in ((storage, "write_tensors"), (Path, "rename"), (shutil, "rmtree"), (os, "fsync")):
                kill_before(owner, name, at)
            try:
                write_files(bundle, new, **arrays)
            except Killed:
                pass
            else:
                break
            finally:
                monkeypatch.undo()
        assert read_spec(bundle.parent, loader_version=3).unfrozen in ("block4", "none", "all")
    assert at > 6
    assert read_spec(bundle.parent, loader_version=3) == new
    assert [path.name for path in bundle.parent.iterdir()] == ["bundle"]


def test_a_bundle_that_could_not_be_read_again_does_not_replace_a_good_one(
    refuses: Any, bundle: Path, spec: BundleSpec, arrays: dict[str, Any]
) -> None:
    before = contents(bundle)
    arrays["golden"]["images"] = np.zeros((2, 40, 40, 3), np.uint8)
    with refuses(
        f"{bundle.parent / 'bundle.partial' / 'golden.safetensors'}: 'images' is U8 2 x 40 x 40 x 3.",
        "U8 2 x 48 x 48 x 3, as bundle.json describes the model",
    ):
        write_files(bundle, spec, **arrays)
    assert contents(bundle) == before


def test_a_folder_that_is_no_bundle_is_left_alone(
    refuses: Any, bundle: Path, spec: BundleSpec, arrays: dict[str, Any]
) -> None:
    photos = bundle.parent / "photos"
    photos.mkdir()
    (photos / "holiday.jpg").touch()
    with refuses(
        f"{photos} exists and is not a bundle.",
        "a new path, or an earlier bundle to replace",
        fix="move it, or choose another output folder.",
    ):
        write_files(photos, spec, **arrays)
    assert contents(photos) == {"holiday.jpg": b""}


def test_a_description_that_could_not_be_read_again_is_refused_before_anything_is_written(
    refuses: Any, tmp_path: Path, spec: BundleSpec, arrays: dict[str, Any]
) -> None:
    with refuses(
        r"this data set: the class name '\ud800' cannot be used.",
        "1 to 200 characters without control characters",
        fix="rename the class in the data, and train again.",
    ):
        write_files(tmp_path / "new", dataclasses.replace(spec, class_names=("cat", "\ud800")), **arrays)
    assert not (tmp_path / "new.partial").exists()


def test_class_names_that_could_not_be_saved_are_refused_before_training(refuses: Any, spec: BundleSpec) -> None:
    check_spec(spec)
    with refuses(
        r"this data set: the class name 'a\nb' cannot be used.",
        "1 to 200 characters without control characters",
        fix="rename the class in the data, and train again.",
    ):
        check_spec(dataclasses.replace(spec, class_names=("a\nb", "c")))
    names = tuple(f"{number:0200}" for number in range(25_000))
    with refuses(
        "the 25,000 class names of this data set are too long in total.",
        "at most 4,194,304 bytes of names",
        fix="use shorter class names, and train again.",
    ):
        check_spec(dataclasses.replace(spec, class_names=names))
    with refuses("this model: image_size is [0, 0].", "height and width of a square, each a whole number, 32 to 2048"):
        check_spec(dataclasses.replace(spec, image_size=(0, 0)))


def test_a_description_that_was_changed_is_refused(refuses: Any, bundle: Path) -> None:
    path = bundle / "bundle.json"
    document = json.loads(path.read_text())
    seal = document["sha256"]
    document["temperature"] = 0.5
    path.write_text(json.dumps(document))
    found = hash_description({key: value for key, value in document.items() if key != "sha256"})
    with refuses(
        f"{path} gives the sha256 of its contents as '{seal}'.",
        f"{found}; the file has changed since it was written",
    ):
        read_spec(bundle, loader_version=3)


def test_another_layout_of_the_same_description_is_read(bundle: Path) -> None:
    path = bundle / "bundle.json"
    before = read_spec(bundle, loader_version=3)
    path.write_text(json.dumps(json.loads(path.read_text()), sort_keys=True, ensure_ascii=True))
    assert read_spec(bundle, loader_version=3) == before


def test_any_flipped_bit_of_the_description_is_refused_or_changes_nothing(bundle: Path) -> None:
    path = bundle / "bundle.json"
    before = read_spec(bundle, loader_version=3)
    sound = path.read_bytes()
    dice = random.Random(0)
    for _ in range(300):
        content = bytearray(sound)
        content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
        path.write_bytes(content)
        with contextlib.suppress(BundleError):
            assert read_spec(bundle, loader_version=3) == before
