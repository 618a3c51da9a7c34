"""The command of `make demo`, and its effects."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.local.up_process import UpProcess
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]


def test_the_demo_has_all_its_effects(tmp_path: Path) -> None:
    env = {
        "SHOP_FOLDER": str(tmp_path / "shop"),
        "SHOP_SMTP_PORT": str(free_port()),
        "SHOP_HTTP_PORT": str(free_port()),
    }
    plot = tmp_path / "demo.png"
    recipe = re.search(r"jobpools up (.+) --plot demo.png --with '(.+)'", (ROOT / "Makefile").read_text())
    assert recipe, "make demo has changed: this test runs the same command"
    arguments = [*recipe[1].split(), "--plot", str(plot), "--with", recipe[2]]
    with UpProcess(ROOT, arguments, env) as run:
        assert run.wait(100) == 0, run.text
    last = re.fullmatch(
        r"done: (\d+) completed, (\d+) retried, 1 dead, 0 lost; peak (\d+) workers; (\d+\.\d) s", run.lines[-1]
    )
    assert last, run.text
    completed, retried, peak = (int(each) for each in last.groups()[:3])
    # 423 jobs of the day and 4 of the schedules, without later ticks; 6 refused labels and the first crash are retried.
    assert completed >= 427
    assert retried >= 7
    assert 5 <= peak <= 8
    assert run.find(r"180 e-mails arrived .* 120 labels bought, 6000 products imported, .* 0 effects missing$")
    assert run.find(r"raw_photograph\) is dead after 2 crashes")
    # Each refused label is logged with a traceback of four lines; any other traceback is a bug.
    tracebacks = run.text.count("Traceback")
    assert tracebacks == run.text.count("| shop.jobs.CarrierUnavailableError: the carrier answered 503"), run.text
    assert len(run.lines) - 4 * tracebacks < 90, "too many lines to read"
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert len(list((tmp_path / "shop" / "media").glob("L*.webp"))) == 72
    assert len(list((tmp_path / "shop" / "reports").glob("*.png"))) >= 1
    assert [path.name for path in (tmp_path / "shop" / "exports").iterdir()] == ["recent.csv"]


def test_mypy_without_plugins_accepts_the_shop() -> None:
    """A user's own mypy sees the signatures of handlers, options and results."""
    cache = ROOT / ".mypy_cache" / "shop"
    flags = ["--strict", "--config-file=", "--ignore-missing-imports", "--cache-dir", str(cache)]
    run = subprocess.run(
        [sys.executable, "-m", "mypy", *flags, "shop"],
        cwd=ROOT / "examples" / "shop", env=os.environ | {"MYPYPATH": str(ROOT / "worker")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
