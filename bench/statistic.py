"""How the benchmarks sum up what they measured, and how they take turns."""

import statistics
from collections.abc import Callable, Mapping, Sequence


def interleaved(ways: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Call each way once a round, every other round in reverse order; gives what each returned, a value a round."""
    values: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds):
        for name in list(ways) if turn % 2 else list(ways)[::-1]:
            values[name].append(ways[name]())
    return values


def ratio(values: Mapping[str, Sequence[float]], name: str, limit: str) -> float:
    """The median over the rounds of one way's value divided by another's of the same round."""
    return statistics.median(ours / theirs for ours, theirs in zip(values[name], values[limit], strict=True))


def percentile(values: Sequence[float], share: int) -> float:
    """The smallest value that so many percent of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * share // 100) - 1)]
