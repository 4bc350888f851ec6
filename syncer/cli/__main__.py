"""`python -m syncer.cli`."""

from syncer.cli import main

main()
