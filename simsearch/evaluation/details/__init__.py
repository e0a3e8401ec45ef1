"""Where it goes wrong and why: single labels, doubtful ones, duplicates, short features, the map of it all."""
