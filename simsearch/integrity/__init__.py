"""Is a build what it says it is, and what can be made anew of it: `simsearch index verify [--repair]`."""
