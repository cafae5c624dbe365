"""One thing that is wrong."""

from dataclasses import dataclass
from datetime import datetime

from service.domain import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One thing that is wrong now, since when, and the command to run about it.

    `subject` is a connection's id, or "" for all companies; `about` tells several of one cause and
    subject apart. `text` may be stored and sent: it has no e-mail address, and names no company and
    no person, but for the buyer of a finding. `page` is its own page's path, if it has one.
    """

    cause: str
    severity: Severity
    text: str
    command: str
    subject: str = ""
    about: str = ""
    company: str = ""
    since: datetime | None = None  # None where the database does not say
    page: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells its alert from every other."""
        return self.cause, self.subject, self.about
