"""What this run of the tests leaves out, and why: said at its end, also where several processes share the tests."""

from collections.abc import Sequence

import pytest

_SAID = pytest.StashKey[list[str]]()
_HANDED_OVER = "left_out"


def leave_out(config: pytest.Config, items: list[pytest.Item], unable: Sequence[pytest.Item], why: str) -> None:
    """Take these tests, which cannot run here, out of `items`; `why` is what the end of the run says."""
    if unable:
        config.stash.setdefault(_SAID, []).append(f"LEFT OUT: {len(unable)} tests {why}")
        config.hook.pytest_deselected(items=unable)
        items[:] = [item for item in items if item not in unable]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand what was left out over to the process that reports, where this is one of several that test."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[_HANDED_OVER] = session.config.stash.get(_SAID, [])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """Take over what a process that tests left out: each of them the same."""
    said = getattr(node, "config").stash.setdefault(_SAID, [])  # noqa: B009 -- pytest-xdist has no types
    said += [line for line in getattr(node, "workeroutput", {}).get(_HANDED_OVER, []) if line not in said]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say it loudly."""
    for line in config.stash.get(_SAID, []):
        terminalreporter.write_line(line, yellow=True, bold=True)
