"""Disturbs deliveries: loses, doubles, delays or forges them."""

from collections.abc import Sequence
from random import Random
from typing import Annotated, Any, Literal

import msgspec

from service.simulator import exact_json
from service.simulator.events import Event
from service.simulator.switches import Switches

Action = Literal["drop", "duplicate", "hold", "forge"]


class Trick(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One order: what happens to the next `count` deliveries of these events."""

    action: Action
    count: Annotated[int, msgspec.Meta(ge=1)] = 1
    company: str | None = None
    entity: str | None = None

    def fits(self, events: Sequence[Event]) -> bool:
        if self.company is None and self.entity is None:
            return True
        return any(
            self.company in (None, event.realm) and self.entity in (None, event.entity)
            for event in events
        )


class Mischief:
    """Decides by orders first, then by the switched shares; the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.tricks: list[Trick] = []
        self._random = Random(seed)  # noqa: S311 - repeatable on purpose

    def reseed(self, seed: int) -> None:
        self._random.seed(seed)

    def add(self, wanted: Any) -> None:
        """Append the orders; raises ValueError for a bad one."""
        given = wanted if isinstance(wanted, list) else [wanted]
        self.tricks += exact_json.convert(given, list[Trick])

    def choose(self, events: Sequence[Event], switches: Switches) -> Action | None:
        """Return what happens to this delivery, None for nothing."""
        for trick in self.tricks:
            if trick.fits(events):
                trick.count -= 1
                self.tricks = [t for t in self.tricks if t.count]
                return trick.action
        chances: tuple[tuple[float, Action], ...] = (
            (switches.drop_share, "drop"),
            (switches.duplicate_share, "duplicate"),
            (switches.hold_share, "hold"),
        )
        drawn = self._random.random() if any(share for share, _ in chances) else 1.0
        for share, action in chances:
            if drawn < share:
                return action
            drawn -= share
        return None

    def delay(self, switches: Switches) -> float:
        """Return how many seconds a delivery waits before its first attempt."""
        least, most = switches.delay_seconds
        return least if least == most else self._random.uniform(least, most)
