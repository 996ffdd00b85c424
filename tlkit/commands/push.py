"""Upload a model and its card to a model hub."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkit.data.images import LOADER_VERSION
from tlkit.errors import HubError
from tlkit.models.about import format_size
from tlkit.models.copying import copy_bundle
from tlkit.models.opening import open_classifier
from tlkit.models.storage import BUNDLE_FOLDER, GOLDEN_FILE, find_bundle, read_spec
from tlkit.models.tensors import open_tensors
from tlkit.reports.console import Console
from tlkit.runs.card import CARD_FILE, PICTURES, format_card
from tlkit.runs.card_record import CardOptions, read_record
from tlkit.runs.evaluation_set import find_run_folder
from tlkit.runs.folder import describe_unfinished
from tlkit.sharing.golden import draw_golden_samples
from tlkit.sharing.hub import check_repository, connect, explained_errors
from tlkit.waiting import waiting_for

if TYPE_CHECKING:
    from huggingface_hub import HfApi


@dataclass(frozen=True)
class PushOptions:
    """What is uploaded, and for whom.

    Attributes:
        keeps_golden_images: Whether the golden images, photos of the data, are uploaded; drawn pictures otherwise.
        is_private: Whether only the owner sees a new repository.
        card: What only the user knows.
    """

    keeps_golden_images: bool = False
    is_private: bool = True
    card: CardOptions = field(default_factory=CardOptions)


def count_golden_images(run: Path) -> int:
    """Return the number of photos in a bundle that everybody who has the bundle can see.

    Raises:
        BundleError: The model is missing, damaged or invalid.
    """
    read_spec(run, loader_version=LOADER_VERSION)
    with open_tensors(find_bundle(run) / GOLDEN_FILE) as golden:
        return next(entry.kind[1][0] for entry in golden.entries if entry.name == "images")


def run_push(run: Path, repository: str, options: PushOptions, *, console: Console) -> dict[str, Any]:
    """Upload a model and its card, and return the result for scripts.

    Args:
        run: A run folder, or a bundle folder.
        repository: Its name on the hub, such as "anna/clothing"; it is made if needed.
        options: What is uploaded.
        console: Tells the story.

    Raises:
        BundleError: The model is missing, damaged or invalid.
        HubError: The hub refuses, cannot be reached, or shows the repository to others than intended.
        SettingError: The extra is not installed, or the name is no name of a repository.
    """
    check_repository(repository)
    num_golden = count_golden_images(run)
    api = connect()
    if notice := describe_unfinished(run):
        console.warn(notice)
    card = CardOptions(options.card.license, options.card.dataset, options.card.evaluation, repository)
    with tempfile.TemporaryDirectory(prefix="tlkit-push-") as name:
        folder = Path(name)
        golden = None
        if not options.keeps_golden_images:
            console.say(f"The {num_golden:,} golden images are replaced by drawn pictures.")
            model = open_classifier(run, loader_version=LOADER_VERSION)
            golden = draw_golden_samples(model, num_golden)
        copy_bundle(find_bundle(run), folder / BUNDLE_FOLDER, loader_version=LOADER_VERSION, golden=golden)
        open_classifier(folder, loader_version=LOADER_VERSION)
        pictures = _copy_pictures(run, folder)
        record = read_record(run, card)
        (folder / CARD_FILE).write_text(format_card(record, pictures), "utf-8")
        files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
        num_bytes = sum(path.stat().st_size for path in files.values())
        console.say(f"Uploading {len(files):,} files, {format_size(num_bytes)}, to {repository}.")
        with explained_errors(repository), waiting_for("the upload"):
            url, commit = _upload(api, repository, files, is_private=options.is_private)
    console.say(f"Uploaded: {url}")
    console.say(f"Next: tlkit pull {repository}")
    return {
        "run": run,
        "repository": repository,
        "url": url,
        "commit": commit,
        "files": [*files],
        "bytes": num_bytes,
        "private": options.is_private,
        "golden_images": "keep" if options.keeps_golden_images else "drawn",
    }


def _copy_pictures(run: Path, folder: Path) -> list[str]:
    found = find_run_folder(run)
    names = [name for name in PICTURES if found and (found / name).is_file()]
    for name in names:
        shutil.copyfile(Path(found or run) / name, folder / name)
    return names


def _upload(api: HfApi, repository: str, files: dict[str, Path], *, is_private: bool) -> tuple[str, str]:
    """Make the repository if needed, and replace the model in it in one commit; return its address and the commit."""
    from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete

    url = str(api.create_repo(repository, private=is_private, exist_ok=True))
    info = api.model_info(repository)
    if is_private and not info.private:
        raise HubError(
            f"{repository} exists and everybody can see it.",
            expected="a private repository, which is the default",
            fix="use --public if everybody may have the model, or another name.",
        )
    present = [file.rfilename for file in info.siblings or ()]
    stale = [
        name for name in present if name not in files and (name.startswith(f"{BUNDLE_FOLDER}/") or name in PICTURES)
    ]
    operations: list[CommitOperationAdd | CommitOperationCopy | CommitOperationDelete] = [
        *(CommitOperationDelete(name) for name in stale),
        *(CommitOperationAdd(name, path) for name, path in files.items()),
    ]
    commit = api.create_commit(repository, operations, commit_message="Upload a model with tlkit")
    return url, str(commit.oid)
