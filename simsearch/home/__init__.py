"""The home folder and the named builds in it."""

from simsearch.home.build import SYNCED, VECTORS, Build, Record, References
from simsearch.home.home import LOCK, SEED, SEEDS_FILE, Home
from simsearch.names import checked_name

__all__ = [
    "LOCK",
    "SEED",
    "SEEDS_FILE",
    "SYNCED",
    "VECTORS",
    "Build",
    "Home",
    "Record",
    "References",
    "checked_name",
]
