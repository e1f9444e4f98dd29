"""What the PBX tells over AMI, and what that means here: look again, and of calls: keep it."""

import asyncio
import logging

from service.ami import Ami, Event, Offer, State
from service.errors import InvalidInputError, UnavailableError
from service.health import AmiState, Health, Part
from service.ingest import Ingest
from service.intake import Intake, Leaver
from service.metrics import Metrics
from service.model import Mailbox

log = logging.getLogger(__name__)


class Listener:
    """Hands what an `Ami` tells to those it concerns, as its callbacks; `run` looks at our rights there."""

    def __init__(self, ingest: Ingest, intake: Intake, health: Health, metrics: Metrics, *, write_back: bool) -> None:
        self._ingest = ingest
        self._intake = intake
        self._health = health
        self._metrics = metrics
        self._write_back = write_back
        self._connected = asyncio.Event()

    def on_event(self, event: Event) -> None:
        """A call's leg is over, or a mailbox's lamp changed: forged or not, the latter only makes us look."""
        self._metrics.ami_events.inc()
        if event.name == "Cdr":
            self._intake.leg(event.fields.get)
        elif event.name == "MessageWaiting":
            self._message_waiting(event)

    def _message_waiting(self, event: Event) -> None:
        try:
            mailbox = Mailbox.parse(event.fields.get("Mailbox"))
        except InvalidInputError:
            log.debug("event names no mailbox event=MessageWaiting")
            return
        self._ingest.hint(mailbox)
        channel, uniqueid = event.fields.get("Channel"), event.fields.get("Uniqueid")
        if channel and uniqueid:
            self._intake.leaver(Leaver(mailbox, channel, uniqueid))

    def on_state(self, state: State, detail: str) -> None:
        """Whatever the PBX did while nobody listened is in the spool: after every login, look at everything."""
        if self._health.ami.state is AmiState.CONNECTED and state is not State.CONNECTED:
            self._metrics.ami_reconnects.inc()
        self._health.ami = Part(AmiState(state.value), detail)
        self._metrics.ami_state.state(state.value)
        if state is State.CONNECTED:
            self._ingest.look_everywhere()
            self._connected.set()

    async def run(self, ami: Ami) -> None:
        """After every login see what we may do there, and say on the board what is missing; until cancelled."""
        while True:
            await self._connected.wait()
            self._connected.clear()
            if not self._write_back:
                continue
            try:
                offer = await ami.offer("VoicemailMove")
            except UnavailableError as error:
                log.info("rights at the PBX not known yet error=%r", str(error))
                continue
            if ami.state is State.CONNECTED:
                self._health.ami = Part(AmiState.CONNECTED, f"{ami.detail}{_ABOUT[offer]}")


_ABOUT = {
    Offer.OFFERED: "",
    Offer.FORBIDDEN: "; marking read fails: `write` of our section in manager.conf lacks `user`",
    Offer.UNKNOWN: "; this PBX cannot move messages (Asterisk before 18.20 and 20.5): what is read is kept here alone",
}
