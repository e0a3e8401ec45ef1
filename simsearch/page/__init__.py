"""What every self-contained page is made of: escaped HTML, the frame, charts."""
