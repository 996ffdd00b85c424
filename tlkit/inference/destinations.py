"""Where predictions go: checked before a model is opened, and opened as one writer."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tlkit.data.sources import OUTPUT_MARKER, STDIN
from tlkit.errors import SettingError
from tlkit.inference.files import OVERLAYS, SORTED_IMAGES
from tlkit.inference.formats.coco import open_coco
from tlkit.inference.formats.label_folder import ERRORS_FILE, check_label_folder
from tlkit.inference.formats.voc import open_voc
from tlkit.inference.formats.yolo import open_yolo
from tlkit.inference.mask_files import MASKS
from tlkit.inference.predictions import PredictionColumns, PredictionWriter, open_predictions
from tlkit.models.spec import BundleSpec
from tlkit.outputs import COCO, FOLDER_FORMATS, VOC
from tlkit.places.copies import show_path
from tlkit.reports.output_folder import check_output_folder, check_outside
from tlkit.reports.row_file import SUFFIXES, check_rows_path, describe_partial_rows, partial_path
from tlkit.tasks import find_task

COCO_SUFFIX = ".json"
_KINDS = {"--out": "labels", "--overlay": "overlays", "--sort-into": "sorted"}


@dataclass(frozen=True)
class PredictOutputs:
    """Outputs of a prediction.

    Attributes:
        out: A file of rows, or what `format` says; None for CSV on standard output.
        overlay: Folder for overlays.
        sort_into: Folder for sorted copies.
        masks_out: Folder for masks.
        format: One of `tlkit.outputs.OBJECT_FORMATS`; None to tell by the suffix of `out`.
    """

    out: Path | None = None
    overlay: Path | None = None
    sort_into: Path | None = None
    masks_out: Path | None = None
    format: str | None = None

    @property
    def object_format(self) -> str | None:
        """The format of found objects; None for rows."""
        is_coco = self.out is not None and self.out.suffix.lower() == COCO_SUFFIX
        return self.format or (COCO if is_coco else None)

    @property
    def place_of_errors(self) -> str:
        """Where the reasons stand why images could not be read, in words."""
        if self.object_format is None:
            return "the rows say why"
        if self.object_format in FOLDER_FORMATS:
            return f"{Path(self.out or '', ERRORS_FILE)} says why"
        return f"`errors` in {self.out} says why"

    @property
    def place_of_unknown(self) -> str:
        """Where it stands which images are unlike the training images, in words."""
        if self.object_format is None:
            return "column `unknown`"
        return "a file of rows says which" if self.object_format in FOLDER_FORMATS else "`unknown` of their entries"

    def describe_so_far(self) -> str:
        """Return a sentence about what an interruption leaves of `out`."""
        assert self.out is not None, "only files are kept"
        if self.object_format is None:
            return describe_partial_rows(self.out)
        if self.object_format in FOLDER_FORMATS:
            return f"The files so far are in {self.out}."
        return f"The images so far are in {partial_path(self.out)}."


def check_outputs(outputs: PredictOutputs, sources: Sequence[str], spec: BundleSpec) -> None:
    """Check that all outputs can be written, without writing anything.

    Args:
        outputs: The outputs.
        sources: The sources, or the folder to watch.
        spec: The model's description.

    Raises:
        SettingError: A format or suffix is unknown or does not go with the model, or two outputs share a folder.
        RunError: A folder contains other files or is inside the data.
    """
    task = find_task(spec.task)
    if outputs.sort_into and not (task.is_exclusive or task.lists_objects):
        raise SettingError(
            f"--sort-into {outputs.sort_into}: the model does not predict one class per image: its task is {spec.task}.",
            expected="--sort-into only with classes",
            fix="leave out --sort-into.",
        )
    if outputs.masks_out and not task.has_masks:
        raise SettingError(
            f"--masks-out {outputs.masks_out}: the model does not predict masks: its task is {spec.task}.",
            expected="--masks-out only with segmentation",
            fix="leave out --masks-out.",
        )
    data_folders = [Path(source) for source in sources if source != STDIN and Path(source).is_dir()]
    _check_out(outputs, spec, data_folders)
    for option, folder, kind in (
        ("--overlay", outputs.overlay, OVERLAYS),
        ("--sort-into", outputs.sort_into, SORTED_IMAGES),
        ("--masks-out", outputs.masks_out, MASKS),
    ):
        if folder:
            check_output_folder(folder, option=option, kind=kind, marker=OUTPUT_MARKER, data_folders=data_folders)
    _check_different(outputs)


def _check_out(outputs: PredictOutputs, spec: BundleSpec, data_folders: Sequence[Path]) -> None:
    has_objects = find_task(spec.task).lists_objects
    if outputs.format and not has_objects:
        raise SettingError(
            f"--format {outputs.format}: the model finds no objects: its task is {spec.task}.",
            expected="--format only with a model of the task detection; others write rows",
            fix="leave out --format.",
        )
    if outputs.format and not outputs.out:
        raise SettingError(
            f"--format {outputs.format}: there is no --out.",
            expected="a file for coco, a folder for yolo and voc",
            fix=f"--out {'boxes.json' if outputs.format == COCO else 'labels'}",
        )
    if not outputs.out:
        return
    check_outside(outputs.out, option="--out", data_folders=data_folders)
    if not has_objects or outputs.object_format is None:
        _check_rows(outputs.out, has_objects=has_objects)
    elif outputs.object_format in FOLDER_FORMATS:
        if outputs.out.suffix.lower() in (*SUFFIXES, COCO_SUFFIX):
            raise SettingError(
                f"--out {outputs.out}: --format {outputs.format} writes a file for each image.",
                expected="a folder",
                fix=f"--out {outputs.out.with_suffix('')}, or leave out --format.",
            )
        check_label_folder(outputs.out, data_folders=data_folders)
    elif outputs.out.suffix.lower() != COCO_SUFFIX or outputs.out.is_dir():
        raise SettingError(
            f"--out {outputs.out}: --format {COCO} writes one file of JSON.",
            expected=f"a file that ends in {COCO_SUFFIX}",
            fix=f"--out {outputs.out.with_suffix(COCO_SUFFIX)}",
        )


def _check_rows(out: Path, *, has_objects: bool) -> None:
    try:
        check_rows_path(out)
    except SettingError as error:
        if not has_objects or out.suffix.lower() in SUFFIXES:
            raise
        raise SettingError(
            error.found,
            expected=f"a file that ends in {', '.join(SUFFIXES)} or {COCO_SUFFIX}, or a folder with --format",
            fix=f"--out {out.with_suffix(COCO_SUFFIX)}, or --format {' or '.join(FOLDER_FORMATS)}",
        ) from error


def _check_different(outputs: PredictOutputs) -> None:
    folders = {"--overlay": outputs.overlay, "--sort-into": outputs.sort_into, "--masks-out": outputs.masks_out}
    if outputs.object_format in FOLDER_FORMATS:
        folders = {"--out": outputs.out, **folders}
    given = [(option, folder) for option, folder in folders.items() if folder]
    for number, (option, folder) in enumerate(given):
        for earlier, other in given[:number]:
            if folder.resolve() == other.resolve():
                raise SettingError(
                    f"{earlier} and {option} are both {other}.",
                    expected="two different folders",
                    fix=f"{earlier} {other}-{_KINDS[earlier]}",
                )


@contextmanager
def open_output(
    outputs: PredictOutputs,
    columns: PredictionColumns,
    spec: BundleSpec,
    sources: Sequence[str],
    *,
    warn: Callable[[str], None],
) -> Iterator[PredictionWriter]:
    """Yield the writer of `outputs.out`, which is not None.

    Args:
        outputs: The outputs.
        columns: The columns of rows.
        spec: The model's description.
        sources: The sources; names in folders are relative to them.
        warn: Receives a sentence if names are numbered.

    Raises:
        RunError: The file or folder cannot be written; what is written so far is kept.
    """
    assert outputs.out is not None, "its caller asks first"
    if outputs.object_format is None:
        opened = open_predictions(outputs.out, columns)
    elif outputs.object_format == COCO:
        opened = open_coco(outputs.out, spec.class_names)
    elif outputs.object_format == VOC:
        opened = open_voc(outputs.out, roots=_list_roots(sources), warn=warn)
    else:
        opened = open_yolo(outputs.out, spec.class_names, roots=_list_roots(sources), warn=warn)
    with opened as writer:
        yield writer


def _list_roots(sources: Sequence[str]) -> list[str]:
    """Return the folders of the sources, as predictions name them: of a pattern, the part without wildcards."""
    roots = []
    for source in sources:
        path = Path(source)
        while not os.path.lexists(path):
            path = path.parent
        if source != STDIN and path.is_dir():
            roots.append(show_path(path))
    return roots
