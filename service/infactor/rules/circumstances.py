"""What surrounds an invoice while it is judged: the day, and what else is recorded."""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """All that the rules ask besides the invoice's own facts."""

    today: date
    """In INFACTOR_TIMEZONE."""
    currency: str
    """The one that Infactor shows."""
    proved: bool = True
    """The company was known to be as recorded within the limit of the rule that asks."""
