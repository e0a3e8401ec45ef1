"""Dates in a reader's words: English ones, whatever the machine's locale is; the times are those of the machine."""

from __future__ import annotations

import datetime as dt

_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def date(when: str) -> str:
    """Return "2026-11-24T02:14:07.1+00:00" as "24 November 2026"; what is no ISO time as it is."""
    found = _read(when)
    return when if found is None else f"{found.day} {_MONTHS[found.month - 1]} {found.year}"


def moment(when: str) -> str:
    """Return "2026-11-24T02:14:07.1+00:00" as "Tuesday 24 November 2026, 02:14"."""
    found = _read(when)
    return when if found is None else f"{_DAYS[found.weekday()]} {date(when)}, {found:%H:%M}"


def short_date(when: str, year: bool = False) -> str:
    """Return "2026-11-24T02:14:07.1+00:00" as "24 Nov", or "24 Nov 2026" for a table or an axis over years."""
    found = _read(when)
    words = when if found is None else f"{found.day} {_MONTHS[found.month - 1][:3]}"
    return f"{words} {found.year}" if found is not None and year else words


def short_moment(when: str) -> str:
    """Return "2026-11-24T02:14:07.1+00:00" as "Tue 24 Nov 2026, 02:14"."""
    found = _read(when)
    return when if found is None else f"{_DAYS[found.weekday()][:3]} {short_date(when, year=True)}, {found:%H:%M}"


def machine_time(when: str) -> str:
    """Return an ISO time as `<time datetime>` takes it: whole seconds, with the offset where it has one."""
    found = _read(when)
    return when if found is None else found.isoformat(timespec="seconds")


def _read(when: str) -> dt.datetime | None:
    try:
        return dt.datetime.fromisoformat(when)
    except ValueError:
        return None
