"""Webhooks: each `[[webhook]]` is told what the journal says, signed per Standard Webhooks, at least once, in order.

`Deliverer` is what the daemon runs; each endpoint has a task, a cursor and deliveries of its own, kept in the store.
"""

from service.webhook.deliverer import Deliverer, prepare

__all__ = ["Deliverer", "prepare"]
