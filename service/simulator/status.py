"""The long answers of AMI, written field by field: mailboxes, what lies in one, the core's settings."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from service.model import Counts
from service.simulator.boxes import Box
from service.simulator.spool import Summary
from service.simulator.wire import Action, action_id, render, respond

Fields = tuple[tuple[str, object], ...]

_ASTERISK = {
    16: ("5.0.4", "16.28.0~dfsg-0+deb11u4"),
    22: ("11.0.0", "22.10.1+dfsg+~cs6.17.60671434-1"),
}
_SINCE_MARK_URGENT = 20


def user_list(action: Action, boxes: Iterable[tuple[Box, Counts]], version: int) -> bytes:
    """VoicemailUsersList: one VoicemailUserEntry for each mailbox."""
    entries = [_user("VoicemailUserEntry", action, box, counts, version) for box, counts in boxes]
    return _listed(action, "Voicemail user list will follow", entries, "VoicemailUserEntryComplete")


def user_detail(action: Action, box: Box, counts: Counts, version: int) -> bytes:
    """VoicemailUserStatus: the same of one mailbox."""
    entry = _user("VoicemailUserDetail", action, box, counts, version)
    return _listed(action, "Voicemail user detail will follow", [entry], "VoicemailUserDetailComplete")


def box_summary(action: Action, messages: Iterable[Summary]) -> bytes:
    """VoicemailBoxSummary: one VoicemailBoxDetail for each message."""
    entries = [
        render(
            (
                ("Event", "VoicemailBoxDetail"),
                *action_id(action),
                ("Folder", message.folder),
                ("CallerID", message.callerid),
                ("Date", message.date),
                ("Duration", message.duration),
                ("Flag", message.flag),
                ("ID", message.msg_id),
            )
        )
        for message in messages
    ]
    return _listed(action, "Voicemail box detail will follow", entries, "VoicemailBoxDetailComplete")


def _listed(action: Action, message: str, entries: Sequence[bytes], complete: str) -> bytes:
    """Frame a list: its start, its entries, its end with their number."""
    start = respond(action, "Success", ("EventList", "start"), ("Message", message))
    end = render((("Event", complete), *action_id(action), ("EventList", "Complete"), ("ListItems", len(entries))))
    return b"".join((start, *entries, end))


def _user(event: str, action: Action, box: Box, counts: Counts, version: int) -> bytes:
    mark_urgent = (("CanMarkUrgent", "Yes"),) if version >= _SINCE_MARK_URGENT else ()
    fields: Fields = (
        ("Event", event),
        *action_id(action),
        ("VMContext", box.mailbox.context),
        ("VoiceMailbox", box.mailbox.extension),
        ("Fullname", box.fullname),
        ("Email", "(null)" if box.email is None else box.email),
        ("Pager", box.pager),
        ("ServerEmail", "asterisk@localhost"),
        ("FromString", ""),
        ("MailCommand", "/usr/sbin/sendmail -t"),
        ("Language", ""),
        ("TimeZone", box.tz),
        ("Callback", ""),
        ("Dialout", ""),
        ("UniqueID", ""),
        ("ExitContext", ""),
        ("SayDurationMinimum", 2),
        ("SayEnvelope", "Yes"),
        ("SayCID", _yes(answer=box.saycid)),
        ("AttachMessage", _yes(answer=box.attach)),
        ("AttachmentFormat", ""),
        ("DeleteMessage", _yes(answer=box.delete)),
        ("VolumeGain", "0.00"),
        ("CanReview", _yes(answer=box.review)),
        *mark_urgent,
        ("CallOperator", "No"),
        ("MaxMessageCount", box.maxmsg),
        ("MaxMessageLength", box.maxsecs),
        ("NewMessageCount", counts.new),
        ("OldMessageCount", counts.old),
    )
    return render(fields)


def core_settings(version: int) -> Fields:
    """CoreSettings, as Debian's packages of these two versions answer it."""
    ami, asterisk = _ASTERISK[version]
    sounds = (("SoundsSearchCustomDir", "No"),) if version >= _SINCE_MARK_URGENT else ()
    return (
        ("AMIversion", ami),
        ("AsteriskVersion", asterisk),
        ("SystemName", ""),
        ("CoreMaxCalls", 0),
        ("CoreMaxLoadAvg", "0.000000"),
        ("CoreRunUser", ""),
        ("CoreRunGroup", ""),
        ("CoreMaxFilehandles", 0),
        ("CoreRealTimeEnabled", "No"),
        ("CoreCDRenabled", "Yes"),
        ("CoreHTTPenabled", "No"),
        *sounds,
    )


def core_status(version: int, started: float) -> Fields:
    """CoreStatus; `started` is in epoch seconds."""
    at = datetime.fromtimestamp(started, UTC)
    day, hour = f"{at:%Y-%m-%d}", f"{at:%H:%M:%S}"
    processed = (("CoreProcessedCalls", 0),) if version >= _SINCE_MARK_URGENT else ()
    return (
        ("CoreStartupDate", day),
        ("CoreStartupTime", hour),
        ("CoreReloadDate", day),
        ("CoreReloadTime", hour),
        ("CoreCurrentCalls", 0),
        *processed,
    )


def _yes(*, answer: bool) -> str:
    return "Yes" if answer else "No"
