"""The home folder and the named builds in it."""

from simsearch.home.build import FROZEN, STOPPED, SYNCED, VECTORS, Build, Record, References
from simsearch.home.home import LOCK, SEED, SEEDS_FILE, Home
from simsearch.names import checked_name

__all__ = [
    "FROZEN",
    "LOCK",
    "SEED",
    "SEEDS_FILE",
    "STOPPED",
    "SYNCED",
    "VECTORS",
    "Build",
    "Home",
    "Record",
    "References",
    "checked_name",
]
