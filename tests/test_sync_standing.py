"""When `simsearch build` takes a recipe for that of a synced build, and how long it says that a sync takes."""

from __future__ import annotations

import pytest
from conftest import picture
from sealing import seal
from synced import record, sync

from simsearch.changes.compare import Changes, Found
from simsearch.errors import SourceError
from simsearch.home import Home
from simsearch.pipeline.estimate import seconds_of_sync
from simsearch.pipeline.standing import left_standing


def standing(home, recipe, **options):
    found = left_standing(Home(home), "photos", recipe, "simsearch build photos/", options.get("seeds", 1))
    assert found is None or found[0].name == "photos"
    return found and found[1]


def test_only_a_synced_build_stands_and_only_for_its_own_recipe(ours):
    folder, home = ours
    recipe = record(home)["recipe"]
    assert standing(home, recipe) is None, "never synced: built as ever"
    picture(7, 70).save(folder / "class 1" / "new.png")
    sync(home)
    assert "photos is up to date, synced" in standing(home, recipe)
    for table, key, value in (("index", "factory", "HNSW8"), ("training", "epochs", 9), ("dataset", "seed", 1)):
        assert standing(home, {**recipe, table: {**recipe[table], key: value}}) is None
    (folder / "class 1" / "new.png").unlink()
    assert "1 image changed since photos was synced" in standing(home, recipe)
    # Without labels epochs became 0 when it was built, whatever the recipe said.
    unlabelled = {**record(home), "labelled": False}
    seal(home / "builds" / "photos.json", unlabelled)
    with pytest.raises(SourceError, match="has labels now, and had none"):
        standing(home, {**recipe, "training": {**recipe["training"], "epochs": 40}})


def test_the_time_of_a_sync_grows_with_what_is_to_be_embedded(ours):
    build, home = Home(ours[1]).build("photos"), Home(ours[1])
    few = seconds_of_sync(build, home, Changes(deleted=["a"]))
    many = seconds_of_sync(build, home, Changes(added=[Found(str(i), "", "") for i in range(3000)]))
    assert 1 <= few < many
