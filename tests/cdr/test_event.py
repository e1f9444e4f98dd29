import pytest

from service.ami.message import Fields
from service.cdr.event import leg_of_event
from service.errors import InvalidInputError
from tests.cdr.records import RECORDINGS, UTC, events, legs


@pytest.mark.parametrize("name", RECORDINGS)
def test_every_event_a_real_pbx_sent_is_read_as_it_says(name: str) -> None:
    for fields in events(name):
        leg = leg_of_event(fields.get, UTC)
        told = [fields.get(key) for key in ("UniqueID", "Channel", "Source", "Disposition", "Duration", "LinkedID")]
        assert [leg.uniqueid, leg.channel, leg.src, leg.disposition, str(leg.duration), leg.linkedid] == told
        assert leg.end - leg.start - leg.duration in {0, 1}
        assert leg.answer is None or leg.end - leg.answer - leg.billsec in {0, 1}
        assert leg.start >= int(leg.uniqueid.partition(".")[0])


def test_a_call_that_was_answered() -> None:
    [_, leg, _] = legs("22-cdr-answered")
    assert leg._asdict() == {
        "uniqueid": "1795211447.1",
        "linkedid": "",
        "sequence": None,
        "channel": "PJSIP/trunk-00000001",
        "dstchannel": "PJSIP/200-00000002",
        "src": "15551234567",
        "dst": "200",
        "dcontext": "from-trunk",
        "clid": '"Jane Doe" <15551234567>',
        "lastapp": "Dial",
        "lastdata": "PJSIP/200,15",
        "accountcode": "",
        "userfield": "",
        "did": "",
        "outbound_cnum": "",
        "recordingfile": "",
        "start": 1795211447,
        "answer": 1795211448,
        "end": 1795211452,
        "duration": 4,
        "billsec": 3,
        "disposition": "ANSWERED",
        "wall": "2026-11-20 21:50:47|2026-11-20 21:50:48|2026-11-20 21:50:52",
    }


@pytest.mark.parametrize(("pbx", "expected"), [("16", [153, 150, 151, 154]), ("22", [7, 4, 5, 8])])
def test_mapped_fields_are_read(pbx: str, expected: list[int]) -> None:
    told = legs(f"{pbx}-cdr-mapped-linkedid-sequence")
    assert [leg.sequence for leg in told] == expected
    assert [leg.linkedid for leg in told] == [leg.uniqueid for leg in told]


def test_mapped_fields_are_read_however_their_names_are_written() -> None:
    [fields, *_] = events("22-cdr-answered")
    mapped = [("linkedid", "1.1"), ("SEQUENCE", "9"), ("did", "d"), ("outboundcnum", "o"), ("recordingFile", "r.wav")]
    leg = leg_of_event(Fields([*fields.pairs, *mapped]).get, UTC)
    assert (leg.linkedid, leg.sequence, leg.did, leg.outbound_cnum, leg.recordingfile) == ("1.1", 9, "d", "o", "r.wav")


@pytest.mark.parametrize("pbx", ["16", "22"])
def test_quotes_commas_and_letters_of_any_kind_are_kept(pbx: str) -> None:
    [leg] = [leg for leg in legs(f"{pbx}-cdr-userfield-account") if leg.dialled]
    assert (leg.accountcode, leg.userfield) == ('acme,"x"', 'a=1;b="2" Zoë 😀')


def test_an_event_without_times_is_refused() -> None:
    [fields, *_] = events("22-cdr-answered")
    for lost in ("StartTime", "EndTime"):
        rest = Fields((key, value) for key, value in fields.pairs if key not in {lost, "Duration"})
        with pytest.raises(InvalidInputError):
            leg_of_event(rest.get, UTC)
