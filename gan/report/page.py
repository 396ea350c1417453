"""The page: one file with its styles, its scripts and its data, that asks no network for anything."""

import html
import json
from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from string import Template
from typing import Any

_PARTS = files("gan.report") / "page"
_STYLES = ("uplot/uPlot.min.css", "style.css")
_SCRIPTS = (
    "uplot/uPlot.iife.min.js",
    "elements.js",
    "facts.js",
    "curves.js",
    "samples.js",
    "evaluation.js",
    "picture.js",
    "viewer.js",
    "main.js",
)
_LICENCE = "uplot/LICENSE"


def page(title: str, data: dict[str, Any]) -> str:
    """The page as text. Whatever comes from a run is in `data` or in the title, and stays text in it."""
    styles, scripts = _joined(_STYLES), _joined(_SCRIPTS)
    return Template(_read("page.html")).substitute(
        policy=f"default-src 'none'; img-src data:; style-src {_hash(styles)}; script-src {_hash(scripts)}",
        title=html.escape(title),
        licence=html.escape(_read(_LICENCE)),
        styles=styles,
        scripts=scripts,
        data=as_json(data),
    )


def as_json(data: dict[str, Any]) -> str:
    """JSON in which no element of HTML begins or ends."""
    return json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _joined(names: tuple[str, ...]) -> str:
    return "\n".join(_read(name) for name in names)


def _read(name: str) -> str:
    return _PARTS.joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """A source of a content security policy: this text and no other."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
