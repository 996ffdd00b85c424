r"""Compare recipes with each other and with a plain probe: test accuracy and seconds, over several seeds.

    .venv/bin/python -m benchmarks.recipes clothing/ --weights mobilenet_v2_1.0_224_no_top.weights.h5 \
        --recipe recipes/quick.toml --recipe recipes/six_steps.toml

Every run is what a user types, from the start of the process and with an empty cache, `tlkit run RECIPE DATA --seed S`
and `tlkit evaluate`. The probe is scikit-learn's logistic regression on the standardised pooled features that
`tlkit precompute` has cached; it is judged on the same test images. Each figure goes into a file as soon as it is known,
and what stands there is not measured again, so an interrupted comparison goes on.
"""

from __future__ import annotations

import json
import shutil
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

from benchmarks.side_by_side.bench import NotMeasured, find_peers
from benchmarks.side_by_side.processes import TLKIT, run_module, run_process

PROBE = "probe"
Outcome = dict[str, float | str | int]


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("--backbone", default="mobilenet_v2", show_default=True)
@click.option("--weights", default="", help="imagenet, or a file (default: the backbone's own).")
@click.option("--recipe", "recipes", multiple=True, type=click.Path(exists=True, path_type=Path))
@click.option("--seeds", default=5, show_default=True)
@click.option("--option", "options", multiple=True, help="One more word for `tlkit run`, such as --test-fraction=0.2.")
@click.option(
    "--figures", type=click.Path(path_type=Path), required=True, help="Where each figure is kept (JSON lines)."
)
def main(
    data: Path,
    backbone: str,
    weights: str,
    recipes: tuple[Path, ...],
    seeds: int,
    options: tuple[str, ...],
    figures: Path,
) -> None:
    """Print a table: for each recipe test accuracy and seconds."""
    words = ["--backbone", backbone, *(["--weights", weights] if weights else []), *options]
    known = [json.loads(line) for line in figures.read_text("utf-8").splitlines()] if figures.is_file() else []
    with tempfile.TemporaryDirectory() as scratch:
        for outcome in measure(data, words, recipes, seeds, known, Path(scratch)):
            known.append(outcome)
            with figures.open("a", encoding="utf-8") as file:
                file.write(json.dumps(outcome) + "\n")
            click.echo(f"  {outcome}", err=True)
    click.echo("| recipe | test accuracy: mean (each seed) | seconds: median (lowest to highest) |\n|---|---|---|")
    for name in (PROBE, *(path.stem for path in recipes)):
        chosen = [outcome for outcome in known if outcome["name"] == name]
        if chosen:
            accuracies, seconds = ([float(outcome[key]) for outcome in chosen] for key in ("accuracy", "seconds"))
            each = " ".join(f"{accuracy:.3f}" for accuracy in accuracies)
            click.echo(
                f"| {name} | {statistics.mean(accuracies):.3f} ({each}) "
                f"| {statistics.median(seconds):.0f} ({min(seconds):.0f} to {max(seconds):.0f}) |"
            )


def measure(
    data: Path, words: list[str], recipes: tuple[Path, ...], seeds: int, known: list[Outcome], scratch: Path
) -> Iterator[Outcome]:
    """Yield the outcomes that are not known yet."""
    done = {(outcome["name"], outcome["seed"]) for outcome in known}
    if (PROBE, 0) not in done and (data / "test").is_dir():
        try:
            yield measure_probe(data, words, scratch)
        except NotMeasured as reason:
            click.echo(f"  no probe: {reason}", err=True)
    for seed in range(seeds):
        for recipe in recipes:
            if (recipe.stem, seed) not in done:
                yield measure_recipe(data, words, recipe, seed, scratch)


def measure_recipe(data: Path, words: list[str], recipe: Path, seed: int, scratch: Path) -> Outcome:
    """Run a recipe with an empty cache, and measure its model on the test images."""
    cache, run = scratch / "cache", scratch / "run"
    for folder in (cache, run):
        shutil.rmtree(folder, ignore_errors=True)
    environment = {"TLKIT_CACHE": str(cache)}
    command = [TLKIT, "run", str(recipe), str(data), "--seed", str(seed), "--out", str(run), "--json", "-q", *words]
    seconds = run_process(command, environment=environment).seconds
    output = run_process(
        [TLKIT, "evaluate", str(run), "--split", "test", "--json", "-q"], environment=environment
    ).output
    return {"name": recipe.stem, "seed": seed, "accuracy": output["accuracy"]["value"], "seconds": seconds}


def measure_probe(data: Path, words: list[str], scratch: Path) -> Outcome:
    """Precompute with an empty cache and fit the probe; its seconds are those of both.

    Raises:
        NotMeasured: scikit-learn is not installed beside tlkit.
    """
    python, arrays = find_peers(), scratch / "features.npz"
    command = [TLKIT, "precompute", str(data), "--head", "linear", "--json", "-q", *words]
    computed = run_process(command, environment={"TLKIT_CACHE": str(scratch / "cache")})
    cache = computed.output["cache"]
    run_module("side_by_side.programs.feature_rows", data=data, cache=cache, target=arrays, invents=False)
    output = run_module("peers.sklearn_head", python=python, features=arrays).output
    return {"name": PROBE, "seed": 0, "accuracy": output["accuracy"], "seconds": computed.seconds + output["seconds"]}


if __name__ == "__main__":
    main()
