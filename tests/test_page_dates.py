"""Dates as readers write them, and as <time> takes them."""

import pytest

from simsearch.page import dates

NIGHT = "2026-11-24T02:14:07.123456+01:00"


def test_dates_in_words():
    assert dates.date(NIGHT) == "24 November 2026"
    assert dates.moment(NIGHT) == "Tuesday 24 November 2026, 02:14"
    assert dates.short_date(NIGHT) == "24 Nov"
    assert dates.short_date(NIGHT, year=True) == "24 Nov 2026"
    assert dates.short_moment(NIGHT) == "Tue 24 Nov 2026, 02:14"
    assert dates.machine_time(NIGHT) == "2026-11-24T02:14:07+01:00"
    assert [dates.short_date(f"2026-{month:02d}-01") for month in (1, 12)] == ["1 Jan", "1 Dec"]
    assert dates.moment("2027-01-03T23:59:59") == "Sunday 3 January 2027, 23:59"


@pytest.mark.parametrize("words", [dates.date, dates.moment, dates.short_date, dates.short_moment, dates.machine_time])
def test_what_is_no_time_is_shown_as_it_is(words):
    assert words("not yet <b>") == "not yet <b>"
