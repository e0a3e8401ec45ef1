"""What of a file becomes which pixels, format by format."""
