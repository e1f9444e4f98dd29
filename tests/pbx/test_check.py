"""`check` against a real Asterisk, with the rights of the snippets in config/asterisk and with none."""

from service.check_ami import pbx as look
from service.check_finding import Finding, Level
from service.config_schema import checked
from service.settings import Settings
from tests.pbx.ami_client import Account
from tests.pbx.asterisk import Asterisk
from tests.pbx.conftest import NewAsterisk
from tests.pbx.process import DAEMON, NOBODY, Options


def settings(asterisk: Asterisk, account: Account = DAEMON) -> Settings:
    return checked(
        {
            "ami": {"port": asterisk.ami_port, "username": account.username, "secret": account.secret},
            "spool": {"path": str(asterisk.spool)},
        }
    )


def of_level(found: list[Finding], *levels: Level) -> list[str]:
    return [finding.what.partition(":")[0] for finding in found if finding.level in levels]


async def test_with_our_snippets_asterisk_22_is_all_right(pbx22: Asterisk) -> None:
    found = await look(settings(pbx22), pbx22.home / "etc")
    assert of_level(found, Level.WARN, Level.BAD) == []
    assert of_level(found, Level.OK) == ["AMI", "marking as read", "AMI", "cdr_manager"]


async def test_of_asterisk_16_it_says_that_status_stays_here(pbx16: Asterisk) -> None:
    found = await look(settings(pbx16), pbx16.home / "etc")
    assert of_level(found, Level.WARN) == ["marking as read"]
    assert of_level(found, Level.BAD) == []


async def test_a_user_without_rights_is_told_which_to_add(pbx22: Asterisk) -> None:
    found = await look(settings(pbx22, NOBODY), pbx22.home / "etc")
    remedies = [finding.remedy for finding in found if finding.level is Level.BAD]
    assert [remedy.partition(" in ")[0].partition(" there")[0] for remedy in remedies] == [
        "add user to write",
        "add call to read",
        "add cdr to read",
    ]


async def test_a_wrong_secret_is_told_without_the_secret(pbx22: Asterisk) -> None:
    found = await look(settings(pbx22, Account(DAEMON.username, "canary")), pbx22.home / "etc")
    assert of_level(found, Level.BAD) == ["AMI"]
    assert "refuses" in str(found[0])
    assert "canary" not in "\n".join(map(str, found))


async def test_a_pbx_that_sends_no_cdr_is_bad(new_asterisk: NewAsterisk) -> None:
    asterisk = await new_asterisk("22", Options(cdr_manager=False))
    found = await look(settings(asterisk), asterisk.home / "etc")
    assert of_level(found, Level.BAD) == ["cdr_manager"]
