"""A strict parser of the Prometheus text format."""

import re

SAMPLE = re.compile(r'^(?P<name>[a-z_]+)(?:\{(?P<labels>(?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (?P<value>[^ ]+)$')
LABEL = re.compile(r'([a-z]+)="((?:[^"\\\n]|\\["\\n])*)"')
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
"""Values by metric name and labels."""


def parse(text: str) -> tuple[Samples, dict[str, str]]:
    """Return samples and types; fail on an invalid line, a sample without a type and a duplicate sample."""
    samples: Samples = {}
    kinds: dict[str, str] = {}
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# "):
            _, what, name, rest = line.split(" ", 3)
            assert what in ("HELP", "TYPE"), line
            assert rest, line
            if what == "TYPE":
                assert name not in kinds, f"duplicate type: {name}"
                kinds[name] = rest
            continue
        found = SAMPLE.match(line)
        assert found, line
        metric = re.sub(r"_(bucket|sum|count)$", "", found["name"])
        assert metric in kinds or found["name"] in kinds, f"no type: {line}"
        key = (found["name"], frozenset(LABEL.findall(found["labels"] or "")))
        assert key not in samples, f"duplicate sample: {line}"
        samples[key] = float(found["value"])
    return samples, kinds


def sample(samples: Samples, name: str, **labels: str) -> float:
    """Return the value of the sample with exactly these labels."""
    return samples[name, frozenset(labels.items())]
