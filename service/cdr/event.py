"""A leg from an AMI `Cdr` event, with or without the mappings of `cdr_manager.conf` (`cdr_manager.c`)."""

from collections.abc import Callable

from service.call import Leg
from service.cdr.leg import leg_of
from service.cdr.times import LocalTimes


def leg_of_event(get: Callable[[str], str], times: LocalTimes) -> Leg:
    """Read an event whose fields `get` gives, "" for what it lacks, whatever the case of their names.

    LinkedID, Sequence, DID, OutboundCNum and RecordingFile come from `[mappings]`. InvalidInputError: see `leg_of`.
    """
    return leg_of([get(name) for name in _NAMES], times)


_NAMES = (
    "UniqueID",
    "LinkedID",
    "Sequence",
    "Channel",
    "DestinationChannel",
    "Source",
    "Destination",
    "DestinationContext",
    "CallerID",
    "LastApplication",
    "LastData",
    "AccountCode",
    "UserField",
    "DID",
    "OutboundCNum",
    "RecordingFile",
    "StartTime",
    "AnswerTime",
    "EndTime",
    "Duration",
    "BillableSeconds",
    "Disposition",
)
