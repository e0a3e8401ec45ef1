"""Search settings: what a record holds of them, and what is refused."""

import pytest

from simsearch.recipe.tables import Index
from simsearch.vectors.search import DEFAULT, KINDS, Search


@pytest.mark.parametrize(
    ("search", "record"),
    [
        (DEFAULT, {"nprobe": None, "efSearch": None}),
        (Search(nprobe=4), {"nprobe": 4, "efSearch": None}),
        (Search(k_factor=2.5), {"nprobe": None, "efSearch": None, "k_factor": 2.5}),
    ],
)
def test_a_record_holds_a_later_setting_only_where_it_is_given(search, record):
    """The digest of evaluate is taken over this: builds of an earlier simsearch keep theirs."""
    assert search.to_json() == record
    assert list(search.to_json()) == list(record)
    assert Search.from_json({**record, "factory": "Flat"}) == search


def test_what_is_no_number_of_its_type_is_refused():
    for record in ({"nprobe": "4"}, {"nprobe": 2.5}, {"k_factor": "2"}, {"efSearch": []}):
        with pytest.raises(TypeError, match="expected a number"):
            Search.from_json(record)


def test_every_setting_is_a_key_of_the_recipe():
    assert KINDS.keys() <= Index.model_fields.keys()
