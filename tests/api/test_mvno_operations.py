"""Document 004, as it is described and as it is answered."""

from service.store import mailboxes
from tests.api.described import assert_described, problems
from tests.api.site import BOX, Site

PATH = "/mvno/voicemail/{phone}/{pin}"


async def test_what_is_answered_is_described(site: Site) -> None:
    await site.leave()
    await site.store.write(lambda tx: mailboxes.set_fields(tx, BOX, phone="+4571919998"))
    for number, pin in (("+4571919998", "1234"), ("+4571919997", "1234"), ("+4571919998", "12")):
        place = f"/mvno/voicemail/{number}/{pin}"
        assert_described("GET", PATH, await site.ask(place, None))
        assert_described("GET", f"{PATH}/pin", await site.ask(f"{place}/pin", None))
        assert_described("POST", f"{PATH}/pin", await site.ask(f"{place}/pin", None, "POST"))


def test_an_example_of_the_document_is_described() -> None:
    voicemail = {
        "_id": "12345678901234567890bbbb",
        "voiceAccount": "1234578901234567890aaaaa",
        "customer": "12345678901234567890ABCD",
        "from": "+4599778822",
        "fromName": "Donald Duck",
        "to": "+4571919998",
        "callId": "cu3848vi34jf03hf9ejhfnihw3ihfnnefu93h9r9tg",
        "date": "2024-01-01T00:00:00.000Z",
        "length": 37,
        "box": "INBOX",
        "played": False,
    }
    assert (
        problems("NumberVoicemails", {"newCount": 2, "oldCount": 0, "savedCount": 10, "voicemails": [voicemail]}) == []
    )
    assert problems("NumberVoicemail", voicemail | {"box": "NEW"}) != []
