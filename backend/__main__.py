"""`python -m backend`: the same as the `aftertone` command."""

from backend.cli import main

main()
