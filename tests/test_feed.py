from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.feed import Feed
from service.model import Counts, Envelope, Folder, Imported, Mailbox, Message, Record, View
from tests.calls import call, calls_between, concerns, leg, party

BOXES = [Mailbox.parse(name) for name in ("100", "101", "100@sales")]
VIEWS: list[View] = [None, frozenset(), frozenset(BOXES[:1]), frozenset(BOXES[1:])]


def unread(seq: int, mailbox: Mailbox, counts: Counts, before: int = 0) -> Record:
    return Record(seq, 0, "unread", "pbx1", mailbox, counts, counts.new - before)


def message(seq: int, mailbox: Mailbox) -> Record:
    envelope = Envelope(f"m{seq}", seq, 1, "", "")
    state = Message(seq, f"u{seq}", "pbx1", mailbox, envelope.msg_id, Folder.INBOX, 0, envelope, None, None)
    return Record(seq, 0, "message.new", "pbx1", mailbox, state)


def listening(feed: Feed) -> list[int]:
    heard: list[int] = []
    feed.subscribe(lambda records: heard.extend(record.seq for record in records))
    return heard


def test_what_is_published_reaches_every_subscriber_in_order() -> None:
    feed = Feed(4, {})
    first, second = listening(feed), listening(feed)
    feed.publish([message(5, BOXES[0]), message(6, BOXES[1])])
    feed.publish([message(7, BOXES[0])])
    assert first == second == [5, 6, 7]
    assert feed.seq == 7
    assert not feed.gap.is_set()


def test_what_was_published_before_is_left_out() -> None:
    feed = Feed(4, {})
    heard = listening(feed)
    feed.publish([message(seq, BOXES[0]) for seq in (3, 4, 5)])
    feed.publish([message(seq, BOXES[0]) for seq in (4, 5, 6)])
    assert heard == [5, 6]


def test_records_after_a_gap_wait_until_somebody_brings_what_lies_in_it() -> None:
    feed = Feed(4, {})
    heard = listening(feed)
    feed.publish([message(7, BOXES[0])])
    assert heard == []
    assert feed.seq == 4
    assert feed.gap.is_set()
    feed.catch_up([message(seq, BOXES[0]) for seq in (5, 6, 7)])
    feed.publish([message(7, BOXES[0]), message(8, BOXES[0])])
    assert heard == [5, 6, 7, 8]


def test_a_subscriber_that_left_hears_nothing() -> None:
    feed = Feed(0, {})
    heard: list[int] = []
    leave = feed.subscribe(lambda records: heard.append(len(records)))
    leave()
    feed.publish([message(1, BOXES[0])])
    assert heard == []


def test_a_subscriber_sees_the_badges_as_of_what_it_is_told() -> None:
    feed = Feed(0, {BOXES[0]: Counts(new=1)})
    totals: list[int] = []
    feed.subscribe(lambda _records: totals.append(feed.total(None)))
    feed.publish([unread(1, BOXES[0], Counts(new=2), before=1), unread(2, BOXES[1], Counts(new=5))])
    assert totals == [7]


def test_a_badge_without_messages_is_forgotten() -> None:
    feed = Feed(0, {BOXES[0]: Counts(new=1), BOXES[1]: Counts(old=1)})
    feed.publish([unread(1, BOXES[0], Counts(), before=1)])
    assert feed.counts(None) == {BOXES[1]: Counts(old=1)}
    assert feed.counts(frozenset({BOXES[0]})) == {}
    assert feed.total(None) == 0


def test_only_the_newest_records_are_kept() -> None:
    feed = Feed(10, {}, kept=3)
    feed.publish([message(seq, BOXES[0]) for seq in range(11, 16)])
    assert feed.recent(None, 11) is None
    recent = feed.recent(None, 12)
    assert recent is not None
    assert [record.seq for record, _ in recent] == [13, 14, 15]
    assert feed.recent(None, 15) == []


def test_a_call_is_recent_for_those_whose_extension_takes_part_and_for_no_other_tenant() -> None:
    feed = Feed(0, {BOXES[0]: Counts(new=4)})
    told = call(1, "998901234567", party("100", known=("default", "sales")), dst="100")
    feed.publish([Record(1, 0, "call.new", "pbx1", None, told)])
    feed.publish([Record(2, 0, "calls.imported", "pbx1", None, Imported(9))])
    recent = [feed.recent(view, 0) for view in (None, *({frozenset({box}): 1 for box in BOXES}))]
    assert [[(record.seq, total) for record, total in found or ()] for found in recent] == [
        [(1, 4), (2, 4)],
        [(1, 4)],
        [],
        [],
    ]


def test_the_legs_of_calls_are_published_but_not_kept() -> None:
    feed = Feed(0, {})
    heard: list[Record] = []
    feed.subscribe(heard.extend)
    record = Record(1, 0, "call.new", "pbx1", None, replace(call(), legs=(leg(),)))
    feed.publish([record])
    assert heard == [record]
    assert feed.recent(None, 0) == [(replace(record, state=call()), 0)]


@pytest.mark.parametrize(("since", "known"), [(9, False), (10, True)])
def test_what_was_before_it_began_it_does_not_know(since: int, known: bool) -> None:  # noqa: FBT001 -- a parameter
    assert (Feed(10, {}).recent(None, since) is not None) == known


@st.composite
def changes(draw: st.DrawFn) -> list[list[Record]]:
    """Commits of badges, messages and calls, each as large as it likes."""
    new = dict.fromkeys(BOXES, 0)
    seq = 0
    commits = []
    for size in draw(st.lists(st.integers(0, 4), max_size=8)):
        commit = []
        for _ in range(size):
            seq += 1
            mailbox = draw(st.sampled_from(BOXES))
            kind = draw(st.sampled_from(["unread", "message", "call"]))
            if kind == "call":
                commit.append(Record(seq, 0, "call.new", "pbx1", None, draw(calls_between(BOXES))))
            elif kind == "unread":
                count = draw(st.integers(0, 9))
                commit.append(unread(seq, mailbox, Counts(new=count), before=new[mailbox]))
                new[mailbox] = count
            else:
                commit.append(message(seq, mailbox))
        commits.append(commit)
    return commits


@given(changes(), st.sampled_from(VIEWS), st.integers(1, 40))
def test_badges_totals_and_what_is_recent_agree_with_the_records(
    commits: list[list[Record]], view: View, kept: int
) -> None:
    feed = Feed(0, {}, kept=kept)
    for commit in commits:
        feed.publish(commit)
    records = [record for commit in commits for record in commit]

    badges: dict[Mailbox, Counts] = {}
    expected = []
    for record in records:
        if isinstance(record.state, Counts):
            assert record.mailbox is not None
            badges[record.mailbox] = record.state
        if concerns(record, view):
            seen = [counts.new for mailbox, counts in badges.items() if view is None or mailbox in view]
            expected.append((record, sum(seen)))

    visible = {box: counts for box, counts in badges.items() if counts != Counts() and (view is None or box in view)}
    assert feed.counts(view) == visible
    assert feed.total(view) == sum(counts.new for counts in visible.values())
    for since in range(len(records) + 1):
        recent = feed.recent(view, since)
        if since < len(records) - kept:
            assert recent is None
        else:
            assert recent == [(record, total) for record, total in expected if record.seq > since]
