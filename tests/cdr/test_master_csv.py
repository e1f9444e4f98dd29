import csv
import io
import re
from collections.abc import Sequence

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from service.call import Leg
from service.cdr.event import leg_of_event
from service.cdr.master_csv import MOST_BYTES, MOST_LINES, fields, leg_of_row, split
from service.errors import InvalidInputError
from tests.cdr.records import FIXTURES, RECORDINGS, UTC, events, legs, line, row_of_event

ROW = [
    "acme",
    "15551234567",
    "200",
    "from-trunk",
    '"Jane Doe" <15551234567>',
    "PJSIP/trunk-00000001",
    "PJSIP/200-00000002",
    "Dial",
    "PJSIP/200,15",
    "2026-11-20 21:50:47",
    "2026-11-20 21:50:48",
    "2026-11-20 21:50:52",
    "4",
    "3",
    "ANSWERED",
    "DOCUMENTATION",
    "1795211447.1",
    "x=1",
    "",
    "1795211447.0",
    "17",
]
COUNTS = [16, 17, 18, 19, 20, 21]
TEXT = st.text(st.sampled_from('ab1",;\n\r 😀\\') | st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
SECOND = st.integers(0, 59).map("2026-11-20 21:50:{:02}".format)
COLUMN = [TEXT] * 9 + [SECOND, SECOND | st.just(""), SECOND] + [st.integers(0, 10**9).map(str)] * 2 + [TEXT] * 6
ROWS = st.sampled_from(COUNTS).flatmap(
    lambda count: st.tuples(*(COLUMN[:count] if count <= 18 else [*COLUMN[: count - 1], COLUMN[12]]))
)


def written(row: Sequence[str]) -> bytes:
    """A row as `cdr_csv.c` writes it: the last of 19 or more columns is a number."""
    return line(row) if len(row) not in {19, 20} else line(row[:-1])[:-1] + f",{row[-1]}\n".encode()


def one(data: bytes) -> list[str]:
    [record] = split(data).records
    return fields(record)


def columns(count: int) -> list[str]:
    """The row of a PBX that writes so many columns."""
    return ROW[:count] if count <= 18 else [*ROW[: count - 3], *ROW[18:]]


def known_to_both(leg: Leg) -> Leg:
    """Without what no line of the file tells."""
    return leg._replace(did="", outbound_cnum="", recordingfile="")


def looks_whole(row: list[str] | None) -> bool:
    """Whether a start stands where one has to stand."""
    return (
        row is not None and len(row) in COUNTS and re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", row[9]) is not None
    )


# --- columns


@pytest.mark.parametrize("count", COUNTS)
def test_a_line_reads_as_it_was_written(count: int) -> None:
    assert one(written(columns(count))) == columns(count)
    unanswered = [*columns(count)[:10], "", *columns(count)[11:]]
    assert one(written(unanswered)) == unanswered


@given(ROWS)
@example(("", "", "", "", '","', "", "", "", '",,"', *ROW[9:18]))
@example(('a","b', "", ',"', '",', '"",""', *ROW[5:16]))
@example((*ROW[:5], '"', '""', '",,"', ",", *ROW[9:17]))
def test_any_row_reads_as_it_was_written_and_as_csv_reads_it(row: tuple[str, ...]) -> None:
    record = written(row)[:-1]
    assert fields(record) == [*row] == next(csv.reader(io.StringIO(record.decode(), newline="")))


@given(st.text('",1\n\r a2026-11-20 21:50:47\0', max_size=60), st.integers(0, 200))
def test_a_line_that_was_changed_reads_as_csv_reads_it_or_is_no_line(noise: str, place: int) -> None:
    good = written(ROW[:18])[:-1].decode()
    text = good[:place] + noise + good[place:]
    try:
        expected = next(csv.reader((text.replace("\0", ""),)), None)
    except csv.Error:
        expected = None
    try:
        row = fields(text.encode())
    except InvalidInputError:
        assert expected is None
    else:
        assert row == expected or (looks_whole(row) and not looks_whole(expected))


def test_bytes_that_are_no_utf8_become_what_they_become_in_an_event() -> None:
    assert one(written(ROW).replace(b"acme", b"M\xfcl\xc3"))[0] == "M\ufffdl\ufffd"


def test_what_a_windows_editor_did_to_the_line_ends_does_no_harm() -> None:
    for row in (ROW, ROW[:17]):
        assert one(written(row)[:-1] + b"\r\n") == row


# --- legs


@pytest.mark.parametrize("count", COUNTS)
def test_the_columns_are_told_apart(count: int) -> None:
    leg = leg_of_row(columns(count), UTC)
    assert (leg.src, leg.dst, leg.clid, leg.billsec) == ("15551234567", "200", '"Jane Doe" <15551234567>', 3)
    assert leg.uniqueid == ("1795211447.1" if count not in {16, 19} else "")
    assert leg.userfield == ("x=1" if count in {18, 21} else "")
    assert (leg.linkedid, leg.sequence) == (("1795211447.0", 17) if count >= 19 else ("", None))


@pytest.mark.parametrize("row", [[*ROW[:16], "x=1"], [*ROW[:16], "x=1", *ROW[18:]]])
def test_a_userfield_without_a_uniqueid_is_none(row: list[str]) -> None:
    leg = leg_of_row(row, UTC)
    assert (leg.uniqueid, leg.userfield) == ("", "x=1")


@pytest.mark.parametrize("count", [0, 1, 15, 22])
def test_another_number_of_columns_is_refused(count: int) -> None:
    with pytest.raises(InvalidInputError, match=f"16 to 21 columns, not {count}"):
        leg_of_row((ROW * 2)[:count], UTC)


def test_the_line_of_another_backend_is_refused() -> None:
    """`cdr_custom`'s Master.csv has its columns in another order."""
    with pytest.raises(InvalidInputError, match="time must be"):
        leg_of_row([*ROW[4:5], *ROW[1:4], *ROW[5:16], ROW[0], *ROW[16:18]], UTC)


@pytest.mark.parametrize("name", RECORDINGS)
def test_the_file_gives_the_same_legs_as_the_events(name: str) -> None:
    got = [fields.get for fields in events(name)]
    data = b"".join(map(line, map(row_of_event, got)))
    records, consumed, torn = split(data)
    assert (consumed, torn) == (len(data), 0)
    told = [leg_of_event(get, UTC) for get in got]
    assert [leg_of_row(fields(record), UTC) for record in records] == [known_to_both(leg) for leg in told]


@pytest.mark.parametrize("pbx", ["16", "22"])
def test_a_real_file_gives_the_same_legs_as_the_events_of_the_same_calls(pbx: str) -> None:
    records, _, torn = split((FIXTURES / "master-csv" / f"calls-{pbx}.csv").read_bytes())
    told = [known_to_both(leg_of_row(fields(record), UTC)) for record in records]
    assert torn == 0
    assert sorted(told, key=str) == sorted(map(known_to_both, legs(f"{pbx}-calls")), key=str)
    assert len(told) > 30


# --- records

LINES = [written(row) for row in (ROW, ROW[:16], [*ROW[:17], 'two\nlines, "quoted"'], [*ROW[:17], ""])]


@given(st.lists(ROWS, max_size=6))
def test_what_was_written_is_cut_into_what_was_written(rows: list[tuple[str, ...]]) -> None:
    data = b"".join(map(written, rows))
    records, consumed, torn = split(data)
    assert [fields(record) for record in records] == [[*row] for row in rows]
    assert (consumed, torn) == (len(data), 0)


@given(st.lists(ROWS, max_size=4), st.data())
def test_a_file_reads_the_same_in_pieces(rows: list[tuple[str, ...]], data: st.DataObject) -> None:
    whole = b"".join(map(written, rows))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    found: list[bytes] = []
    offset = 0
    for cut in [*cuts, len(whole)]:
        records, consumed, torn = split(whole[offset:cut])
        found += records
        offset += consumed
        assert torn == 0
    assert (found, offset) == (split(whole).records, len(whole))


def test_half_a_line_waits_for_its_other_half_unless_it_is_the_last() -> None:
    data = b"".join(LINES)
    for cut in range(len(LINES[0]), len(data)):
        records, consumed, torn = split(data[:cut])
        assert consumed == sum(map(len, LINES[: len(records)])) <= cut
        assert torn == 0
    assert split(LINES[0][:-1]) == ([], 0, 0)
    assert split(LINES[0][:-1], last=True) == ([LINES[0][:-1]], len(LINES[0]) - 1, 0)


def test_empty_lines_are_no_records() -> None:
    assert split(b"\n" + LINES[0] + b"\n\n" + LINES[1]) == (
        [LINES[0][:-1], LINES[1][:-1]],
        sum(map(len, LINES[:2])) + 3,
        0,
    )
    assert split(b"") == ([], 0, 0)


def test_a_line_that_was_torn_off_costs_itself_alone() -> None:
    """Wherever it is torn: the record behind it, and a later one over two lines, are whole."""
    for place in range(1, len(LINES[0]) - 1):
        data = LINES[0][:place] + b"\n" + LINES[1] + LINES[2] + LINES[3]
        records, consumed, torn = split(data)
        two_lines = [*ROW[:17], 'two\nlines, "quoted"']
        assert [fields(record) for record in records[-3:]] == [ROW[:16], two_lines, [*ROW[:17], ""]]
        assert consumed == len(data)
        assert len(records) - 3 + torn == 1


def test_a_torn_line_is_known_as_soon_as_another_follows_it() -> None:
    half = LINES[0][:-10] + b"\n"
    assert split(half) == ([], 0, 0)
    for following in (LINES[1], LINES[2]):
        assert split(half + following) == ([following[:-1]], len(half + following), 1)


def test_a_record_that_was_appended_to_a_torn_one_is_found() -> None:
    """The disk was full in the middle of a record, and the next was written when there was room again."""
    for place in range(1, len(LINES[0]) - 1):
        records, consumed, torn = split(LINES[0][:place] + LINES[3] + LINES[1])
        assert [fields(record)[1:] for record in records] == [[*ROW[1:17], ""], ROW[1:16]]
        assert consumed == place + len(LINES[3]) + len(LINES[1])
        assert torn == 0


def test_zeros_in_place_of_what_a_crash_lost_are_skipped() -> None:
    for zeros in (1, 512, MOST_BYTES + 1):
        data = LINES[0] + b"\0" * zeros + LINES[2] + b"\0" * zeros + b"\n"
        records, consumed, torn = split(data)
        assert [fields(record)[16] for record in records] == [ROW[16], ROW[16]]
        assert (consumed, torn) == (len(data), 0)


def test_a_quote_that_is_never_closed_is_given_up_after_so_many_lines() -> None:
    data = b'"open' + b"\nwords" * (MOST_LINES - 2)
    assert split(data + b"\n") == ([], 0, 0)
    records, consumed, torn = split(data + b"\nwords\n")
    assert (consumed, torn) == (len(data) + 7, 1)
    assert records == [b"words"] * (MOST_LINES - 1)


def test_a_quote_that_is_never_closed_is_given_up_after_so_many_bytes() -> None:
    words = b"w" * 1000 + b"\n"
    assert split(b'"open\n' + words * 60) == ([], 0, 0)
    records, consumed, torn = split(b'"open\n' + words * 66)
    assert (len(records), consumed, torn) == (66, 6 + 66 * 1001, 1)


@pytest.mark.parametrize("quote", [b"", b'"'])
def test_a_line_that_is_too_long_is_torn(quote: bytes) -> None:
    long = quote + b"x" * MOST_BYTES + quote
    assert split(LINES[0] + long + b"x\n" + LINES[1]) == (
        [LINES[0][:-1], LINES[1][:-1]],
        len(LINES[0] + LINES[1]) + len(long) + 2,
        1,
    )
    assert split(LINES[0] + long + b"x") == ([LINES[0][:-1]], len(LINES[0]) + len(long) + 1, 1)


def test_an_open_quote_before_a_line_that_is_too_long_is_torn_as_well() -> None:
    data = b'"open\n' + LINES[0] + b'"open\n' + b"x" * (MOST_BYTES + 1)
    assert split(data) == ([LINES[0][:-1]], len(data), 3)


@given(
    st.binary(max_size=300)
    | st.lists(st.sampled_from([b'"', b",", b"\n", b"\0", b"\r", b"\xff", LINES[0]])).map(b"".join)
)
def test_any_bytes_are_cut_and_read_or_refused(data: bytes) -> None:
    assert split(data, last=True).consumed == len(data)
    records, consumed, _ = split(data)
    assert consumed <= len(data)
    for record in records:
        try:
            leg_of_row(fields(record), UTC)
        except InvalidInputError:
            continue
    assume(consumed < len(data))
    assert split(data[consumed:]).consumed == 0
