"""Is tonight worse? Figures, pairs of cells and the gate."""
