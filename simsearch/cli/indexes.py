"""The commands about indexes and vectors themselves: index verify, index import, export."""

from __future__ import annotations

import shlex

import click

from simsearch.cli.building import say_low_recall
from simsearch.cli.options import (
    HOME_OPTION,
    JSON_OPTION,
    OK,
    SAID_NO,
    Commands,
    Number,
    command,
    find_home,
    home_words,
)
from simsearch.cli.printing import emit, emit_json, emit_path
from simsearch.console import Shown, safe, say

PACK, MILVUS = "pack", "milvus"
FORMATS = ("npy", "ann-benchmarks", "fvecs", PACK, MILVUS)


@click.group(cls=Commands, epilog="Example:  simsearch index import vectors.npy --name mine")
def index() -> None:
    """Check an index and mend it; take in vectors that were made elsewhere."""


@index.command(epilog="Example:  simsearch index verify mnist --repair")
@click.argument("build_name", required=False, metavar="[BUILD]")
@click.option("--repair", is_flag=True, help="Make anew what can be made of the features: index, figures, report.")
@HOME_OPTION
@JSON_OPTION
def verify(build_name: str | None, repair: bool, home: str | None, as_json: bool) -> None:
    """Check BUILD [the newest]: digests, row counts, unit norms, a sample of answers against exact search, pictures.

    Prints a line a check; exit 1 when one says no.
    """
    from simsearch.integrity.verifying import verify_build

    place = find_home(home)
    build = place.build(build_name) if repair else place.readable(build_name, Shown())
    if repair:
        from simsearch.integrity.repairing import repair_build

        build, found = repair_build(build, place, Shown())
    else:
        found = verify_build(build, Shown())
    for check in found.checks:
        word = {True: "ok", False: "no", None: "-"}[check.ok]
        told = f"{word:<3} {safe(check.name):<18} {safe(check.words)}"
        if as_json:
            emit_json(check.to_json(build.name))
        else:
            emit(told)
    if not found.sound:
        for check in found.checks:
            if check.hint is not None and check.ok is False:
                say(f"{check.name}: {safe(check.hint)}")
        if not repair and any(check.ok is False and check.hint is None for check in found.checks):
            say(f"Next: simsearch index verify {build.name} --repair" + home_words(home))
        raise SystemExit(SAID_NO)


@index.command("import", epilog="Example:  simsearch index import glove-100-angular.hdf5 --name glove")
@click.argument("file", metavar="FILE")
@click.option("--name", required=True, metavar="NAME", help="Name of the build.")
@click.option("--factory", metavar="F", help="FAISS factory string, its settings tuned [Flat].")
@click.option(
    "--target-recall",
    type=Number(0, 1, min_open=True),
    metavar="R",
    help="Choose the fastest index with this ann_recall@10.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="index.KEY=VALUE",
    help="Change a key of [index]: nprobe, efSearch, k_factor, max_bytes, ...",
)
@click.option("--strict", is_flag=True, help="Exit with 1 when no index reached --target-recall.")
@HOME_OPTION
@JSON_OPTION
def import_vectors(
    file: str,
    name: str,
    factory: str | None,
    target_recall: float | None,
    settings: tuple[str, ...],
    strict: bool,
    home: str | None,
    as_json: bool,
) -> int:
    """Index and evaluate vectors: a .npy file, a folder of .npy parts, ann-benchmarks .hdf5 or .fvecs; no images.

    Prints the path of the report. simsearch query --vectors, evaluate, export and index verify then work on the build.
    """
    from simsearch.exchange.vectors_in import run_import
    from simsearch.recipe.files import settings_of
    from simsearch.report.known import known_words

    wanted = settings_of("index", settings)
    for key, value in (("factory", factory), ("target_recall", target_recall)):
        if value is not None:
            if key in wanted:
                raise click.UsageError(f"--{key.replace('_', '-')} and --set index.{key}: give one of them")
            wanted[key] = value
    outcome = run_import(file, find_home(home), name, wanted, Shown())
    if outcome.missed:
        say(f"warning: {safe(outcome.missed)}")
    say_low_recall(outcome)
    if known := known_words(outcome.report):
        say(safe(known))
    if as_json:
        emit_json(outcome.report)
    else:
        emit_path(outcome.build.page_path)
    if outcome.changed:
        say(f"Next: simsearch query --vectors FILE.npy --build {name}" + home_words(home))
    else:
        say(f"{name} is up to date ({outcome.build.record.images:,} vectors checked)")
    return SAID_NO if strict and outcome.missed and "target_recall" in wanted else OK


@command(epilog="Example:  simsearch export mnist --format ann-benchmarks --out mnist-64-angular.hdf5")
@click.argument("build_name", required=False, metavar="[BUILD]")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    required=True,
    help="npy: a folder as autofaiss and embedding-reader have it; ann-benchmarks: an HDF5; fvecs: a folder; "
    "pack: one file with all that searches of it need, for other machines; milvus: a collection of a server.",
)
@click.option(
    "--out",
    required=True,
    metavar="OUT",
    help="The file or folder to write; it must not exist. milvus: http://HOST:19530, or a FILE.db for one process.",
)
@click.option("--index", "kind", metavar="KIND", help="milvus: FLAT, HNSW, IVF_FLAT or IVF_SQ8 [by size].")
@click.option("--raw", is_flag=True, help="npy: features as they are, not embeddings of length 1.")
@HOME_OPTION
def export(build_name: str | None, form: str, out: str, kind: str | None, raw: bool, home: str | None) -> None:
    """Write the vectors of BUILD [the newest] for other tools, or BUILD for other machines, as a pack.

    npy has the corpus, the other two gallery, queries and exact neighbours; a pack takes the place of NAME in query
    --build, defects score --name, show, evaluate, compare and index verify. Prints the path of what was written, or the
    name of the collection; the token of a server stands in SIMSEARCH_MILVUS_TOKEN.
    """
    if raw and form == MILVUS:
        raise click.UsageError("--raw goes with --format npy: Milvus searches embeddings of length 1")
    if kind is not None and form != MILVUS:
        raise click.UsageError(f"--index goes with --format {MILVUS}")
    if form == MILVUS:
        _to_milvus(build_name, out, kind, home)
        return
    build = find_home(home).build(build_name)
    if form == PACK:
        from simsearch.exchange.pack_out import export_pack

        emit_path(path := export_pack(build, out, raw=raw, progress=Shown()))
        say(f"Next: simsearch query IMAGE --build {safe(shlex.quote(str(path)))}, on any machine")
        return
    from simsearch.exchange.vectors_out import export as write

    path = write(build, form, out, raw=raw, progress=Shown())
    emit_path(path)
    if form == "npy":
        vectors = safe(shlex.quote(str(path / "img_emb")))
        say(f"Next: autofaiss build_index --embeddings={vectors} --metric_type=ip")
    else:
        place = safe(shlex.quote(str(path)))
        say(f"Next: simsearch index import {place} --name {build.name}-vectors" + home_words(home))


def _to_milvus(name: str | None, out: str, kind: str | None, home: str | None) -> None:
    from simsearch.exchange.milvus_out import LOW, export_to_milvus

    done = export_to_milvus(find_home(home), name, out, kind, Shown())
    emit(safe(done.place.collection))
    build = done.build.name
    if done.recall < LOW:
        say(f"warning: {done.place.kind} finds {done.recall:.3f} of exact answers; --index FLAT finds all")
    if done.place.answers:
        say(f"{build} is answered for by {safe(str(done.place))}")
    else:
        say(f"Next: simsearch switch {build} --search milvus{home_words(home)} lets it answer")
