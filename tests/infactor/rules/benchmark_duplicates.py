"""How well the duplicates' rules tell pairs for one sale from pairs for two: precision, recall.

`python -m tests.infactor.rules.benchmark_duplicates [--pairs N] [--seed N]` makes as many pairs of
either sort, each from one of the ways in which invoices are entered twice or only look alike, and
prints how many of each way are found, within a supplier and across suppliers; beside it, what
simpler rules would find. One way of either sort cannot be told from the other by any record: they
are made a tenth as often as the rest.
"""

import argparse
import random
from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal

from msgspec.structs import replace

from service.infactor.rules.facts import InvoiceFacts
from service.infactor.rules.twins import Twin, normal_number, shared, twin_keys

_DAYS = 180
_NAMES = ("Acme", "Globex", "Initech", "Marsh Group", "Northwind Traders", "Smith & Sons", "Umbra")
_FORMS = ("", " Inc", ", Inc.", " Incorporated", " LLC", " Ltd", " Corp.", " L.L.C.")
_PREFIXES = ("", "INV-", "INV", "No. ", "2026-", "A/")

Way = Callable[[random.Random, InvoiceFacts], InvoiceFacts]


def an_invoice(chance: random.Random) -> InvoiceFacts:
    """Return an ordinary invoice; every third amount is a round one, as people make them."""
    width = chance.choice((4, 6))
    name = chance.choice(_NAMES) + chance.choice(_FORMS)
    mailbox = "".join(filter(str.isalpha, name.split(",")[0].casefold()))
    cents = chance.randrange(5_000, 5_000_000)
    total = Decimal(cents - cents % 10_000 if chance.random() < 1 / 3 else cents) / 100
    return InvoiceFacts(
        total=total or Decimal(100),
        currency="USD",
        txn_date=date(2026, 1, 1) + timedelta(days=chance.randrange(330)),
        number=chance.choice(_PREFIXES) + str(chance.randrange(1_000, 9_999)).zfill(width),
        buyer=name,
        emails=(f"ap@{mailbox}.test",),
    )


def _retyped(chance: random.Random, one: InvoiceFacts) -> InvoiceFacts:
    """Another way to write the number."""
    digits = one.number.lstrip("INVo. -A/")
    ways = (one.number.lower(), one.number.replace("-", " "), f" {one.number}.", f"{one.number}#")
    padded = one.number.replace(digits, f"00{digits}")
    return replace(one, number=chance.choice((*ways, padded)))


def _moved(chance: random.Random, one: InvoiceFacts, days: int = 60) -> InvoiceFacts:
    assert one.txn_date is not None
    return replace(one, txn_date=one.txn_date + timedelta(days=chance.randrange(1, days)))


def _renumbered(chance: random.Random, one: InvoiceFacts) -> InvoiceFacts:
    return replace(one, number=str(chance.randrange(10_000, 99_999)))


def _respelled(chance: random.Random, one: InvoiceFacts) -> InvoiceFacts:
    """Another way to write the buyer's name, with another address of theirs."""
    core = one.buyer.split(",")[0]
    name = chance.choice((core.upper(), f"{core}:Dock 5", f"{core} (deleted)", f"{core}, Inc."))
    return replace(one, buyer=name, emails=(f"billing@{one.emails[0].rpartition('@')[2]}",))


def _reworded(chance: random.Random, one: InvoiceFacts) -> InvoiceFacts:
    """A name that nobody can tell to be the same, and an address of another domain."""
    return replace(one, buyer=f"The {one.buyer} Purchasing", emails=("desk@elsewhere.test",))


def _repriced(chance: random.Random, one: InvoiceFacts) -> InvoiceFacts:
    return replace(one, total=one.total + Decimal(chance.randrange(1, 900)))


def _another_buyer(chance: random.Random, one: InvoiceFacts) -> InvoiceFacts:
    return replace(one, buyer="Zed Stores", emails=("ap@zed.test",))


def _monthly(chance: random.Random, one: InvoiceFacts) -> InvoiceFacts:
    """The next month's, of the same amount."""
    assert one.txn_date is not None
    later = replace(one, txn_date=one.txn_date + timedelta(days=30))
    return _renumbered(chance, later)


def _next_year(chance: random.Random, one: InvoiceFacts) -> InvoiceFacts:
    """Numbers that begin anew each year."""
    assert one.txn_date is not None
    return _repriced(chance, replace(one, txn_date=one.txn_date + timedelta(days=365)))


ENTERED_TWICE: dict[str, tuple[str, Way]] = {
    "the number written otherwise": ("both", _retyped),
    "and dated later": ("both", lambda c, one: _moved(c, _retyped(c, one))),
    "another number": ("both", _renumbered),
    "another number, the buyer respelled": (
        "both",
        lambda c, one: _renumbered(c, _respelled(c, one)),
    ),
    "the buyer respelled, dated later": ("both", lambda c, one: _moved(c, _respelled(c, one))),
    "the buyer unknowable, same date": ("both", _reworded),
    "the buyer unknowable, dated later": ("within", lambda c, one: _moved(c, _reworded(c, one))),
    "another amount, dated later": ("within", lambda c, one: _moved(c, _repriced(c, one))),
    "another number, dated later": ("hopeless", lambda c, one: _moved(c, _renumbered(c, one))),
}
TWO_SALES: dict[str, tuple[str, Way]] = {
    "nothing in common": ("both", lambda c, one: an_invoice(c)),
    "the next month's, same amount": ("both", _monthly),
    "same number and date, another buyer and amount": (
        "both",
        lambda c, one: _repriced(c, _another_buyer(c, one)),
    ),
    "same buyer and date, another amount": (
        "both",
        lambda c, one: _repriced(c, _renumbered(c, one)),
    ),
    "same amount and date, another buyer": (
        "both",
        lambda c, one: _renumbered(c, _another_buyer(c, one)),
    ),
    "the number of the year before": ("both", _next_year),
    "two suppliers' same number, same buyer": (
        "across",
        lambda c, one: _moved(c, _repriced(c, one)),
    ),
    "two suppliers' same number, same amount": (
        "across",
        lambda c, one: _moved(c, _another_buyer(c, one)),
    ),
    "two deliveries a day of one price": ("both", _renumbered),
}
OURS = "the rules"
RULES: dict[str, Callable[[InvoiceFacts, Twin], bool]] = {
    OURS: lambda one, twin: shared(one, twin, _DAYS) is not None,
    "the number alone": lambda one, twin: (
        normal_number(one.number) == normal_number(twin.facts.number)
    ),
    "number and amount": lambda one, twin: twin_keys(one).number == twin_keys(twin.facts).number,
    "buyer, amount and date": lambda one, twin: twin_keys(one).name == twin_keys(twin.facts).name,
}
_RARE = {"another number, dated later": 0.1, "two deliveries a day of one price": 0.1}


def main() -> None:
    """Print what is found of each way, and precision and recall."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    for scope in ("within", "across"):
        print_scope(scope, options.pairs, random.Random(options.seed))


def print_scope(scope: str, pairs: int, chance: random.Random) -> None:
    """Print one table: pairs within a supplier, or across suppliers."""
    made = Counter[str]()
    found = {rule: Counter[str]() for rule in RULES}
    for ways in (ENTERED_TWICE, TWO_SALES):
        usual = {w: f for w, (where, f) in ways.items() if where in (scope, "both", "hopeless")}
        weights = [_RARE.get(way, 1.0) for way in usual]
        for way in chance.choices(list(usual), weights, k=pairs // 2):
            one = an_invoice(chance)
            twin = Twin(id="", facts=usual[way](chance, one), same_supplier=scope == "within")
            made[way] += 1
            for rule, applies in RULES.items():
                found[rule][way] += applies(one, twin)
    twice = sum(made[way] for way in ENTERED_TWICE)
    print(f"{scope} suppliers, {made.total()} pairs")
    for rule, of_way in found.items():
        right, every = sum(of_way[way] for way in ENTERED_TWICE), of_way.total()
        print(f"  {rule:<32} precision {right / every:.3f}, recall {right / twice:.3f}")
    for way in made:
        sort = "one sale" if way in ENTERED_TWICE else "two sales"
        print(f"    {sort:<10}{way:<50}{found[OURS][way]:>5} of {made[way]:>4} found")


if __name__ == "__main__":
    main()
