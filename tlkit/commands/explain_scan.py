"""Show where in large pictures a model sees a class: a heat map over each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkit.data.image_file import ImageFile
from tlkit.data.images import LOADER_VERSION, UnusableImage
from tlkit.data.sources import OUTPUT_MARKER, STDIN, find_images
from tlkit.errors import SettingError
from tlkit.explain.outputs import find_output
from tlkit.inference.tile_overlays import LONGEST_OVERLAY_PX
from tlkit.inference.tiles import WindowOptions, WindowPlan, plan_windows_for
from tlkit.models.opening import open_classifier
from tlkit.models.spec import BundleSpec
from tlkit.models.storage import read_spec
from tlkit.outputs import format_value
from tlkit.places.copies import show_path
from tlkit.reports.captions import format_percent
from tlkit.reports.console import Advance, Console
from tlkit.reports.output_folder import check_output_folder, held_output_folder
from tlkit.reports.overlays import OverlayFolder
from tlkit.runs.folder import describe_unfinished

if TYPE_CHECKING:
    from tlkit.explain.one_pass import OnePass
    from tlkit.explain.scan import Difference, Scan
    from tlkit.models.classifier import Classifier
    from tlkit.models.predictor import Predictor

SCANS = "scans"
STEPS_PER_WINDOW = 2
"""Steps that a window is long where none is asked for."""


@dataclass(frozen=True)
class ScanOptions:
    """What is looked for, and how.

    Attributes:
        class_name: The class or label; None: the most probable one at each place.
        windows: Where the windows are.
        in_one_pass: Whether the trunk runs on the whole picture, and the head slides over its map.
        number: Pictures that are scanned, at most.
    """

    class_name: str | None = None
    windows: WindowOptions = field(default_factory=WindowOptions)
    in_one_pass: bool = False
    number: int = 24


@dataclass(frozen=True, eq=False)
class _Scanner:
    """A run's model, by either way."""

    spec: BundleSpec
    plan: WindowPlan
    chosen: int | None
    predictor: Predictor | None = None
    classifier: Classifier | None = None
    one_pass: OnePass | None = None

    def scan(self, path: Path, overlays: OverlayFolder, advance: Advance) -> dict[str, Any]:
        """Scan a picture, write its overlay, and return what `--json` prints of it.

        Raises:
            UnusableImage: It cannot be read, or has too many windows.
        """
        from tlkit.explain.scan_overlays import count_places, draw_scan, write_scan_caption

        image = ImageFile.read(path, self.spec.grey)
        picture = self.plan.decode(image)
        size = image.upright_size
        scan, difference = self._scan(picture, size, advance)
        drawn = draw_scan(picture, scan, size, self.spec)
        overlay = overlays.write(path, drawn, write_scan_caption(scan, self.spec, self.chosen))
        row, column = divmod(int(scan.shown.argmax()), scan.shown.shape[1])
        left, top, right, bottom = scan.find_window(row, column)
        return {
            "path": show_path(path),
            "overlay": overlay,
            "width": size[1],
            "height": size[0],
            "rows": len(scan.down),
            "columns": len(scan.across),
            "strongest": {
                "left": left,
                "top": top,
                "right": right,
                "bottom": bottom,
                "value" if self.spec.target else "probability": round(float(scan.shown.max()), 6),
            },
            "shares": {name: round(share, 4) for name, share in count_places(scan, self.spec).items()},
            "compared": None if difference is None else _describe(difference),
            "error": None,
        }

    def _scan(self, picture: Any, size: tuple[int, int], advance: Advance) -> tuple[Scan, Difference | None]:
        from tlkit.explain.scan import scan_in_one_pass, scan_windows

        if self.classifier is not None and self.one_pass is not None:
            return scan_in_one_pass(
                self.classifier, self.one_pass, picture, self.plan, size, chosen=self.chosen, advance=advance
            )
        assert self.predictor is not None
        grid = self.plan.cover(size)
        return scan_windows(self.predictor, picture, grid, size, chosen=self.chosen, advance=advance), None


def _describe(difference: Difference) -> dict[str, Any]:
    return {
        "windows": difference.num_windows,
        "same": round(difference.same, 4),
        "mean_difference": round(difference.mean, 6),
    }


def run_explain_scan(
    run: Path, sources: Sequence[str], out: Path, options: ScanOptions, *, console: Console
) -> dict[str, Any]:
    """Scan large pictures, and return the result for scripts.

    Args:
        run: A run folder or a bundle folder.
        sources: Folders, patterns or files.
        out: Folder for the overlays.
        options: What is looked for, and how.
        console: Tells the story.

    Raises:
        BundleError: The model is missing, damaged or foreign.
        DataError: The sources hold no image.
        BackboneError: In one pass: the backbone looks at the whole picture.
        SettingError: The class or a number does not go with the model, or the model has no answer for a part of a picture.
        RunError: `out` is in the way of something or in use.
    """
    spec = read_spec(run, loader_version=LOADER_VERSION)
    plan = plan_windows_for(spec, options.windows, purpose="--scan", steps_per_window=STEPS_PER_WINDOW)
    chosen = find_output(options.class_name, spec)
    if options.in_one_pass and options.windows.step_px is not None:
        raise SettingError(
            f"--step {options.windows.step_px} has no effect with --one-pass: the step is that of the backbone's map.",
            expected="--step only with windows that are cut out",
            fix="leave out --step, or --one-pass.",
        )
    if not sources or STDIN in sources:
        raise SettingError(
            "There is nothing to scan.",
            expected="folders, patterns or files",
            fix=f"tlkit explain {run} PICTURE --scan --out {SCANS}/",
        )
    if notice := describe_unfinished(run):
        console.warn(notice)
    data_folders = [Path(source) for source in sources if Path(source).is_dir()]
    check_output_folder(out, option="--out", kind=SCANS, marker=OUTPUT_MARKER, data_folders=data_folders)
    files = find_images(sources).files or []
    scanner = _open(run, spec, plan, chosen, in_one_pass=options.in_one_pass)
    start = time.perf_counter()
    pictures = []
    with (
        held_output_folder(out, kind=SCANS, marker=OUTPUT_MARKER),
        console.progress("Scanning", None, "windows") as advance,
    ):
        overlays = OverlayFolder(out, LONGEST_OVERLAY_PX)
        for path in files[: options.number]:
            try:
                pictures.append(scanner.scan(path, overlays, advance))
            except UnusableImage as unusable:
                pictures.append({"path": show_path(path), "error": unusable.reason})
    payload = {
        "run": run,
        "out": out,
        "class_name": options.class_name,
        "in_one_pass": options.in_one_pass,
        "is_exact": scanner.one_pass is None or scanner.one_pass.is_exact,
        "window_px": plan.window_px,
        "images": len(pictures),
        "errors": sum(picture["error"] is not None for picture in pictures),
        "left_out": len(files) - len(pictures),
        "pictures": pictures,
        "seconds": round(time.perf_counter() - start, 3),
    }
    _say(payload, spec, console)
    return payload


def _open(run: Path, spec: BundleSpec, plan: WindowPlan, chosen: int | None, *, in_one_pass: bool) -> _Scanner:
    if not in_one_pass:
        return _Scanner(spec, plan, chosen, predictor=open_classifier(run, loader_version=LOADER_VERSION))
    from tlkit.runtime import start_keras

    start_keras()
    from tlkit.explain.one_pass import OnePass
    from tlkit.models.saving import read_bundle

    classifier = read_bundle(run, loader_version=LOADER_VERSION)
    return _Scanner(spec, plan, chosen, classifier=classifier, one_pass=OnePass(classifier))


def _say(payload: dict[str, Any], spec: BundleSpec, console: Console) -> None:
    if spec.has_box:
        console.say("The model also predicts a box, which a scan does not show.")
    if payload["errors"]:
        console.warn(f"{payload['errors']:,} of {payload['images']:,} pictures could not be read; --json says why.")
    if payload["left_out"]:
        console.say(f"{payload['left_out']:,} more pictures are not scanned; --number sets how many are.")
    read = [picture for picture in payload["pictures"] if picture["error"] is None]
    rows = [
        (picture["path"], f"{picture['rows']:,} x {picture['columns']:,}", _name_strongest(picture)) for picture in read
    ]
    console.table("Scans", ("picture", "places", "strongest"), rows)
    compared = [picture["compared"] for picture in read if picture["compared"]]
    if compared and not payload["is_exact"]:
        num = sum(each["windows"] for each in compared)
        same = sum(each["windows"] * each["same"] for each in compared) / num
        mean = sum(each["windows"] * each["mean_difference"] for each in compared) / num
        console.warn(
            f"one pass is not the model's answer to each window: of {num:,} windows that were cut out, {same:.0%} have the "
            f"same answer, and the largest difference of a probability is {mean:.2f} on average. Without --one-pass, all "
            "windows are cut out."
            if spec.target is None
            else f"one pass is not the model's answer to each window: {num:,} windows that were cut out have values that differ "
            f"by {format_value(mean)} on average. Without --one-pass, all windows are cut out."
        )
    console.say(f"Scans: {payload['out']}")


def _name_strongest(picture: dict[str, Any]) -> str:
    found = picture["strongest"]
    amount = format_percent(found["probability"]) if "probability" in found else format_value(found["value"])
    return f"{amount} at {found['left']:,}, {found['top']:,}"
