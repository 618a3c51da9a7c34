"""The Python and YAML blocks of the documents work: Python runs against a real Valkey, YAML passes validation."""

import ast
import inspect
import re
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
import yaml

from jobpools.core.pools.specs import PoolSpec
from jobpools.core.schedules.specs import ScheduleSpec

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
REQUIRED_FIELDS = {"app": "shop.jobs:app", "queues": ["emails"]}
"""Required fields, for blocks that show only a part of a pool's spec."""
PRELUDE = {
    "README.md": """
        from pydantic import BaseModel
        from jobpools.testing import run_until_idle

        class Order(BaseModel):
            number: int

        order = Order(number=7)
        """,
    "docs/outages.md": """
        from types import SimpleNamespace
        from jobpools import App

        app = App("shop")
        order = SimpleNamespace(id=7, email="ada@example.com")

        @app.job
        async def order_confirmation(to: str) -> None: ...
        """,
}
"""Code that defines the names that a page's blocks use but do not define."""
REPLACEMENTS = {"README.md": ("print(await job.result", "await run_until_idle(app, horizon=0)\nprint(await job.result")}
"""A replacement in a page that shows only the producer: it runs the jobs before a result is awaited."""


def pages(language: str) -> list[str]:
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    return sorted(str(path.relative_to(ROOT)) for path in found if f"\n```{language}\n" in path.read_text())


def blocks(page: str, language: str) -> list[tuple[int, str]]:
    """Return the blocks of a page with the line where each begins."""
    text = (ROOT / page).read_text()
    return [(text.count("\n", 0, at.start(2)), at[2]) for at in BLOCK.finditer(text) if at[1] == language]


def compiled(source: str, page: str, line: int) -> CodeType:
    """Compile a block with the line numbers of its page; `await` is allowed outside of functions."""
    tree = ast.increment_lineno(ast.parse(source), line)
    code: CodeType = compile(tree, page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    return code


async def run(code: CodeType, namespace: dict[str, Any]) -> None:
    result = eval(code, namespace)  # noqa: S307  # the documents are ours
    if inspect.isawaitable(result):
        await result


@pytest.mark.parametrize("page", pages("python"))
async def test_python_runs(page: str, valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBPOOLS_REDIS_URL", valkey_url)
    namespace: dict[str, Any] = {"__name__": "documentation"}
    await run(compiled(inspect.cleandoc(PRELUDE.get(page, "")), page, 0), namespace)
    for line, block in blocks(page, "python"):
        await run(compiled(block.replace(*REPLACEMENTS.get(page, ("", ""))), page, line), namespace)
    await namespace["app"].aclose()


@pytest.mark.parametrize("page", pages("yaml"))
def test_yaml_is_valid(page: str) -> None:
    for line, block in blocks(page, "yaml"):
        for document in yaml.safe_load_all(block):
            spec = document.get("spec")
            if spec is None:  # a part of a Deployment, or a chart's values
                continue
            try:
                if document.get("kind") == "CronJobSpec":
                    ScheduleSpec.model_validate(spec)
                else:
                    PoolSpec.model_validate(REQUIRED_FIELDS | spec)
            except ValueError as error:
                pytest.fail(f"{page}:{line}: {error}")
