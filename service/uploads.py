"""Voicemails that are uploaded: a slot is asked for, filled once, and becomes a message (contract 6)."""

import asyncio
import contextlib
import logging
import os
import secrets
import sqlite3
import time
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Callable
from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2b

from service.audio import describe
from service.audio.look import DIGESTED
from service.audio.ogg import parse_opus
from service.errors import ConflictError, InvalidInputError, NotFoundError, UnavailableError, VoicemaildError
from service.media import Draft, Media
from service.model import Audio, AudioFile, Envelope, Mailbox, Message, View
from service.sip import caller_of, check_address
from service.store import Store, Transaction, held, uploads
from service.store.uploads import Slot

log = logging.getLogger(__name__)

LARGEST = 3_000_000
VALID_S = 3600
WAV, OPUS = "audio/wav", "audio/opus"
CONTENT_TYPES = (OPUS, WAV)
_SUFFIXES = {WAV: "wav", OPUS: "opus"}
SECRET_BYTES = 32


class TooLargeError(VoicemaildError):
    """More bytes than an uploaded voicemail may have."""


class QuotaError(VoicemaildError):
    """The uploads of a mailbox would take more than they may together."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A slot that was just made, and the secret that fills it."""

    slot: Slot
    secret: str


class Uploads:
    """Makes slots and fills them. `outside` gives a caller's number where that is no extension of this PBX.

    The uploads of a mailbox may take `quota` bytes together, 0: any number.
    """

    def __init__(
        self,
        store: Store,
        media: Media,
        outside: Callable[[str], str | None],
        clock: Callable[[], float] = time.time,
        *,
        quota: int = 0,
    ) -> None:
        self._store = store
        self._media = media
        self._outside = outside
        self._quota = quota
        self._clock = clock
        self._busy: set[str] = set()  # slots that are being filled

    @property
    def now(self) -> int:
        """Epoch seconds."""
        return int(self._clock())

    async def ask(self, mailbox: Mailbox, sip_from: str, content_type: str) -> Asked:
        """Make a slot.

        Raises InvalidInputError, ConflictError where the mailbox has too many open ones, QuotaError where it is full.
        """
        check_sip_from(sip_from)
        check_content_type(content_type)
        now, secret = self.now, secrets.token_urlsafe(SECRET_BYTES)
        slot = Slot(str(uuid.uuid4()), mailbox, sip_from, content_type, now, now + VALID_S)
        if not await self._store.write(partial(self._create, slot=slot, secret=secret)):
            raise ConflictError(f"{mailbox} has {uploads.MOST_OPEN} uploads open: fill them, or delete some")
        return Asked(slot, secret)

    def _create(self, tx: Transaction, slot: Slot, secret: str) -> bool:
        self._check_quota(tx, slot.mailbox, 1)
        return uploads.create(tx, slot, secret)

    def _check_quota(self, tx: Transaction, mailbox: Mailbox, more: int) -> None:
        if self._quota and uploads.stored(tx.conn, mailbox) + more > self._quota:
            raise QuotaError(
                f"the uploads of {mailbox} would take more than {self._quota >> 20} MiB together, with those deleted"
                " that can be restored"
            )

    async def slot(self, secret: str) -> Slot:
        """The slot that this secret fills. Raises NotFoundError."""
        return await self._store.read(partial(uploads.by_secret, secret=secret, now=self.now))

    async def fill(self, secret: str, content: AsyncIterable[bytes]) -> Message:
        """Fill a slot with what comes; the message it becomes. A try that is refused does not use the slot up.

        Raises NotFoundError, ConflictError where it is being filled already, TooLargeError, InvalidInputError where the
        content is not of the promised type, QuotaError, UnavailableError where it cannot be written.
        """
        slot = await self.slot(secret)
        if slot.uuid in self._busy:
            raise ConflictError("somebody is filling this upload at this moment")
        self._busy.add(slot.uuid)
        try:
            return await self._fill(slot, content)
        finally:
            self._busy.discard(slot.uuid)

    async def _fill(self, slot: Slot, content: AsyncIterable[bytes]) -> Message:
        name = f"{slot.uuid}.{_SUFFIXES[slot.content_type]}"
        async with _writing(self._media, name) as draft:
            await _receive(draft, content)
            audio = await asyncio.to_thread(look, draft.fd, slot.content_type)
        try:
            message = await self._store.write(partial(self._become, slot=slot, name=name, audio=audio))
        except (NotFoundError, QuotaError, UnavailableError):  # deleted meanwhile, or cannot be stored: it is nobody's
            await asyncio.to_thread(self._media.forget, name)
            raise
        log.info("voicemail uploaded mailbox=%s uuid=%s bytes=%d", slot.mailbox, slot.uuid, audio.file.size)
        return message

    def _become(self, tx: Transaction, slot: Slot, name: str, audio: Audio) -> Message:
        if not uploads.close(tx, slot.uuid):
            raise NotFoundError("there is no such upload any more")
        self._check_quota(tx, slot.mailbox, audio.file.size)
        number = caller_of(slot.sip_from)
        envelope = Envelope("", slot.created, (audio.duration_ms or 0) // 1000, "", number)
        return held.insert(
            tx,
            slot.mailbox,
            uuid=slot.uuid,
            envelope=envelope,
            external_number=self._outside(number),
            audio=audio,
            held=name,
            sip_from=slot.sip_from,
        )

    async def forget(self, view: View, slot_uuid: str) -> None:
        """Delete a slot that was not filled yet. Raises NotFoundError."""

        def close(tx: Transaction) -> None:
            uploads.by_uuid(tx.conn, view, slot_uuid, self.now)
            uploads.close(tx, slot_uuid)

        await self._store.write(close)

    def open_slots(self, conn: sqlite3.Connection, mailbox: Mailbox) -> list[Slot]:
        """The slots of a mailbox that wait to be filled, newest first."""
        return uploads.of_mailbox(conn, mailbox, self.now)


async def _receive(draft: Draft, content: AsyncIterable[bytes]) -> None:
    size = 0
    async for chunk in content:
        size += len(chunk)
        if size > LARGEST:
            raise TooLargeError(f"a voicemail has at most {LARGEST} bytes")
        await asyncio.to_thread(draft.write, chunk)


@contextlib.asynccontextmanager
async def _writing(media: Media, name: str) -> AsyncIterator[Draft]:
    """As `Media.writing`, with the disk waited for in threads."""
    context = media.writing(name)
    draft = await asyncio.to_thread(context.__enter__)
    try:
        yield draft
    except BaseException as error:
        await asyncio.to_thread(context.__exit__, type(error), error, error.__traceback__)
        raise
    else:
        await asyncio.to_thread(context.__exit__, None, None, None)


def check_sip_from(address: str) -> None:
    """Raises InvalidInputError where this is no SIP address."""
    check_address(address, "sip_from")


def check_content_type(content_type: str) -> None:
    """Raises InvalidInputError where no such audio can be uploaded."""
    if content_type not in CONTENT_TYPES:
        raise InvalidInputError(f"the content_type must be {' or '.join(CONTENT_TYPES)}", "content_type")


def look(fd: int, content_type: str) -> Audio:
    """What an uploaded file is. Raises InvalidInputError where that is not what was promised."""
    try:
        if content_type == OPUS:
            return _opus(fd)
        audio = describe(fd, _SUFFIXES[WAV])
    except InvalidInputError as error:
        raise InvalidInputError(f"the file is not of the type {content_type}: {error}", "file") from error
    if not audio.duration_ms or audio.truncated:
        raise InvalidInputError("the file holds no sound, or not all of it", "file")
    return replace(audio, content_type=WAV)


def _opus(fd: int) -> Audio:
    data = os.pread(fd, LARGEST, 0)
    opus, status = parse_opus(data), os.fstat(fd)
    if not opus.duration_ms:
        raise InvalidInputError("it holds no sound")
    head = blake2b(data[:DIGESTED], digest_size=16).hexdigest()
    file = AudioFile(_SUFFIXES[OPUS], status.st_size, status.st_mtime_ns, status.st_ino, head)
    return Audio(file, OPUS, opus.duration_ms, opus.input_rate or None, opus.channels)
