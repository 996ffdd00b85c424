"""Scores as a run or an evaluation records them in JSON, for the tables and the header of a model card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlkit.errors import RunError, describe_damage
from tlkit.files import read_json
from tlkit.metrics.f1 import measure_name
from tlkit.metrics.intervals import Interval
from tlkit.models.spec import BundleSpec
from tlkit.outputs import format_value
from tlkit.reports.markdown import escape_markdown, format_table
from tlkit.runs.evaluation_folder import REPORT_FILE

CHOSE_EPOCH = "These images also chose the epoch, so the scores are optimistic."
MAX_MISTAKES = 8
MAX_ROWS = 200
MEASURES = {
    "accuracy": ("accuracy", "accuracy"),
    "top_k_accuracy": ("top-k accuracy", "top_k_accuracy"),
    "macro_f1": ("macro-F1", "f1"),
    "mean_average_precision": ("mean average precision", "mean_average_precision"),
    "micro_f1": ("micro-F1", "f1"),
    "all_labels_right": ("images with all labels right", "subset_accuracy"),
    "map_50": ("mAP@.5", "map_50"),
    "map": ("mAP@.5:.95", "mean_average_precision"),
    "precision": ("precision of the boxes", "precision"),
    "recall": ("share of the objects that are found", "recall"),
    "f1": ("F1 of the boxes", "f1"),
    "miou": ("mIoU of the classes", "mean_iou"),
    "miou_with_background": ("mIoU with background as a class", ""),
    "dice": ("mean Dice coefficient of the classes", ""),
    "area_right": ("share of the area that is right", ""),
    "count_error": ("mean error of the number of objects", ""),
    "images_without_objects_and_boxes": ("images without objects on which no box is shown", ""),
    "mean_absolute_error": ("mean absolute error", "mae"),
    "guess_error": ("mean absolute error of always predicting the median", ""),
    "median_absolute_error": ("median absolute error", "median_absolute_error"),
    "root_mean_squared_error": ("root mean squared error", "rmse"),
    "r2": ("R²", "r_squared"),
    "calibration": ("calibration error", "expected_calibration_error"),
    "iou": ("mean IoU of the boxes", "mean_iou"),
    "share_above_0.5": ("boxes with an IoU above 0.5", ""),
    "error_px": ("mean error of an edge of the box, in pixels", ""),
}
"""Scores by their keys in JSON: what each is called, and as which metric a hub knows it; empty for none."""
OF_CLASSES = frozenset({"accuracy", "top_k_accuracy", "macro_f1", "calibration"})
"""Scores that mean nothing with a single class."""
_COLUMNS = {
    "class_name": "class",
    "label_name": "label",
    "low": "from",
    "high": "to",
    "threshold": "threshold",
    "average_precision_50": "AP50",
    "average_precision_50_95": "AP50-95",
    "iou": "IoU",
    "dice": "Dice",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "objects": "objects",
    "images": "images",
    "support": "images",
    "num_images": "images",
    "mean_absolute_error": "mean absolute error",
    "mean_error": "mean of predicted - true",
}
"""What is known of each class, label or quarter of the values, by keys in JSON; all have an interval, or are certain."""


@dataclass(frozen=True)
class Measure:
    """A score.

    Attributes:
        name: For people.
        metric: Name of the metric on a hub; empty for none.
        value: The score.
        interval: Its 95% interval, if there is one.
    """

    name: str
    metric: str
    value: float
    interval: Interval | None


@dataclass(frozen=True)
class RecordedScores:
    """The scores of a set of images.

    Attributes:
        title: The images, in words: "the validation images".
        split: train, validation or test; empty for other images.
        payload: The scores, as `Report.to_payload` gives them.
        note: What to know about them; empty for nothing.
        data_name: Name of the data set; None for that of the run.
    """

    title: str
    split: str
    payload: Mapping[str, Any]
    note: str = ""
    data_name: str | None = None

    def list_measures(self, spec: BundleSpec) -> list[Measure]:
        """Return the scores that are defined."""
        return list(self._measure(spec))

    def _measure(self, spec: BundleSpec) -> Iterator[Measure]:
        boxes = self.payload.get("boxes") or {}
        values = {**self.payload, **boxes}
        values["calibration"] = (self.payload.get("calibration") or {}).get("error")
        values["top_k_accuracy"] = (self.payload.get("top_k_accuracy") or {}).get("interval")
        intervals = {**self.payload.get("intervals", {}), **boxes.get("intervals", {})}
        for key, (name, metric) in MEASURES.items():
            value = intervals.get(key, values.get(key))
            if value is None or (key in OF_CLASSES and spec.has_one_class):
                continue
            interval = Interval(**value) if isinstance(value, Mapping) else None
            yield Measure(name, metric, float(interval.value if interval else value), interval)

    def describe(self, spec: BundleSpec) -> list[list[str]]:
        """Return blocks of Markdown: the scores, and those of each class, label or quarter of the values."""
        rows = []
        for measure in self.list_measures(spec):
            interval = measure.interval
            bounds = f"{format_score(interval.low)} to {format_score(interval.high)}" if interval else ""
            rows.append((measure.name, format_score(measure.value), bounds))
        number = f"{int(self.payload['images']):,}"
        return [
            [f"### On {escape_markdown(self.title)} ({number})"],
            *([[self.note]] if self.note else []),
            format_table(("score", "value", "95% interval"), rows),
            self._describe_each(),
        ]

    def _describe_each(self) -> list[str]:
        each: Sequence[Mapping[str, Any]] = next(
            (self.payload[key] for key in ("classes", "labels", "quarters") if self.payload.get(key)), ()
        )
        if not 1 < len(each) <= MAX_ROWS:
            return []
        keys = [key for key in _COLUMNS if key in each[0]]
        return format_table([_COLUMNS[key] for key in keys], [_format_row(row, keys) for row in each])

    def list_mistakes(self) -> list[tuple[str, str, str]]:
        """Return the most frequent mistakes: true class, predicted class and number of images, as Markdown."""
        return [
            (
                escape_markdown(str(each["true_class_name"])),
                escape_markdown(str(each["predicted_class_name"])),
                f"{int(each['count']):,}",
            )
            for each in (self.payload.get("mistakes") or ())[:MAX_MISTAKES]
        ]


def read_evaluation(folder: Path, spec: BundleSpec) -> RecordedScores:
    """Read the scores that `tlkit evaluate --out` has written.

    Raises:
        RunError: They are missing, damaged or those of a model with other classes.
    """
    path = folder / REPORT_FILE
    try:
        report = read_json(path)
        split, class_names = report["split"], tuple(report["class_names"])
        data_name = Path(report["data"]).name if report["data"] else None
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"--evaluation {folder}: {REPORT_FILE} cannot be read ({describe_damage(error)}).",
            expected="a folder that `tlkit evaluate --out` has written",
            fix=f"tlkit evaluate RUN --out {folder}",
        ) from error
    if class_names != spec.class_names:
        raise RunError(
            f"--evaluation {folder} is of a model with other classes.",
            expected=f"{len(spec.class_names):,} classes, those of this run",
            fix="evaluate this run, or leave out --evaluation.",
        )
    if data_name:
        title = f"images of {data_name}" + (f", split {split}" if split else "")
    else:
        title = f"the {split} images" if split else "other images"
    note = CHOSE_EPOCH if split == "validation" and not data_name else ""
    return RecordedScores(title, split or "", report, note, data_name)


def format_score(value: float) -> str:
    """Return a score with three decimals, and a larger number as people read it."""
    return f"{value:z.3f}" if abs(value) < 10 else format_value(value)


def _format_row(row: Mapping[str, Any], keys: Sequence[str]) -> list[str]:
    """Return the cells of a class, a label or a quarter of the values, with their intervals."""
    intervals = {key: Interval(**each) for key, each in row.get("intervals", {}).items()}
    intervals |= {key: Interval(**row[key]) for key in keys if isinstance(row.get(key), Mapping)}
    if "claimed" in row:
        support, claimed, recall = int(row["support"]), int(row["claimed"]), row["recall"] or 0.0
        intervals |= measure_name(round(recall * support), claimed, support)
    return [intervals[key].in_brief(format_score) if key in intervals else _format_cell(row.get(key)) for key in keys]


def _format_cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return escape_markdown(value)
    return f"{value:,}" if isinstance(value, int) else format_score(float(value))
