"""report.html: its sections, charts and styles, and the document that holds them."""
