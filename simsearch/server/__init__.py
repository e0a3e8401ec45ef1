"""The web server of `simsearch serve`: the answers of `simsearch query` over HTTP, and a page. No torch is imported."""
