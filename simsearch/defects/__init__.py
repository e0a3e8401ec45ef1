"""Defects of kinds never seen: defect scores of features, thresholds by a stated rate; arrays in, arrays out."""
