"""Make one site of pages that lie all over the repository: what MkDocs calls while it builds.

A page in docs/ is found at its own path on the site, README.md is the first page, and every other file to which a page
links (`../recipes/quick.toml`, `../benchmarks/views.md`) is copied to its path in the repository. So every link works
on the site as it does in the repository, and a wrong one fails the build. A notebook becomes a page with the outputs that
are stored in it.
"""

from __future__ import annotations

import json
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
HOME = "README.md"
NOTEBOOK = ".ipynb"
NOT_LINKED = (HOME, "CHANGELOG.md")
"""Pages outside docs/ to which no page need link."""

LINK = re.compile(r"(\]\()([^()\s:#]+)")


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the first page, notebooks, and all that pages link to."""
    for notebook in [file for file in files if file.src_uri.endswith(NOTEBOOK)]:
        files.remove(notebook)
        page = _site_path(f"docs/{notebook.src_uri}")
        files.append(File.generated(config, page, content=render_notebook(notebook.content_string)))
    pages = [*NOT_LINKED, *(f"docs/{file.src_uri}" for file in files.documentation_pages() if not file.generated_by)]
    for place in NOT_LINKED:
        _add(place, files, config)
    while pages:
        page = pages.pop()
        for match in LINK.finditer((ROOT / page).read_text(encoding="utf-8")):
            place = _resolve(match[2], page)
            if (ROOT / place).is_file() and files.get_file_from_path(_site_path(place)) is None:
                _add(place, files, config)
                pages += [place] * place.endswith(".md")


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return the page with its links as they are on the site."""
    if page.file.abs_src_path is None:
        return markdown
    source = Path(page.file.abs_src_path).relative_to(ROOT).as_posix()
    folder = posixpath.dirname(page.file.src_uri)

    def rewrite(match: re.Match[str]) -> str:
        place = _resolve(match[2], source)
        return match[1] + (posixpath.relpath(_site_path(place), folder) if (ROOT / place).exists() else match[2])

    return LINK.sub(rewrite, markdown)


def render_notebook(text: str) -> str:
    """Return a notebook's cells as Markdown: its texts, its code, and what each cell gave."""
    parts = []
    for cell in json.loads(text)["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        for output in cell.get("outputs", ()):
            data = output.get("data", {"text/plain": output.get("text")})
            if "image/jpeg" in data:
                parts.append(f"![What the cell shows](data:image/jpeg;base64,{data['image/jpeg']})")
            else:
                parts.append(f"```{{ .text .output }}\n{''.join(data['text/plain']).rstrip()}\n```")
    return "\n\n".join(parts)


def _add(place: str, files: Files, config: MkDocsConfig) -> None:
    files.append(File.generated(config, _site_path(place), abs_src_path=str(ROOT / place)))


def _resolve(target: str, page: str) -> str:
    """Return the path in the repository to which a link on a page leads."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), target))


def _site_path(place: str) -> str:
    """Return the path on the site of a file in the repository."""
    return "index.md" if place == HOME else place.removeprefix("docs/").replace(NOTEBOOK, ".md")
