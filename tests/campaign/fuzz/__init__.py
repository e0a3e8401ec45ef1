"""Fuzzing of what is parsed: good files of every kind, changed by a seed, and what the product makes of them.

An input is its parser, its seed and its number: `python -m campaign.fuzz --input PNG/7/1234` from the folder of the
tests makes it again, and reads it as the run did.
"""
