"""The texts of the pages by language.

The catalogues are modules of the page, static/js/texts/LANGUAGE.js, so that templates and scripts have the same texts.
"""

import json
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from flask import Flask, Response, g, request
from markupsafe import Markup, escape

FOLDER = Path(__file__).resolve().parents[2] / "static" / "js" / "texts"
DEFAULT = "en"
COOKIE = "greenwave-language"
"""Set by the page, static/js/view/display.js."""

Catalogue = dict[str, str | dict[str, str]]


@lru_cache(1)
def catalogues() -> dict[str, Catalogue]:
    """Return the catalogues by language, that of the default language first."""
    names = sorted((path.stem for path in FOLDER.glob("*.js")), key=lambda name: (name != DEFAULT, name))
    return {name: _read(FOLDER / f"{name}.js") for name in names}


def language() -> str:
    """Return the language for a request: by `lang=`, the last choice, or the browser. Unknown ones are ignored."""
    known = catalogues()
    chosen = (request.args.get("lang"), request.cookies.get(COOKIE))
    return next((each for each in chosen if each in known), None) or request.accept_languages.best_match(known, DEFAULT)


def text(language: str, name: str, /, **values: Any) -> Markup:
    """Return a text with its placeholders filled in; `count` chooses the plural form.

    Whole numbers are grouped. Values are escaped, except for markup.
    """
    entry = catalogues()[language][name]
    form = entry if isinstance(entry, str) else entry["one" if values["count"] == 1 else "other"]
    shown = {key: number(language, each) if isinstance(each, int) else each for key, each in values.items()}
    return escape(form).format(**shown)


def number(language: str, value: int) -> str:
    """Return a whole number with its digits grouped as browsers do: "1,234", but "1234" in Spanish."""
    entries = catalogues()[language]
    grouped = abs(value) >= int(str(entries["group_from"]))
    return f"{value:,}".replace(",", str(entries["group"])) if grouped else str(value)


def register(app: Flask) -> None:
    """Give the templates `t()`, `number()`, all languages, that of the page, and the one that its address names."""

    @app.context_processor
    def add_texts() -> dict[str, Any]:
        g.language = language()
        names = [(name, catalogue["language"]) for name, catalogue in catalogues().items()]
        tools = {"t": partial(text, g.language), "number": partial(number, g.language)}
        asked = request.args.get("lang")
        return {"lang": g.language, "asked": asked if asked in catalogues() else None, "languages": names, **tools}

    @app.after_request
    def state_what_it_depends_on(response: Response) -> Response:
        if "language" in g:
            response.vary.update(("Accept-Language", "Cookie"))
            response.headers.setdefault("Cache-Control", "no-cache")  # else a cache may choose how long it is fresh
        return response


def _read(path: Path) -> Catalogue:
    _, _, entries = path.read_text(encoding="utf-8").partition("export default ")
    found: Catalogue = json.loads(entries.rstrip().removesuffix(";"))
    return found
