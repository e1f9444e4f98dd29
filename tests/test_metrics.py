"""The metrics as Prometheus reads them."""

from prometheus_client.parser import text_string_to_metric_families

from service.health import AmiState
from service.metrics import Metrics


def test_every_metric_is_ours_or_the_processes_and_reads_back() -> None:
    families = list(text_string_to_metric_families(Metrics().render().decode()))
    assert {family.name.partition("_")[0] for family in families} <= {"voicemaild", "process"}
    assert all(family.documentation for family in families)


def test_the_ami_connection_has_the_states_that_readyz_tells() -> None:
    metrics = Metrics()
    for state in AmiState:
        metrics.ami_state.state(state.value)
        labels = {"voicemaild_ami_state": state.value}
        assert metrics.registry.get_sample_value("voicemaild_ami_state", labels) == 1


def test_two_registries_do_not_share_their_counts() -> None:
    one, other = Metrics(), Metrics()
    one.ami_reconnects.inc()
    assert other.registry.get_sample_value("voicemaild_ami_reconnects_total") == 0
