"""How projects stand, as one document that commands, pages and programs read."""

from aftertone.status.collect import status
from aftertone.status.document import ProjectStatus, Status
from aftertone.status.text import describe

__all__ = ["ProjectStatus", "Status", "describe", "status"]
