"""The `jobpools` command: reads arguments and the environment, puts the layers together, and prints."""

import sys


def main() -> None:
    """Run the command line; entry point of the `jobpools` script."""
    if sys.argv[1:2] == ["worker"] and _is_program(sys.argv[1:]):
        from jobpools.runtime import supervised

        raise SystemExit(supervised.run(_command))
    raise SystemExit(_command())


def _is_program(words: list[str]) -> bool:
    """Return whether this process was started to run this command; only then may it become a worker's supervisor.

    A program that calls `main` itself (a test, a notebook) must not be forked: both copies would continue.
    """
    main_of_script = getattr(sys.modules.get("__main__"), "main", None)
    return main_of_script is main or sys.orig_argv[-len(words) :] == words


def _command() -> int:
    try:
        if sys.argv[1:] == ["worker"]:  # how pods and `jobpools up` start it: the parser need not be imported
            from jobpools.cli import worker_process

            return worker_process.run({})
        from jobpools.cli import app, runner

        runner.run(app.app)
    except KeyboardInterrupt:  # during the imports: the runner handles later ones
        return 130
    return 0
