"""Packs: one file that holds a build for other machines, whose bytes are all fixed by the list that it begins with."""

from simsearch.packs.contents import Contents, Member
from simsearch.packs.reading import bytes_of, check_pack, contents_of, unpack
from simsearch.packs.writing import write_pack

__all__ = ["Contents", "Member", "bytes_of", "check_pack", "contents_of", "unpack", "write_pack"]
