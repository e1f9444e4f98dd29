"""Secrets that are known to the test are sent through everything the daemon does, and looked for wherever it speaks.

A whole daemon process, with log lines of every level, beside a PBX. No answer but the one that makes it, no log line,
metric, event, error or cell of the database may hold a PIN, a token, the secret of an upload, of AMI or of a webhook.
"""

import asyncio
import base64
import io
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from service.model import Folder, Mailbox, Scope
from service.settings import Settings
from service.simulator.boxes import AmiUser, Box
from service.simulator.pbx import Simulator
from service.simulator.wire import event
from tests.api.routing import ROUTES, ask, filled
from tests.api.site import Answer
from tests.audio.files import RECORDINGS
from tests.commands import runner
from tests.house import PATIENCE_S, Frame, House, Process, new_token, settings_for, visiting
from tests.ports import free_port
from tests.tenants import SOON, Things
from tests.test_daemon import reachable

ROOT = Path(__file__).parents[1]
Command = Callable[..., Awaitable[bytes]]
BOX = Mailbox("default", "100")
UNKNOWN = Mailbox("default", "555")
"""A box of which there is a message, and that the PBX does not know."""
PHONE, OTHER_PHONE = "+998711110011", "+998711110022"
NUMBERS = {
    "PIN of the box": "7391846205",
    "PIN set by mvno": "8264091753",
    "PIN set by PUT": "3057291846",
    "PIN of a new box": "5937204186",
    "PIN that is wrong": "6402817395",
    "PIN that is too long": "64028173957",
    "PIN set by phone": "9150372684",
    "PIN of an unknown box": "4180637529",
}
AMI_SECRET = "canary-ami-bXv4mTq"
WEBHOOK_SECRET = b"canary-webhook-kP93hTzWq"
IN_BASE64 = base64.b64encode(WEBHOOK_SECRET).decode()
SUBSCRIBE = {"type": "subscribe", "events": ["unread", "message", "call"]}
MAKES_SECRETS = ("POST /accounts", "POST /api/accounts")

TALKATIVE = """
import logging, sys
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
logging.getLogger("watchfiles").setLevel(logging.INFO)  # of files it tells at DEBUG for ever, for its own log is one
sys.argv = ["voicemaild", *sys.argv[1:]]
from service.cli import main
main()
"""


class Talkative(Process):
    """The daemon with every log line there is, in a file that restarts add to."""

    async def start(self) -> None:
        command = [sys.executable, "-c", TALKATIVE, "--config", str(self.config), "run"]
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(*command, stderr=log, stdout=log, cwd=ROOT)

    def __init__(self, settings: Settings, state: Path, webhook: int) -> None:
        super().__init__(settings, state)
        self.log, self.config = self._log, self._config
        ami, url = settings.ami, f"http://127.0.0.1:{webhook}/hook"
        self.config.write_text(
            f"""pbx = {{ provision = true, config = "{settings.pbx.config}" }}
ami = {{ host = "{ami.host}", port = {ami.port}, username = "{ami.username}", secret = "{AMI_SECRET}" }}
spool.path = "{settings.spool.path}"
cdr.recordings = "{settings.cdr.recordings}"
store.path = "{settings.store.path}"
http.port = {settings.http.port}
webhook = [ {{ name = "crm", url = "{url}", secret = "whsec_{IN_BASE64}", allow_private = true }} ]
"""
        )

    async def until_listening(self, times: int) -> None:
        """Until it has begun to listen so many times."""
        async with asyncio.timeout(PATIENCE_S):
            while self.log.read_text(errors="replace").count("listening url=") < times:
                await asyncio.sleep(0.01)


@dataclass
class Ear:
    """Everything that was said to anybody, by who said it."""

    http: aiohttp.ClientSession
    url: str
    heard: list[tuple[str, bytes]] = field(default_factory=list)
    uploads: list[str] = field(default_factory=list)

    def hear(self, who: str, told: bytes) -> None:
        self.heard.append((who, told))

    async def ask(self, method: str, target: str, token: str | None = None, body: Any = None, **headers: str) -> Answer:
        """Send a request and keep what is answered, but for the secret that it makes."""
        answer = await ask(self.http, method, self.url + target, token, body, **headers)
        told = answer.body + "".join(f"\n{key}: {value}" for key, value in answer.headers.items()).encode()
        if f"{method} {target}".startswith(MAKES_SECRETS) and answer.status == 201:
            secret = answer.json["upload_url"].rpartition("/")[2]
            self.uploads.append(secret)
            told = told.replace(secret.encode(), b"", 1)
        self.hear(f"{method} {target.partition('?')[0]}", told)
        return answer


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """A command beside the daemon; gives all it printed."""
    voicemaild = runner(monkeypatch, capsys)

    async def command(*arguments: str, said: str = "") -> bytes:
        monkeypatch.setattr(sys, "stdin", io.StringIO(said))
        done = await asyncio.to_thread(voicemaild, "--config", tmp_path / "voicemaild.toml", *arguments)
        return f"{done.out}{done.err}".encode()

    return command


async def test_no_secret_is_told_or_kept_anywhere(tmp_path: Path, command: Command) -> None:
    (tmp_path / "etc").mkdir()
    box = Box(BOX, "Owner", "owner@example.com", pin=NUMBERS["PIN of the box"])
    simulator = Simulator(
        tmp_path / "spool",
        boxes=[box],
        delays=SOON,
        etc=tmp_path / "etc",
        recordings=tmp_path / "monitor",
        secret=AMI_SECRET,
    )
    async with simulator as pbx, hooked() as (hook, port), aiohttp.ClientSession() as http:
        settings = settings_for(
            tmp_path, pbx, pbx={"config": str(tmp_path / "etc")}, cdr={"recordings": str(tmp_path / "monitor")}
        )
        tokens = {scope.value: new_token(settings, scope.value, scope) for scope in Scope}
        tokens["limited"] = new_token(settings, "limited", Scope.WRITE, frozenset({BOX}))
        ear = Ear(http, f"http://127.0.0.1:{settings.http.port}")
        async with Talkative(settings, tmp_path, port) as daemon, visiting(settings, tokens["admin"]) as house:
            await reachable(house)
            await life(pbx, command, house, ear, tokens)
            daemon.signal(signal.SIGHUP)
            await daemon.until_listening(2)
            await reachable(house)
            await troubles(pbx, house, ear, tokens)
            await daemon.kill()
            ear.heard += list(files_of(settings.store.path.parent))
            await daemon.start()
            await reachable(house)
            await everything(ear, {"admin": tokens["admin"]}, await things(house))
            await ear.ask("GET", "/events?since=0&limit=1000", tokens["admin"])
            await ear.ask("GET", "/metrics")
            for words in (
                ("check",),
                ("token", "list"),
                ("mailbox", "list"),
                ("webhook", "list"),
                ("webhook", "test", "crm"),
            ):
                ear.hear(" ".join(words), await command(*words))
            code, _log = await daemon.kill(signal.SIGTERM)
            assert code == 0
        ear.heard += hook
        ear.hear("the log", daemon.log.read_bytes())
    ear.heard += list(kept(settings.store.path.parent))
    secrets = spellings({**NUMBERS, **{f"token {scope}": token for scope, token in tokens.items()}}, ear.uploads)
    found = [(name, who) for who, told in ear.heard for name, secret in secrets.items() if secret in told]
    assert not found, "\n".join(map(str, sorted(set(found))))
    assert_heard(ear)


def assert_heard(ear: Ear) -> None:
    """The test was not deaf: it heard what it was to hear."""
    told = dict(ear.heard)
    assert b"box has another PIN" in told["the log"]
    assert b"DEBUG" in told["the log"]
    assert b"100@default" in told["mailbox list"]
    assert b"AMI" in told["check"]
    assert any(who.startswith("table ") and b"100@default" in content for who, content in ear.heard)
    assert any(who.startswith("webhook") for who, _ in ear.heard)
    assert {
        "file voicemaild.db",
        "file voicemaild.db-wal",
        "GET /metrics",
        "table pin_failure",
        "table token",
        "table upload_slot",
        "check",
    } <= set(told)


# ---- what is done


async def life(pbx: Simulator, command: Command, house: House, ear: Ear, tokens: Mapping[str, str]) -> None:
    """All that goes well, and all that is asked wrongly."""
    async with house.ws() as (socket, hello):
        await socket.ws.send_json(SUBSCRIBE)
        await pbx.leave("100@default", '"Jane Doe" <+998901234567>', 1)
        await socket.badge(1)
        lay_down(pbx, UNKNOWN)
        await socket.badge(2)
        pbx.call("+998901234567", "100", context="default")
        await socket.until(lambda frame: frame["type"] == "call.new")
        for words in (("100", "--phone", PHONE), ("555", "--phone", OTHER_PHONE)):
            ear.hear("mailbox set", await command("mailbox", "set", *words))
        for pin in ("PIN that is too long", "PIN of an unknown box"):
            ear.hear("mailbox set", await command("mailbox", "set", "555", "--pin", "-", said=NUMBERS[pin]))
        await pins(pbx, ear)
        await boxes(ear, tokens["admin"])
        await uploads(ear, tokens["limited"])
        await everything(ear, tokens, await things(house))
        ear.hear("websocket", repr((hello, socket.told)).encode())


async def pins(pbx: Simulator, ear: Ear) -> None:
    """Right and wrong ones, of both kinds of boxes; another one, set here and by phone, of which AMI tells."""
    of = "/mvno/voicemail/{}/{}"
    right, changed, phone = (NUMBERS[f"PIN {which}"] for which in ("of the box", "set by mvno", "set by phone"))
    wrong, long = NUMBERS["PIN that is wrong"], NUMBERS["PIN that is too long"]
    for pin, status in ((right, 200), (wrong, 404), (long, 422)):
        assert (await ear.ask("GET", of.format(PHONE, pin))).status == status
    assert (await ear.ask("GET", of.format(OTHER_PHONE, NUMBERS["PIN of an unknown box"]) + "/pin")).status == 200
    assert (await ear.ask("POST", of.format(PHONE, right) + "/pin", None, {"pin": long})).status == 422
    assert (await ear.ask("POST", of.format(PHONE, right) + "/pin", None, {"pin": changed})).status == 200
    assert (await ear.ask("GET", of.format(PHONE, changed) + "/pin")).status == 200
    await ear.ask("GET", of.format(PHONE, changed) + "/no-such-thing")
    await ear.ask("DELETE", of.format(PHONE, changed))
    await ear.ask("GET", of.format(PHONE, changed), None, None, Host="bad host")
    await pbx.change_pin("100@default", phone)
    said = (("Context", "default"), ("Mailbox", "100"), ("NewPassword", phone))
    pbx.tell(event("system", "VoicemailPasswordChange", *said))
    pbx.tell(event("call", "VoicemailPasswordChange", *said))
    assert (await ear.ask("GET", of.format(PHONE, phone) + "/pin")).status == 200


async def boxes(ear: Ear, admin: str) -> None:
    """Boxes made, changed, taken out, put back and removed, and refused."""
    new, changed = NUMBERS["PIN of a new box"], NUMBERS["PIN set by PUT"]
    wrong = NUMBERS["PIN that is too long"]
    body = {"extension": "101", "password": new, "enabled": True}
    for method, target, sent, status in (
        ("POST", "", body, 200),
        ("POST", "", body, 409),
        ("POST", "", body | {"password": wrong}, 422),
        ("POST", "", body | {"password": int(wrong)}, 422),
        ("POST", "", body | {"extension": "1 2"}, 422),
        ("POST", "", [new], 422),
        ("PUT", "/101", {"password": changed, "enabled": True, "mail_to": "nobody"}, 422),
        ("PUT", "/101", {"password": changed, "enabled": True}, 200),
        ("PUT", "/101", {"password": changed, "enabled": False}, 200),
        ("GET", "/101", None, 200),
        ("PUT", "/101", {"password": new, "enabled": True, "local_after_email": False}, 200),
        ("DELETE", "/101", None, 200),
        ("PUT", "/101", {"password": new, "enabled": True}, 404),
        ("PUT", "/100", {"password": NUMBERS["PIN of the box"], "enabled": True, "description": "Owner"}, 200),
    ):
        answer = await ear.ask(method, f"/v1/voicemail{target}", admin, sent)
        assert answer.status == status, (method, target, answer.body)
    await ear.ask("GET", "/v1/voicemail", admin)


async def uploads(ear: Ear, token: str) -> None:
    """An upload that is refused, then one that is not, then another; and a slot that stays open."""
    for _ in range(2):
        await ear.ask("POST", "/accounts/me/voicemails", token, {"sip_from": "sip:a@b", "content_type": "audio/wav"})
    target = f"/accounts/uploads/{ear.uploads[0]}"
    for content, status in ((b"this is no sound", 422), ((RECORDINGS / "short-22.wav").read_bytes(), 200), (b"", 404)):
        async with ear.http.put(ear.url + target, data=content) as answer:
            assert answer.status == status
            ear.hear("PUT /accounts/uploads", await answer.read())
    await ear.ask("GET", f"{target}/more")


async def everything(ear: Ear, tokens: Mapping[str, str], own: Things) -> None:
    """Every route there is, with every token; but the box is not removed again."""
    for (method, path), row in ROUTES.items():
        if (method, path) == ("DELETE", "/v1/voicemail/{ref}"):
            continue
        for token in (None, *tokens.values()):
            for template in (*row.lists, *row.names):
                body = None if row.body is None else filled(row.body, t=own, o=own)
                await ear.ask(method, filled(template, t=own, o=own), token, body)


async def troubles(pbx: Simulator, house: House, ear: Ear, tokens: Mapping[str, str]) -> None:
    """A PBX that does not answer, one that refuses the login, and one that forbids what is asked."""
    changed = {"password": NUMBERS["PIN set by PUT"], "enabled": True}
    pin = NUMBERS["PIN of the box"]
    user = pbx.users[pbx.user]
    for name, other in (
        ("connecting", None),
        ("connected", AmiUser(user.name, user.secret, user.read, frozenset({"reporting"}))),
        ("refused", replace(user, secret="another")),
    ):
        pbx.silence(on=other is None)
        if other is not None:
            pbx.users[pbx.user] = other
        pbx.drop_connections()
        await house.until_ready(partial(ami_is, name))
        await ear.ask("GET", f"/mvno/voicemail/{PHONE}/{pin}")
        await ear.ask("POST", f"/mvno/voicemail/{PHONE}/{pin}/pin", None, {"pin": NUMBERS["PIN set by mvno"]})
        for method in ("PUT", "DELETE"):
            answer = await ear.ask(method, "/v1/voicemail/100", tokens["admin"], changed)
            assert answer.status in (409, 503), answer.body
        await ear.ask("GET", "/readyz")
    pbx.users[pbx.user] = user


def ami_is(state: str, told: Frame) -> bool:
    """Whether `/readyz` says so."""
    return bool(told["ami"]["state"] == state)


async def things(house: House) -> Things:
    """What there is, for addresses that name it."""
    message, call = (await house.messages())[0], (await house.get("/call-history"))["data"][0]
    uuid = message["recorded_file_url"].partition("/message-voice/")[2].partition("/")[0]
    secret = "a-guess"
    return Things(
        *("100@default", uuid, uuid, message["id"], uuid, uuid, secret, call["id"]),
        *(PHONE, NUMBERS["PIN of the box"], message["src"]),
    )


def lay_down(pbx: Simulator, mailbox: Mailbox) -> None:
    """A message in a box that the PBX does not know."""
    folder = pbx.spool.disk.path(f"{mailbox.context}/{mailbox.extension}/{Folder.INBOX}")
    folder.mkdir(parents=True)
    (folder / "msg0000.wav").write_bytes((RECORDINGS / "short-22.wav").read_bytes())
    (folder / "msg0000.txt").write_text("[message]\ncallerid=<1>\norigtime=1795210952\nduration=0\nmsg_id=1-2\n")


@asynccontextmanager
async def hooked() -> AsyncIterator[tuple[list[tuple[str, bytes]], int]]:
    """A webhook's endpoint that takes nothing, and says what it was sent."""
    heard: list[tuple[str, bytes]] = []

    async def refuse(request: web.Request) -> web.Response:
        told = repr(dict(request.headers)).encode() + await request.read()
        heard.append(("webhook", told))
        return web.Response(status=400, body=told)

    app = web.Application()
    app.router.add_post("/hook", refuse)
    runner, port = web.AppRunner(app), free_port()
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield heard, port
    finally:
        await runner.cleanup()


# ---- where it is looked for


def kept(state: Path) -> Iterator[tuple[str, bytes]]:
    """Every cell of every table, and every file."""
    conn = sqlite3.connect(state / "voicemaild.db")
    tables = [name for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    for table in tables:
        yield f"table {table}", repr(conn.execute(f"SELECT * FROM {table}").fetchall()).encode()
    conn.close()
    yield from files_of(state)


def files_of(state: Path) -> Iterator[tuple[str, bytes]]:
    """Every file there is, but for the copy of the PBX's own voicemail.conf."""
    files = [path for path in state.rglob("*") if path.is_file()]
    assert {"voicemaild.db", "voicemail.conf.before"} <= {path.name for path in files}
    for path in files:
        if path.name == "voicemail.conf.before":
            assert path.stat().st_mode & 0o077 == 0
        else:
            yield f"file {path.name}", path.read_bytes()
        yield "file names", path.name.encode()


def spellings(named: Mapping[str, str], uploaded: list[str]) -> dict[str, bytes]:
    """Every secret as it may be written."""
    secrets = {**named, **{f"upload {number}": secret for number, secret in enumerate(uploaded)}, "AMI": AMI_SECRET}
    found = {name: secret.encode() for name, secret in secrets.items()}
    found |= {f"{name} in base64": base64.b64encode(secret)[:-4] for name, secret in found.items()}
    return found | {"webhook": WEBHOOK_SECRET, "webhook in base64": IN_BASE64.encode()}
