"""From a recipe to a named build: which stages run, which are skipped, what it will take and what to do next."""
