"""Calls for tests of what is told of them; what their fields mean is tested where they are made."""

from hypothesis import strategies as st

from service.call import Call, CallStatus, CallType, Left, Leg, Party
from service.model import Mailbox, Record, View


def party(extension: str, *contexts: str, known: tuple[str, ...] = ("default",)) -> Party:
    return Party(extension, contexts or ("default",), known)


def leg(**told: str) -> Leg:
    """A leg that tells nothing but this."""
    texts = dict.fromkeys(Leg._fields, "") | told
    return Leg(**texts | {"sequence": None, "start": 0, "answer": None, "end": 0, "duration": 0, "billsec": 0})  # type: ignore[arg-type] # the numbers are


def call(number: int = 1, src: str = "998901234567", *parties: Party, dst: str = "100", left: str = "") -> Call:
    """An incoming call that nobody answered, or that `left` a voicemail in this mailbox."""
    uniqueid = f"{1_768_000_000 + number}.{number}"
    return Call(
        id=number,
        uuid=f"call-{number}",
        pbx="pbx1",
        key=uniqueid,
        start=1_768_000_000 + number,
        end=1_768_000_020 + number,
        src=src,
        dst=dst,
        external_number=src,
        duration=20,
        conversation=0,
        type=CallType.INCOMING,
        status=CallStatus.NOT_ANSWERED,
        uniqueids=(uniqueid,),
        parties=parties or (party(dst),),
        voicemails=(Left(left, f"uuid-{number}", number),) if left else (),
    )


def concerns(record: Record, view: View) -> bool:
    """Who may hear of it, said as plainly as can be."""
    if view is None:
        return True
    if record.mailbox is not None:
        return record.mailbox in view
    return isinstance(record.state, Call) and any(
        record.state.takes_part(mailbox.context, mailbox.extension) for mailbox in view
    )


def calls_between(boxes: list[Mailbox]) -> st.SearchStrategy[Call]:
    """Calls of extensions like these, in contexts of theirs or in others, some with a voicemail."""
    extensions = st.sampled_from(sorted({box.extension for box in boxes} | {"998901234567"}))
    contexts = st.lists(st.sampled_from(sorted({box.context for box in boxes} | {"from-trunk"})), max_size=2)
    parties = st.lists(st.builds(Party, extensions, contexts.map(tuple), contexts.map(tuple)), max_size=3)
    left = st.just("") | st.sampled_from(boxes).map(str)
    return st.builds(
        lambda number, src, dst, parties, left: call(number, src, *parties, dst=dst, left=left),
        st.integers(1, 99),
        extensions,
        extensions,
        parties,
        left,
    )
