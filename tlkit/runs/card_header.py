"""The header of a model card: YAML, as model hubs read it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tlkit.runs.card_record import RunRecord
from tlkit.runs.card_scores import RecordedScores

_PIPELINES = {
    "classification": "image-classification",
    "multilabel": "image-classification",
    "detection": "object-detection",
    "segmentation": "image-segmentation",
}
"""What a hub calls a task; it has no name for values."""

_LOADERS = {".csv": "csv", ".tsv": "csv", ".parquet": "parquet"}
"""What a hub calls the reader of a table; folders have `imagefolder`."""


def make_header(record: RunRecord) -> dict[str, Any]:
    """Return the header of a card, as hubs read it."""
    spec, options = record.spec, record.options
    pipeline = _PIPELINES.get(spec.task)
    tags = ["tlkit", "keras", "transfer-learning", spec.backbone, *(["object-localization"] if spec.has_box else [])]
    results = [result for scores in record.scores if (result := _make_result(record, scores))]
    metrics = {measure.metric for scores in record.scores for measure in scores.list_measures(spec) if measure.metric}
    return {
        "library_name": "tlkit",
        **({"license": options.license} if options.license else {}),
        **({"pipeline_tag": pipeline} if pipeline else {}),
        "tags": tags,
        **({"datasets": [options.dataset]} if options.dataset else {}),
        **({"metrics": sorted(metrics)} if metrics else {}),
        **({"model-index": [{"name": record.name, "results": results}]} if results else {}),
    }


def _make_result(record: RunRecord, scores: RecordedScores) -> dict[str, Any] | None:
    measures = [measure for measure in scores.list_measures(record.spec) if measure.metric]
    if not measures:
        return None
    own_name = record.options.dataset or record.data_name or "images"
    dataset = {
        "name": scores.data_name or own_name,
        "type": _name_type(scores.data_name or own_name),
        **({"split": scores.split} if scores.split else {}),
    }
    listed = []
    for measure in measures:
        low_high = (
            f", 95% interval {measure.interval.low:.6g} to {measure.interval.high:.6g}" if measure.interval else ""
        )
        listed.append({"type": measure.metric, "value": measure.value, "name": f"{measure.name}{low_high}"})
    return {"task": {"type": _PIPELINES.get(record.spec.task, "other")}, "dataset": dataset, "metrics": listed}


def _name_type(name: str) -> str:
    """Return what a hub calls a data set: itself if it has it, and otherwise how its files are read."""
    if "/" in name:
        return name
    return _LOADERS.get(Path(name).suffix.lower(), "imagefolder")


def to_yaml(value: Any, indent: int = 0) -> list[str]:
    """Return the lines of a YAML document: objects and lists in blocks, and everything else as in JSON."""
    lines: list[str] = []
    pairs = value.items() if isinstance(value, Mapping) else (("-", each) for each in value)
    for key, each in pairs:
        start = " " * indent + ("-" if key == "-" else f"{key}:")
        if isinstance(each, Mapping | list) and each:
            nested = to_yaml(each, indent + 2)
            if key == "-":
                nested[0] = start + nested[0][indent + 1 :]
            else:
                lines.append(start)
            lines += nested
        else:
            lines.append(f"{start} {json.dumps(each, ensure_ascii=False)}")
    return lines
