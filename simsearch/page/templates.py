"""Pages are drawn from Jinja2 templates that lie beside the code which fills them. Owner of jinja2.

Whatever a template shows is escaped here, so no template can forget it: markup and quotes as HTML entities, control
and bidirectional characters as visible escapes. A value that a template misspells is an error.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from simsearch.console import safe, shorten
from simsearch.page import dates, html

if TYPE_CHECKING:
    from jinja2 import Environment

_WORDS = (
    html.breakable,
    html.count,
    html.get,
    html.interval,
    html.number,
    html.p_value,
    html.percent,
    html.points,
    html.seconds,
    shorten,
)


def draw(template: str, **values: Any) -> Markup:
    """Return the template, a file's path below simsearch/, filled with `values`.

    Line breaks and indentation of the template are nothing in the page between two tags, else a space.
    """
    drawn = re.sub(r">(\n|  )[ \n]*<", "><", _environment().get_template(template).render(values))
    return Markup(re.sub(r" *\n[ \n]*", " ", drawn).strip())


def page(**values: Any) -> str:
    """Return a page as HTML, to be written as UTF-8: page/frame.html says what `values` there are.

    What a template let through as markup is made safe to show once more.
    """
    drawn = draw("page/frame.html", **{"style": None, "pictures": None, "json": None, **values})
    return "\u00a0".join(map(safe, drawn.split("\u00a0"))) + "\n"  # parts without it are quickly seen to be safe


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("simsearch", ""),
        autoescape=True,
        finalize=html.text,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    environment.globals |= {word.__name__: word for word in _WORDS} | {"NONE": html.NONE, "visible": safe}
    environment.globals["dates"] = dates
    environment.globals["page"] = environment.get_template("page/macros.html").module
    return environment
