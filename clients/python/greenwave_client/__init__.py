"""Follow the live predictions of a Greenwave server.

`Client` is an iterator of messages that reconnects by itself; `Refused` is raised when the server refuses for good.
"""

from .client import Client
from .endings import Refused
from .messages import Message
from .state import State

__all__ = ["Client", "Message", "Refused", "State"]
