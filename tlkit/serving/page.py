"""The page of the server: choose pictures and see what the model says of them, in one file without other requests."""

from __future__ import annotations

from dataclasses import dataclass

from tlkit.models.spec import BundleSpec
from tlkit.reports.frames import choose_colour
from tlkit.reports.markup import escape_text
from tlkit.reports.page import PAGE_STYLE, hash_source, read_asset
from tlkit.tasks import find_task

STYLE, SCRIPT = "serve.css", "serve.js"
MOST_NAMES = 8

BODY = """<header><h1>{name}</h1><p class="subtitle">{subtitle}</p></header>
<main>
<form id="token" hidden>
<section aria-labelledby="token-title"><h2 id="token-title">Token</h2>
<div class="fields"><label>Token of the server<input id="token-text" autocomplete="off" spellcheck="false" required></label>
<button class="button first" type="submit">Go on</button></div></section>
</form>
<section id="ask" aria-labelledby="ask-title" hidden>
<h2 id="ask-title">Pictures</h2>
<div class="drop"><div class="choices">
<label class="button first">Choose pictures<input id="files" type="file" accept="image/*,.tif,.tiff" multiple></label>
<label class="button camera">Take a photo<input id="camera" type="file" accept="image/*" capture="environment"></label>
</div><p>or drop them anywhere on this page, or paste one.</p></div>
<form id="fields" class="fields" aria-label="Metadata of the pictures" hidden></form>
</section>
<p id="status" role="status" aria-live="polite"></p>
<section id="answers" aria-labelledby="answers-title" hidden>
<h2 id="answers-title">Answers</h2>
<ul id="cards" class="cards"></ul>
<button id="clear" class="button" type="button" hidden>Clear</button>
</section>
<noscript><section><h2>Without scripts</h2><p>This page needs scripts. Programs ask by <code>POST /predict</code>.</p></section></noscript>
</main>
<footer>Served by tlkit. Pictures go to this server only, and it keeps none.</footer>"""


@dataclass(frozen=True)
class ServedPage:
    """A page with the policy that it is sent with."""

    html: str
    policy: str


def render_page(name: str, spec: BundleSpec, *, needs_token: bool) -> ServedPage:
    """Return the page.

    Args:
        name: The run's.
        spec: The model's description.
        needs_token: Whether the server asks for a token.
    """
    style, script = read_asset(PAGE_STYLE) + read_asset(STYLE), read_asset(SCRIPT)
    body = BODY.format(name=escape_text(name), subtitle=escape_text(_describe(spec)))
    html = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<link rel="icon" href="data:,">\n'
        f"<title>{escape_text(name)}</title>\n<style>{style}</style>\n</head>\n"
        f"<body{' data-token' if needs_token else ''}>\n{body}\n"
        f"<script>{script}</script>\n</body>\n</html>\n"
    )
    policy = (
        f"default-src 'none'; connect-src 'self'; img-src data:; style-src {hash_source(style)}; "
        f"script-src {hash_source(script)}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return ServedPage(html, policy)


def _describe(spec: BundleSpec) -> str:
    """Return what the model predicts, in a sentence."""
    box = " and where it is" if spec.has_box else ""
    if spec.target is not None:
        return f"Predicts {spec.target.name}{box}."
    if find_task(spec.task).lists_objects:
        number = len(spec.class_names)
        return f"Finds objects of {number:,} class{'es' * (number > 1)}: {_name_some(spec)}."
    if find_task(spec.task).has_masks:
        number = len(spec.class_names)
        return f"Finds where in a picture {number:,} class{'es are' if number > 1 else ' is'}: {_name_some(spec)}."
    names, number = find_task(spec.task).nouns[1], len(spec.class_names)
    what = f"one of {number} {names}" if find_task(spec.task).is_exclusive else f"which of {number} {names} apply"
    return f"Predicts {what}{box}: {_name_some(spec)}."


def _name_some(spec: BundleSpec) -> str:
    shown = ", ".join(spec.class_names[:MOST_NAMES])
    return shown + (" and others" if len(spec.class_names) > MOST_NAMES else "")


def list_colours(spec: BundleSpec) -> list[str]:
    """Return the colours of the classes of objects or masks, as #rrggbb; empty for other tasks."""
    if not find_task(spec.task).has_objects:
        return []
    return ["#" + bytes(choose_colour(index)).hex() for index in range(len(spec.class_names))]
