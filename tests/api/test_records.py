"""Messages and calls as the outside sees them."""

from dataclasses import replace
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.edge import Edge
from service.api.links import Signer
from service.api.records import call_event, call_history, displayable, message_event, message_voice
from service.call import Call, CallStatus, CallType, Integration, IntegrationStatus, Left
from service.model import Audio, AudioFile, Envelope, Folder, Levels, Mailbox, Message, Status
from service.recordings import Recording

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
    assert message_voice(MESSAGE.summary, EDGE) == RESOURCE
    assert list(message_voice(MESSAGE.summary, EDGE)) == list(RESOURCE)


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
    record = message_voice(read.summary, EDGE)
    assert (record["status"], record["external_number"]) == ({"number": 2, "name": "Read"}, None)


CALL = Call(
    id=747,
    uuid="9b03293e-a0ea-5212-92d1-5848a41d4987",
    pbx="pbx1",
    key="1768308876.2",
    start=1768308876,
    end=1768308899,
    src="100\u202e",
    dst="999995998",
    external_number="781130590",
    duration=23,
    conversation=8,
    type=CallType.OUTGOING,
    status=CallStatus.ANSWERED,
    uniqueids=("1768308876.2",),
    voicemails=(Left("200@default", "a", 5), Left("100@default", "b", 6)),
    integration=(
        Integration(16, "amocrm", IntegrationStatus.SYNCED, None, 1768308902000000, 1768308902000001),
        Integration(17, "bitrix", IntegrationStatus.FAILED, "500\x07", 1768308902000000, 1768308903500000),
    ),
)
CALL_RESOURCE = {
    "id": 747,
    "call_id": "9b03293e-a0ea-5212-92d1-5848a41d4987",
    "date_time": "2026-01-13 17:54:36",
    "src": "100",
    "dst": "999995998",
    "external_number": "781130590",
    "duration": 23,
    "conversation": 8,
    "type": {"number": 2, "name": "Outgoing"},
    "status": {"number": 1, "name": "Answered"},
    "recorded_file_url": None,
    "integration": [
        {
            "id": 16,
            "call_history_id": 747,
            "integration_type": "amocrm",
            "status": "synced",
            "error_message": None,
            "created_at": "2026-01-13T12:55:02.000000Z",
            "updated_at": "2026-01-13T12:55:02.000001Z",
        },
        {
            "id": 17,
            "call_history_id": 747,
            "integration_type": "bitrix",
            "status": "failed",
            "error_message": "500",
            "created_at": "2026-01-13T12:55:02.000000Z",
            "updated_at": "2026-01-13T12:55:03.500000Z",
        },
    ],
    "voicemail_id": 5,
}


def test_the_resource_of_document_001() -> None:
    assert call_history(CALL, EDGE, None) == call_event(CALL, EDGE, None) == CALL_RESOURCE
    assert list(call_history(CALL, EDGE, None)) == list(CALL_RESOURCE)


@pytest.mark.parametrize("kind", CallType)
@pytest.mark.parametrize("status", CallStatus)
def test_types_and_statuses_have_the_names_of_the_document(kind: CallType, status: CallStatus) -> None:
    record = call_history(replace(CALL, type=kind, status=status, external_number=None), EDGE, None)
    types = {1: "Incoming", 2: "Outgoing", 3: "Internal"}
    statuses = {1: "Answered", 2: "Not answered", 3: "Busy", 4: "Failed"}
    assert record["type"] == {"number": kind.value, "name": types[kind.value]}
    assert record["status"] == {"number": status.value, "name": statuses[status.value]}
    assert record["external_number"] is None


@pytest.mark.parametrize(("boxes", "told"), [(("100", "200"), 5), (("100",), 6), (("300",), None), ((), None)])
def test_the_voicemail_is_the_first_that_is_in_view(boxes: tuple[str, ...], told: int | None) -> None:
    view = frozenset(Mailbox("default", box) for box in boxes)
    assert call_history(CALL, EDGE, view)["voicemail_id"] == told
    assert call_history(replace(CALL, voicemails=()), EDGE, None)["voicemail_id"] is None


def test_a_recording_that_is_there_has_a_link() -> None:
    recording = Recording("2026/01/13/1768308876.2.wav", "wav", 1, 0, 0)
    edge = replace(EDGE, recording_of=lambda call: recording if call is CALL else None)
    link = call_history(CALL, edge, None)["recorded_file_url"]
    assert link.startswith("https://pbx.example/api/v1/call-history/747/recording?expires=")


@given(st.text(st.characters()))
def test_whatever_a_caller_sends_can_be_shown_and_written(text: str) -> None:
    shown = displayable(text)
    orjson.dumps(shown)
    assert not any(ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 for character in shown)
    assert not set(shown) & set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def test_names_of_all_writings_stay_as_they_are() -> None:
    for name in ("Алишер Навоий", "O'g'iloy", "محمد", "😀 Ünïcödé", "李雷"):
        assert displayable(name) == name
