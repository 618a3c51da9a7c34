"""docs/parity.md names tests that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = re.findall(r"`(tests/\S+\.py)::(test_\w+)`", (ROOT / "docs" / "parity.md").read_text())


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED)))
def test_a_named_test_exists(file: str, name: str) -> None:
    assert re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE)


def test_each_feature_names_a_test() -> None:
    rows = [line for line in (ROOT / "docs" / "parity.md").read_text().splitlines() if line.startswith("| ")]
    features = [row for row in rows if not row.startswith(("| feature", "| what"))]
    assert len(features) == len(NAMED) > 20
