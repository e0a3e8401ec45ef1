"""Vectors from and for other tools: import makes a build without images, export writes a build's vectors."""
