import pickle
from dataclasses import fields, is_dataclass

import pytest

from service import settings
from service.config_schema import SECTIONS
from service.settings import Ami, Http, Secret, Settings, is_loopback


def test_a_secret_is_told_to_who_asks_for_it_and_is_in_no_text() -> None:
    secret = Secret("hunter2-canary")
    assert secret.get_secret_value() == "hunter2-canary"
    assert "canary" not in f"{secret!r} {secret} {Settings(ami=Ami(secret=secret))!r}"


def test_secrets_are_the_same_if_their_texts_are() -> None:
    assert Secret("one") == Secret("one") != Secret("other")
    assert len({Secret("one"), Secret("one"), Secret("other")}) == 2


def test_every_section_has_the_keys_that_are_checked_and_no_others() -> None:
    found = {
        section: {key.name for key in fields(kind)}
        for section, kind in ((name.lower(), kind) for name, kind in vars(settings).items())
        if section in SECTIONS and is_dataclass(kind)
    }
    assert found == {section: set(model.model_fields) for section, model in SECTIONS.items()}
    assert [key.name for key in fields(Settings)] == [*SECTIONS, "note"]


def test_settings_are_the_same_in_another_process() -> None:
    """`service.config_reading` hands them over so."""
    given = Settings(ami=Ami(secret=Secret("x")), note="n")
    assert pickle.loads(pickle.dumps(given)) == given


@pytest.mark.parametrize(
    ("http", "address"),
    [
        (Http(), "http://127.0.0.1:8089"),
        (Http(host="::", port=1), "http://[::1]:1"),
        (Http(host="0.0.0.0", public_url="https://voicemail.example"), "https://voicemail.example"),
    ],
)
def test_a_browser_is_given_an_address_that_it_can_open(http: Http, address: str) -> None:
    assert http.address == address


@pytest.mark.parametrize(
    ("host", "found"),
    [("127.0.0.1", True), ("::1", True), ("LocalHost", True), ("0.0.0.0", False), ("pbx.example", False)],
)
def test_an_address_of_this_machine_alone_is_known(host: str, *, found: bool) -> None:
    assert is_loopback(host) is found
