"""Runs a model that hypothesis compares with a server, with the same sequences each time."""

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test


def run_state_machine(machine: type[RuleBasedStateMachine], examples: int, steps: int) -> None:
    """Run sequences of random steps.

    A failing run is not shortened, which takes minutes; Phase.shrink can be added for one run.
    """
    found = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=found)
