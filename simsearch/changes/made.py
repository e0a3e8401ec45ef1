"""Which builds were made from a folder; a damaged build file says nothing about it, and keeps back no other."""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import dataclass
from pathlib import Path

from simsearch.errors import ArtifactError, RecipeError, near_path, near_words, nearest
from simsearch.home import Build, Home
from simsearch.home.again import home_words, word
from simsearch.images.sources.urls import checked_url, is_url
from simsearch.names import build_name


@dataclass(frozen=True)
class Made:
    """The listed builds that were made from a folder or a table, the newest first.

    `damaged`: by name, the builds whose file cannot be read, from wherever they were made; `known`: the folders and
    tables of all builds.
    """

    home: Home
    folder: str
    builds: list[Build]
    damaged: dict[str, ArtifactError]
    known: set[str]

    def some(self) -> list[Build]:
        """The builds; RecipeError where there is none."""
        if self.builds:
            return self.builds
        missing = not os.path.exists(place := _place(self.folder))
        likely = (near_path(self.folder) or nearest(place, self.known, 0.8)) if missing else None
        said, near = near_words(self.folder, likely)
        message = f"no build in {self.home.path} was made from {self.folder}{said}"
        for error in list(self.damaged.values())[:1]:
            raise RecipeError(f"{message}, as far as can be seen: {error.message}", near=near, hint=error.hint)
        raise RecipeError(
            message,
            near=near,
            hint=f"simsearch build {word(self.folder)}{home_words(self.home.path)} makes one; if its folder was moved, "
            "name the build: --build NAME",
        )

    def named_like_it(self) -> Build | None:
        """The build that has the folder's own name, where that is not the newest."""
        path = Path(_place(self.folder))
        names = (build_name(path.name), build_name(path.stem))
        return next((one for one in self.builds[1:] if one.name in names), None)


def made_from(home: Home, folder: str) -> Made:
    """Return the builds that were made from a folder or a table, also by another path that leads to it."""
    place, damaged, sound = _place(folder), {}, []
    for name in home.build_names():
        try:
            sound.append(home.build(name))
        except ArtifactError as error:
            damaged[name] = error
    paths = [one.record.source.partition(":")[2] if one.of_files else None for one in sound]
    made = [
        one
        for one, path in zip(sound, paths, strict=True)
        if one.listed and path is not None and place in (path, os.path.realpath(path))
    ]
    made.sort(key=lambda one: dt.datetime.fromisoformat(one.when), reverse=True)
    return Made(home, folder, made, damaged, {path for path in paths if path is not None})


def _place(folder: str) -> str:
    return checked_url(folder) if is_url(folder) else os.path.realpath(os.path.expanduser(folder))
