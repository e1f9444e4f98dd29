"""Boxes made, changed, taken out and removed on a PBX, and what is refused; the PBX is simulated, its file is real."""

import asyncio
import itertools
import logging
import re
import sqlite3
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Literal

import pytest

from service.ami import Limits
from service.boxes import Boxes, pause_s
from service.errors import ConflictError, InvalidInputError, NotFoundError, UnavailableError
from service.model import Mailbox
from service.pins import WrongPinError
from service.simulator.boxes import HOUSEHOLD, Box
from service.simulator.voicemail_conf import written
from service.store import Store, mailboxes
from service.store.boxes import Box as Known
from service.voicemail_conf import Wanted
from tests.boxes import CANARY, Office, box, office
from tests.store.shelf import found, put


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Office]:
    async with office(tmp_path) as opened:
        await opened.boxes.refresh()
        yield opened


def wanted(pin: str = CANARY, **fields: object) -> Wanted:
    return Wanted(**{"pin": pin, **fields})  # type: ignore[arg-type] # by their names


def lines(text: str) -> list[str]:
    """The lines of a file, but for comments: every change writes it anew, under a heading of its own."""
    return [line for line in text.splitlines() if line and not line.startswith(";")]


# ---- what the PBX has


async def test_the_boxes_of_the_pbx_are_known_with_what_they_are(here: Office) -> None:
    known = await here.listed()
    assert list(known) == ["100@default", "101@default", "102@default", "103@default", "104@default", "100@other"]
    assert (known["100@default"].fullname, known["100@default"].email) == ("Alice Example", "alice@example.com")
    assert (known["101@default"].fullname, known["101@default"].email) == ("Bob NoMail", "")
    assert [name for name, found in known.items() if not found.keeps] == ["103@default"]


async def test_boxes_made_changed_and_removed_on_the_pbx_itself_are_seen(here: Office) -> None:
    text = here.conf.replace("Alice Example", "Alice Other").replace("101 => 1234,Bob NoMail\n", "205 => 1,New\n")
    await here.written(text)
    known = await here.listed()
    assert known["100@default"].fullname == "Alice Other"
    assert "101@default" not in known
    assert known["205@default"].configured


@pytest.mark.parametrize("source", ["users.conf", "realtime"])
async def test_a_box_that_the_pbx_has_from_elsewhere_is_listed_and_not_changed(
    tmp_path: Path, source: Literal["users.conf", "realtime"]
) -> None:
    """One from realtime is in no list of the PBX's: that it is there is known once a message was left in it."""
    rita = box("300@elsewhere")
    async with office(tmp_path, boxes=(*HOUSEHOLD, Box(rita, "Rita", "rita@example.com", source=source))) as here:
        await here.store.write(lambda tx: put(tx, rita, found(1)))
        await here.store.write(lambda tx: put(tx, box("301@elsewhere"), found(2)))
        for _ in range(2):
            await here.boxes.refresh()
            assert (await here.listed())["300@elsewhere"].fullname == "Rita"
            assert "301@elsewhere" not in await here.listed()
        before = here.conf
        changes: list[Callable[[], Awaitable[None]]] = [
            lambda: here.boxes.change(rita, wanted()),
            lambda: here.boxes.change(rita, wanted(enabled=False)),
            lambda: here.boxes.remove(rita),
            lambda: here.boxes.set_pin(rita, CANARY),
            lambda: here.boxes.create(rita, wanted()),
        ]
        for change in changes:
            with pytest.raises(ConflictError, match=r"elsewhere|already"):
                await change()
        assert here.conf == before
        assert await here.boxes.pin_of(rita) is None


async def test_more_boxes_than_a_list_may_have_are_not_taken_for_all_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.boxes.SOON", Limits(max_list=2))
    async with office(tmp_path) as here:
        await here.boxes.refresh()
        assert len(await here.listed()) == 6
        monkeypatch.setattr("service.boxes_config.MOST_BOXES", 5)
        here.write(here.conf + "206 => 1234,One More\n")
        await here.pbx.reload()
        with pytest.raises(UnavailableError, match="more than 5 mailboxes"):
            await here.boxes.refresh()
        assert len(await here.listed()) == 6


async def test_the_run_tells_after_a_login_and_goes_on_when_the_pbx_was_away(tmp_path: Path) -> None:
    async with office(tmp_path) as here, asyncio.TaskGroup() as group:
        task = group.create_task(here.boxes.run())
        await until(here, lambda known: len(known) == 6)
        async with here.pbx.unreachable():
            here.write(here.conf + "206 => 1234,Late\n")
            await here.pbx.reload()
        await until(here, lambda known: "206@other" in known)
        task.cancel()


async def test_what_stands_in_the_way_is_told_once_when_it_still_does_at_the_second_try(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with office(tmp_path) as here, asyncio.TaskGroup() as group:
        again = asyncio.Event()
        alone = Boxes(here.store, None, etc=here.etc, spool=tmp_path, state=here.state, again=again)
        task = group.create_task(alone.run())
        tries = []
        for _ in range(4):
            again.set()
            while again.is_set():
                await asyncio.sleep(0)
            tries.append(sum("boxes not known" in message for message in caplog.messages))
        task.cancel()
    assert tries == [0, 1, 1, 1]


@pytest.mark.parametrize(
    ("took_s", "failed", "expected"),
    [(0.01, False, 30), (0.8, False, 40), (20, False, 50), (0.01, True, 5), (20, True, 50)],
)
def test_a_pbx_that_takes_long_to_tell_its_boxes_is_asked_seldom_also_where_it_told_too_many(
    took_s: float,
    failed: bool,  # noqa: FBT001 -- a parameter of the test
    expected: float,
) -> None:
    assert pause_s(30, took_s, failed=failed) == expected


async def until(here: Office, condition: Callable[[dict[str, Known]], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition(await here.listed()):
            await asyncio.sleep(0.005)  # a commit of boxes tells nobody


async def test_without_a_word_of_the_pbx_boxes_are_those_of_the_spool(tmp_path: Path) -> None:
    async with office(tmp_path) as here:
        assert await here.listed() == {}
        await here.store.write(lambda tx: mailboxes.ensure(tx, box("777")))
        assert list(await here.listed()) == ["777@default"]
        await here.boxes.refresh()
        assert "777@default" not in await here.listed()


async def test_what_the_pbx_tells_again_is_not_written_again(here: Office) -> None:
    commits = here.store.commits
    await here.boxes.refresh()
    assert here.store.commits == commits


# ---- changes


async def test_a_box_is_made_and_nothing_else_is_changed(here: Office) -> None:
    before = here.conf
    await here.boxes.create(box("112"), wanted(fullname="New; Box=ü", email="new@example.com", keeps=False))
    added = set(lines(here.conf)) - set(lines(before))
    assert added == {f"112 => {CANARY},New\\; Box=ü,new@example.com,,delete=yes"}
    assert set(lines(before)) <= set(lines(here.conf))
    assert here.pbx.boxes[box("112")].fullname == "New; Box=ü"
    known = (await here.listed())["112@default"]
    assert (known.fullname, known.email, known.keeps, known.configured) == (
        "New; Box=ü",
        "new@example.com",
        False,
        True,
    )
    assert await here.boxes.pin_of(box("112")) == CANARY


async def test_a_box_in_a_context_that_is_not_there_yet_makes_that(here: Office) -> None:
    await here.boxes.create(box("100@tenant"), wanted())
    assert f"[tenant]\n100 => {CANARY}\n" in here.conf
    assert "100@tenant" in await here.listed()


async def test_what_is_not_named_stays_and_so_do_options_nobody_here_knows(here: Office) -> None:
    await here.written(
        here.conf + "107 => -1234, Hugo ,h@example.com,p@example.com,attach=no|x y=z\\; ,q|DELETE=Yes|tz=eu\n"
    )
    await here.boxes.change(box("107@other"), wanted())
    assert f"107 => -{CANARY}, Hugo ,h@example.com,p@example.com,attach=no|x y=z\\; ,q|DELETE=Yes|tz=eu\n" in here.conf
    await here.boxes.change(box("107@other"), wanted("4321", keeps=True, email=""))
    assert "107 => -4321, Hugo ,,p@example.com,attach=no|x y=z\\; ,q|tz=eu\n" in here.conf
    assert await here.boxes.pin_of(box("107@other")) == "4321"


async def test_a_box_is_taken_out_kept_here_without_its_pin_and_put_back(here: Office) -> None:
    await here.boxes.change(box("103"), wanted(enabled=False, fullname="Dave D"))
    assert box("103") not in here.pbx.boxes
    assert "103" not in here.conf
    known = (await here.listed())["103@default"]
    assert known.disabled is not None
    assert (known.fullname, known.email, known.keeps) == ("Dave D", "dave@example.com", False)
    await here.boxes.refresh()
    assert (await here.listed())["103@default"].disabled is not None
    await here.boxes.change(box("103"), wanted("1111", enabled=False, email="d@example.com"))
    await here.boxes.change(box("103"), wanted("2222"))
    assert "103 => 2222,Dave D,d@example.com,,delete=yes\n" in here.conf
    assert (await here.listed())["103@default"].disabled is None


async def test_a_disabled_box_that_somebody_puts_back_on_the_pbx_is_enabled(here: Office) -> None:
    before = here.conf
    await here.boxes.change(box("103"), wanted(enabled=False))
    await here.written(before)
    assert (await here.listed())["103@default"].disabled is None


async def test_a_box_may_be_made_here_alone(here: Office) -> None:
    before = here.conf
    await here.boxes.create(box("112"), wanted(enabled=False, fullname="Not yet"))
    assert here.conf == before
    assert (await here.listed())["112@default"].disabled is not None
    with pytest.raises(ConflictError, match="already"):
        await here.boxes.create(box("112"), wanted())
    await here.boxes.remove(box("112"))
    assert "112@default" not in await here.listed()


async def test_a_removed_box_is_gone_and_its_files_stay(here: Office) -> None:
    await here.pbx.leave("100@default")
    await here.boxes.remove(box("100"))
    assert box("100") not in here.pbx.boxes
    assert "100@default" not in await here.listed()
    assert "100@other" in await here.listed()
    assert list((here.pbx.spool.disk.path("default/100/INBOX")).glob("msg0000.txt"))
    with pytest.raises(NotFoundError):
        await here.boxes.remove(box("100"))
    await here.boxes.refresh()
    assert "100@default" not in await here.listed()


async def test_the_file_is_kept_as_it_was_before_the_first_change(here: Office) -> None:
    first = here.conf
    await here.boxes.set_pin(box("100"), "5555")
    await here.boxes.set_pin(box("100"), "6666")
    copy = here.state / "voicemail.conf.before"
    assert copy.read_text() == first
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600


async def test_changes_come_one_after_the_other(here: Office) -> None:
    names = [str(number) for number in range(500, 520)]
    await asyncio.gather(*(here.boxes.create(box(name), wanted()) for name in names))
    assert {f"{name}@default" for name in names} < set(await here.listed())


# ---- what is refused


@pytest.mark.parametrize(
    ("more", "number"),
    [
        ("[more]\n;-- off\n109 => 1234,Off\n--;\n", 2),
        ('#include "more.conf"\n', 1),
        ("[template](!)\nattach=no\n", 1),
        ("[other](+)\n", 1),
        ("100 1234\n", 1),
    ],
)
async def test_a_file_that_is_not_plain_is_left_alone_and_the_line_is_named(
    here: Office, more: str, number: int
) -> None:
    place = here.conf.count("\n") + number
    here.write(here.conf + more)
    before = here.conf
    with pytest.raises(ConflictError, match=f"line {place} of voicemail.conf"):
        await here.boxes.create(box("112"), wanted())
    with pytest.raises(ConflictError, match=f"line {place} of voicemail.conf"):
        await here.boxes.set_pin(box("100"), CANARY)
    assert here.conf == before


async def test_where_another_file_is_found_than_the_pbx_reads_nothing_is_changed(here: Office) -> None:
    elsewhere = here.state / "etc"
    elsewhere.mkdir()
    other = Boxes(here.store, here.ami, etc=elsewhere, spool=here.state, state=here.state, again=asyncio.Event())
    with pytest.raises(ConflictError, match="cannot be read"):
        await other.create(box("112"), wanted())
    (elsewhere / "voicemail.conf").write_text("[default]\n100 => 1234\n")
    before = here.conf
    with pytest.raises(ConflictError, match="is not what the PBX reads"):
        await other.create(box("112"), wanted())
    assert here.conf == before


async def test_what_somebody_changes_at_the_same_moment_is_not_overwritten(here: Office) -> None:
    """The action names the line it is to find: between our look and it another PIN was set."""
    update, pins = here.pbx.conf.update, itertools.count(8888)

    def meanwhile(fields: Mapping[str, str]) -> str:
        here.pbx.conf.set_pin(box("100"), str(next(pins)))
        return update(fields)

    here.pbx.conf.update = meanwhile  # type: ignore[method-assign,assignment] # what happens in between
    with pytest.raises(ConflictError, match="changed meanwhile"):
        await here.boxes.set_pin(box("100"), CANARY)
    assert await here.boxes.pin_of(box("100")) == "8888"
    with pytest.raises(ConflictError, match=r"differs from what was meant in: \[default\] 100"):
        await here.boxes.set_pin(box("101"), CANARY)


async def test_a_change_that_did_not_take_is_told_as_it_is(tmp_path: Path) -> None:
    async with office(tmp_path, effect_s=0.05) as here:
        await here.boxes.refresh()

        async def no_reload() -> None:
            return

        here.pbx.reload = no_reload  # type: ignore[method-assign] # a PBX that fails
        with pytest.raises(ConflictError, match="app_voicemail does not have 112@default"):
            await here.boxes.create(box("112"), wanted())


@pytest.mark.parametrize("name", ["100", "100@other", "100@DEFAULT"])
async def test_a_box_that_is_there_is_not_made_again(here: Office, name: str) -> None:
    with pytest.raises(ConflictError, match="already"):
        await here.boxes.create(box(name), wanted())


@pytest.mark.parametrize(
    "name", ["100@general", "100@zonemessages", "100@General", "200@Default", "200@OTHER", "-x", "*97", "1/2"]
)
async def test_a_name_that_is_no_boxs_is_refused(here: Office, name: str) -> None:
    before = here.conf
    context = name.partition("@")[2] or "default"
    with pytest.raises(InvalidInputError):
        await here.boxes.create(Mailbox(context, name.partition("@")[0]), wanted())
    assert here.conf == before


async def test_with_searchcontexts_a_number_is_had_by_one_box_alone(here: Office) -> None:
    await here.written(here.conf.replace("attach = yes", "searchcontexts = yes"))
    with pytest.raises(ConflictError, match="searchcontexts"):
        await here.boxes.create(box("101@other"), wanted())


async def test_a_box_that_stands_there_twice_is_not_changed(here: Office) -> None:
    await here.written(here.conf + "100 => 9999,Second\n")
    with pytest.raises(ConflictError, match="stands 2 times"):
        await here.boxes.set_pin(box("100@other"), CANARY)
    assert await here.boxes.pin_of(box("100@other")) == "1234"


async def test_a_line_that_ami_would_not_carry_is_not_changed(here: Office) -> None:
    await here.written(here.conf + f"109 => 1234,Long,,,emailbody={'x' * 1000}\n")
    with pytest.raises(ConflictError, match="900 bytes"):
        await here.boxes.set_pin(box("109@other"), CANARY)
    (here.etc / "voicemail.conf").write_bytes(here.conf.encode() + b"110 => 1234,Ren\xe9e\n")
    await here.pbx.reload()
    await here.boxes.refresh()
    with pytest.raises(ConflictError, match="UTF-8"):
        await here.boxes.set_pin(box("110@other"), CANARY)


async def test_a_login_without_the_right_is_told_which_one_is_missing(tmp_path: Path) -> None:
    async with office(tmp_path, write="reporting,user") as here:
        await here.boxes.refresh()
        with pytest.raises(ConflictError, match="add `config` to `write`"):
            await here.boxes.create(box("112"), wanted())
        with pytest.raises(UnavailableError, match="add `config` to `write`"):
            await here.boxes.pin_of(box("100"))


async def test_a_pbx_that_is_away_is_told(here: Office, tmp_path: Path) -> None:
    async with here.pbx.unreachable():
        with pytest.raises(UnavailableError):
            await here.boxes.create(box("112"), wanted())
        with pytest.raises(UnavailableError):
            await here.boxes.pin_of(box("100"))
    async with Store.open(tmp_path / "other.db", pbx="pbx1") as store:
        without = Boxes(store, None, etc=here.etc, spool=tmp_path, state=tmp_path, again=asyncio.Event())
        with pytest.raises(UnavailableError, match="enabled is false"):
            await without.create(box("112"), wanted())


# ---- PINs


async def test_a_pin_is_that_of_secret_conf_and_else_that_of_the_configuration(here: Office) -> None:
    assert await here.boxes.pin_of(box("100")) == "1234"
    assert await here.boxes.pin_of(box("999")) is None
    await here.written(here.conf.replace("[general]", "[general]\npasswordlocation=spooldir"))
    await here.pbx.change_pin("100", "4711")
    assert await here.boxes.pin_of(box("100")) == "4711"
    with pytest.raises(ConflictError, match=r"secret\.conf"):
        await here.boxes.set_pin(box("100"), CANARY)
    with pytest.raises(ConflictError, match=r"secret\.conf"):
        await here.boxes.change(box("100"), wanted())
    await here.boxes.change(box("100"), wanted("4711", fullname="Alice A"))
    await here.boxes.change(box("100"), wanted(enabled=False))
    with pytest.raises(ConflictError, match=r"secret\.conf"):
        await here.boxes.change(box("100"), wanted())
    await here.boxes.change(box("100"), wanted("4711"))
    assert (await here.listed())["100@default"].fullname == "Alice A"
    secret = here.pbx.spool.disk.path("default/100/secret.conf")
    secret.unlink()
    secret.symlink_to("/etc/hostname")
    with pytest.raises(UnavailableError, match=r"secret\.conf"):
        await here.boxes.pin_of(box("100"))


async def test_a_minus_in_front_of_a_pin_is_not_part_of_it_and_an_empty_one_is_none(here: Office) -> None:
    await here.written(here.conf.replace("101 => 1234", "101 => -4567").replace("102 => 1234", "102 => "))
    assert await here.boxes.pin_of(box("101")) == "4567"
    assert await here.boxes.pin_of(box("102")) is None


async def test_a_pin_is_set_for_a_box_of_the_pbx_alone(here: Office) -> None:
    await here.boxes.set_pin(box("100@other"), CANARY)
    assert (await here.boxes.pin_of(box("100@other")), await here.boxes.pin_of(box("100"))) == (CANARY, "1234")
    with pytest.raises(NotFoundError):
        await here.boxes.set_pin(box("999"), CANARY)
    for pin in ("123", "12345678901", "12a4", "1234\n", "\u0661\u0662\u0663\u0664"):
        with pytest.raises(InvalidInputError):
            await here.boxes.set_pin(box("100"), pin)


async def test_of_two_who_change_the_same_pin_the_later_is_refused(here: Office) -> None:
    """Both have shown the old one, and it was right then."""
    changes = [here.boxes.set_pin(box("100"), pin, old="1234") for pin in ("5555", "6666")]
    failures = [failure for failure in await asyncio.gather(*changes, return_exceptions=True) if failure]
    assert [type(failure) for failure in failures] == [WrongPinError]
    assert await here.boxes.pin_of(box("100")) == "5555"


async def test_the_pin_that_is_changed_is_the_one_that_has_effect(here: Office) -> None:
    await here.written(here.conf.replace("101 => 1234", "101 => -4567"))
    await here.boxes.set_pin(box("101"), CANARY, old="4567")
    secret = here.pbx.spool.disk.path("default/102/secret.conf")
    secret.parent.mkdir(parents=True, exist_ok=True)
    secret.write_text(f"[general]\npassword=-{CANARY}\n")
    with pytest.raises(WrongPinError):
        await here.boxes.set_pin(box("102"), CANARY, old="1234")
    await here.boxes.set_pin(box("102"), CANARY, old=CANARY)


async def test_no_pin_stands_in_a_log_line_an_error_or_the_database(
    here: Office, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    told: list[str] = []
    await here.boxes.create(box("112"), wanted())
    await here.boxes.change(box("112"), wanted(enabled=False))
    await here.boxes.change(box("112"), wanted())
    await here.boxes.set_pin(box("100"), CANARY)
    here.write(here.conf + "100 => nonsense\nnonsense\n")
    with pytest.raises(ConflictError) as refused:
        await here.boxes.set_pin(box("112"), "8888")
    told.append(repr(refused.value))
    with pytest.raises(ConflictError) as refused:
        await here.boxes.remove(box("112"))
    told.append(repr(refused.value))
    await here.boxes.pin_of(box("100"))
    assert CANARY not in "\n".join([caplog.text, *told, repr(wanted())])
    with closing(sqlite3.connect(here.state / "voicemaild.db")) as conn:
        assert CANARY not in "\n".join(conn.iterdump())


async def test_whatever_a_field_holds_it_stays_in_its_line(here: Office) -> None:
    hostile = [
        "x\n[evil]",
        "x\r\nAction: Originate",
        "a,b",
        "a|delete=yes",
        "a\\",
        "<b>",
        " lead",
        "x" * 80,
        "\0",
        "\ud800",
        "\x85x",
    ]
    before = here.conf
    for text in hostile:
        with pytest.raises(InvalidInputError):
            await here.boxes.create(box("112"), wanted(fullname=text))
        with pytest.raises(InvalidInputError):
            await here.boxes.create(box("112"), wanted(email=text))
    assert here.conf == before
    for number, text in enumerate(
        ["; comment", ";-- x --;", "#include x", "a=b", "=> 1", "ü;;\"'`$(x)${y}", "-", ">x"]
    ):
        if re.search(r"[<>]", text):
            continue
        await here.boxes.create(box(f"70{number}"), wanted(fullname=text))
        assert (await here.listed())[f"70{number}@default"].fullname == text
    assert set(lines(before)) <= set(lines(here.conf))


def test_the_simulator_writes_what_it_reads() -> None:
    assert "103 => 1234,Dave Delete,dave@example.com,,delete=yes" in written(HOUSEHOLD)
