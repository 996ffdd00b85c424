"""Download a model from a model hub, and check it before it can be used."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkit.data.images import LOADER_VERSION
from tlkit.data.sources import OUTPUT_MARKER
from tlkit.errors import BundleError, HubError, RunError
from tlkit.files import flush_folder
from tlkit.models.about import format_size
from tlkit.models.copying import check_files
from tlkit.models.opening import open_classifier
from tlkit.models.storage import BUNDLE_FOLDER, SPEC_FILE, read_description, read_spec
from tlkit.reports.console import Console
from tlkit.reports.output_folder import LOCK_FILE, check_output_folder, held_output_folder
from tlkit.sharing.contents import choose_files
from tlkit.sharing.hub import Meter, check_repository, connect, explained_errors

if TYPE_CHECKING:
    from huggingface_hub import HfApi

DOWNLOAD = "a download"
"""The kind of the folder in which a model is downloaded and checked."""
UNCHECKED_SUFFIX = ".unchecked"
MEGABYTE = 10**6
_LIBRARY_FOLDER = ".cache"


def run_pull(
    repository: str, out: Path, *, revision: str | None = None, max_megabytes: int = 2000, console: Console
) -> dict[str, Any]:
    """Download a model and check it, and return the result for scripts.

    The model appears at `out` when every file has the sha256 that its description names, and when it gives the answers
    that it gave when it was saved. An interrupted download continues with the files that are missing.

    Args:
        repository: Name of the repository, such as "anna/clothing".
        out: The folder for the model, which is new.
        revision: A branch, tag or commit; None for the newest.
        max_megabytes: The most that is downloaded.
        console: Tells the story.

    Raises:
        BundleError: What is there is not a model of tlkit, or is damaged.
        HubError: The hub refuses or cannot be reached.
        RunError: `out` is in the way.
        SettingError: The extra is not installed, or the name is no name of a repository.
    """
    check_repository(repository)
    _check_out(out)
    api = connect()
    unchecked = out.with_name(out.name + UNCHECKED_SUFFIX)
    check_output_folder(unchecked, option="--out", kind=DOWNLOAD, marker=OUTPUT_MARKER, data_folders=[])
    with held_output_folder(unchecked, kind=DOWNLOAD, marker=OUTPUT_MARKER):
        with explained_errors(repository):
            commit, sizes, others = _list_files(api, repository, revision, max_megabytes * MEGABYTE)
            console.say(f"Downloading {repository}, {format_size(sum(sizes.values()))}.")
            _download(api, repository, commit, sizes, unchecked, console)
        engine = _check(repository, unchecked, sizes)
    _finish(unchecked, out)
    if others:
        console.say(
            f"Not downloaded, since it is no part of the model: {', '.join(map(ascii, others[:5]))}{' …' * (len(others) > 5)}"
        )
    console.say(f"Model: {out} ({len(sizes):,} files; all hashes and golden samples agree, checked with {engine}).")
    console.say("Who may change the repository decides what the model answers: pull only from people whom you trust.")
    console.say(f"Next: tlkit predict {out} IMAGES…")
    return {
        "repository": repository,
        "commit": commit,
        "out": out,
        "files": [*sizes],
        "bytes": sum(sizes.values()),
        "not_downloaded": others,
    }


def _finish(unchecked: Path, out: Path) -> None:
    """Give a checked model its name, without what the download needed."""
    shutil.rmtree(unchecked / _LIBRARY_FOLDER, ignore_errors=True)
    for name in (OUTPUT_MARKER, LOCK_FILE):
        (unchecked / name).unlink(missing_ok=True)
    if out.exists():
        out.rmdir()  # it is empty
    unchecked.rename(out)
    flush_folder(out.absolute().parent)


def _check_out(out: Path) -> None:
    if out.is_dir() and not out.is_symlink() and not any(out.iterdir()):
        return
    if out.exists() or out.is_symlink():
        raise RunError(
            f"--out {out} already exists.",
            expected="a new folder, so that nothing is overwritten",
            fix="use another --out.",
        )


def _list_files(
    api: HfApi, repository: str, revision: str | None, max_bytes: int
) -> tuple[str, dict[str, int], list[str]]:
    """Return the commit, the files to download with their sizes, and the names of others."""
    info = api.model_info(repository, revision=revision, files_metadata=True)
    listing = {file.rfilename: file.size for file in info.siblings or ()}
    sizes, others = choose_files(repository, listing, max_bytes=max_bytes)
    if info.sha is None:
        raise HubError(f"{repository} has no commit.", expected="a repository with a model", fix="check its name.")
    return info.sha, sizes, others


def _download(api: HfApi, repository: str, commit: str, sizes: dict[str, int], folder: Path, console: Console) -> None:
    """Download files, all of one commit, those of the description first; finished ones are not downloaded again."""
    with console.progress("Downloading", sum(sizes.values()), "bytes") as advance:
        for name, size in sizes.items():
            meter = Meter(advance)
            api.hf_hub_download(repository, name, revision=commit, local_dir=folder, tqdm_class=meter.make_bar_class())
            if (folder / name).stat().st_size != size:
                raise HubError(
                    f"{repository}: {name} is not of the size that the hub lists.",
                    expected=f"{size:,} bytes",
                    fix="try again; if it happens again, report it to the owner of the repository.",
                )
            if name == f"{BUNDLE_FOLDER}/{SPEC_FILE}":
                read_description(folder / BUNDLE_FOLDER, loader_version=LOADER_VERSION)
            meter.finish(size)


def _check(repository: str, folder: Path, sizes: dict[str, int]) -> str:
    """Check the hashes and golden samples of a model; remove it if they do not agree; return what it was run by."""
    bundle = folder / BUNDLE_FOLDER
    try:
        _, hashes = read_description(bundle, loader_version=LOADER_VERSION)
        check_files(bundle, hashes)
        read_spec(bundle, loader_version=LOADER_VERSION)
        return open_classifier(bundle, loader_version=LOADER_VERSION).engine
    except BundleError:
        for name in sizes:
            (folder / name).unlink(missing_ok=True)
        raise
