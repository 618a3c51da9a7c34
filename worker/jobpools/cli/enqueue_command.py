"""`jobpools enqueue`: its options, and what it prints."""

import sys
from typing import Annotated

import typer

from jobpools.cli.output import Output, document
from jobpools.cli.terminal import write

Target = Annotated[
    str,
    typer.Argument(
        metavar="APP NAME | NAME",
        help="The App (module:name) and the job's name; or the job's name alone, with --queue.",
    ),
]
Arguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="name=value", help="Arguments of the job. A value that is JSON is decoded; any other is text."
    ),
]
Queue = Annotated[
    str | None, typer.Option("--queue", "-q", metavar="NAME", help="Queue of the job. Default: the handler's.")
]
Priority = Annotated[str | None, typer.Option(metavar="PRIORITY", help="high, normal or low. Default: the handler's.")]
Delay = Annotated[
    str | None, typer.Option(metavar="DURATION", help="Time from now before which the job does not start, as in 10m.")
]
At = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Time before which the job does not start, as in 2027-01-01T09:00:00Z."),
]
Expires = Annotated[
    str | None,
    typer.Option(metavar="DURATION", help="Time from now after which the job does not start any more, as in 1h."),
]
Id = Annotated[
    str | None,
    typer.Option(
        "--id", metavar="ID", help="Id of the job. Default: a new one. If a job has this id, nothing is enqueued."
    ),
]
Tags = Annotated[list[str] | None, typer.Option("--tag", metavar="WORD", help="Tag of the job. May be repeated.")]
Metadata = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUE",
        help="Metadata of the job; a value that is JSON is decoded, any other is text. May be repeated.",
    ),
]
Timeout = Annotated[
    str | None,
    typer.Option(metavar="DURATION", help="Maximum duration of an attempt, as in 2m. Default: the handler's."),
]
Wait = Annotated[
    float | None, typer.Option(metavar="SECONDS", min=0, help="Wait up to this long for the job, and print its result.")
]
Format = Annotated[
    Output,
    typer.Option(
        "--output",
        "-o",
        help="table prints the id, or with --wait the result; json and yaml print both, the queue, and whether "
        "the job is new.",
    ),
]
Redis = Annotated[
    str | None,
    typer.Option("--redis", metavar="URL", help="URL of Redis or Valkey. Default: the app's, else JOBPOOLS_REDIS_URL."),
]


def enqueue(  # noqa: PLR0913  # a command's own options
    target: Target,
    arguments: Arguments = None,
    *,
    queue: Queue = None,
    priority: Priority = None,
    delay: Delay = None,
    at: At = None,
    expires: Expires = None,
    job_id: Id = None,
    tags: Tags = None,
    metadata: Metadata = None,
    timeout: Timeout = None,
    wait: Wait = None,
    redis: Redis = None,
    output: Format = Output.TABLE,
) -> None:
    """Enqueue one job and print its id."""
    import json

    from pydantic_core import to_jsonable_python

    from jobpools.cli.enqueue_job import enqueue_job

    times = {"delay": delay, "at": at, "expires": expires}
    labels = {"tags": tags, "metadata": metadata}
    options = {"queue": queue, "priority": priority, "id": job_id, "timeout": timeout} | labels | times
    handle, result = enqueue_job(target, arguments or [], options, redis, wait)
    if not handle.new:
        sys.stderr.write(f"job {handle.id} already exists in queue {handle.queue}; nothing was enqueued\n")
    shown = {} if wait is None else {"result": to_jsonable_python(result, inf_nan_mode="strings", fallback=str)}
    if output is not Output.TABLE:
        document({"id": handle.id, "queue": handle.queue, "new": handle.new} | shown, output)
    else:
        write(f"{json.dumps(shown['result'], ensure_ascii=False) if shown else handle.id}\n")
