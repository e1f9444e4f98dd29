"""The requests for calls, described for the OpenAPI document: part of the table of `service.api.operations`."""

from typing import Annotated

from pydantic import Field

from service.api.list_parameters import INTEGER, MOMENT, TEXT, list_parameters
from service.api.operation import READ, Answer, Operation, Parameter
from service.api.schemas import Call, Model, PageLinks, PageMeta, Success, Total


class CallPage(Model):
    """A page of calls."""

    data: list[Call]
    links: PageLinks
    meta: PageMeta


class OfType(Model):
    """Numbers of calls by type."""

    incoming: Total
    outgoing: Total
    internal: Total


class HowMany(Model):
    """How many calls of a type there were; busy and failed ones are not answered."""

    answered: Total
    not_answered: Total
    total: Total


class CallTotals(Model):
    """How many calls there were."""

    all: OfType
    incoming: HowMany
    outgoing: HowMany
    internal: HowMany


class CallsCount(Success):
    """How many calls there were in a time."""

    result: CallTotals


class CallHour(OfType):
    """How many calls started in an hour of the day."""

    hour: Annotated[int, Field(ge=0, le=23)]
    total: Total


class CallsByHour(Success):
    """How many calls there were in each hour of the day."""

    result: Annotated[list[CallHour], Field(min_length=24, max_length=24)]


_PARAMETERS = list_parameters(
    ("id", "datetime", "src", "dst", "external_number", "duration", "conversation", "type", "status"),
    Parameter("filter[src]", "The caller's number, exactly. `filter.src` means the same, also below.", TEXT),
    Parameter("filter[dst]", "The number that was called, exactly.", TEXT),
    Parameter("filter[external_number]", "The outside line, or the number at its other end, exactly.", TEXT),
    Parameter("filter[duration]", "Whole seconds.", INTEGER),
    Parameter("filter[conversation]", "Whole seconds in which somebody spoke.", INTEGER),
    Parameter("filter[type]", "1 is incoming, 2 outgoing, 3 internal.", {"type": "integer", "enum": [1, 2, 3]}),
    Parameter(
        "filter[status]",
        "1 is answered, 2 not answered, 3 busy, 4 failed.",
        {"type": "integer", "enum": [1, 2, 3, 4]},
    ),
)
_LIST = "http://127.0.0.1:8089/call-history"
_CALL = {
    "id": 747,
    "call_id": "9b03293e-a0ea-5212-92d1-5848a41d4987",
    "date_time": "2026-01-13 17:54:36",
    "src": "100",
    "dst": "998901234567",
    "external_number": "781130590",
    "duration": 23,
    "conversation": 8,
    "type": {"number": 2, "name": "Outgoing"},
    "status": {"number": 1, "name": "Answered"},
    "recorded_file_url": f"{_LIST}/747/recording?expires=1768312476&signature=...",
    "integration": [
        {
            "id": 16,
            "call_history_id": 747,
            "integration_type": "amocrm",
            "status": "synced",
            "error_message": None,
            "created_at": "2026-01-13T12:55:02.000000Z",
            "updated_at": "2026-01-13T12:55:02.000000Z",
        }
    ],
    "voicemail_id": None,
}
_PAGE = {
    "data": [_CALL],
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

CALL_HISTORY = (
    Operation(
        method="get",
        path="/call-history",
        name="listCalls",
        tag="calls",
        summary="A page of calls",
        description=(
            "A page past the end is empty, and tells the true `total`. A token limited to mailboxes sees the calls in "
            "which their extensions take part."
        ),
        parameters=_PARAMETERS,
        security=READ,
        answers={200: Answer("A page of calls.", CallPage, _PAGE)},
        failures=(401, 422, 429, 503),
        aliased=True,
    ),
)

_PERIOD = (
    Parameter(
        "from",
        "Not before this time, in the PBX's timezone; a date means its first second.",
        MOMENT,
        required=True,
    ),
    Parameter("to", "Not after this time, in the PBX's timezone; a date means its last second.", MOMENT, required=True),
    Parameter("external_number", "Calls by this outside line, or with this number, alone.", TEXT),
)
_OK = {"status": "success", "code": 200, "message": "Ok"}
_COUNTS = {"answered": 40, "not_answered": 2, "total": 42}
_COUNTED = {
    "all": {"incoming": 42, "outgoing": 42, "internal": 42},
    "incoming": _COUNTS,
    "outgoing": _COUNTS,
    "internal": _COUNTS,
}
_HOURS = [{"hour": hour, "incoming": 3, "outgoing": 2, "internal": 1, "total": 6} for hour in range(24)]

STATISTIC = (
    Operation(
        method="get",
        path="/statistic/calls-count",
        name="countCalls",
        tag="calls",
        summary="How many calls there were, by type, and how many of them were answered",
        description="Busy and failed calls count as not answered.",
        parameters=_PERIOD,
        security=READ,
        answers={200: Answer("The numbers.", CallsCount, {**_OK, "result": _COUNTED})},
        failures=(401, 422, 429, 503),
        aliased=True,
    ),
    Operation(
        method="get",
        path="/statistic/calls-by-hour",
        name="countCallsByHour",
        tag="calls",
        summary="How many calls there were in each hour of the day, by type",
        description="By the clocks of the PBX's timezone when a call started.",
        parameters=_PERIOD,
        security=READ,
        answers={200: Answer("The numbers.", CallsByHour, {**_OK, "result": _HOURS})},
        failures=(401, 422, 429, 503),
        aliased=True,
    ),
)
