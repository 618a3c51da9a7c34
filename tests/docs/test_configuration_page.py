"""docs/configuration.md has the tables of settings and presets."""

import re
from pathlib import Path

from jobpools.core.configuration.settings_table import (
    BY_NAME,
    CONFIG,
    OPERATOR_SETTINGS,
    PRESETS,
    SETTINGS,
    Kind,
    Setting,
)
from jobpools.core.text.durations import format_duration

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()


def row(setting: Setting) -> str:
    option = f"`{setting.option}`" if setting.option.startswith("--") else setting.option or "-"
    name = f"| `{setting.name}` | `{setting.variable}` | {option} |"
    return f"{name} {shown(setting)} | {setting.doc.rstrip('.')}. |"


def operator_row(setting: Setting) -> str:
    return f"| `{setting.variable}` | {shown(setting)} | {setting.doc.rstrip('.')}. |"


def shown(setting: Setting) -> str:
    if setting.shown_default:
        return setting.shown_default
    if setting.kind is Kind.DURATION:
        return format_duration(setting.default)
    return f"`{setting.default}`" if setting.kind is Kind.TEXT else str(setting.default)


def table(title: str) -> str:
    """Return the rows of the first table of a section."""
    return re.split(r"\|(?:---\|)+\n", PAGE.partition(f"## {title}\n")[2], maxsplit=1)[1].partition("\n\n")[0]


def test_each_setting_has_its_row() -> None:
    expected = "\n".join(row(setting) for setting in (CONFIG, *SETTINGS))
    assert table("Settings") == expected, f"the table should be:\n{expected}"
    expected = "\n".join(operator_row(setting) for setting in OPERATOR_SETTINGS)
    assert table("For the operator") == expected, f"the table should be:\n{expected}"


def test_the_table_of_presets_has_their_values() -> None:
    cells = [[cell.strip() for cell in each.strip("|").split("|")] for each in table("Presets").splitlines()]
    assert [each[0].partition(" (")[0].strip("`") for each in cells] == list(PRESETS["production"])
    for name, _, *values in cells:
        setting = name.partition(" (")[0].strip("`")
        given = [preset[setting] for preset in (PRESETS["development"], PRESETS["production"])]
        assert values == [f"{each:g}s" if isinstance(each, float) else str(each) for each in given]
    assert [cells[0][1], cells[2][1]] == [str(BY_NAME["concurrency"].default), f"{BY_NAME['log_interval'].default:g}s"]
