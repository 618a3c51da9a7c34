"""`python -m jobpools.cli`: the same as `jobpools`."""

from jobpools.cli import main

main()
