import re
import uuid

from service.call import CallStatus, CallType, Party
from service.store.call_judged import Judge, Judged, judged
from service.store.mailboxes import NAMESPACE
from tests.store.ledger import leg

INTERNAL = re.compile(r"^\d{2,6}$")


def test_a_call_is_known_by_its_key_in_its_pbx() -> None:
    one = judged("pbx1", (leg(1),), INTERNAL)
    assert one.uuid == str(uuid.uuid5(NAMESPACE, f"pbx1/call/{one.key}"))
    assert judged("pbx2", (leg(1),), INTERNAL) == one._replace(uuid=str(uuid.uuid5(NAMESPACE, f"pbx2/call/{one.key}")))


def test_what_is_known_of_a_leg_alone_is_taken_for_a_call_of_that_leg_and_for_no_other() -> None:
    known = judged("pbx1", (leg(1),), INTERNAL)
    other = Judged(
        "told", "", known.verdict._replace(type=CallType.OUTGOING, status=CallStatus.BUSY), (Party("9", ()),)
    )
    judge = Judge("pbx1", INTERNAL, {leg(1): other})
    assert judge([leg(1)]) is other
    assert judge([leg(2)]) == judged("pbx1", (leg(2),), INTERNAL)
    assert judge([leg(1), leg(2)]) == judged("pbx1", (leg(1), leg(2)), INTERNAL)
