"""The command that hands vectors to other tools: export."""

from __future__ import annotations

import shlex

import click

from simsearch.cli.options import HOME_OPTION, find_home, home_words
from simsearch.console import Shown, safe, say

FORMATS = ("npy", "ann-benchmarks", "fvecs")


@click.command(epilog="Example:  simsearch export mnist --format ann-benchmarks --out mnist-64-angular.hdf5")
@click.argument("build_name", required=False, metavar="[BUILD]")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    required=True,
    help="npy: a folder as autofaiss and embedding-reader have it; ann-benchmarks: an HDF5; fvecs: a folder.",
)
@click.option("--out", required=True, metavar="OUT", help="The file or folder to write; it must not exist.")
@click.option("--raw", is_flag=True, help="npy: features as they are, not embeddings of length 1.")
@HOME_OPTION
def export(build_name: str | None, form: str, out: str, raw: bool, home: str | None) -> None:
    """Write the vectors of BUILD [the newest] for other tools: the corpus, or gallery, queries and exact neighbours.

    Prints the path of what was written.
    """
    from simsearch.exchange.vectors_out import export as write

    build = find_home(home).build(build_name)
    path = write(build, form, out, raw=raw, progress=Shown())
    print(path)
    if form == "npy":
        vectors = safe(shlex.quote(str(path / "img_emb")))
        say(f"Next: autofaiss build_index --embeddings={vectors} --metric_type=ip")
    else:
        say(
            f"Next: simsearch index import {safe(shlex.quote(str(path)))} --name {build.name}-vectors"
            + home_words(home)
        )
