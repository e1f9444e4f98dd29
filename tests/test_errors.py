import pytest

from service import errors
from service.errors import ConfigError, InvalidInputError, UnavailableError, VoicemaildError


def test_every_expected_failure_can_be_caught_as_one() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(kinds) == 6
    assert all(issubclass(kind, VoicemaildError) for kind in kinds)


def test_no_failure_is_a_kind_of_another() -> None:
    """Whoever catches one must not catch the other by accident."""
    kinds = VoicemaildError.__subclasses__()
    assert all(kind.__bases__ == (VoicemaildError,) for kind in kinds)


def test_a_wrong_input_names_its_field_where_there_is_one() -> None:
    assert InvalidInputError("no").field == ""
    error = InvalidInputError("too long", "filter.src")
    assert (str(error), error.field) == ("too long", "filter.src")


def test_what_is_not_there_now_says_when_to_come_again() -> None:
    assert UnavailableError("the PBX is away").retry_after == 5
    assert UnavailableError("many requests", retry_after=1).retry_after == 1


@pytest.mark.parametrize("problems", [[], ["one"], ["one", "two"]])
def test_a_wrong_configuration_tells_every_mistake(problems: list[str]) -> None:
    error = ConfigError(problems)
    assert error.problems == tuple(problems)
    assert str(error).split("\n") == (problems or [""])
