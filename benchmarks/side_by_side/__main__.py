"""The command line of the benchmark, and its one loop over the rows."""

from __future__ import annotations

import shlex
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import click

from benchmarks.side_by_side.bench import QUICK, Bench, NotMeasured, Sizes
from benchmarks.side_by_side.figures import Row
from benchmarks.side_by_side.machine import describe_machine
from benchmarks.side_by_side.processes import ROOT, JobFailed
from benchmarks.side_by_side.results import Results, Table, render_row
from benchmarks.side_by_side.rows import ROWS

FOLDER = click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path)


@click.command()
@click.option("--rows", default=",".join(ROWS), show_default=True, help="What to measure.")
@click.option("--quick", is_flag=True, help="Tiny sizes, one round: shows that everything runs, measures nothing.")
@click.option("--photos", type=FOLDER, help="Photos of about 500 x 375 for the speed rows (default: drawn ones).")
@click.option("--data", type=FOLDER, help="A real data set with train, validation and test folders.")
@click.option("--weights", default="", help="Real MobileNetV2 weights for --data: a file, or imagenet.")
@click.option("--tlkit", "words", default="", help="More options for tlkit precompute and finetune, in one word.")
@click.option("--growth-backbone", default="resnet50", show_default=True, help="Network of the growing image folder.")
@click.option("--growth", type=click.IntRange(min=16), help="The largest number of images there (default: 16,000).")
@click.option("--out", type=click.Path(path_type=Path), help="The page (default: benchmarks/results.md).")
def main(
    rows: str,
    quick: bool,
    photos: Path | None,
    data: Path | None,
    weights: str,
    words: str,
    growth_backbone: str,
    growth: int | None,
    out: Path | None,
) -> None:
    """Measure tlkit beside what a user would pick instead, and write benchmarks/results.md row by row."""
    names = rows.split(",")
    if unknown := set(names) - set(ROWS):
        raise click.BadParameter(f"{', '.join(unknown)}; there are {', '.join(ROWS)}.", param_hint="--rows")
    if weights and Path(weights).is_file():
        weights = str(Path(weights).resolve())
    page = out or ROOT / "benchmarks" / ("results-quick.md" if quick else "results.md")
    command = f'make bench ARGS="{shlex.join(sys.argv[1:])}"' if sys.argv[1:] else "make bench"
    results = Results(page.absolute(), command, describe_machine())
    with tempfile.TemporaryDirectory(prefix="tlkit-bench-") as scratch:
        sizes = _choose_sizes(quick, growth)
        bench = Bench(sizes, Path(scratch), photos, data, weights, tuple(shlex.split(words)), growth_backbone)
        for name in names:
            measure_row(name, bench, results)
    results.is_complete = True
    results.write()
    bench.say(f"Done: {page}")


def _choose_sizes(quick: bool, growth: int | None) -> Sizes:
    sizes = QUICK if quick else Sizes()
    if not growth:
        return sizes
    smaller = [count for count in sizes.growth if count < growth] or [growth // 4]
    return replace(sizes, growth=(*smaller, growth))


def measure_row(name: str, bench: Bench, results: Results) -> None:
    """Measure one row, and put what came of it on the page; a failure is put there, too, and the others go on."""
    bench.say(f"{name} …")
    try:
        for found in ROWS[name](bench):
            _take(name, found, bench, results)
            results.write()
    except NotMeasured as reason:
        _take(name, reason, bench, results)
    except JobFailed as failure:
        bench.say(f"  failed: {failure}")
        results.missing.append((name, f"failed: {failure.reason}"))
    results.write()


def _take(name: str, found: Row | Table | NotMeasured, bench: Bench, results: Results) -> None:
    if isinstance(found, Row):
        bench.say("  " + " | ".join(render_row(found)))
        results.rows.append(found)
    elif isinstance(found, Table):
        results.tables.append(found)
    else:
        bench.say(f"  not measured: {found}")
        results.missing.append((name, f"{found}."))


if __name__ == "__main__":
    main()
