"""The `jobpools` command: reads arguments and the environment, composes the layers, prints. Decides nothing."""

import sys


def main() -> None:
    """The entry point of the `jobpools` script."""
    if sys.argv[1:2] == ["worker"] and _is_program(sys.argv[1:]):
        from jobpools.runtime import supervisor

        raise SystemExit(supervisor.run(_command))
    raise SystemExit(_command())


def _is_program(words: list[str]) -> bool:
    """Return whether this process was started to run this command: only then may it become a worker's supervisor.

    A program that calls `main` for itself (a test, a notebook) must not be forked: it would go on twice.
    """
    own = getattr(sys.modules.get("__main__"), "main", None)
    return own is main or sys.orig_argv[-len(words) :] == words


def _command() -> int:
    try:
        if sys.argv[1:] == ["worker"]:  # as pods and `jobpools up` start it: nothing to parse, so no parser is loaded
            from jobpools.cli import worker

            return worker.run({})
        from jobpools.cli import app

        app.run()
    except KeyboardInterrupt:  # before anybody was there to handle it
        return 130
    return 0
