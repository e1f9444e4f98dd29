from hypothesis import given
from hypothesis import strategies as st

from service.difference import difference
from service.model import Envelope, Folder, Found, Known


def known(number: int, folder: Folder = Folder.INBOX, msgnum: int = 0, *, given: bool = True) -> Known:
    name = f"id-{number}" if given else f"fp-{number}"
    return Known(number, name, given, folder, msgnum, number, 1, 1, None)


def lies(row: Known, folder: Folder | None = None, msgnum: int | None = None) -> Found:
    """A known message, found by its stamp."""
    return Found(
        Folder(row.folder) if folder is None else folder,
        row.msgnum if msgnum is None else msgnum,
        row.stamp,
        row.msg_id,
        known=row,
    )


def read(
    msg_id: str, origtime: int = 0, folder: Folder = Folder.INBOX, msgnum: int = 0, fingerprint: str = ""
) -> Found:
    """A message whose files were read."""
    envelope = Envelope("" if msg_id.startswith("fp-") else msg_id, origtime, 1, "", "")
    return Found(folder, msgnum, (99, 1, 1), msg_id, None, envelope, None, fingerprint)


def test_what_lies_where_it_lay_is_no_difference() -> None:
    rows = [known(1), known(2, Folder.OLD)]
    assert not difference(rows, [lies(row) for row in rows], complete=True)


def test_a_new_message_is_read_and_the_oldest_comes_first() -> None:
    found = [read("id-9", 300), read("id-7", 100), read("id-8", 200), read("id-6", 200)]
    change = difference([], found, complete=True)
    assert [one.msg_id for one in change.read] == ["id-7", "id-6", "id-8", "id-9"]
    assert all(one.known is None for one in change.read)


def test_another_number_or_folder_is_a_relocation() -> None:
    first, second, third = known(1), known(2, msgnum=1), known(3, msgnum=2)
    found = [lies(first, Folder.OLD), lies(second, msgnum=0), lies(third)]
    change = difference([first, second, third], found, complete=True)
    assert (change.read, change.relocated, change.gone) == ([], found[:2], [])


def test_what_is_not_found_is_gone_only_in_a_complete_scan() -> None:
    rows = [known(1), known(2)]
    change = difference(rows, [lies(rows[0])], complete=True)
    assert (change.read, change.relocated, change.gone) == ([], [], [rows[1]])
    assert not difference(rows, [lies(rows[0])], complete=False)


def test_a_known_message_whose_files_are_others_now_is_read_for_its_row() -> None:
    row = known(1)
    change = difference([row], [read("id-1")], complete=True)
    assert [(one.msg_id, one.known) for one in change.read] == [("id-1", row)]
    assert not change.gone


def test_files_that_are_read_in_vain_at_every_look_are_no_difference() -> None:
    row = known(1)
    again = read("id-1")._replace(stamp=row.stamp)
    assert not difference([row], [again], complete=True)
    for other in (again._replace(msgnum=1), again._replace(folder=Folder.OLD), again._replace(stamp=(1, 2, 1))):
        assert difference([row], [other], complete=True).read == [other._replace(known=row)]
    with_audio = row._replace(audio_inode=5)
    assert difference([with_audio], [again], complete=True).read == [again._replace(known=with_audio)]


def test_two_copies_are_one_message_which_is_unread_while_one_of_them_is() -> None:
    row = known(1, Folder.OLD)
    change = difference([row], [lies(row), read("id-1")._replace(folder=Folder.INBOX)], complete=True)
    assert [(one.folder, one.known) for one in change.read] == [(Folder.INBOX, row)]
    assert not difference([known(1)], [lies(known(1)), read("id-1", folder=Folder.OLD)], complete=True)


def test_of_copies_the_urgent_one_counts_first_then_the_lowest_number() -> None:
    found = [
        read("id-1", folder=Folder.OLD),
        read("id-1", msgnum=3),
        read("id-1", msgnum=2),
        read("id-1", folder=Folder.URGENT, msgnum=5),
    ]
    assert difference([], found, complete=True).read == [found[3]]
    assert difference([], found[:3], complete=True).read == [found[2]]
    assert difference([], [read("id-1", folder=Folder.CUST5), found[0]], complete=True).read == [found[0]]


def test_a_message_that_was_given_a_msg_id_keeps_its_row() -> None:
    row = known(1, given=False)
    change = difference([row], [read("id-5", fingerprint="fp-1")], complete=True)
    assert [(one.msg_id, one.known) for one in change.read] == [("id-5", row)]
    assert not change.gone


def test_a_row_that_has_its_msg_id_from_the_pbx_is_not_taken_over_by_a_fingerprint() -> None:
    row = known(1)._replace(msg_id="fp-1")
    change = difference([row], [read("id-5", fingerprint="fp-1")], complete=True)
    assert [one.known for one in change.read] == [None]
    assert change.gone == [row]


def test_of_two_equal_messages_that_were_given_msg_ids_only_one_takes_over_the_row() -> None:
    row = known(1, given=False)
    change = difference(
        [row], [read("id-5", fingerprint="fp-1"), read("id-6", msgnum=1, fingerprint="fp-1")], complete=True
    )
    assert sorted((one.msg_id, one.known is row) for one in change.read) == [("id-5", True), ("id-6", False)]


def test_a_message_still_found_without_a_msg_id_is_not_taken_over_by_its_equal() -> None:
    """Somebody forwarded it to himself, and one of the two has been given a msg_id so far."""
    row = known(1, given=False)
    change = difference([row], [read("id-5", msgnum=1, fingerprint="fp-1"), lies(row)], complete=True)
    assert [one.known for one in change.read] == [None]
    assert not change.relocated
    assert not change.gone


ROWS = st.lists(st.integers(0, 8), unique=True).map(lambda numbers: [known(number) for number in numbers])
PLACES = st.lists(
    st.tuples(st.integers(0, 12), st.sampled_from(list(Folder)), st.integers(0, 5), st.booleans()), max_size=12
)


@given(ROWS, PLACES)
def test_a_difference_accounts_for_every_message_exactly_once(
    rows: list[Known], places: list[tuple[int, Folder, int, bool]]
) -> None:
    by_id = {row.id: row for row in rows}
    found = [
        lies(by_id[number], folder, msgnum)
        if by_stamp and number in by_id
        else read(f"id-{number}", number, folder, msgnum)
        for number, folder, msgnum, by_stamp in places
    ]
    change = difference(rows, found, complete=True)
    there = {one.msg_id for one in found}
    told = [one.msg_id for one in (*change.read, *change.relocated)]
    assert len(told) == len(set(told))
    assert set(told) <= there
    assert {row.msg_id for row in change.gone} == {row.msg_id for row in rows} - there
    assert {one.msg_id for one in change.read if one.known is None} == {one.msg_id for one in change.read} - {
        row.msg_id for row in rows
    }
    assert not difference(rows, found, complete=False).gone
