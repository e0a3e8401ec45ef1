"""The command that serves: serve."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from simsearch.cli.options import HOME_OPTION, OK, Whole, command, find_home
from simsearch.console import safe, say, typable

if TYPE_CHECKING:
    from simsearch.server.guards import Token
    from simsearch.server.opened import Opened

ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # hosts that are every address, and one of them


@command(epilog="Example:  simsearch serve --build photos --open")
@click.option(
    "--build",
    "names",
    multiple=True,
    metavar="NAME|PACK",
    help="Which build or pack answers; several are served too [the newest build].",
)
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Where to listen.")
@click.option("--port", type=Whole(0, 65535), metavar="PORT", help="Which port [8000, or the next that is free].")
@click.option(
    "--token-file", metavar="FILE", help="Only who has the word in FILE may ask; without one, anybody who gets here."
)
@click.option("--allow-host", "more", multiple=True, metavar="NAME", help="Another name of this server, as a proxy's.")
@click.option("--watch", "folder", metavar="FOLDER", help="Run simsearch sync whenever files in FOLDER come or go.")
@click.option("--feedback", "kept", metavar="FILE.csv", help="Keep what people say of hits, as rows of a list.")
@click.option("--open", "browse", is_flag=True, help="Open the page in a browser.")
@HOME_OPTION
def serve(
    names: tuple[str, ...],
    host: str,
    port: int | None,
    token_file: str | None,
    more: tuple[str, ...],
    folder: str | None,
    kept: str | None,
    browse: bool,
    home: str | None,
) -> int:
    """Answer searches over HTTP, and show a page for them, until Ctrl+C.

    The answers are those of simsearch query. What build, sync or switch make of a build is served without a restart.
    """
    import asyncio
    import time

    started = time.perf_counter()
    place = find_home(home)
    from simsearch.server.app import make_app
    from simsearch.server.feedback import Feedback
    from simsearch.server.guards import LOOPBACK, Hosts
    from simsearch.server.limits import Limits
    from simsearch.server.reloading import Reloading
    from simsearch.server.running import PORT, listen, run, settle
    from simsearch.server.service import Service
    from simsearch.server.shelf import Shelf
    from simsearch.server.watching import Watching, name_of
    from simsearch.versions import usable_cores

    token = None if token_file is None else _token_in(token_file)
    feedback = None if kept is None else Feedback(kept)
    listening = listen(host, port)
    try:
        shelf = Shelf(place, names)
        watched = None if folder is None else name_of(shelf, folder)
    except BaseException:
        listening.close()
        raise
    service = Service(shelf, Limits(threads=usable_cores()), feedback)
    actual = listening.getsockname()[1]
    shown = ANY.get(host, host)
    address = f"http://{f'[{shown}]' if ':' in shown else shown}:{actual}"

    def ready() -> None:
        for name in shelf.names:
            say(_told(shelf.now(name)))
        say(f"Ready in {time.perf_counter() - started:.1f} s")
        say(f"  Page     {address}/")
        say(f"  API      {address}/docs")
        if token_file is not None:
            say(f"  Whoever has the token in {safe(token_file)} can reach it")
        elif host in LOOPBACK:
            say("  Only this computer can reach it (--host 0.0.0.0 lets others in, without a password)")
        else:
            say("  warning: everybody who can reach this computer can search (--token-file FILE asks for a word)")
        if port is None and actual != PORT:
            say(f"Port {PORT} was busy, so this is {actual}")
        if folder is not None:
            say(f"Watching {safe(folder)}")
        if feedback is not None:
            say(f"Feedback goes to {safe(str(feedback.path))}")
        say("Ctrl+C stops after the running requests")
        if browse:
            _open(f"{address}/")

    def stopping(count: int) -> None:
        say(f"Stopping after {count:,} running {'request' if count == 1 else 'requests'}" if count else "Stopping")

    beside = [Reloading(service).watch]
    if folder is not None and watched is not None:
        beside.append(Watching(service, folder, watched, place.path).watch)
    settle()
    asyncio.run(run(service, make_app(service, Hosts(host, more), token), listening, ready, stopping, beside))
    return OK


def _token_in(path: str) -> Token:
    """Return the token that a file holds; SimsearchError for a file that cannot be read and for a short word."""
    from simsearch.errors import SimsearchError
    from simsearch.server.guards import LEAST_TOKEN, Token

    hint = f"python -c 'import secrets; print(secrets.token_urlsafe())' > {typable(path, 'FILE')} makes one"
    try:
        with open(path, encoding="utf-8") as file:
            word = file.read(10_000).strip()
    except (OSError, ValueError) as error:
        raise SimsearchError(f"cannot read the token in {path}: {error}", hint=hint) from None
    if len(word) < LEAST_TOKEN or not word.isascii() or not word.isprintable():
        raise SimsearchError(f"the token in {path} is not at least {LEAST_TOKEN} letters and digits", hint=hint)
    return Token(word)


def _told(opened: Opened) -> str:
    """Return what a build is in one line."""
    words = [f"{opened.name}: {opened.searcher.images:,} images"]
    if opened.searcher.labelled:
        words.append(f"{len(opened.labels):,} labels")
    if opened.figures is not None:
        found = opened.figures["recall_at_1"]
        low, high = (f"{end:.3f}".removeprefix("0") for end in found["interval"] or (found["value"], found["value"]))
        words.append(f"recall@1 {found['value']:.3f} [{low}, {high}]".replace(" 0.", " ."))
    if opened.build.provisional:
        words.append("; ".join(opened.build.standing()))
    return safe(", ".join(words))


def _open(address: str) -> None:
    """Open a browser, if there is one; the address is on the terminal anyway."""
    import threading
    import webbrowser

    if sys.stderr is not None:
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
