"""The bytes of AMI, for whatever a client or a caller's name may hold."""

from hypothesis import given
from hypothesis import strategies as st

from service.simulator.events import caller, clid
from service.simulator.message import MessageText, decode, encode, origdate, read
from service.simulator.wire import parse, render


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_any_bytes_are_an_action(lines: list[bytes]) -> None:
    """Names and values come out without blanks around them; what has no colon is passed over."""
    action = parse(lines)
    assert len(action.headers) <= len(lines)
    assert all(action.get(key) == action.get(key.upper()) for key, _ in action.headers if key.isascii())


@given(st.text(), st.text())
def test_no_value_ends_its_header(key: str, value: str) -> None:
    """Whatever a caller is called, it is one header of one message; only a line feed at its very end stays."""
    data = render([("Key", value), ("Last", key.replace("\n", ""))])
    assert data.count(b"\r\n") == 3
    assert data.count(b"\n") == 3 + value.endswith("\n")
    assert data.endswith(b"\r\n\r\n")


@given(st.binary())
def test_bytes_that_are_no_utf8_survive(data: bytes) -> None:
    assert encode(decode(data)) == data


def test_the_line_feed_of_asterisks_answers_stays() -> None:
    assert render([("Message", "Message move failed\n")]) == b"Message: Message move failed\n\r\n\r\n"


@given(st.text(st.characters(codec="utf-8", exclude_characters='\r\n"\\'), min_size=1), st.integers(1, 10**14))
def test_a_caller_reads_back_from_a_text(name: str, number: int) -> None:
    who = caller(f'"{name}" <{number}>')
    assert (who.name, who.number) == (name, str(number))
    assert clid(who).startswith(f'"{name}"'[:79])


@given(st.binary())
def test_any_bytes_are_a_text(data: bytes) -> None:
    assert all(key == key.strip() for key in read(data))


@given(st.integers(0, 2**33))
def test_dates_are_always_of_one_form(epoch: int) -> None:
    day, month, date, clock, half, zone, year = origdate(epoch).split()
    assert (zone, len(clock), half in ("AM", "PM")) == ("UTC", 8, True)
    assert (len(day), len(month), int(date) in range(1, 32), int(year) >= 1970) == (3, 3, True, True)


def test_an_old_asterisk_gives_no_msg_id() -> None:
    text = MessageText("100", "Jane", 1795210952, 3, "")
    assert b"msg_id" not in text.render()
    assert read(text.render())["origdate"] == "Fri Nov 20 09:42:32 PM UTC 2026"
