"""A report as one HTML file: no script, nothing loaded, pictures as SVG, for screen and paper."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files

from qekm_cli.report.section import Document


def render(document: Document) -> bytes:
    """Return the file. Whatever stands in the document is text in it: jinja2 escapes every value.

    A policy in it forbids the browser everything but the style that is in it too.
    """
    from jinja2 import Environment, StrictUndefined

    here = files("qekm_cli.report")
    style = (here / "report.css").read_text()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string((here / "report.html").read_text())
    return template.render(document=document, style=style, digest=digest).encode()
