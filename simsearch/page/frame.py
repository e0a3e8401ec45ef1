"""The frame of a page that is one file: a policy that lets nothing load or run, header, contents, sections."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

from simsearch.page.html import paragraph, text

# Nothing is loaded and nothing runs: the pictures are data: URIs, the styles stand in the page.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

Section = tuple[str, str, str]


def frame(
    *,
    title: str,
    heading: str,
    description: str,
    about: str,
    sections: Sequence[Section],
    style: str = "",
    symbols: str = "",
    end: str = "",
) -> str:
    """Return the page as HTML, to be written as UTF-8.

    `sections` are (anchor, title, body), the first of them the verdict; title, body, `about`, `symbols` and `end` are
    HTML, the other arguments plain text. `style` joins the style sheet of the report.
    """
    entries = "".join(f'<li><a href="#{anchor}">{words}</a></li>' for anchor, words, _ in sections)
    body = "".join(
        f'<section id="{anchor}" aria-labelledby="{anchor}-h"><h2 id="{anchor}-h">{words}</h2>{content}</section>'
        for anchor, words, content in sections
    )
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="description" content="{text(description)}">'
        f'<meta name="referrer" content="no-referrer">'
        f"<title>{text(title)}</title><style>{_style()}{style}</style></head><body>"
        f'<a class="skip" href="#verdict">Skip to the verdict</a>{symbols}'
        f"<header><h1>{text(heading)}</h1>{paragraph(about)}</header>"
        f'<nav aria-label="Contents"><ol>{entries}</ol></nav><main>{body}</main>'
        f"<footer>{paragraph('Made by simsearch. This file asks nothing of any server.')}</footer>{end}</body></html>\n"
    )


def _style() -> str:
    return files("simsearch.page").joinpath("page.css").read_text(encoding="utf-8")
