# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""Typed uses of the public API; mypy and pyright check this file, and nothing runs it.

An ignored error is one that the checker must find: both report an ignore that hides nothing.
"""

from typing import assert_type

from jobpools import App, Context, JobHandle, Retry

app = App("shop")


@app.job
async def plain(_ctx: Context, to: str, copies: int = 1) -> str:
    return to * copies


@app.job(queue="emails", timeout="2m", priority="high")
async def dressed(to: str) -> int:
    return len(to)


@app.job
def threaded(_ctx: Context, n: int) -> list[int]:
    return [n]


async def right() -> None:
    assert_type(await plain.enqueue("ada"), JobHandle[str])
    assert_type(await plain.enqueue(to="ada", copies=2), JobHandle[str])
    assert_type(await (await dressed.enqueue("ada")).result(timeout=5), int)
    assert_type(threaded.enqueue_sync(7), JobHandle[list[int]])
    assert_type(await threaded.options(delay="10m", tags=["vip"]).enqueue(n=7), JobHandle[list[int]])
    plain.options(retry=Retry(initial="1s", max_attempts=5, on=[ConnectionError, "httpx.ConnectError"]))
    await app.enqueue_many([plain.call("ada"), dressed.call("grace"), threaded.call(1)])


async def wrong() -> None:
    await plain.enqueue()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await plain.enqueue(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await plain.enqueue("ada", copies="two")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await plain.enqueue("ada", nobody=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await dressed.enqueue("ada", "grace")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    threaded.enqueue_sync("seven")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    plain.call(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    plain.options(priority="urgent")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    plain.options(dely="10m")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await plain.options(delay="10m").enqueue(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
