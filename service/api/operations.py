"""Every request the service answers, described for the OpenAPI document: a flat table, path by path.

tests/api/test_openapi.py holds it against the routes there are, against what the gate lets through, and real answers.
"""

from service.api.account_operations import ACCOUNTS
from service.api.audio_operations import CALL_RECORDING, MESSAGE_AUDIO
from service.api.call_operations import CALL_HISTORY, STATISTIC
from service.api.list_parameters import INTEGER, TEXT, list_parameters
from service.api.mvno_operations import MVNO
from service.api.operation import READ, WEBSOCKET, WRITE, Answer, Operation, Parameter
from service.api.schemas import Alive, Done, Events, MessagePage, Ready, UnreadCount
from service.api.voicemail_box_operations import VOICEMAIL_BOXES
from service.api.voicemail_message_operations import VOICEMAIL_MESSAGES

TAGS = {
    "messages": "Voicemails: lists, the unread count, marks, audio.",
    "calls": "Calls: the history, recordings, statistics.",
    "voicemail": "Voicemails and mailboxes in the words of document 002.",
    "accounts": "Voicemails of an account, also uploaded ones, in the words of document 003.",
    "mvno": "Voicemails of a mobile number, by its PIN, in the words of document 004.",
    "live": "What changes, as it happens.",
    "health": "How the service is. No token is needed, and nothing personal is told.",
    "pages": "Pages for people, and this document.",
}

# ---- message-voice

_LIST_PARAMETERS = list_parameters(
    ("id", "datetime", "src", "dst", "external_number", "duration", "status"),
    Parameter("filter[src]", "The caller's number, exactly. `filter.src` means the same, also below.", TEXT),
    Parameter("filter[dst]", "The mailbox's extension, exactly.", TEXT),
    Parameter("filter[external_number]", "The outside line, or the number at its other end, exactly.", TEXT),
    Parameter("filter[duration]", "Whole seconds.", INTEGER),
    Parameter("filter[status]", "1 is unread, 2 is read; others match nothing.", INTEGER),
)
_MOST = 10**18 - 1
_ID = Parameter("id", "A message's `id`.", {"type": "integer", "minimum": 0, "maximum": _MOST}, "path")

_HOST = "http://127.0.0.1:8089"
_LIST = f"{_HOST}/message-voice"
_MESSAGE = {
    "id": 1042,
    "date_time": "2026-01-13 17:30:00",
    "src": "998901234567",
    "dst": "100",
    "external_number": "998901234567",
    "duration": 12,
    "status": {"number": 1, "name": "Unread"},
    "recorded_file_url": f"{_LIST}/6f0ad9d4-5a6c-5f3e-9a53-0d7a1c1b7a11/audio?expires=1768311060&signature=...",
}
_PAGE = {
    "data": [_MESSAGE],
    "links": {"first": f"{_LIST}?page=1", "last": f"{_LIST}?page=1", "prev": None, "next": None},
    "meta": {
        "current_page": 1,
        "from": 1,
        "last_page": 1,
        "links": [
            {"url": None, "label": "« Previous", "active": False},
            {"url": f"{_LIST}?page=1", "label": "1", "active": True},
            {"url": None, "label": "Next »", "active": False},
        ],
        "path": _LIST,
        "per_page": 20,
        "to": 1,
        "total": 1,
    },
}
_OK = {"status": "success", "code": 200, "message": "Ok"}

_MESSAGES = (
    Operation(
        method="get",
        path="/message-voice",
        name="listMessages",
        tag="messages",
        summary="A page of messages",
        description="A page past the end is empty, and tells the true `total`.",
        parameters=_LIST_PARAMETERS,
        security=READ,
        answers={200: Answer("A page of messages.", MessagePage, _PAGE)},
        failures=(401, 422, 429, 503),
        aliased=True,
    ),
    Operation(
        method="get",
        path="/message-voice/unread-count",
        name="countUnread",
        tag="messages",
        summary="How many messages are unread",
        security=READ,
        answers={200: Answer("The number.", UnreadCount, {**_OK, "result": {"unread_count": 3}})},
        failures=(401, 429, 503),
        aliased=True,
    ),
    Operation(
        method="post",
        path="/message-voice/mark-all-as-read",
        name="markAllAsRead",
        tag="messages",
        summary="Mark all messages as read",
        description="Answered when the PBX has moved them and the database agrees. A failure says how many were done.",
        security=WRITE,
        answers={200: Answer("All are read.", Done, {**_OK, "result": []})},
        failures=(401, 403, 409, 429, 503),
        aliased=True,
    ),
    Operation(
        method="post",
        path="/message-voice/{id}/mark-as-a-read",
        name="markAsRead",
        tag="messages",
        summary="Mark a message as read",
        description="Answered when the PBX has moved it and the database agrees. One that is read already stays so.",
        parameters=(_ID,),
        security=WRITE,
        answers={200: Answer("It is read.", Done, {**_OK, "result": []})},
        failures=(401, 403, 404, 409, 429, 503),
        aliased=True,
    ),
)

# ---- the websocket and /events

_SINCE = Parameter("since", "A position: tell what came after it.", {"type": "integer", "minimum": 0, "maximum": _MOST})
_RECORD = _MESSAGE | {
    "uuid": "6f0ad9d4-5a6c-5f3e-9a53-0d7a1c1b7a11",
    "mailbox": "100@default",
    "folder": "INBOX",
    "caller_id_name": "Jane Doe",
    "urgent": False,
    "audio": {
        "content_type": "audio/wav",
        "file_size": 192044,
        "sample_rate": 8000,
        "channels": 1,
        "peak_dbfs": -3.1,
        "rms_dbfs": -21.4,
        "silence": 0.12,
    },
}
_EVENTS = {
    "events": [
        {"type": "message.new", "seq": 1041, "message": _RECORD},
        {
            "type": "unread",
            "seq": 1042,
            "mailbox": "100@default",
            "new": 3,
            "old": 1,
            "saved": 0,
            "urgent": 1,
            "total": 4,
        },
        {
            "type": "call.new",
            "seq": 1043,
            "call": {
                "id": 88,
                "call_id": "0b6f3e0e-6a57-5a1c-8f4e-3a1f0c9d2b11",
                "date_time": "2026-01-13 17:30:00",
                "src": "998901234567",
                "dst": "100",
                "external_number": "998712000000",
                "duration": 42,
                "conversation": 0,
                "type": {"number": 1, "name": "Incoming"},
                "status": {"number": 2, "name": "Not answered"},
                "recorded_file_url": None,
                "integration": [],
                "voicemail_id": 12,
            },
        },
    ],
    "seq": 1043,
}
_LIVE = (
    Operation(
        method="get",
        path="/ws",
        name="openWebsocket",
        tag="live",
        summary="The websocket",
        description=(
            "Text frames, JSON. The first is a `Hello`; then come `Unread` and `MessageChanged` as they happen, and "
            "`Reset` where something had to be left out. The client may send `Subscribe`, answered by `Subscribed`, "
            "and `Ping`, by `Pong`; anything else, or longer than 16 KiB, by `Misunderstood`. "
            "`CallChanged` comes to who subscribed to `call`: "
            "of the calls in which the extensions of his mailboxes take part. A browser gives its token as "
            'subprotocols: `new WebSocket(url, ["voicemaild.v1", "bearer." + token])`.'
        ),
        parameters=(
            Parameter(
                "mailboxes",
                "What the connection is about, e.g. `100@default,101@default`; else all.",
                {"type": "string"},
            ),
            _SINCE,
        ),
        security=WEBSOCKET,
        answers={101: Answer("The connection is a websocket from now on.")},
        failures=(400, 401, 403, 404, 422, 426, 429, 503),
    ),
    Operation(
        method="get",
        path="/events",
        name="listEvents",
        tag="live",
        summary="The records of the websocket, for those who poll",
        description=(
            "All kinds of them, calls too. Without `since` there are no events, but a `seq` to begin with. For "
            "a position that is no longer kept, or not reached yet, they are a `Reset` and a `Hello`. Go on with "
            "`since` = `seq`: there may be none, though `seq` is another, where very much is of others."
        ),
        parameters=(
            _SINCE,
            Parameter(
                "limit", "How many records at most.", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}
            ),
        ),
        security=READ,
        answers={200: Answer("Records, in order.", Events, _EVENTS)},
        failures=(401, 422, 429, 503),
    ),
)

# ---- health

_PARTS = {
    "status": "ready",
    "store": {"state": "ok", "detail": "the database can be written"},
    "spool": {"state": "ok", "detail": "watched"},
    "ami": {"state": "connected", "detail": "logged in"},
}
_STARTING = _PARTS | {
    "status": "starting",
    "spool": {"state": "scanning", "detail": "the first scan is under way"},
}
_HEALTH = (
    Operation(
        method="get",
        path="/healthz",
        name="isAlive",
        tag="health",
        summary="Whether the process lives",
        answers={200: Answer("It does.", Alive, {"status": "ok"})},
    ),
    Operation(
        method="get",
        path="/readyz",
        name="isReady",
        tag="health",
        summary="Whether the service is ready, part by part",
        answers={
            200: Answer("`ready`, or `degraded`: it serves, without some part.", Ready, _PARTS),
            503: Answer(
                "`starting`: the first scan is not done; or `failing`: nothing can be stored.", Ready, _STARTING
            ),
        },
    ),
    Operation(
        method="get",
        path="/metrics",
        name="getMetrics",
        tag="health",
        summary="Metrics for Prometheus",
        answers={200: Answer("Prometheus's text format.", content_types=("text/plain",))},
    ),
)

# ---- pages


def _page(path: str, name: str, summary: str, content_type: str) -> Operation:
    answers = {
        200: Answer("It.", content_types=(content_type,), headers={"ETag": "Which version this is."}),
        304: Answer("The client has it already."),
    }
    none_match = Parameter("If-None-Match", "The `ETag` of what the client has.", {"type": "string"}, "header")
    return Operation(
        method="get", path=path, name=name, tag="pages", summary=summary, answers=answers, parameters=(none_match,)
    )


_PAGES = (
    _page("/", "getDashboard", "The dashboard", "text/html"),
    _page("/docs", "getDocs", "A page to read this document, and to try it", "text/html"),
    _page("/openapi.json", "getOpenapi", "This document", "application/json"),
    _page("/app.js", "getDashboardScript", "The dashboard's script", "text/javascript"),
    _page("/docs.js", "getDocsScript", "The script of `/docs`", "text/javascript"),
    _page("/style.css", "getStyle", "How both pages look", "text/css"),
    _page("/icon.svg", "getIcon", "The icon of both pages", "image/svg+xml"),
)

OPERATIONS = (
    *_MESSAGES,
    *MESSAGE_AUDIO,
    *CALL_HISTORY,
    *CALL_RECORDING,
    *STATISTIC,
    *VOICEMAIL_BOXES,
    *VOICEMAIL_MESSAGES,
    *ACCOUNTS,
    *MVNO,
    *_LIVE,
    *_HEALTH,
    *_PAGES,
)
