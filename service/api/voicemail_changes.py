"""What dialects ask of the PBX where a client changes a message."""

from collections.abc import Sequence
from typing import Protocol

from service.model import Message


class Deletes(Protocol):
    """Deletes messages."""

    async def delete(self, messages: Sequence[Message]) -> int:
        """Delete all of them, on the PBX as well; gives how many. Raises UnavailableError or ConflictError."""


class Messages(Deletes, Protocol):
    """Marks, deletes and restores messages. All raise UnavailableError or ConflictError."""

    async def mark_read(self, messages: Sequence[Message]) -> int:
        """Mark all of them read; gives how many were."""

    async def mark_unread(self, messages: Sequence[Message]) -> int:
        """Mark all of them unread; gives how many were."""

    async def restore(self, message: Message) -> Message:
        """Undo a deletion. Raises NotFoundError where that cannot be done any more."""
