"""The command line: parse, call, print. Nothing else imports click; one file a group of commands."""

from simsearch.cli.main import cli, main

__all__ = ["cli", "main"]
