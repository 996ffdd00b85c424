"""The documentation: its reference is what the code says, and its site builds without a warning and without a network."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config

import tlkit

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def reference() -> dict[str, str]:
    """What docs/generate.py, which is no part of a package, makes of the code."""
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    pages: dict[str, str] = module.render_pages()
    return pages


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does: a link or an anchor that leads nowhere is an error."""
    folder = tmp_path_factory.mktemp("site")
    build(load_config(str(ROOT / "mkdocs.yml"), strict=True, site_dir=str(folder)))
    return folder


def test_the_reference_is_what_the_code_says(reference: dict[str, str]) -> None:
    docs = ROOT / "docs"
    assert {path.relative_to(docs).as_posix() for path in (docs / "reference").iterdir()} < reference.keys()
    written = {name: (docs / name).read_text(encoding="utf-8") for name in reference}
    assert written == reference, "run `make docs`"


def test_the_reference_has_every_public_name(reference: dict[str, str]) -> None:
    names = re.findall(
        r"^::: tlkit\.(\w+)$", reference["reference/python.md"] + reference["reference/errors.md"], re.MULTILINE
    )
    assert sorted([*names, "__version__"]) == sorted(tlkit.__all__)


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
