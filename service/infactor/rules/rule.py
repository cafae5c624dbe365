"""What a rule is: what it asks, what its answer leads to, and in which words."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from service.domain import RuleCode, Severity
from service.infactor.rules.circumstances import Circumstances
from service.infactor.rules.facts import InvoiceFacts

Figures = Mapping[str, str]
"""What made a rule apply, for people. It changes only when the record does, never from day to day:
a day that is written, not how long ago it was."""

Test = Callable[[InvoiceFacts, Circumstances, int], Figures | None]
"""Asks (facts, circumstances, limit) and returns the figures, or None if the rule does not
apply."""


class Mode(StrEnum):
    """What follows when a rule applies."""

    OFF = "off"
    SIGNAL = "signal"  # operators see it
    HOLD = "hold"  # and the invoice is not offered


class Profile(StrEnum):
    """Which defaults the rules have."""

    GUIDE = "guide"  # Infactor's guide to the letter: everything is offered
    STANDARD = "standard"
    LENDER = "lender"


@dataclass(frozen=True, slots=True)
class Limit:
    """A number that an operator may change, such as 90 days; whole, and 0 or more."""

    value: int
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One row of the catalogue."""

    code: RuleCode
    asks: str
    """What it asks, for the table in the guide; `{limit}` is the limit with its unit."""
    test: Test
    words: str
    """What it is in a few words that also fit after a number: 3 paid, 2 overdue."""
    explains: str
    """A sentence for operators, with the figures in braces."""
    standard: Mode = Mode.SIGNAL
    lender: Mode = Mode.HOLD
    limit: Limit | None = None
    advice: str | None = None
    """What the supplier can do. None where they can do nothing, or must not know why."""
    after_approval: Severity | None = None
    """How serious it is where somebody has approved already; None where it means nothing then."""
    at_approval: bool = False
    """Whether only what was so at the moment of the approval is serious, and stays so."""

    def default(self, profile: Profile) -> Mode:
        """Return what follows from it in this profile unless an operator says otherwise."""
        if profile is Profile.GUIDE:
            return Mode.OFF
        return self.standard if profile is Profile.STANDARD else self.lender
