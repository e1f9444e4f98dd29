"""The metrics as Prometheus reads them."""

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

import service
from service.health import AmiState, SpoolState, StoreState
from service.metrics import Metrics


def test_every_metric_is_ours_or_the_processes_and_reads_back() -> None:
    families = list(text_string_to_metric_families(Metrics().render().decode()))
    assert {family.name.partition("_")[0] for family in families} <= {"voicemaild", "process"}
    assert all(family.documentation for family in families)


def test_every_part_has_the_states_that_readyz_tells() -> None:
    metrics = Metrics()
    parts = {metrics.ami_state: AmiState, metrics.spool_state: SpoolState, metrics.store_state: StoreState}
    for metric, states in parts.items():
        (name,) = {family.name for family in metric.collect()}
        for state in states:
            metric.state(state.value)
            assert metrics.registry.get_sample_value(name, {name: state.value}) == 1


def test_every_metric_is_counted_by_some_part() -> None:
    root = Path(service.__file__).parent
    source = "".join(file.read_text() for file in root.rglob("*.py") if file.name != "metrics.py")
    assert [name for name in vars(Metrics()) if name != "registry" and f"metrics.{name}" not in source] == []


def test_two_registries_do_not_share_their_counts() -> None:
    one, other = Metrics(), Metrics()
    one.ami_reconnects.inc()
    assert other.registry.get_sample_value("voicemaild_ami_reconnects_total") == 0
