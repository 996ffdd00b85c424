"""`tlkit card`: what its options say, and where the card goes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.runs.test_card import write_zeros

RunCli = Callable[..., Any]


def test_the_options_reach_the_card(run_cli: RunCli, tmp_path: Path) -> None:
    bundle = write_zeros(tmp_path / "bundle")
    out = tmp_path / "cards" / "card.md"
    result = run_cli("card", bundle, "--out", out, "--license", "mit", "--dataset", "anna/birds", "--json")

    assert result.json() == {"run": str(bundle), "out": str(out), "pictures": [], "license": "mit"}
    assert 'license: "mit"\n' in out.read_text("utf-8")
    assert 'datasets:\n  - "anna/birds"\n' in out.read_text("utf-8")


def test_the_readme_of_a_bundle_is_not_replaced(run_cli: RunCli, tmp_path: Path) -> None:
    copied = write_zeros(tmp_path / "bundle")
    refused = run_cli("card", copied)

    assert refused.exit_code == 1
    assert refused.stderr.startswith(f"Error: {copied / 'README.md'} exists and is not a card that tlkit wrote.\n")
