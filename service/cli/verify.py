"""`verify`: whether the chain of each company's revisions is whole, and an export for auditors."""

import itertools
import json
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from service.cli.console import answer_json, fail, hint, says_what_is_wrong, show_table
from service.cli.context import Json, command_services, name_of
from service.cli.exit_status import Exit
from service.database.engine import Database
from service.database.tables import Connection
from service.kit import exact_json
from service.kit.hash_chain import FIRST, digest_of, link_after
from service.store import connections, revision_chain
from service.store.revision_chain import ChainEntry, RecordedState

_MOST_NAMED = 5
_MOST_KEPT = 1_000
_PAGE = 1_000

Export = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Write every chain to this file, one JSON object a line, for an auditor. The guide's "
        "page on what is kept has a script that checks such a file offline.",
    ),
]


@dataclass(slots=True)
class Verdict:
    """What was found of one company's chain; `problems` is empty where it is whole."""

    connection_id: str
    company: str
    length: int
    link: str
    erased: int = 0
    problems: list[str] = field(default_factory=list)
    more: int = 0
    """So many problems are not named."""

    def add(self, problem: str) -> None:
        """Name this problem too, unless very many are."""
        if len(self.problems) < _MOST_KEPT:
            self.problems.append(problem)
        else:
            self.more += 1

    def as_json(self) -> dict[str, Any]:
        return {
            "connection": self.connection_id,
            "company": self.company,
            "revisions": self.length,
            "erased": self.erased,
            "link": self.link,
            "problems": self.problems,
            "more_problems": self.more,
        }


@says_what_is_wrong
def verify(export: Export = None, as_json: Json = False) -> None:
    """Check that no recorded revision was changed or left out.

    Each revision's entry is linked to the one before. Compare the last link with one that you noted
    earlier or hold in an export: a chain can be cut off at its end, but not without that showing.
    """
    with command_services() as services, _opened(export) as file:
        with services.database.read() as session:
            everyone = connections.everyone(session, services.settings.quickbooks_environment)
        found = [_verdict(services.database, connection, file) for connection, _ in everyone]
    if as_json:
        answer_json(verdict.as_json() for verdict in found)
    else:
        columns = ("Company", "Revisions", "Erased", "Last link", "Result")
        show_table("Chains", columns, map(_cells, found))
    if export is not None:
        hint(f"Wrote {export}.")
    broken = [verdict for verdict in found if verdict.problems]
    if broken:
        raise fail(
            f"{len(broken)} of {len(found)} chains are not whole: somebody changed the database"
            " past the service, or restored part of it from a backup.",
            Exit.ATTENTION,
        )


def _opened(export: Path | None) -> Any:
    if export is None:
        return nullcontext()
    try:  # an older export is not to be lost: the new one is compared with it
        return export.open("x", encoding="utf-8")
    except OSError as e:
        raise fail(f"--export: cannot create {export}: {e.strerror}.") from None


def _verdict(database: Database, connection: Connection, file: TextIO | None) -> Verdict:
    """Check one company's chain as it is now: what is recorded meanwhile is no part of it.

    Nothing is held but a page, each of which is read in a transaction of its own.
    """
    with database.read() as session:
        head = revision_chain.of_company(session, connection.id)
    verdict = Verdict(connection.id, name_of(connection), head.length, head.link)
    if file is not None:
        _write(file, {"connection": connection.id, "length": head.length, "link": head.link})
    for problem in itertools.chain(
        _walked(database, verdict, file),
        _beyond_end(database, connection.id),
        _otherwise_recorded(database, connection.id),
    ):
        verdict.add(problem)
    return verdict


def _walked(database: Database, verdict: Verdict, file: TextIO | None) -> Iterator[str]:
    """Walk the chain, and yield what is wrong."""
    sequence, link = 0, FIRST
    for one in _entries(database, verdict):
        if file is not None:
            _write(
                file,
                {
                    "sequence": one.sequence,
                    "entry": one.entry,
                    "entry_digest": one.entry_digest,
                    "link": one.link,
                },
            )
        if one.sequence != sequence + 1:
            yield f"revisions {sequence + 1} to {one.sequence - 1} are missing"
        if one.entry is None:
            verdict.erased += 1
        elif digest_of(one.entry) != one.entry_digest or _is_of_another(one):
            yield f"revision {one.sequence} was changed"
        if one.sequence == sequence + 1 and link_after(link, one.entry_digest) != one.link:
            yield f"revision {one.sequence} does not follow the one before"
        sequence, link = one.sequence, one.link
    if sequence != verdict.length or (sequence and link != verdict.link):
        yield f"the chain ends at revision {sequence}, and {verdict.length} were recorded"


def _beyond_end(database: Database, connection_id: str) -> Iterator[str]:
    """Yield a line if there are revisions past the chain's end, as it is now."""
    with database.read() as session:
        length, last = revision_chain.extent(session, connection_id)
    if last > length:
        yield f"the chain ends at revision {length}, and there are others up to {last}"


def _entries(database: Database, verdict: Verdict) -> Iterator[ChainEntry]:
    after = 0
    while True:
        with database.read() as session:
            page = revision_chain.entries(
                session, verdict.connection_id, after, verdict.length, _PAGE
            )
        if not page:
            return
        yield from page
        after = page[-1].sequence


def _is_of_another(one: ChainEntry) -> bool:
    """Return whether the revision stands with another invoice than its entry names."""
    return bool(exact_json.decode(one.entry or "{}").get("invoice") != one.invoice_id)


def _otherwise_recorded(database: Database, connection_id: str) -> Iterator[str]:
    """Yield a line for each invoice whose record differs from its last entry."""
    after = ""
    while True:
        with database.read() as session:
            page = revision_chain.recorded(session, connection_id, after, _PAGE)
        if not page:
            return
        for one in page:
            if _differs(one):
                yield f"invoice {one.id} is recorded otherwise"
        after = page[-1].id


def _differs(invoice: RecordedState) -> bool:
    if invoice.entry is None:
        return True
    entry = exact_json.decode(invoice.entry)
    recorded = (invoice.total, invoice.balance, invoice.deleted, invoice.currency)
    said = (_amount(entry["total"]), _amount(entry["balance"]), entry["deleted"], entry["currency"])
    if invoice.forgotten:  # that is left of it, and no more
        return recorded != said
    codes = [one["code"] for one in invoice.holds]
    names = (invoice.number, invoice.customer_id, codes, invoice.hold)
    holds = entry["holds"]
    first = holds[0] if holds else None
    return (*recorded, *names) != (*said, entry["number"], entry["customer"], holds, first)


def _amount(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _cells(verdict: Verdict) -> tuple[object, ...]:
    named = verdict.problems[:_MOST_NAMED]
    more = len(verdict.problems) - len(named) + verdict.more
    lines = [*named, *([f"and {more:,} more"] if more else [])]
    result = "; ".join(lines) or "whole"
    return (verdict.company, verdict.length, verdict.erased, verdict.link[:16] or "-", result)


def _write(file: TextIO, line: dict[str, Any]) -> None:
    file.write(json.dumps(line) + "\n")
