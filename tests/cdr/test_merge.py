from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.call import Leg
from service.cdr.merge import channels, key, merged, same
from tests.cdr.records import RECORDINGS, leg, legs

FULL = leg(
    uniqueid="pbx-1795211447.1",
    linkedid="pbx-1795211447.0",
    sequence=7,
    accountcode="acme",
    userfield="x=1",
    did="12025550100",
    recordingfile="in.wav",
    wall="2026-11-20 21:50:47||2026-11-20 21:50:52",
)
UNTOLD: tuple[dict[str, object], ...] = (
    {},
    {"linkedid": "", "sequence": None, "did": "", "recordingfile": ""},
    {"linkedid": "", "sequence": None},
    {"did": "", "recordingfile": "", "userfield": ""},
    {"uniqueid": "", "linkedid": "", "sequence": None, "start": FULL.start - 3600, "end": FULL.end - 3600},
)
PIECES = [FULL._replace(**untold) for untold in UNTOLD]  # type: ignore[arg-type] # a leg's fields


@pytest.mark.parametrize(("a", "b"), list(combinations(PIECES, 2)))
def test_one_cdr_is_the_same_whatever_a_source_leaves_out_and_gives_one_leg(a: Leg, b: Leg) -> None:
    assert same(a, b)
    assert same(b, a)
    assert merged(a, b) == merged(b, a)
    assert same(merged(a, b), a)
    assert merged(FULL, merged(a, b)) == FULL


def test_two_sources_together_tell_what_either_tells() -> None:
    ami = FULL._replace(linkedid="", sequence=None, userfield="")
    file = FULL._replace(did="", recordingfile="")
    assert merged(ami, file) == merged(file, ami) == FULL
    assert merged(FULL, FULL) is FULL


@pytest.mark.parametrize("shift", [-3600, 3600])
def test_the_source_that_knows_the_channel_knows_the_hour(shift: int) -> None:
    unsure = FULL._replace(uniqueid="", start=FULL.start + shift, end=FULL.end + shift)
    assert merged(unsure, FULL) == merged(FULL, unsure) == FULL


@pytest.mark.parametrize(
    "told",
    [
        {"wall": "2026-11-20 21:50:47||2026-11-20 21:50:53"},
        {"channel": "PJSIP/trunk-00000002"},
        {"dstchannel": "PJSIP/201-00000002"},
        {"lastapp": "VoiceMail"},
        {"dst": "201"},
        {"disposition": "BUSY"},
        {"uniqueid": "1795211447.2"},
        {"sequence": 8},
    ],
)
def test_cdrs_that_differ_in_what_both_tell_are_two(told: dict[str, object]) -> None:
    other = FULL._replace(**told)  # type: ignore[arg-type] # a leg's fields
    assert not same(FULL, other)
    assert not same(other, FULL)


@pytest.mark.parametrize("name", RECORDINGS)
def test_of_the_cdrs_of_a_real_pbx_no_two_are_the_same(name: str) -> None:
    assert [(a, b) for a, b in combinations(legs(name), 2) if same(a, b)] == []


def test_a_legs_names_are_its_uniqueid_and_its_linkedid() -> None:
    assert channels(leg(uniqueid="2.2", linkedid="1.1")) == ("2.2", "1.1")
    assert channels(leg(uniqueid="1.1", linkedid="1.1")) == ("1.1",)
    assert channels(leg(uniqueid="1.1", linkedid="")) == ("1.1",)
    assert channels(leg(uniqueid="", linkedid="1.1")) == ("1.1",)


def test_a_leg_that_tells_neither_has_a_name_of_its_own() -> None:
    one = leg(uniqueid="", wall="a||b")
    assert channels(one) == ("PJSIP/trunk-00000001|a||b",)
    others = [one._replace(wall="a||c"), one._replace(channel="PJSIP/trunk-00000002")]
    assert {channels(other) for other in others}.isdisjoint([channels(one)])


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([("9.9", "5.10"), ("8.8", "5.9"), ("1.1", "")], "5.9"),
        ([("9.9", "12.1"), ("8.8", "5.9")], "5.9"),
        ([("9.9", ""), ("10.1", "")], "9.9"),
        ([("9.9", "pbx-5.1"), ("8.8", "x")], "pbx-5.1"),
        ([("", "")], "PJSIP/trunk-00000001|"),
        ([("", ""), ("9.9", "")], "9.9"),
    ],
)
def test_a_calls_key_is_the_smallest_linkedid_else_uniqueid(told: list[tuple[str, str]], expected: str) -> None:
    found = [leg(uniqueid=uniqueid, linkedid=linkedid) for uniqueid, linkedid in told]
    assert key(found) == key(iter(found[::-1])) == expected


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_however_the_same_is_told_again_the_leg_is_the_same(told: list[Leg], chance: object) -> None:
    def together(pieces: list[Leg]) -> Leg:
        whole = pieces[0]
        for piece in pieces[1:]:
            whole = merged(whole, piece)
        return whole

    again = [*told, *told]
    chance.shuffle(again)  # type: ignore[attr-defined] # a Random
    assert together(again) == together(told)
