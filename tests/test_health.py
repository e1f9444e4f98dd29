"""The board: what its sum is, for every state of its parts."""

from itertools import product

from service.health import AmiState, Health, Part, SpoolState, Status, StoreState


def test_the_sum_of_every_combination() -> None:
    for store, spool, ami, done in product(StoreState, SpoolState, AmiState, (False, True)):
        health = Health(Part(store), Part(spool), Part(ami), done)
        well = spool in (SpoolState.OK, SpoolState.SCANNING) and ami in (AmiState.CONNECTED, AmiState.DISABLED)
        if store is StoreState.FAILING:
            expected = Status.FAILING
        elif not done:
            expected = Status.STARTING
        else:
            expected = Status.READY if well else Status.DEGRADED
        assert health.status is expected
        assert health.serving is (expected in (Status.READY, Status.DEGRADED))


def test_a_new_board_is_starting_and_says_why() -> None:
    snapshot = Health().snapshot()
    assert snapshot["status"] == "starting"
    assert {name: part["state"] for name, part in snapshot.items() if name != "status"} == {
        "store": "ok",
        "spool": "scanning",
        "ami": "connecting",
    }
    assert all(part["detail"] for name, part in snapshot.items() if name != "status")
