"""One look at everything: what is wrong now, since when, and how things stand."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy.orm import Session

from service.settings import Settings
from service.store import alerts
from service.watch.condition import Condition
from service.watch.conditions import wrong_now
from service.watch.facts import Facts
from service.watch.vitals import Vitals, vitals


def look(session: Session, settings: Settings, at: datetime) -> tuple[Sequence[Condition], Vitals]:
    """Return (what is wrong at this moment, the critical first; how things stand)."""
    facts = Facts(session, settings, at)
    found = wrong_now(facts)
    known = {key: alert.since for key, alert in alerts.open_now(session).items()}
    figures = vitals(facts)
    soon = {c.subject for c in found if c.cause == "token.ending_soon"}
    return [
        # What is counted over a while forgets when it began; its alert does not.
        replace(c, since=min(c.since or at, known.get((c.cause, c.subject), at)))
        for c in found
        # The later news says it all.
        if not (c.cause == "token.ending" and c.subject in soon)
    ], figures
