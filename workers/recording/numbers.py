"""How many numbers are missing before those of a batch's invoices."""

import re
from bisect import bisect_left
from collections.abc import Mapping

from sqlalchemy.orm import Session

from service.infactor.rules.circumstances import NumberGap
from service.infactor.rules.facts import InvoiceFacts
from service.store.invoices import NUMBER_WIDTH, number_key, numbers_before

# What ends in more digits than are sorted by is no number of a series.
_SERIES = re.compile(rf"(.*?)([0-9]{{1,{NUMBER_WIDTH}}})", re.DOTALL)


def missing_numbers(
    session: Session, connection_id: str, facts: Mapping[str, InvoiceFacts]
) -> dict[str, NumberGap]:
    """Return the gap before each of these invoices that has one, among the company's recorded
    invoices and the batch itself.

    A series is whatever stands before the last digits. Its first number has no gap before it.
    """
    keys = {
        id_: number_key(known.number)
        for id_, known in facts.items()
        if _SERIES.fullmatch(known.number)
    }
    within = sorted(set(keys.values()))
    recorded = numbers_before(session, connection_id, within)
    found: dict[str, NumberGap] = {}
    for id_, key in keys.items():
        place = bisect_left(within, key)
        before = max(recorded.get(key, ""), within[place - 1] if place else "")
        gap = _gap(facts[id_].number, key, before)
        if gap is not None:
            found[id_] = gap
    return found


def _gap(number: str, key: str, before: str) -> NumberGap | None:
    """Return what is missing between these keys, None if nothing is or they are of two series."""
    series, digits = key[:-NUMBER_WIDTH], key[-NUMBER_WIDTH:]
    earlier = before[len(series) :][:NUMBER_WIDTH]
    if not before.startswith(series) or not (earlier.isascii() and earlier.isdigit()):
        return None
    missing = int(digits) - int(earlier) - 1
    if missing <= 0 or len(earlier) < NUMBER_WIDTH:
        return None
    match = _SERIES.fullmatch(number)
    written = match[2] if match else ""
    name = number[: len(number) - len(written)] + str(int(earlier)).rjust(len(written), "0")
    return NumberGap(before=name, missing=missing)
