"""The nightly job: a matrix of recipes and indexes measured again every night, kept in a history, and gated.

matrix -> night (cells, speed) -> history -> gate -> cause -> what people read (outputs). It may use every other room;
none uses it but the command line.
"""
