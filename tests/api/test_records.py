"""Messages as the outside sees them."""

from dataclasses import replace
from zoneinfo import ZoneInfo

import orjson
from hypothesis import given
from hypothesis import strategies as st

from service.api.edge import Edge
from service.api.links import Signer
from service.api.records import displayable, message_event, message_voice
from service.model import Audio, AudioFile, Envelope, Folder, Levels, Mailbox, Message, Status

EDGE = Edge(ZoneInfo("Asia/Tashkent"), "https://pbx.example/api/v1", Signer(b"0123456789abcdef", lambda: 0))
AUDIO = Audio(AudioFile("wav", 16044, 0, 0, "abcd"), "audio/wav", 35999, 8000, 1, levels=Levels(-3.5, None, 0.25))
MESSAGE = Message(
    id=12,
    uuid="6f0ad9d4-5a6c-5f3e-9a53-0d7a1c1b7a11",
    pbx="pbx1",
    mailbox=Mailbox("sales", "5800"),
    msg_id="1768307400-00000001",
    folder=Folder.URGENT,
    msgnum=0,
    envelope=Envelope("1768307400-00000001", 1768307400, 99, "Ali\x07\u202e", "998901234567", urgent=True),
    external_number="998901234567",
    audio=AUDIO,
)
LINK = f"https://pbx.example/api/v1/message-voice/{MESSAGE.uuid}/audio?{EDGE.signer.query(MESSAGE.uuid)}"
RESOURCE = {
    "id": 12,
    "date_time": "2026-01-13 17:30:00",
    "src": "998901234567",
    "dst": "5800",
    "external_number": "998901234567",
    "duration": 35,
    "status": {"number": 1, "name": "Unread"},
    "recorded_file_url": LINK,
}


def test_the_resource_of_document_000() -> None:
    assert message_voice(MESSAGE, EDGE) == RESOURCE
    assert list(message_voice(MESSAGE, EDGE)) == list(RESOURCE)


def test_the_websockets_message_has_more() -> None:
    assert message_event(MESSAGE, EDGE) == RESOURCE | {
        "uuid": MESSAGE.uuid,
        "mailbox": "5800@sales",
        "folder": "Urgent",
        "caller_id_name": "Ali",
        "urgent": True,
        "audio": {
            "content_type": "audio/wav",
            "file_size": 16044,
            "sample_rate": 8000,
            "channels": 1,
            "peak_dbfs": -3.5,
            "rms_dbfs": None,
            "silence": 0.25,
        },
    }


def test_levels_that_are_not_measured_yet_are_null() -> None:
    audio = message_event(replace(MESSAGE, audio=replace(AUDIO, levels=None)), EDGE)["audio"]
    assert [audio[name] for name in ("peak_dbfs", "rms_dbfs", "silence")] == [None, None, None]


def test_without_audio_the_duration_is_that_of_the_txt() -> None:
    record = message_event(replace(MESSAGE, audio=None), EDGE)
    assert (record["recorded_file_url"], record["audio"], record["duration"]) == (None, None, 99)


def test_a_status_kept_here_alone_is_told() -> None:
    read = replace(MESSAGE, local_status=Status.READ, external_number=None)
    record = message_voice(read, EDGE)
    assert (record["status"], record["external_number"]) == ({"number": 2, "name": "Read"}, None)


@given(st.text(st.characters()))
def test_whatever_a_caller_sends_can_be_shown_and_written(text: str) -> None:
    shown = displayable(text)
    orjson.dumps(shown)
    assert not any(ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 for character in shown)
    assert not set(shown) & set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def test_names_of_all_writings_stay_as_they_are() -> None:
    for name in ("Алишер Навоий", "O'g'iloy", "محمد", "😀 Ünïcödé", "李雷"):
        assert displayable(name) == name
