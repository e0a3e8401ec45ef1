"""The five stages of a build: each writes only into its workspace and returns facts about its result.

They join the rooms to one another and know nothing of digests, skipping or builds; that is `pipeline`'s. Heavy
libraries are imported inside the functions, because an unchanged build runs none of them.
"""
