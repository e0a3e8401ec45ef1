"""Where images come from: folders, lists, digits and torchvision's sets, each opened as a Source."""
