"""`python -m backend`: the same as the `aftertone` command."""

from aftertone.cli import main

main()
