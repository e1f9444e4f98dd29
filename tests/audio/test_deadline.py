"""A deadline ends by time or by being called off."""

import pytest

from service.audio.deadline import Deadline


def test_a_deadline_ahead_leaves_time() -> None:
    assert 0 < Deadline(60).remaining() <= 60


def test_a_deadline_that_passed_is_a_time_out() -> None:
    with pytest.raises(TimeoutError):
        Deadline(0).remaining()


def test_a_deadline_called_off_is_a_time_out() -> None:
    deadline = Deadline(60)
    deadline.stop()
    with pytest.raises(TimeoutError):
        deadline.remaining()
