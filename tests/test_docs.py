"""The documentation's site: it builds without a warning, and loads nothing from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does: a link or an anchor that leads nowhere is an error."""
    folder = tmp_path_factory.mktemp("site")
    build(load_config(str(ROOT / "mkdocs.yml"), strict=True, site_dir=str(folder)))
    return folder


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = {path.relative_to(site).as_posix(): path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    assert {"index.html", "install.html", "benchmarks/index.html", "reference/python.html"} <= pages.keys()
    for page in pages.values():
        assert re.findall(r"""<(?:script|link|img|iframe)[^>]*(?:src|href)=["']?(?:https?:)?//[^>]*>""", page) == []


def test_links_to_files_of_the_repository_lead_to_copies_on_the_site(site: Path) -> None:
    assert 'href="recipes/quick.toml"' in (site / "recipes.html").read_text(encoding="utf-8")
    assert (site / "recipes" / "quick.toml").read_bytes() == (ROOT / "recipes" / "quick.toml").read_bytes()
    assert 'href="quickstart.html"' in (site / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("guide", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_modules_that_a_guide_names_exist(guide: str) -> None:
    names = re.findall(r"`([a-z_/]+/(?:[a-z_]+\.py)?)`", (ROOT / guide).read_text(encoding="utf-8"))
    assert len(names) > 5
    assert [name for name in names if not (ROOT / name).exists() and not (ROOT / "tlkit" / name).exists()] == []
