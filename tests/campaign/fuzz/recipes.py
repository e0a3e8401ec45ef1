"""Recipes, matrices of the nightly job, and settings of the command line."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from random import Random
from typing import Any

from campaign.fuzz.files import Files
from campaign.fuzz.mutating import TEXTS, VALUES, changed
from campaign.fuzz.parser import Input, Parser

VALUE = re.compile(rb"=[^\n#]*")
SETTINGS = (
    "training.epochs=3", "images.size=32", 'loss.name="triplet"', "dataset.exclude=['a/**']", "images.range=[0, 4095]",
    'index.factory="IVF16,Flat"', "index.target_recall=0.9", "evaluation.k=[1, 5]", "defects.patch.bank=100",
    "embedder.dim=16",
)  # fmt: skip


def make(folder: Path) -> None:
    """Copy the recipes that the package has."""
    from simsearch.recipe.files import NIGHTLY, shipped_folder

    for path in shipped_folder().glob("*.toml"):
        shutil.copy(path, folder / ("matrix.toml" if path.stem == NIGHTLY else path.name))
    (folder / "settings.txt").write_text("\n".join(SETTINGS))


class Recipes(Files):
    """Reads a recipe to what it is resolved to, a matrix, or the digits with settings."""

    words = tuple(
        text.encode()
        for text in (*(one.partition("=")[0] for one in SETTINGS), "[loss]", "[defects.patch]", "'''", '"""')
    )

    def changed(self, chosen: Random) -> Input:
        name = chosen.choice(list(self.files))
        data = self.files[name]
        if chosen.random() < 0.5:
            places = list(VALUE.finditer(data))
            for place in chosen.sample(places, min(len(places), 2))[:1]:
                new = chosen.choice([*map(repr, VALUES), *TEXTS, *(one.group()[1:].decode() for one in places)])
                data = data[: place.start()] + b"=" + new.encode("utf-8", "surrogatepass") + data[place.end() :]
        if data == self.files[name]:
            data = changed(chosen, data, list(self.files.values()), self.words)
        return Input(name, data)

    def answer(self, path: Path) -> Any:
        from simsearch.bench.matrix import read_matrix
        from simsearch.recipe.files import find_recipe, recipe_lines

        if path.name == "settings.txt":
            settings = path.read_bytes().decode("utf-8", "surrogateescape").split("\n")
            return find_recipe("digits", settings).recipe.model_dump()
        if path.name == "matrix.toml":
            return read_matrix(str(path)).digest
        found = find_recipe(str(path), []).recipe.resolve()
        recipe_lines(found.model_dump(), explained=True)
        return found.model_dump()


PARSERS = (Parser("recipes", make, Recipes),)
