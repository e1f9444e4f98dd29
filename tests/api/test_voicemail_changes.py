"""What the dialects ask of the PBX, the PBX does."""

import inspect

import pytest

from service.api.voicemail_changes import Deletes, Messages
from service.pbx import Pbx

ASKED = sorted(name for protocol in (Deletes, Messages) for name in vars(protocol) if not name.startswith("_"))


def test_everything_is_asked_for_once() -> None:
    assert ASKED == ["delete", "mark_read", "mark_unread", "restore"]


@pytest.mark.parametrize("name", ASKED)
def test_what_is_asked_is_done_with_what_is_given(name: str) -> None:
    asked, done = (inspect.signature(getattr(owner, name)) for owner in (Messages, Pbx))
    assert [one.annotation for one in asked.parameters.values()] == [one.annotation for one in done.parameters.values()]
    assert asked.return_annotation == done.return_annotation
    assert inspect.iscoroutinefunction(getattr(Pbx, name))
