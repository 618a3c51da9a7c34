"""`python -m jobpools.cli`: the same as `jobpools`."""

from jobpools.cli import main

if __name__ == "__main__":  # a spawned child of multiprocessing imports this module again
    main()
