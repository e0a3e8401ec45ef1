"""`python -m simsearch`, where the command itself is not on the path."""

from simsearch.cli import main

if __name__ == "__main__":
    main()
