"""One thing that is wrong."""

from dataclasses import dataclass
from datetime import datetime

from service.domain import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One thing that is wrong now, since when, and the command to run about it.

    `subject` is a connection's id, or "" for all companies. `text` names no company and no person,
    so that it may be stored and sent.
    """

    cause: str
    severity: Severity
    text: str
    command: str
    subject: str = ""
    company: str = ""
    since: datetime | None = None  # None where the database does not say
