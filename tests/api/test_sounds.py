"""What is told of a message's audio to whoever plays it; that it is played is tested in test_audio.py."""

from dataclasses import replace
from pathlib import Path

from service.api.edge import Edge
from service.api.links import Signer
from service.api.sounds import file_stem, tag_of
from service.model import Mailbox
from tests.api.site import BOX, KEY, TASHKENT, running
from tests.store.shelf import audio

EDGE = Edge(TASHKENT, "http://x", Signer(KEY))


async def test_a_file_is_called_by_who_called_whom_when_in_what_every_system_takes(tmp_path: Path) -> None:
    async with running(tmp_path) as site:
        message = await site.leave("+998/../90 123")
    assert file_stem(message, EDGE) == f"voicemail-20260110-040640-+99890123-to-{BOX.extension}"
    nameless = replace(message, envelope=replace(message.envelope, caller_id_number=""))
    other = replace(nameless, mailbox=Mailbox("default", "a_b"))
    assert file_stem(other, EDGE) == "voicemail-20260110-040640-unknown-to-ab"


def test_another_file_has_another_tag_wherever_it_lies() -> None:
    one = audio(1)
    assert tag_of(one) == tag_of(replace(one, file=replace(one.file, inode=99)))
    others = [
        replace(one, file=replace(one.file, **change)) for change in ({"size": 7}, {"mtime_ns": 7}, {"head": "7"})
    ]
    assert len({tag_of(one), *map(tag_of, others)}) == 4


async def test_a_message_whose_media_file_is_gone_is_gone(tmp_path: Path) -> None:
    async with running(tmp_path) as site:
        message = await site.leave()
        inbox = site.spool / "default" / BOX.extension / "INBOX"
        sound = (inbox / "msg0000.wav").read_bytes()
        (inbox / "msg0000.txt").unlink()
        await site.store.write(
            lambda tx: tx.conn.execute("UPDATE message SET held = ? WHERE id = ?", (f"{message.uuid}.wav", message.id))
        )
        assert (await site.ask(f"/message-voice/{message.uuid}/audio")).status == 410
        with site.media.writing(f"{message.uuid}.wav") as draft:
            draft.write(sound)
        answer = await site.ask(f"/message-voice/{message.uuid}/audio")
        assert (answer.status, answer.body) == (200, sound)
