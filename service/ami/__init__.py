"""The PBX's Manager Interface, fenced: a connection that hands out events and answers actions, or says why it can't."""

from service.ami.client import Ami, Counters, Limits, Offer, State
from service.ami.message import Event, Fields, Response

__all__ = ["Ami", "Counters", "Event", "Fields", "Limits", "Offer", "Response", "State"]
