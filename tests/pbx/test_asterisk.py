"""The harness itself: what it says it did, a real Asterisk did. What the daemon relies on is held fast here too."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pbx.ami_client import Account, AmiClient, AmiError, Packet
from tests.pbx.asterisk import Asterisk, Counts
from tests.pbx.conftest import NewAsterisk
from tests.pbx.process import DAEMON, NOBODY, Options
from tests.pbx.telephone import until

REPOSITORY = Path(__file__).parents[2]


class TestLeaving:
    async def test_a_left_message_lies_in_the_inbox_and_the_pbx_counts_it(self, pbx: Asterisk) -> None:
        call = await pbx.leave("100", seconds=2.5)
        [message] = pbx.messages("100")
        assert (message.folder, message.number) == ("INBOX", 0)
        assert message.fields["callerid"] == '"Jane Doe" <15551234567>'
        assert message.fields["duration"] == str(message.seconds)
        assert [file.name for file in message.audio] == ["msg0000.wav"]
        assert await pbx.count("100") == Counts(urgent=0, new=1, old=0)
        [waiting] = call.events("MessageWaiting")
        assert (waiting["Mailbox"], waiting["New"], waiting["Old"]) == ("100@default", "1", "0")

    async def test_the_caller_stands_in_the_file_byte_for_byte(self, pbx: Asterisk) -> None:
        written: dict[str | bytes, str] = {
            "15550000044": "15550000044",
            '"Zoë 😀" <+442071234567>': '"Zoë 😀" <+442071234567>',
            b'"Ren\xe9e" <15551234567>': '"Ren\udce9e" <15551234567>',
        }
        await asyncio.gather(*(pbx.leave("100", caller=caller) for caller in written))
        assert {message.fields["callerid"] for message in pbx.messages("100")} == set(written.values())

    async def test_an_urgent_message_lies_in_its_own_folder(self, pbx: Asterisk) -> None:
        await pbx.leave("100", urgent=True)
        [message] = pbx.messages("100")
        assert (message.folder, message.fields["flag"]) == ("Urgent", "Urgent")
        assert await pbx.count("100") == Counts(urgent=1, new=0, old=0)

    async def test_a_message_for_several_mailboxes_has_one_msg_id(self, pbx: Asterisk) -> None:
        call = await pbx.leave("100&101&100@other")
        copies = [pbx.messages(mailbox)[0].msg_id for mailbox in ("100", "101", "100@other")]
        assert len(set(copies)) == 1
        boxes = {packet["Mailbox"] for packet in call.events("MessageWaiting")}
        assert boxes == {"100@default", "101@default", "100@other"}

    async def test_messages_left_at_the_same_time_are_all_there(self, pbx22: Asterisk) -> None:
        await asyncio.gather(*(pbx22.leave("100", caller=f"1555000{number}") for number in range(5)))
        callers = {message.fields["callerid"] for message in pbx22.messages("100", "INBOX")}
        assert callers == {f"1555000{number}" for number in range(5)}

    async def test_a_box_that_only_mails_keeps_nothing(self, pbx22: Asterisk) -> None:
        call = await pbx22.leave("103")
        assert pbx22.messages("103") == ()
        assert [packet["New"] for packet in call.events("MessageWaiting")] == ["0"]

    async def test_a_message_shorter_than_minsecs_is_dropped_without_a_word(self, pbx22: Asterisk) -> None:
        call = await pbx22.leave("105", seconds=0.1, talk="silent")
        assert pbx22.messages("105") == ()
        assert call.events("MessageWaiting") == ()

    async def test_a_message_of_no_length_is_kept_where_minsecs_is_0(self, pbx22: Asterisk) -> None:
        await pbx22.leave("100", seconds=0.1, talk="silent")
        [message] = pbx22.messages("100")
        assert message.fields["duration"] == "0"

    async def test_all_formats_of_a_message_are_written(self, new_asterisk: NewAsterisk) -> None:
        pbx = await new_asterisk("22", Options(formats="wav49|gsm|wav"))
        await pbx.leave("100")
        [message] = pbx.messages("100")
        assert [file.suffix for file in message.audio] == [".WAV", ".gsm", ".wav"]


class TestListening:
    async def test_what_was_heard_by_phone_lies_in_old(self, pbx: Asterisk) -> None:
        await pbx.leave("100")
        [left] = pbx.messages("100", "INBOX")
        call = await pbx.hear("100")
        [heard] = pbx.messages("100")
        assert (heard.folder, heard.msg_id) == ("Old", left.msg_id)
        assert await pbx.count("100") == Counts(urgent=0, new=0, old=1)
        assert [(packet["New"], packet["Old"]) for packet in call.events("MessageWaiting")] == [("0", "1")]

    async def test_what_was_deleted_by_phone_is_gone_and_the_rest_is_renumbered(self, pbx: Asterisk) -> None:
        await asyncio.gather(pbx.leave("100"), pbx.leave("100"))
        _, second = pbx.messages("100")
        await pbx.delete_by_phone("100")
        [kept] = pbx.messages("100")
        assert (kept.folder, kept.number, kept.msg_id) == ("INBOX", 0, second.msg_id)

    async def test_what_was_saved_by_phone_lies_in_the_folder_chosen(self, pbx: Asterisk) -> None:
        await pbx.leave("100")
        await pbx.save_by_phone("100", folder="Family")
        [saved] = pbx.messages("100")
        assert saved.folder == "Family"

    async def test_only_as_many_as_were_heard_become_old(self, pbx22: Asterisk) -> None:
        await asyncio.gather(*(pbx22.leave("100") for _ in range(3)))
        await pbx22.hear("100", count=2)
        assert await pbx22.count("100") == Counts(urgent=0, new=1, old=2)


class TestRestarting:
    async def test_a_message_cut_off_by_a_restart_of_the_pbx_is_kept(self, pbx: Asterisk) -> None:
        await pbx.speak("100")
        assert pbx.messages("100") == ()
        await pbx.restart_now()
        [message] = pbx.messages("100")
        assert message.folder == "INBOX"

    async def test_a_speaker_who_hangs_up_leaves_the_message(self, pbx: Asterisk) -> None:
        recording = await pbx.speak("100")
        message = await pbx.hang_up(recording)
        assert pbx.messages("100") == (message,)

    async def test_a_killed_pbx_comes_back_with_its_messages(self, new_asterisk: NewAsterisk) -> None:
        pbx = await new_asterisk("22")
        await pbx.leave("100")
        await pbx.kill()
        assert not pbx.running
        await pbx.start()
        assert await pbx.count("100") == Counts(urgent=0, new=1, old=0)

    async def test_two_at_once_do_not_meet(self, pbx22: Asterisk, new_asterisk: NewAsterisk) -> None:
        other = await new_asterisk("22")
        await pbx22.leave("100")
        assert other.messages("100") == ()
        assert await other.count("100") == Counts(urgent=0, new=0, old=0)

    async def test_a_harness_that_was_killed_leaves_no_asterisk_behind(self, new_asterisk: NewAsterisk) -> None:
        program = (
            "import asyncio\n"
            "from tests.pbx.asterisk import Asterisk\n"
            "async def main():\n"
            "    async with Asterisk.built('22') as pbx:\n"
            "        print(pbx.pid, pbx.home, flush=True)\n"
            "        await asyncio.sleep(600)\n"
            "asyncio.run(main())\n"
        )
        harness = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE
        )
        assert harness.stdout is not None
        pid, home = (Path(word) for word in (await harness.stdout.readline()).decode().split())
        harness.kill()
        await harness.wait()
        await until(lambda: not ("/proc" / pid).exists(), "the end of the abandoned Asterisk")
        await new_asterisk("22")
        await until(lambda: not home.exists(), "the removal of its directory")


class TestCalling:
    async def test_calls_by_sip_have_their_dispositions(self, new_asterisk: NewAsterisk) -> None:
        pbx = await new_asterisk("22", Options(sip=True))
        talking = {"SECONDS": "600"}  # until the other end hangs up
        calls = await asyncio.gather(
            *(
                pbx.call("talk@phone", f"{phone}@internal", caller="15551234567", variables=talking)
                for phone in ("200", "201", "202", "203")
            )
        )
        dials = [cdr for call in calls for cdr in call.events("Cdr") if cdr["LastApplication"] == "Dial"]
        dispositions = {cdr["LastData"].partition(",")[0]: cdr["Disposition"] for cdr in dials}
        assert dispositions == {
            "PJSIP/200": "ANSWERED",
            "PJSIP/201": "NO ANSWER",
            "PJSIP/202": "BUSY",
            "PJSIP/203": "FAILED",
        }


class TestRights:
    """What config/asterisk/manager.d/voicemaild.conf allows the daemon, and what it does not."""

    async def test_the_daemon_is_told_of_messages_and_cdrs_and_nothing_else(self, pbx: Asterisk) -> None:
        async with pbx.ami(DAEMON, "on") as daemon:
            await pbx.leave("100")
            waiting = await daemon.wait_for(lambda packet: packet.event == "MessageWaiting", "MessageWaiting")
            cdr = await daemon.wait_for(_is_cdr_of("VoiceMail"), "the Cdr of the mailbox's side")
            assert {packet.event for packet in daemon.packets if packet.event} == {"MessageWaiting", "Cdr"}
        assert waiting["Mailbox"] == "100@default"
        assert cdr["LinkedID"] == waiting["Linkedid"]

    async def test_mapped_cdr_fields_that_the_pbx_does_not_have_are_empty_and_harmless(self, pbx: Asterisk) -> None:
        call = await pbx.leave("100")
        cdr = call.events("Cdr")[0]
        assert {name: cdr[name] for name in ("DID", "OutboundCNum", "RecordingFile")} == {
            "DID": "",
            "OutboundCNum": "",
            "RecordingFile": "",
        }
        assert cdr["Sequence"].isdigit()
        assert not [line for line in pbx.log.splitlines() if "cdr" in line and ("WARNING" in line or "ERROR" in line)]

    async def test_master_csv_says_which_call_a_leg_belongs_to(self, pbx: Asterisk) -> None:
        call = await pbx.leave("100")
        await pbx.leave("101")  # the file's turn comes after AMI's: once a later leg is told, all of these are in it
        lines = pbx.master_csv.read_text(errors="surrogateescape").splitlines()  # earlier callers may be no UTF-8
        rows = [line for line in lines if call.linkedid in line]
        assert len(rows) == len(call.events("Cdr")) == 2

    async def test_mapped_cdr_fields_that_the_dialplan_sets_are_told(self, new_asterisk: NewAsterisk) -> None:
        dialplan = (
            "[mailbox]\nexten => did,1,Set(CDR(did)=4420)\n same => n,Set(CDR(recordingfile)=a.wav)\n"
            " same => n,Goto(leave,1)\n"
        )
        pbx = await new_asterisk("22", Options(extra_conf=(("extensions.conf", dialplan),)))
        call = await pbx.leave("100", into="did@mailbox")
        [cdr] = [packet for packet in call.events("Cdr") if packet["LastApplication"] == "VoiceMail"]
        assert (cdr["DID"], cdr["RecordingFile"]) == ("4420", "a.wav")

    async def test_the_daemon_may_ask_what_it_needs(self, pbx: Asterisk) -> None:
        async with pbx.ami(DAEMON) as daemon:
            assert (await daemon.action("Ping"))["Ping"] == "Pong"
            assert (await daemon.action("CoreSettings"))["AsteriskVersion"].startswith(f"{pbx.version}.")
            assert (await daemon.action("MailboxCount", Mailbox="100@default")).ok
            assert (await daemon.action("VoicemailRefresh", Context="default", Mailbox="100")).ok
            boxes = await daemon.listing("VoicemailUsersList")
        assert {"100", "110"} <= {box["VoiceMailbox"] for box in boxes}

    async def test_the_daemon_may_move_and_remove_messages_on_22(self, pbx22: Asterisk) -> None:
        await asyncio.gather(pbx22.leave("100"), pbx22.leave("100"))
        first, second = pbx22.messages("100")
        headers = {"Mailbox": "100", "Context": "default", "Folder": "INBOX"}
        async with pbx22.ami(DAEMON) as daemon:
            moved = await daemon.action("VoicemailMove", **headers, ID=first.msg_id, ToFolder="Old")
            removed = await daemon.action("VoicemailRemove", **headers, ID=second.msg_id)
        assert (moved["Message"], removed["Message"]) == ("Message move successful", "Message remove successful")
        [left] = pbx22.messages("100")
        assert (left.folder, left.msg_id) == ("Old", first.msg_id)

    async def test_asterisk_16_cannot_move_messages(self, pbx16: Asterisk) -> None:
        await pbx16.leave("100")
        [message] = pbx16.messages("100")
        with pytest.raises(AmiError, match="unknown command"):
            await pbx16.move("100", message.msg_id, "INBOX", "Old")
        assert pbx16.messages("100") == (message,)

    async def test_the_commands_a_user_is_shown_are_those_it_may_use(self, pbx: Asterisk) -> None:
        async with pbx.ami(DAEMON) as daemon, pbx.ami(NOBODY) as nobody:
            allowed = {name for name, _ in (await daemon.action("ListCommands")).fields}
            public = {name for name, _ in (await nobody.action("ListCommands")).fields}
        assert {"MailboxCount", "VoicemailUsersList", "VoicemailRefresh", "CoreSettings"} <= allowed - public
        assert ("VoicemailMove" in allowed) == (pbx.version == "22")
        assert "Ping" in public

    @pytest.mark.parametrize("action", ["Command", "Originate", "Hangup", "Redirect", "GetConfig", "Filter"])
    async def test_the_daemon_may_not_touch_calls_or_configuration(self, pbx: Asterisk, action: str) -> None:
        async with pbx.ami(DAEMON) as daemon:
            answer = await daemon.action(action)
        assert (answer["Response"], answer["Message"]) == ("Error", "Permission denied")

    async def test_a_wrong_secret_is_refused_and_the_connection_closed(self, pbx: Asterisk) -> None:
        client = await AmiClient.open(pbx.ami_port)
        answer = await client.login(Account(DAEMON.username, "wrong"))
        await client.wait_closed()
        await client.close()
        assert (answer["Response"], answer["Message"]) == ("Error", "Authentication failed")

    async def test_the_daemon_is_not_told_of_a_restart_it_only_loses_the_connection(self, pbx: Asterisk) -> None:
        async with pbx.ami(DAEMON, "on") as daemon:
            await pbx.restart_now()
            with pytest.raises(AmiError, match="closed the connection"):
                await daemon.wait_for(lambda packet: packet.event in {"Shutdown", "FullyBooted"}, "Shutdown")
        async with pbx.ami(DAEMON, "on") as daemon:
            await daemon.action("Ping")
            assert "FullyBooted" not in {packet.event for packet in daemon.packets}


def _is_cdr_of(application: str) -> Callable[[Packet], bool]:
    return lambda packet: packet.event == "Cdr" and packet["LastApplication"] == application
