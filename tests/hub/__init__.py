"""A small Hugging Face Hub on this machine, for the real clients to speak to."""

from .faults import Fault
from .server import LocalHub

__all__ = ["Fault", "LocalHub"]
