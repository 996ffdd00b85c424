"""`tlkit push` and `tlkit pull`, with the hub's own library against a hub on this machine."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load, load_file

from tests.sharing.conftest import COMMIT, FakeHub
from tlkit.commands.pull import run_pull
from tlkit.commands.push import PushOptions, count_golden_images, run_push
from tlkit.errors import BundleError, HubError, RunError, SettingError
from tlkit.models.storage import hash_description
from tlkit.models.tensors import write_tensors
from tlkit.reports.console import Console
from tlkit.sharing.contents import choose_files
from tlkit.sharing.golden import draw_shapes
from tlkit.sharing.hub import check_repository, explained_errors

pytestmark = [
    pytest.mark.usefixtures("bundles_are_read_once"),
    pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"),  # huggingface_hub 2.4 uploads large files so
]

QUIET = Console(verbosity=-1)
NAME = "anna/colours"
BUNDLE = {"bundle/bundle.json", "bundle/weights.safetensors", "bundle/golden.safetensors", "bundle/README.md"}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, make_bundle: Callable[..., Path]) -> Path:
    return make_bundle(tmp_path_factory.mktemp("model") / "bundle", ("red", "striped"))


@pytest.fixture
def pushed(hub: FakeHub, bundle: Path) -> dict[str, bytes]:
    """The files of the repository after a push that keeps the golden images."""
    run_push(bundle, NAME, PushOptions(keeps_golden_images=True), console=QUIET)
    return hub.files[NAME]


def test_what_was_pushed_is_pulled_and_checked(
    hub: FakeHub, bundle: Path, pushed: dict[str, bytes], tmp_path: Path
) -> None:
    pushed["model.onnx"] = b"another file"
    out = tmp_path / "models" / "colours"
    result = run_pull(NAME, out, console=QUIET)

    assert hub.private == {NAME: True}
    assert {*result["files"]} == {"README.md", *BUNDLE}
    assert (result["commit"], result["not_downloaded"]) == (COMMIT, ["model.onnx"])
    assert {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()} == {"README.md", *BUNDLE}
    assert (out / "bundle" / "bundle.json").read_bytes() == (bundle / "bundle.json").read_bytes()
    assert f"tlkit pull {NAME} --out model\n" in (out / "README.md").read_text("utf-8")
    assert [path.name for path in out.parent.iterdir()] == ["colours"]


@pytest.mark.parametrize("part_bytes", [0, 2**15])
def test_large_files_go_to_the_place_that_the_hub_names(
    hub: FakeHub, bundle: Path, tmp_path: Path, part_bytes: int
) -> None:
    hub.part_bytes = part_bytes
    run_push(bundle, NAME, PushOptions(keeps_golden_images=True), console=QUIET)

    assert {*hub.parts} == {hashlib.sha256(path.read_bytes()).hexdigest() for path in bundle.glob("*.safetensors")}
    assert (len(hub.parts) < sum(map(len, hub.parts.values()))) is (part_bytes > 0)
    assert hub.files[NAME]["bundle/weights.safetensors"] == (bundle / "weights.safetensors").read_bytes()


def test_a_large_file_that_is_refused_is_an_error_in_words(hub: FakeHub, bundle: Path) -> None:
    hub.refuses_large = True
    with pytest.raises(HubError) as refused:
        run_push(bundle, NAME, PushOptions(keeps_golden_images=True), console=QUIET)
    assert refused.value.found == f"{NAME}: the hub refuses access, or has no such repository (status 403)."


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (ConnectionError("Network error"), "the hub cannot be reached (ConnectionError)."),
        (ValueError("Malformed response"), "the hub's library fails (Malformed response)."),
    ],
)
def test_what_the_libraries_of_the_hub_raise_is_an_error_in_words(error: Exception, found: str) -> None:
    with pytest.raises(HubError) as refused, explained_errors(NAME):
        raise error
    assert refused.value.found == f"{NAME}: {found}"


def test_photos_are_replaced_by_drawn_pictures_with_fresh_answers(hub: FakeHub, bundle: Path, tmp_path: Path) -> None:
    hub.files[NAME], hub.private[NAME] = {"bundle/novelty.safetensors": b"of an earlier model", "notes.txt": b""}, True
    run_push(bundle, NAME, PushOptions(), console=QUIET)
    assert {*hub.files[NAME]} == {"README.md", "notes.txt", *BUNDLE}
    run_pull(NAME, tmp_path / "out", console=QUIET)

    before, after = (load_file(folder / "golden.safetensors") for folder in (bundle, tmp_path / "out" / "bundle"))
    assert (after["images"] == draw_shapes(0, (64, 64))).all()
    assert (after["answers"] != before["answers"]).any()
    weights = [(folder / "weights.safetensors").read_bytes() for folder in (bundle, tmp_path / "out" / "bundle")]
    assert weights[0] == weights[1]


def test_a_damaged_file_is_refused_and_downloaded_anew(pushed: dict[str, bytes], tmp_path: Path) -> None:
    name = "bundle/weights.safetensors"
    good = pushed[name]
    pushed[name] = good[:-1] + bytes([good[-1] ^ 1])
    with pytest.raises(BundleError, match=r"weights\.safetensors has the sha256 .*"):
        run_pull(NAME, tmp_path / "out", console=QUIET)
    assert not (tmp_path / "out").exists()
    pushed[name] = good
    run_pull(NAME, tmp_path / "out", console=QUIET)


def test_a_forged_model_fails_on_its_golden_samples(pushed: dict[str, bytes], tmp_path: Path) -> None:
    name = "bundle/weights.safetensors"
    document = json.loads(pushed["bundle/bundle.json"])
    weights = load(pushed[name])
    (bias,) = (each for each in weights if each.startswith("head/") and each.endswith("bias"))
    write_tensors(tmp_path / "forged", weights | {bias: 5 * weights[bias]})
    pushed[name] = (tmp_path / "forged").read_bytes()
    document["files"]["weights.safetensors"] = hashlib.sha256(pushed[name]).hexdigest()
    del document["sha256"]
    pushed["bundle/bundle.json"] = json.dumps({**document, "sha256": hash_description(document)}).encode()

    with pytest.raises(BundleError, match="outputs differ from the saved ones"):
        run_pull(NAME, tmp_path / "out", console=QUIET)
    assert not (tmp_path / "out").exists()


def test_an_interrupted_download_continues(hub: FakeHub, pushed: dict[str, bytes], tmp_path: Path) -> None:
    hub.cut = "bundle/golden.safetensors"
    with pytest.raises(HubError, match=r"the hub answers with status 500\."):
        run_pull(NAME, tmp_path / "out", console=QUIET)
    hub.cut, hub.requests = "", []
    run_pull(NAME, tmp_path / "out", console=QUIET)

    assert not [request for request in hub.requests if request.startswith("GET") and "weights" in request]
    assert [request for request in hub.requests if request.startswith("GET") and "golden" in request]


@pytest.mark.parametrize(
    ("listing", "message"),
    [
        ({"README.md": 5}, "anna/colours has no bundle/bundle.json."),
        ({"bundle/model.pkl": 5}, "anna/colours has 'bundle/model.pkl' in the folder of the model."),
        ({"bundle/../x": 5}, "anna/colours has 'bundle/../x' in the folder of the model."),
        ({"bundle/weights.safetensors": 10**9}, "anna/colours: bundle/weights.safetensors has 1 GB."),
        ({"bundle/golden.safetensors": 90, "bundle/weights.safetensors": 95}, "anna/colours has 0.195 kB to download."),
        ({"README.md": 10**7}, "anna/colours: README.md has 10 MB."),
        ({"bundle/weights.safetensors": None}, "anna/colours: bundle/weights.safetensors has an unknown size."),
        ({f"{number}": 1 for number in range(2000)}, "anna/colours holds 2,001 files."),
    ],
)
def test_a_strange_repository_is_refused_before_anything_is_downloaded(listing: dict[str, Any], message: str) -> None:
    described = {} if listing == {"README.md": 5} else {"bundle/bundle.json": 10}
    with pytest.raises(BundleError) as refused:
        choose_files(NAME, described | listing, max_bytes=100 if len(listing) == 2 else 10**8)
    assert refused.value.found == message


def test_a_public_repository_gets_nothing_that_was_meant_to_be_private(hub: FakeHub, bundle: Path) -> None:
    hub.files[NAME], hub.private[NAME] = {}, False
    with pytest.raises(HubError, match=r"anna/colours exists and everybody can see it\."):
        run_push(bundle, NAME, PushOptions(keeps_golden_images=True), console=QUIET)
    assert hub.files == {NAME: {}}


def test_a_repository_that_is_not_there_is_named_and_no_token(hub: FakeHub, tmp_path: Path) -> None:
    with pytest.raises(HubError) as refused:
        run_pull("anna/none", tmp_path / "out", console=QUIET)
    assert refused.value.found == "anna/none: the hub refuses access, or has no such repository (status 404)."
    assert "hf_s" not in str(refused.value)


@pytest.mark.parametrize("name", ["clothing", "a/b/c", "../x/y", "a/..", "anna/a--b", "anna/a.git", ""])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(SettingError, match="is not the name of a repository"):
        check_repository(name)


def test_an_existing_folder_and_a_missing_package_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.txt").touch()
    with pytest.raises(RunError, match=r"--out .* already exists\."):
        run_pull(NAME, tmp_path, console=QUIET)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(SettingError) as refused:
        run_pull(NAME, tmp_path / "new", console=QUIET)
    assert refused.value.fix == "install it with `pip install 'tlkit[hub]'`."


def test_photos_are_counted(bundle: Path) -> None:
    assert count_golden_images(bundle) == 1
