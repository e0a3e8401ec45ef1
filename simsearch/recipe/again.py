"""The settings with which a source is built again as it was: what of a build's recipe no default would be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from simsearch.errors import SimsearchError
from simsearch.recipe.files import INNER, parse_setting, with_settings
from simsearch.recipe.recipe import make_recipe, with_defaults
from simsearch.recipe.takes import toml

_FIRST = ("dataset", "embedder", "loss")  # what the defaults of other tables follow from
_MOST = 200  # settings; more than there are keys


def settings_again(tables: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """Return the fewest `table.key=value` that turn the recipe `given` into the resolved recipe `tables` of a build.

    A default that follows from another setting is not said twice. What can no longer be resolved, as the weights of a
    file that is gone, ends the list: the command then says so when it is run.
    """
    wanted, found = with_defaults({**tables, "dataset": {**tables.get("dataset", {}), **given["dataset"]}}), list[str]()
    try:
        for _ in range(_MOST):
            now = make_recipe(with_settings(dict(given), found), "this build").resolve().model_dump()
            more = next(_apart(wanted, now), None)
            if more is None:
                break
            found.append(more)
    except SimsearchError:
        pass
    return found


def _apart(wanted: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for table in sorted(now, key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST)):
        said = wanted.get(table, {})
        for key, value in sorted(said.items(), key=lambda item: item[0] != "name"):
            if key in INNER and isinstance(value, dict):
                yield from _apart({f"{table}.{key}": value}, {f"{table}.{key}": now[table][key]})
            elif value is not None and now[table].get(key) != value:
                yield _setting(f"{table}.{key}", value)


def _setting(key: str, value: Any) -> str:
    plain = f"{key}={value}"  # text without quotes, where that is read as text
    return plain if isinstance(value, str) and parse_setting(plain)[2] == value else f"{key}={toml(value)}"
