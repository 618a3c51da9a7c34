"""`docs/operations.md` says what to do about every condition, reason, alert and metric that it may meet."""

import re
from collections.abc import Iterator

from jobpools.core.pools.reasons import ConditionType, Reason
from jobpools.core.pools.specs import Alerts
from jobpools.core.reasons import SharedReason
from tests.docs.tables import DOCS, names, rows, section

PAGE = "operations.md"


def listed(*headings: str) -> Iterator[str]:
    """Yield the names in the first column of the tables under these headings."""
    for heading in headings:
        for cells in rows(section(PAGE, heading)):
            yield from names(cells[0])


def test_every_condition_is_described() -> None:
    assert [name for name in listed("Conditions of a WorkerPool") if name in set(ConditionType)] == list(ConditionType)


def test_every_alert_is_described() -> None:
    assert sorted(listed("Alerts")) == sorted(name[0].upper() + name[1:] for name in _aliases())


def _aliases() -> Iterator[str]:
    for name, field in Alerts.model_fields.items():
        yield field.alias or name


def test_every_reason_of_a_pool_is_named() -> None:
    text = (DOCS / PAGE).read_text()
    missing = [reason for reason in [*Reason, *SharedReason] if f"`{reason}`" not in text]
    assert not missing


def test_metrics_exist() -> None:
    root = DOCS.parent
    sources = [*(root / "worker").rglob("*.py"), *(root / "operator").rglob("*.py")]
    served = {name for path in sources for name in re.findall(r"jobpools_[a-z_]+", path.read_text())}
    found = {re.split(r"[{]", cells[0].strip("`"))[0] for cells in rows(section(PAGE, "Metrics"))}
    assert found
    assert found <= served
