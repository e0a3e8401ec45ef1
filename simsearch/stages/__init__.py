"""The stages of a build: each module returns a Step, whose work writes into its workspace alone.

They join the rooms to one another; which steps there are, and which of them have to run, is `pipeline`'s. Heavy
libraries are imported inside the functions, because an unchanged build runs none of them.
"""
