import pytest

from service.cdr.uniqueid import channel_start, looks_like_one, rank


@pytest.mark.parametrize("name", ["1795211480.31", "pbx1-1795211480.31", "my-pbx.lan-1795211480.0"])
def test_a_channels_name_tells_when_it_was_made_with_or_without_a_systems_name(name: str) -> None:
    assert channel_start(name) == 1795211480
    assert looks_like_one(name)


@pytest.mark.parametrize(
    "text",
    ["", "acme", "1795211480", ".", "1795211480.", ".31", "12.5 kg", "१७९५.1", f"{'9' * 400}.1", "1.2-", "1.2.3"],
)
def test_another_text_is_no_channels_name(text: str) -> None:
    assert channel_start(text) is None
    assert not looks_like_one(text)


def test_channels_are_ranked_by_their_numbers_and_other_texts_come_last() -> None:
    in_order = ["999999999.5", "1795211480.9", "1795211480.10", "b-1795211480.11", "a-1795211480.12", "", "1", "x"]
    shuffled = in_order[::2] + in_order[1::2]
    assert sorted(shuffled, key=rank) == in_order
