"""Why is it worse? The stage that moved, and the queries that lost."""
