"""The one-line warning about leaking metadata before training."""

from __future__ import annotations

import dataclasses

from tlkit.data.manifest import Manifest
from tlkit.data.records import describe_record
from tlkit.data.splits import limit_records
from tlkit.metadata.columns import IMAGE_FACTS, ColumnRequest, parse_metadata, texts_of
from tlkit.metadata.encoding import fit_encoding
from tlkit.probes.images import MAX_IMAGES, make_probe_targets
from tlkit.probes.leak_columns import make_leak_columns
from tlkit.probes.leaks import find_leaks
from tlkit.recipes import DataSettings
from tlkit.reports.console import Console
from tlkit.tasks import find_task

MIN_IMAGES = 20
"""With fewer images, training does not look for leaking columns, because chance would find some."""


def warn_of_leaks(manifest: Manifest, settings: DataSettings, *, seed: int, console: Console) -> Manifest:
    """Warn in one line about leaks in the metadata in use and in the facts about the image files.

    Returns:
        The manifest, with a notice of each leak.
    """
    task = find_task(manifest.task)
    if task.has_objects or (task.is_exclusive and len(manifest.class_names) < 2):
        return manifest
    records = limit_records(list(manifest.for_training().records), task, seed, at_most=MAX_IMAGES)
    if len({record.sha256 for record in records}) < MIN_IMAGES:
        return manifest
    requests = [request for request in parse_metadata(settings.metadata) if request.name not in IMAGE_FACTS]
    texts = [
        texts_of(
            {**describe_record(record), **dict(zip(manifest.metadata_columns, record.metadata, strict=True))},
            [*(request.name for request in requests), *IMAGE_FACTS],
        )
        for record in records
    ]
    requests += [ColumnRequest(name, kind) for name, kind in IMAGE_FACTS.items()]
    leaks = find_leaks(
        manifest.task,
        make_probe_targets(manifest, records, settings),
        make_leak_columns(fit_encoding(requests, texts), texts).judged,
        duplicates=[record.sha256 for record in records],
        seed=seed,
    )
    sentences = [leak.sentence for leak in leaks]
    if sentences:
        console.warn(" ".join(sentences) + " Run `tlkit leak` for details.")
    return dataclasses.replace(manifest, notices=(*manifest.notices, *sentences))
