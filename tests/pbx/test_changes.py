"""What is changed here changes there: messages deleted, restored and marked over the API, on a real Asterisk.

On 22 they leave the spool, and the phone's lamp goes out; 16 cannot be told, so that there they are gone here alone.
Whatever was done, a reconcile and a restart of the daemon bring nothing back.
"""

import asyncio
import re
import time
from pathlib import Path
from typing import Any

import pytest

from service import retention
from service.settings import Settings
from tests.house import PATIENCE_S, House, living, new_token
from tests.pbx.asterisk import Asterisk
from tests.pbx.spool import SpoolMessage
from tests.pbx.test_daemon import assert_all_agree, listening_to, settings_beside

CALLERS = ("15550000000", "15550000001", "15550000002")
LATER = "15559999999"
MESSAGES = "/v1/voicemail/message"


async def three(house: House, pbx: Asterisk) -> list[str]:
    """Three callers leave a message each, in this order; gives the messages' uuids."""
    async with listening_to(house) as socket:
        for number, caller in enumerate(CALLERS):
            await pbx.leave("100", caller=f'"Caller {number}" <{caller}>', seconds=0.4)
            await socket.badge(number + 1)
    uuids = {row["caller_id_number"]: row["id"] for row in (await house.get(MESSAGES))["data"]}
    return [uuids[caller] for caller in CALLERS]


async def sent(house: House, method: str, path: str, status: int = 200) -> Any:
    async with house.http.request(method, house.url + path) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json()


async def sounds(house: House) -> dict[str, bytes]:
    """What each message there is sounds like, by its caller."""
    found = {}
    for row in (await house.get(MESSAGES))["data"]:
        async with house.http.get(row["download_url"]) as answer:
            assert answer.status == 200
            found[row["caller_id_number"]] = await answer.read()
    return found


def spoken(pbx: Asterisk) -> dict[str, bytes]:
    """The same, as it lies in the spool."""
    return {caller_of(message): message.audio[0].read_bytes() for message in pbx.messages("100")}


def caller_of(message: SpoolMessage) -> str:
    return "".join(re.findall(r"\d{11}", message.fields["callerid"]))


async def looked_again(house: House, pbx: Asterisk) -> None:
    """The daemon looks at the mailbox once more: another message comes there, and is heard and told."""
    async with listening_to(house) as socket:
        await pbx.leave("100", caller=f"<{LATER}>", seconds=0.4)
        await socket.until(lambda frame: frame["type"] == "message.new")


async def assert_gone_for_good(house: House, pbx: Asterisk, left: set[str]) -> None:
    """Only these callers' messages are left, also after the daemon has looked again."""
    assert set(await sounds(house)) == left
    await looked_again(house, pbx)
    assert set(await sounds(house)) == left | {LATER}


async def restarted(settings: Settings) -> dict[str, bytes]:
    """What a daemon that was started anew has to play."""
    async with living(settings, new_token(settings, f"after-{time.monotonic_ns()}")) as house:
        return await sounds(house)


@pytest.mark.parametrize("path", [MESSAGES, "/accounts/100/voicemails"])
async def test_a_deleted_message_leaves_the_spool_and_the_others_keep_their_voice(
    pbx22: Asterisk, tmp_path: Path, path: str
) -> None:
    settings = settings_beside(pbx22, tmp_path)
    async with living(settings) as house:
        await house.until_ready()
        first, _second, _third = await three(house, pbx22)
        before = spoken(pbx22)
        async with listening_to(house) as socket:
            await sent(house, "DELETE", f"{path}/{first}")
            assert (await pbx22.count("100")).new == 2
            assert set(spoken(pbx22)) == set(CALLERS[1:])
            await socket.badge(2)
        kept = {caller: before[caller] for caller in CALLERS[1:]}
        assert spoken(pbx22) == kept
        assert await sounds(house) == kept
        await sent(house, "GET", f"{path}/{first}", 404)
        await assert_all_agree(house, pbx22)
        await assert_gone_for_good(house, pbx22, set(kept))
    assert set(await restarted(settings)) == {*kept, LATER}


async def test_a_message_deleted_beside_a_pbx_that_cannot_be_told_is_gone_here_alone(
    pbx16: Asterisk, tmp_path: Path
) -> None:
    settings = settings_beside(pbx16, tmp_path)
    async with living(settings) as house:
        await house.until_ready(lambda told: "cannot move messages" in told["ami"]["detail"])
        first, second, _third = await three(house, pbx16)
        async with listening_to(house) as socket:
            await sent(house, "DELETE", f"{MESSAGES}/{first}")
            await sent(house, "DELETE", f"/accounts/100/voicemails/{second}")
            await socket.badge(1)
        assert (await pbx16.count("100")).new == 3
        await assert_gone_for_good(house, pbx16, {CALLERS[2]})
        await pbx16.delete_by_phone("100")  # which renumbers what is hidden here
        await sent(house, "POST", f"{MESSAGES}/{second}/restore")
        assert await sounds(house) == {caller: sound for caller, sound in spoken(pbx16).items() if caller != CALLERS[0]}
    assert set(await restarted(settings)) == {CALLERS[1], CALLERS[2], LATER}


async def test_a_deletion_is_undone_with_the_same_voice(pbx22: Asterisk, tmp_path: Path) -> None:
    settings = settings_beside(pbx22, tmp_path)
    async with living(settings) as house:
        await house.until_ready()
        first, _second, _third = await three(house, pbx22)
        before = spoken(pbx22)
        await sent(house, "DELETE", f"{MESSAGES}/{first}")
        async with listening_to(house) as socket:
            await sent(house, "POST", f"{MESSAGES}/{first}/restore")
            await socket.badge(3)
        assert await sounds(house) == before
        await looked_again(house, pbx22)
        assert {caller: sound for caller, sound in (await sounds(house)).items() if caller in before} == before
        await sent(house, "DELETE", f"{MESSAGES}/{first}")
        assert set(await sounds(house)) == {*CALLERS[1:], LATER}
    assert set(await restarted(settings)) == {*CALLERS[1:], LATER}


async def test_read_and_unread_again_puts_the_lamp_out_and_on(pbx22: Asterisk, tmp_path: Path) -> None:
    settings = settings_beside(pbx22, tmp_path)
    async with living(settings) as house:
        await house.until_ready()
        _first, second, _third = await three(house, pbx22)
        before = spoken(pbx22)
        async with listening_to(house) as socket:
            await sent(house, "PUT", f"{MESSAGES}/{second}/read")
            counted = await pbx22.count("100")
            assert (counted.new, counted.old) == (2, 1)
            await socket.badge(2)
            await sent(house, "PUT", f"{MESSAGES}/{second}/unread")
            counted = await pbx22.count("100")
            assert (counted.new, counted.old) == (3, 0)
            await socket.badge(3)
        assert spoken(pbx22) == before
        assert await sounds(house) == before
        await assert_all_agree(house, pbx22)


async def test_what_is_too_old_leaves_the_pbx_and_does_not_come_back(
    pbx: Asterisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message of the year 2001 is there when the daemon is started with a limit to what it keeps."""
    monkeypatch.setattr(retention, "RETRY_S", 0.05)  # it begins before the PBX can be asked
    await pbx.leave("100", caller=f'"Caller 0" <{CALLERS[0]}>', seconds=0.4)
    [message] = pbx.messages("100")
    told = f"origtime={message.fields['origtime']}"
    message.txt.write_text(message.txt.read_text().replace(told, "origtime=1000000000"))
    await pbx.leave("100", caller=f'"Caller 1" <{CALLERS[1]}>', seconds=0.4)
    settings = settings_beside(pbx, tmp_path, retention={"messages_days": 3000})
    assert set(await restarted(settings_beside(pbx, tmp_path))) == set(CALLERS[:2])
    async with living(settings) as house:
        await house.until_ready()
        async with asyncio.timeout(PATIENCE_S):
            while (await house.get(MESSAGES))["total"] != 1:
                await asyncio.sleep(0.01)  # retention says nothing, and is in no hurry
        here_alone = pbx.version == "16"
        assert set(spoken(pbx)) == (set(CALLERS[:2]) if here_alone else {CALLERS[1]})
        assert (await pbx.count("100")).new == (2 if here_alone else 1)
        await assert_gone_for_good(house, pbx, {CALLERS[1]})
    assert set(await restarted(settings)) == {CALLERS[1], LATER}
