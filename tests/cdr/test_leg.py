import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.call import Leg
from service.cdr.leg import LONGEST, leg_of
from service.errors import InvalidInputError
from tests.cdr.records import UTC

TEXTS = {
    "uniqueid": "1795211447.1",
    "linkedid": "1795211447.0",
    "sequence": "17",
    "channel": "PJSIP/trunk-00000001",
    "dstchannel": "PJSIP/200-00000002",
    "src": "15551234567",
    "dst": "200",
    "dcontext": "from-trunk",
    "clid": '"Jane Doe" <15551234567>',
    "lastapp": "Dial",
    "lastdata": "PJSIP/200,15",
    "accountcode": "acme",
    "userfield": "x=1",
    "did": "12025550100",
    "outbound_cnum": "12025550199",
    "recordingfile": "in-200.wav",
    "start": "2026-11-20 21:50:47",
    "answer": "2026-11-20 21:50:48",
    "end": "2026-11-20 21:50:52",
    "duration": "4",
    "billsec": "3",
    "disposition": "ANSWERED",
}


def read(**told: str) -> Leg:
    return leg_of([*(TEXTS | told).values()], UTC)


def test_a_cdrs_texts_become_a_leg() -> None:
    assert read()._asdict() == TEXTS | {
        "sequence": 17,
        "start": 1795211447,
        "answer": 1795211448,
        "end": 1795211452,
        "duration": 4,
        "billsec": 3,
        "wall": "2026-11-20 21:50:47|2026-11-20 21:50:48|2026-11-20 21:50:52",
    }
    assert type(read()) is Leg


def test_what_is_not_told_is_empty_or_none() -> None:
    leg = read(linkedid="", sequence="", answer="", did="")
    assert (leg.linkedid, leg.sequence, leg.answer, leg.did) == ("", None, None, "")
    assert leg.wall == "2026-11-20 21:50:47||2026-11-20 21:50:52"


@pytest.mark.parametrize("text", ["", "-1", "4.5", "x", "1000000001", "9" * 5000, "٤"])
def test_a_duration_that_is_none_is_computed_from_the_times(text: str) -> None:
    assert read(duration=text, billsec=text)[-4:-2] == (5, 4)
    assert read(duration=text, billsec=text, answer="")[-4:-2] == (5, 0)


def test_a_long_duration_is_kept() -> None:
    assert read(duration="1000000000", billsec="86400")[-4:-2] == (1_000_000_000, 86_400)


@pytest.mark.parametrize("text", ["", "x", "-1", "9" * 5000, "²"])
def test_a_sequence_that_is_no_number_is_none(text: str) -> None:
    assert read(sequence=text).sequence is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("NO ANSWER", "NO ANSWER"),
        ("NO_ANSWER", "NO ANSWER"),
        ("NOANSWER", "NO ANSWER"),
        ("answered", "ANSWERED"),
        (" BUSY ", "BUSY"),
        ("CONGESTION", "CONGESTION"),
        ("DOCUMENTATION", "DOCUMENTATION"),
        ("", ""),
    ],
)
def test_a_disposition_is_written_one_way_and_an_unknown_one_is_kept(text: str, expected: str) -> None:
    assert read(disposition=text).disposition == expected


def test_an_end_that_is_not_told_follows_from_the_duration() -> None:
    leg = read(end="")
    assert (leg.end, leg.wall) == (1795211451, "2026-11-20 21:50:47|2026-11-20 21:50:48|")
    with pytest.raises(InvalidInputError):
        read(end="", duration="")


def test_a_leg_needs_a_uniqueid_or_a_channel() -> None:
    assert read(uniqueid="").channel
    assert read(channel="").uniqueid
    with pytest.raises(InvalidInputError, match="needs a uniqueid or a channel"):
        read(uniqueid="", channel="")


def test_texts_are_bounded_and_hold_nothing_that_only_one_source_can_tell() -> None:
    assert read(userfield="x" * 5000).userfield == "x" * LONGEST
    leg = read(userfield="x" * 5000, accountcode="a\0b", lastdata="one\ntwo\n", clid="before\r\nbehind", src="1\r")
    assert leg.userfield == "x" * LONGEST
    assert (leg.accountcode, leg.lastdata, leg.clid, leg.src) == ("ab", "one\ntwo", "before", "1")


@given(st.lists(st.text(max_size=30) | st.sampled_from([*TEXTS.values()]), min_size=22, max_size=22))
def test_any_texts_become_a_bounded_leg_or_are_refused(texts: list[str]) -> None:
    try:
        leg = leg_of(texts, UTC)
    except InvalidInputError:
        return
    assert all(len(text) <= LONGEST and "\0" not in text for text in leg if isinstance(text, str))
    assert leg.start <= leg.end
    assert leg.duration >= 0
    assert leg.billsec >= 0
