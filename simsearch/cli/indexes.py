"""The commands about an index itself: index import."""

from __future__ import annotations

import json
from typing import Any

import click

from ..console import say
from .options import HOME_OPTION, JSON_OPTION, find_home, home_words


@click.group(epilog="Example:  simsearch index import vectors.npy --name mine")
def index() -> None:
    """Take in vectors that were made elsewhere."""


@index.command("import", epilog="Example:  simsearch index import glove-100-angular.hdf5 --name glove")
@click.argument("file", metavar="FILE")
@click.option("--name", required=True, metavar="NAME", help="Name of the build.")
@click.option("--factory", metavar="F", help="FAISS factory string [Flat].")
@click.option("--target-recall", type=float, metavar="R", help="Choose the fastest index with this ann_recall@10.")
@HOME_OPTION
@JSON_OPTION
def import_vectors(
    file: str, name: str, factory: str | None, target_recall: float | None, home: str | None, as_json: bool
) -> None:
    """Index and evaluate vectors: a .npy file, a folder of .npy parts, ann-benchmarks .hdf5 or .fvecs; no images.

    Prints the path of the report. simsearch query --vectors, evaluate, export and index verify then work on the build.
    """
    from ..importing import run_import

    given: dict[str, Any] = {"factory": factory, "target_recall": target_recall}
    wanted = {key: value for key, value in given.items() if value is not None}
    build, ran = run_import(file, find_home(home), name, wanted)
    print(json.dumps(build.report()) if as_json else build.page_path)
    if ran:
        say(f"Next: simsearch query --vectors FILE.npy --build {name}" + home_words(home))
    else:
        say(f"{name} is up to date ({build.record['images']:,} vectors checked)")
