from dataclasses import replace

from service.call import CallStatus, CallType, Integration, IntegrationStatus, Left, Party
from service.store import call_rows, mailboxes
from service.store.transaction import Transaction
from tests.store.ledger import START, bare, leg, only, record, voicemail
from tests.store.shelf import NOW_MS, OTHER

CALLED = leg(1, disposition="NO ANSWER", recordingfile="/var/one.wav")
LEFT = voicemail(1, box="200@other", linkedid=CALLED.uniqueid)
NOW_US = NOW_MS * 1000


def test_a_call_is_read_with_all_that_hangs_on_it(tx: Transaction) -> None:
    tx.conn.execute("INSERT INTO webhook (name, cursor, calls, messages) VALUES ('crm', 0, 1, 0)")
    for context in ("other", "third"):
        mailboxes.ensure(tx, replace(OTHER, context=context, extension="200"))
    record(tx, LEFT, CALLED, bare(CALLED))
    call = only(tx.conn)
    assert (call.id, call.pbx, call.key, call.start, call.end) == (1, "pbx1", CALLED.uniqueid, START, START + 40)
    assert (call.src, call.dst, call.external_number) == ("15551234567", "200", "15551234567")
    assert (call.duration, call.conversation) == (40, 0)
    assert (call.type, call.status) == (CallType.INCOMING, CallStatus.NOT_ANSWERED)
    assert (call.recording, call.uniqueids) == ("/var/one.wav", (CALLED.uniqueid,))
    assert call.parties == (Party("200", ("from-trunk", "other"), ("other", "third")),)
    assert call.integration == (Integration(1, "crm", IntegrationStatus.PENDING, None, NOW_US, NOW_US),)
    assert call.legs == (CALLED, LEFT)


def test_calls_come_in_the_order_asked_for_and_those_that_are_not_there_are_left_out(tx: Transaction) -> None:
    record(tx, leg(1), leg(2), leg(3))
    assert [call.id for call in call_rows.load(tx.conn, [3, 9, 1])] == [3, 1]
    assert call_rows.load(tx.conn, []) == call_rows.load(tx.conn, [9]) == []


def test_legs_are_read_where_somebody_asks_for_them(tx: Transaction) -> None:
    record(tx, leg(1), leg(2), voicemail(2))
    assert [len(call.legs) for call in call_rows.load(tx.conn, [1, 2])] == [0, 0]
    assert [len(call.legs) for call in call_rows.load(tx.conn, [1, 2], legs=True)] == [1, 2]


def test_what_is_read_is_what_was_told(tx: Transaction) -> None:
    record(tx, leg(1, linkedid="1.1", sequence=7, answer=None))
    assert tx.records[0].state == only(tx.conn)


def test_voicemails_are_kept_as_they_are() -> None:
    some = (Left("100@default", "u-1", 1), Left("101@other", "u-2", 2))
    assert call_rows.voicemails(call_rows.voicemails_text(some)) == some
    assert call_rows.voicemails_text(()) == "[]"
    assert call_rows.voicemails("[]") == ()
