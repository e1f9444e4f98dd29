"""GetConfig and UpdateConfig of the simulator, as a live Asterisk answers and as its config.c writes."""

from pathlib import Path

import pytest

from service.model import Mailbox
from service.simulator.boxes import HOUSEHOLD
from service.simulator.pbx import Simulator
from service.simulator.voicemail_conf import VoicemailConf
from tests.simulator.lab import LAB, Client, connected

TEXT = """; at the top
[general]
format=wav
[default] ; all of them
; Alice
100 => 1234,Alice Example,alice@example.com ; hers
101=5678,Semi\\;colon
"""
FILE = {"SrcFilename": "voicemail.conf", "DstFilename": "voicemail.conf"}
DONE = b"Response: Success\r\nActionID: a2\r\n\r\n"


async def asked(root: Path, text: str, name: str, *, write: str = "all", **fields: str) -> tuple[bytes, Simulator]:
    """Ask a PBX whose voicemail.conf is this; gives the answer and the PBX as it was then."""
    (root / "voicemail.conf").write_text(text)
    async with (
        Simulator(root / "spool", user="lab", secret="s", write=write, etc=root) as pbx,
        connected(pbx) as client,
    ):
        await client.ask("Login", Username="lab", Secret="s", Events="off")
        return await answered(client, name, **fields), pbx


async def answered(client: Client, name: str, **fields: str) -> bytes:
    return await client.ask(name, **{key.replace("_", "-"): value for key, value in fields.items()})


def changing(action: str, **fields: str) -> dict[str, str]:
    return FILE | {f"{key}_000000": value for key, value in {"Action": action, **fields}.items()}


async def test_the_configuration_is_told_line_by_line_with_its_pins(tmp_path: Path) -> None:
    told, _pbx = await asked(tmp_path, TEXT, "GetConfig", Filename="voicemail.conf")
    assert told.decode().splitlines() == [
        "Response: Success",
        "ActionID: a2",
        "Category-000000: general",
        "Line-000000-000000: format=wav",
        "Category-000001: default",
        "Line-000001-000000: 100=1234,Alice Example,alice@example.com",
        "Line-000001-000001: 101=5678,Semi;colon",
        "",
    ]


async def test_one_category_may_be_asked_for_and_another_file_is_not_there(tmp_path: Path) -> None:
    told, _pbx = await asked(tmp_path, TEXT, "GetConfig", Filename="voicemail.conf", Category="Default")
    assert b"Category-000000: default\r\nLine-000000-000000: 100=" in told
    assert b"general" not in told
    told, _pbx = await asked(tmp_path, TEXT, "GetConfig", Filename="manager.conf")
    assert b"Response: Error\r\nActionID: a2\r\nMessage: Config file not found" in told


async def test_a_line_is_changed_and_comments_stay_and_lines_are_laid_out_anew(tmp_path: Path) -> None:
    fields = changing("Update", Cat="default", Var="100", Value="9;9,A", Match="1234,alice example,alice@example.com")
    told, pbx = await asked(tmp_path, TEXT, "UpdateConfig", Reload="app_voicemail", **fields)
    assert told == DONE
    assert (
        (tmp_path / "voicemail.conf")
        .read_text()
        .endswith(
            "\n; at the top\n[general]\nformat = wav\n[default]; all of them\n; Alice\n100 => 9\\;9,A  ; hers\n"
            "101 = 5678,Semi\\;colon\n"
        )
    )
    assert pbx.boxes[Mailbox.parse("100")].pin == "9;9"


async def test_a_value_that_begins_with_an_angle_is_an_object(tmp_path: Path) -> None:
    told, _pbx = await asked(
        tmp_path, TEXT, "UpdateConfig", **changing("Append", Cat="default", Var="112", Value=">9876,New")
    )
    assert told == DONE
    assert "\n112 => 9876,New\n" in (tmp_path / "voicemail.conf").read_text()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            changing("Update", Cat="default", Var="100", Value="1", Match="other"),
            "Update did not complete successfully",
        ),
        (changing("Delete", Cat="default", Var="100", Match="other"), "Update did not complete successfully"),
        (changing("Append", Cat="nowhere", Var="100", Value="1"), "Given category does not exist"),
        (changing("NewCat", Cat="default"), "Create category did not complete successfully"),
        (changing("Append", Cat="default"), "Problem with category, value, or line (if required)"),
        (changing("Invent", Cat="default", Var="100"), "Unknown action command"),
        (FILE | {"DstFilename": "manager.conf"}, "File requires escalated privileges"),
    ],
)
async def test_what_cannot_be_done_is_an_error_and_writes_nothing(
    tmp_path: Path, fields: dict[str, str], message: str
) -> None:
    told, _pbx = await asked(tmp_path, TEXT, "UpdateConfig", **fields)
    assert told == f"Response: Error\r\nActionID: a2\r\nMessage: {message}\r\n\r\n".encode()
    assert (tmp_path / "voicemail.conf").read_text() == TEXT


async def test_a_line_feed_cuts_a_value(tmp_path: Path) -> None:
    fields = changing("Append", Cat="default", Var="112", Value=">9876,New\n113 => 1")
    await asked(tmp_path, TEXT, "UpdateConfig", **fields)
    assert (tmp_path / "voicemail.conf").read_text().endswith("112 => 9876,New\n")


async def test_what_a_block_comment_hides_comes_to_life(tmp_path: Path) -> None:
    """As Asterisk's own writer has it, also when a PIN is changed by phone."""
    text = TEXT + ";-- off\n109 => 1234,Off\n--;\n110 => 1234,On\n"
    _told, pbx = await asked(tmp_path, text, "GetConfig", Filename="voicemail.conf")
    assert Mailbox.parse("109") not in pbx.boxes
    pbx.conf.set_pin(Mailbox.parse("110"), "1")
    assert Mailbox.parse("109") in pbx.conf.boxes()


async def test_both_actions_need_the_right_to_configure(tmp_path: Path) -> None:
    for name in ("GetConfig", "UpdateConfig"):
        told, _pbx = await asked(tmp_path, TEXT, name, write="reporting,user")
        assert b"Message: Permission denied" in told


def test_every_box_comes_back_as_it_was_written() -> None:
    for boxes in (HOUSEHOLD, LAB):
        assert list(VoicemailConf(boxes).boxes().values()) == list(boxes)


async def test_a_reload_tells_every_mailbox_and_knows_new_ones(tmp_path: Path) -> None:
    _told, pbx = await asked(tmp_path, TEXT, "GetConfig", Filename="voicemail.conf")
    (tmp_path / "voicemail.conf").write_text(TEXT + "112 => 1,New,,,maxmsg=1\n")
    await pbx.reload()
    assert list(pbx.boxes) == [Mailbox.parse(name) for name in ("100", "101", "112")]
    assert pbx.spool.folders.box(Mailbox.parse("112")).maxmsg == 1
