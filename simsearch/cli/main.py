"""The entry point: the group of commands, exit codes, and what a user sees of an error."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Sequence

import click

from simsearch.cli.benching import bench
from simsearch.cli.building import build, compare, evaluate, show
from simsearch.cli.defects import defects
from simsearch.cli.indexes import export, index
from simsearch.cli.keeping import clean, switch, sync
from simsearch.cli.mistakes import PROGRAM, marked, mended, usage_hint
from simsearch.cli.options import BAD_INPUT, INTERRUPTED, OK, Commands
from simsearch.cli.printing import drop_answers, flush_answers
from simsearch.cli.querying import query
from simsearch.cli.serving import serve
from simsearch.console import safe, say
from simsearch.errors import FilterError, SimsearchError, disk_error
from simsearch.versions import __version__

# Left out where queries are answered and nothing is built: requirements-serve.txt has the others.
NOT_TO_SERVE = ("onnx", "onnxscript", "safetensors", "sklearn", "scipy", "torch", "torchvision")


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example:  simsearch build photos/  &&  simsearch query x.jpg",
)
@click.version_option(__version__, message="simsearch %(version)s")
def cli() -> None:
    """Turn a folder of labelled images into a similarity search whose quality is measured."""


for command in (build, query, serve, show, compare, evaluate, bench, sync, switch, index, defects, export, clean):
    cli.add_command(command)


def main(arguments: list[str] | None = None) -> None:
    """Entry point: runs a command and exits with 0, 1, 2 or 130; what the user can mend never gives a traceback."""
    _prepare_streams()
    # Python looks for garbage before it ends: seconds, with torch in memory, and for nothing.
    atexit.register(gc.freeze)
    words = sys.argv[1:] if arguments is None else arguments
    try:
        code = cli.main(args=words, obj=words, prog_name=PROGRAM, standalone_mode=False)
        flush_answers()
        sys.exit(code if isinstance(code, int) else OK)
    except BrokenPipeError:
        drop_answers()
        sys.exit(OK)
    except SimsearchError as error:
        shown = disk_error(error) or error
        place = marked(shown) if isinstance(shown, FilterError) else ()
        _fail(shown.message, (shown.near and mended(words, *shown.near)) or shown.hint, place)
    except (click.exceptions.Abort, KeyboardInterrupt):
        _interrupted()
    except click.ClickException as error:
        _fail(" ".join(error.format_message().split()), usage_hint(error, words, cli))
    except OSError as error:
        full = disk_error(error)
        if full is not None:
            _fail(full.message, full.hint)
        where = f": {error.filename}" if error.filename else ""
        _fail(f"{error.strerror or error}{where}", "check that it exists and may be written")
    except (MemoryError, RuntimeError) as error:
        full = disk_error(error)
        if full is not None:
            _fail(full.message, full.hint)
        told = isinstance(error, MemoryError) or "can't allocate memory" in str(error) or "out of memory" in str(error)
        if not told:
            raise
        _fail("not enough memory", "take a smaller images.size or batch, or close other programs")
    except ImportError as error:
        if error.name and error.name.partition(".")[0] in NOT_TO_SERVE:
            _fail(
                f"{error.name.partition('.')[0]} is not installed, which this needs: queries and serve alone do not",
                "pip install simsearch with all that it depends on, as README.md tells",
            )
        if not isinstance(error.__cause__ or error.__context__, KeyboardInterrupt):
            raise
        _interrupted()  # Ctrl-C while a library was being loaded


def _prepare_streams() -> None:
    """Names that are no text are escaped, and a stream that the caller closed swallows what is written to it."""
    for name, mode in (("stdout", "w"), ("stderr", "w"), ("stdin", "r")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115
        elif hasattr(getattr(sys, name), "reconfigure"):
            getattr(sys, name).reconfigure(errors="surrogateescape" if mode == "r" else "backslashreplace")


def _fail(message: str, hint: str, place: Sequence[str] = ()) -> None:
    say(f"error: {safe(message)}")
    for line in place:
        say(f"    {line}")
    say(f"hint: {safe(hint)}")
    sys.exit(BAD_INPUT)


def _interrupted() -> None:
    say("interrupted: the same command goes on where this one stopped")
    sys.exit(INTERRUPTED)
