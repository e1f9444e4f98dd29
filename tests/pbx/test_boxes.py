"""The PBX's own boxes, changed through the whole daemon beside a real Asterisk 22 and 16; what the PBX has then."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.boxes_config import changing, deleting
from service.model import Mailbox
from service.settings import Settings
from service.simulator.voicemail_conf import VoicemailConf
from service.store.commands import changing as changing_store
from service.store.mailboxes import set_fields
from service.voicemail_conf import read_plain
from tests.house import PATIENCE_S, House, living, settings_for
from tests.pbx.asterisk import Asterisk
from tests.pbx.process import DAEMON, Options
from tests.pbx.root import VERSIONS

PATH = "/v1/voicemail"
RIGHTS = ("manager.d/voicemaild.conf", "write = reporting,user,config")
DONE = {"message": "successfully"}


@pytest.fixture(scope="module", params=VERSIONS)
def shared(request: pytest.FixtureRequest) -> Iterator[Asterisk]:
    """A PBX of this file's own, whose daemon may change its configuration."""
    asterisk = Asterisk.built(request.param, Options(extra_conf=(RIGHTS,)))
    try:
        asyncio.run(asterisk.start())
        yield asterisk
    finally:
        asyncio.run(asterisk.close())


@pytest.fixture
async def pbx(shared: Asterisk) -> AsyncIterator[Asterisk]:
    """The same for each test: running, without messages, its boxes as they were."""
    await shared.reset()
    text = conf(shared).read_text()
    yield shared
    conf(shared).write_text(text)
    await shared.cli("voicemail reload")


def settings_of(pbx: Asterisk, state: Path) -> Settings:
    ami = {"enabled": True, "port": pbx.ami_port, "username": DAEMON.username, "secret": DAEMON.secret}
    keys = {"provision": True, "config": str(pbx.home / "etc"), "country": "DE"}
    return settings_for(state, None, pbx.spool, ami=ami, pbx=keys)


@pytest.fixture
async def house(pbx: Asterisk, tmp_path: Path) -> AsyncIterator[House]:
    async with living(settings_of(pbx, tmp_path)) as house:
        await house.until_ready()
        await until_told(house, 12)
        yield house


async def until_told(house: House, total: int) -> dict[str, Any]:
    """All boxes, once the PBX has told so many."""
    async with asyncio.timeout(PATIENCE_S):
        while (listed := await ask(house, "GET", f"{PATH}?limit=500"))["total"] != total:
            await asyncio.sleep(0.01)  # nobody is told that it has
    return dict(listed)


async def ask(house: House, method: str, path: str, status: int = 200, **body: object) -> Any:
    async with house.http.request(method, f"{house.url}{path}", json=body or None) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json()


def conf(pbx: Asterisk) -> Path:
    return pbx.home / "etc/voicemail.conf"


def lines(pbx: Asterisk) -> list[str]:
    return lines_of(conf(pbx).read_text())


def lines_of(text: str) -> list[str]:
    """The lines of voicemail.conf, but for comments and blanks, which Asterisk's writer lays out anew."""
    kept = (line for line in text.splitlines() if line.strip() and not line.startswith(";"))
    return [re.sub(r"\s*(=>?)\s*", r" \1 ", line, count=1) for line in kept]


async def shown(pbx: Asterisk, context: str = "default") -> dict[str, str]:
    """What `voicemail show users` lists of a context: full names by extension."""
    listed = (await pbx.cli(f"voicemail show users for {context}")).splitlines()
    rows = [re.match(rf"{context} +(\S+) +(.*?) {{2,}}", line) for line in listed]
    return {row[1]: row[2].strip() for row in rows if row}


async def test_a_box_is_made_changed_taken_out_put_back_and_removed_on_the_pbx(house: House, pbx: Asterisk) -> None:
    before = lines(pbx)
    made = await ask(
        house,
        "POST",
        PATH,
        extension="112",
        password="4711",
        enabled=True,
        description="New Box; ü",
        mail_to="new@example.com",
        local_after_email=False,
    )
    box = {
        "id": made["data"]["id"],
        "extension": "112",
        "password": "********",
        "mail_to": "new@example.com",
        "local_after_email": False,
        "enabled": True,
        "description": "New Box; ü",
    }
    assert made == {"data": box, **DONE}
    assert (await shown(pbx))["112"].startswith("New Box; ")
    new = "112 => 4711,New Box\\; ü,new@example.com,,delete=yes"
    assert [line for line in lines(pbx) if line not in before] == [new]
    assert [line for line in lines(pbx) if line != new] == before

    assert await ask(house, "PUT", f"{PATH}/112", password="9876", enabled=True, local_after_email=True) == DONE
    assert "112 => 9876,New Box\\; ü,new@example.com" in lines(pbx)
    assert (await ask(house, "GET", f"{PATH}/{box['id']}"))["local_after_email"] is True

    assert await ask(house, "PUT", f"{PATH}/112", password="9876", enabled=False) == DONE
    assert lines(pbx) == before
    assert "112" not in await shown(pbx)
    assert (await ask(house, "GET", f"{PATH}/112"))["enabled"] is False

    assert await ask(house, "PUT", f"{PATH}/112", password="1357", enabled=True) == DONE
    assert "112 => 1357,New Box\\; ü,new@example.com" in lines(pbx)
    assert "112" in await shown(pbx)

    assert await ask(house, "DELETE", f"{PATH}/112") == DONE
    assert lines(pbx) == before
    assert "112" not in await shown(pbx)
    await ask(house, "GET", f"{PATH}/112", 404)
    assert (house.settings.store.path.parent / "voicemail.conf.before").exists()


async def test_a_tenant_of_its_own_is_made_and_the_same_extension_of_another_stays(house: House, pbx: Asterisk) -> None:
    await ask(house, "POST", PATH, extension="100@tenant", password="4711", enabled=True, description="Tina")
    assert await shown(pbx, "tenant") == {"100": "Tina"}
    assert (await shown(pbx))["100"] == "Alice Example"
    assert (await ask(house, "GET", f"{PATH}/100"))["description"] == "Alice Example"
    await ask(house, "DELETE", f"{PATH}/100@tenant")
    assert await shown(pbx, "tenant") == {}
    assert (await shown(pbx))["100"] == "Alice Example"


async def test_options_and_comments_of_the_line_stay(house: House, pbx: Asterisk) -> None:
    text = (
        conf(pbx)
        .read_text()
        .replace("109 => 1234,Lab Scratch", "; of Lab\n109 = -1234,Lab Scratch,,,maxsecs=77|x y=z ; why")
    )
    conf(pbx).write_text(text)
    await pbx.cli("voicemail reload")
    await ask(house, "PUT", f"{PATH}/109", password="24680", enabled=True, mail_to="lab@example.com")
    assert re.search(
        r"; of Lab\n109 = -24680,Lab Scratch,lab@example.com,,maxsecs=77\|x y=z\s+; why\n", conf(pbx).read_text()
    )


async def test_a_login_by_phone_takes_the_new_pin_and_no_longer_the_old(house: House, pbx: Asterisk) -> None:
    await pbx.leave("101")
    await ask(house, "PUT", f"{PATH}/101", password="86420", enabled=True)
    await pbx.hear_with_pin("1234", "101")
    assert len(pbx.messages("101", "INBOX")) == 1
    await pbx.hear_with_pin("86420", "101")
    assert len(pbx.messages("101", "Old")) == 1


async def test_the_messages_of_a_removed_box_stay(house: House, pbx: Asterisk) -> None:
    async with house.ws() as (socket, _hello):
        await pbx.leave("101")
        await socket.badge(1)
    await ask(house, "DELETE", f"{PATH}/101")
    assert len(pbx.messages("101", "INBOX")) == 1
    assert len(await house.messages()) == 1


async def test_boxes_changed_on_the_pbx_itself_are_listed(pbx: Asterisk, tmp_path: Path) -> None:
    conf(pbx).write_text(conf(pbx).read_text().replace("Alice Example", "Alice Other") + "300 => 1234,Made There\n")
    await pbx.cli("voicemail reload")
    async with living(settings_of(pbx, tmp_path)) as house:
        await house.until_ready()
        listed = await until_told(house, 13)
    names = {box["description"] for box in listed["data"]}
    assert listed["total"] == len(listed["data"]) == 13
    assert {"Alice Other", "Made There", "Ünï Cöde", "Other Context"} <= names


async def test_a_file_that_is_not_plain_is_refused_with_its_line(house: House, pbx: Asterisk) -> None:
    text = conf(pbx).read_text()
    (pbx.home / "etc/more.conf").write_text("; nothing\n")
    for more, what in (
        (";-- off\n130 => 1234,Off\n--;\n", "a block comment"),
        ('#include "more.conf"\n', "#include"),
        ("[t](!)\n", "a template"),
    ):
        conf(pbx).write_text(text + more)
        refused = await ask(house, "POST", PATH, 409, extension="112", password="4711", enabled=True)
        assert f"ine {text.count(chr(10)) + 1} of voicemail.conf" in refused["message"]
        assert what in refused["message"]
        assert conf(pbx).read_text() == text + more


async def test_an_action_writes_nothing_where_its_line_is_another_by_now(pbx: Asterisk) -> None:
    before = read_plain(conf(pbx).read_bytes())
    mailbox = Mailbox.parse("101")
    [entry] = before.lines_of(mailbox)
    changes = [changing(before, mailbox, entry, "9999,Bob"), deleting(before, mailbox, entry)]
    conf(pbx).write_text(conf(pbx).read_text().replace("1234,Bob NoMail", "8888,Bob NoMail"))
    meanwhile = conf(pbx).read_text()
    async with pbx.ami(DAEMON) as ami:
        for change in changes:
            told = await ami.action(
                "UpdateConfig", SrcFilename="voicemail.conf", DstFilename="voicemail.conf", **change.fields
            )
            assert (told.ok, told["Message"]) == (False, "Update did not complete successfully")
            assert conf(pbx).read_text() == meanwhile


async def test_the_simulator_tells_and_changes_the_file_as_this_pbx_does(pbx: Asterisk, tmp_path: Path) -> None:
    """Step by step the same answers, and the same lines; where blanks and blank lines go is Asterisk's own."""
    file = {"SrcFilename": "voicemail.conf", "DstFilename": "voicemail.conf"}
    steps = [
        {"Action": "Append", "Cat": "default", "Var": "112", "Value": ">1;1,A \\; b,,,x=y|delete=yes"},
        {"Action": "Append", "Cat": "DEFAULT", "Var": "113", "Value": "2222"},
        {"Action": "Update", "Cat": "default", "Var": "113", "Value": "3333,B", "Match": "2222"},
        {"Action": "Update", "Cat": "default", "Var": "113", "Value": "4444,B", "Match": "2222"},
        {"Action": "Update", "Cat": "default", "Var": "101", "Value": "4444,B", "Match": "1234,bob nomail"},
        {"Action": "Delete", "Cat": "default", "Var": "112", "Match": "1;1,a \\; b,,,x=y|delete=yes"},
        {"Action": "Delete", "Cat": "default", "Var": "112"},
        {"Action": "Append", "Cat": "nowhere", "Var": "112", "Value": "1"},
        {"Action": "NewCat", "Cat": "tenant"},
        {"Action": "NewCat", "Cat": "tenant"},
        {"Action": "Append", "Cat": "tenant", "Var": "100", "Value": ">1,Ünï"},
        {"Action": "Append", "Cat": "tenant"},
        {"Action": "Invent", "Cat": "tenant", "Var": "1"},
    ]
    (tmp_path / "voicemail.conf").write_text(conf(pbx).read_text())
    simulated = VoicemailConf([], tmp_path)
    async with pbx.ami() as ami:
        for step in steps:
            fields = {f"{key}-000000": value for key, value in step.items()}
            answer = await ami.action("UpdateConfig", **file, **fields)
            assert answer.get("Message") == simulated.update(fields), step
            for only in ("", "tenant", "OTHER"):
                told = await ami.action("GetConfig", Filename="voicemail.conf", Category=only)
                shown = [pair for pair in told.fields if pair[0].startswith(("Category-", "Line-"))]
                assert shown == simulated.told(only), step
            assert lines(pbx) == lines_of((tmp_path / "voicemail.conf").read_text()), step
            assert read_plain(conf(pbx).read_bytes()) == read_plain(simulated.content)


async def test_a_pin_is_set_and_checked_by_phone_number(house: House, pbx: Asterisk) -> None:
    with changing_store(house.settings.store.path, "pbx1") as tx:
        set_fields(tx, Mailbox.parse("102"), phone="+4930123456")
    path = "/mvno/voicemail/+4930123456"
    assert await ask(house, "GET", f"{path}/1234/pin") == {"success": True}
    assert await ask(house, "POST", f"{path}/1234/pin", pin="97531") == {"success": True}
    assert "102 => 97531,Carol Three,carol@example.com,,maxmsg=3" in lines(pbx)
    assert (await ask(house, "GET", f"{path}/1234/pin", 404))["message"] == "pin"
    assert await ask(house, "GET", f"{path}/97531/pin") == {"success": True}

    async def change(pin: str) -> int:
        async with house.http.post(f"{house.url}{path}/97531/pin", json={"pin": pin}) as answer:
            return answer.status

    pins = ("2468", "8642")
    statuses = await asyncio.gather(*map(change, pins))
    assert sorted(statuses) == [200, 404]  # it had another PIN when the later one's turn came
    assert f"102 => {pins[statuses.index(200)]},Carol Three,carol@example.com,,maxmsg=3" in lines(pbx)
