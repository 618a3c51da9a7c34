"""The `jobpools` command: reads arguments and the environment, composes the layers, prints. Decides nothing."""

import sys


def main() -> None:
    """The entry point of the `jobpools` script."""
    if sys.argv[1:2] == ["worker"]:
        from jobpools.runtime import supervisor

        raise SystemExit(supervisor.run(_command))
    raise SystemExit(_command())


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
