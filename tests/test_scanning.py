"""Another process reads the spool: what it tells is what a scan of our own gives, and nothing depends on it."""

import asyncio
import io
import logging
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from service import scanning
from service.audio import SUFFIXES, describe
from service.model import Folder, Mailbox
from service.simulator.disk import run
from service.simulator.spool import SpoolWriter
from service.simulator.tone import voice
from service.spool import MailboxScan, Rejects, Scanner
from tests.parts import BOX, NEXT, OTHER, link_in_place_of

NONSENSE = "cat >/dev/null; echo nonsense"
GONE = Mailbox("nowhere", "1")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    spool = tmp_path / "spool"
    spool.mkdir()
    writer = SpoolWriter(spool)
    for number, (box, folder) in enumerate([(BOX, Folder.INBOX), (BOX, Folder.OLD), (OTHER, Folder.INBOX)]):
        left = run(writer.leave_steps(box, f'"Jané {number}" <1555{number}>', {"wav": voice(0.1, number)}, duration=0))
        assert left is not None
        if folder is not Folder.INBOX:
            assert run(writer.move_steps(box, left.msg_id, folder, Folder.INBOX))
    silent = spool / "default/100/INBOX"
    (silent / "msg0007.txt").write_text("[message]\norigtime=1700000000\nduration=4\ncallerid=\nmsg_id=7\n")
    (silent / "msg0008.txt").symlink_to("msg0007.txt")
    (spool / "default/101/INBOX").mkdir(parents=True)
    then = time.time() - 60
    for path in (spool, *spool.rglob("*")):
        os.utime(path, (then, then), follow_symlinks=False)
    return spool


def scanner(root: Path, refused: list[str] | None = None) -> Scanner:
    return Scanner(root, describe, SUFFIXES, Rejects((refused if refused is not None else []).append))


async def found(scanner: Scanner, *mailboxes: Mailbox) -> scanning.Scans:
    async with asyncio.timeout(60):
        return [scan async for batch in scanning.scans(scanner, mailboxes) for scan in batch]


async def test_another_process_finds_what_this_one_finds(root: Path) -> None:
    refused: list[str] = []
    own = scanner(root)
    told = await found(scanner(root, refused), BOX, NEXT, OTHER, GONE)
    assert told == [
        (box, replace(scan, found=list(scan.found)))
        for box in (BOX, NEXT, OTHER, GONE)
        for scan in (own.scan(box, ()),)
    ]
    assert [len(scan.found) for _box, scan in told if isinstance(scan, MailboxScan)] == [3, 0, 1, 0]
    assert refused == ["link"]


def test_much_is_told_in_several_lines(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "MOST_TOLD", 2)
    sink = io.BytesIO()
    scanning.tell(root, io.BytesIO(orjson.dumps([("default", "100"), ("default", "101"), ("other", "100")])), sink)
    assert [len(orjson.loads(line)[0]) for line in sink.getvalue().splitlines()] == [1, 2]


async def test_a_mailbox_that_cannot_be_read_is_named_and_holds_up_no_other(root: Path) -> None:
    with link_in_place_of(root / "default" / "100"):
        told = dict(await found(scanner(root), BOX, OTHER))
    assert "cannot read" in str(told[BOX])
    assert told[OTHER] == scanner(root).scan(OTHER, ())


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("", "it cannot be started"),
        ("exit 1", "it ended"),
        ("cat >/dev/null", "it ended"),
        (NONSENSE, "not understood"),
    ],
)
async def test_a_process_that_does_not_work_is_done_without(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, program: str, why: str
) -> None:
    instead = root.with_name("instead-of-python")
    if program:
        instead.write_text(f"#!/bin/sh\n{program}\n")
        instead.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(instead))
    assert await found(scanner(root), BOX) == []
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith(
        "spool is read on without the second process, slower, nothing is lost reason="
    )
    assert why in record.getMessage()


async def test_a_process_that_is_stuck_is_not_waited_for(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(scanning, "LONGEST_WAIT_S", 0.0)
    assert await found(scanner(root), BOX) == []
    assert "it told nothing for" in caplog.text


async def test_a_reader_that_goes_away_ends_the_process(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []

    class Noted(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    monkeypatch.setattr(scanning, "END_S", 60)
    batches = scanning.scans(scanner(root), [BOX, OTHER])
    async with asyncio.timeout(60):
        await anext(batches)
        await batches.aclose()
    assert started[0].returncode is not None
