"""What is wrong, for whoever does not look at the overview: in its title, and read aloud."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from service.watch.condition import Condition, several

_MOST = 5


@dataclass(frozen=True, slots=True)
class Alarm:
    """How much is wrong, and what: `version` changes when anything else is, not with its age."""

    count: int
    sentence: str
    version: str

    @property
    def title(self) -> str:
        """The overview's title."""
        return f"{self.count:,} wrong · Overview" if self.count else "Overview"


def alarm_of(wrong: Sequence[Condition]) -> Alarm:
    """Return what is to be told of everything that is wrong."""
    which = sorted(f"{condition.cause} {condition.subject}" for condition in wrong)
    version = sha256("\n".join(which).encode()).hexdigest()[:16]
    return Alarm(len(wrong), _sentence(wrong), version)


def _sentence(wrong: Sequence[Condition]) -> str:
    if not wrong:
        return "Nothing is wrong any more."
    named = [_name(condition) for condition in wrong[:_MOST]]
    more = f" and {len(wrong) - _MOST:,} more" if len(wrong) > _MOST else ""
    return f"{several(len(wrong), 'thing is', 'things are')} wrong: {', '.join(named)}{more}."


def _name(condition: Condition) -> str:
    words = condition.cause.replace(".", " ").replace("_", " ")
    return f"{words} ({condition.company})" if condition.company else words
