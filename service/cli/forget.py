"""`forget`: deletes what is known of a company, or of a supplier and all their companies."""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from service.cli.console import answer, answer_json, fail, hint, says_what_is_wrong
from service.cli.context import (
    ByRealm,
    BySupplier,
    Json,
    chosen,
    command_services,
    find,
    name_of,
    name_one,
    named_supplier,
    operator,
)
from service.database.tables import Connection
from service.operations.forget import Farewell, forget_company, forget_supplier, rehearse
from service.services import Services
from service.store.forgetting import Forgotten
from service.wording import written

_COUNTED = ("customers", "invoices", "documents", "notices", "runs")


@says_what_is_wrong
def forget(
    supplier: BySupplier = None,
    company: ByRealm = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would go and stay; change nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False,
    as_json: Json = False,
) -> None:
    """Disconnect for good, and delete tokens, customers, invoices and events.

    What stays: invoices that are past `invoice_created` in Infactor, because a lender may rely on
    them; the month's count of reads; the audit; and that the company was once connected, so that
    nothing is financed twice if it comes back.
    """
    name_one({"--supplier EMAIL": supplier, "--company REALM": company})
    with command_services() as services:
        companies, supplier_id = _chosen(services, supplier, company)
        if dry_run:
            rows, farewell = _rehearse(services, companies, supplier_id)
        else:
            _confirm(companies, yes)
            rows = [_forget(services, connection) for connection in companies]
            farewell = forget_supplier(services, supplier_id, operator())
    if as_json:
        answer_json(rows)
    else:
        for row in rows:
            _explain(row, "would be" if dry_run else "")
    _say_farewell(farewell, "would stay" if dry_run else "stays")


def _chosen(
    services: Services, email: str | None, realm_id: str | None
) -> tuple[list[Connection], int]:
    """Return the companies to forget, and their supplier's id."""
    if email is None:
        ((connection, owner),) = chosen(services, realm_id=realm_id)
        return [connection], owner.id
    with services.database.read() as session:
        owner = named_supplier(session, email)
    return [connection for connection, _ in find(services, supplier=email)], owner.id


def _confirm(companies: Sequence[Connection], yes: bool) -> None:
    if yes:
        return
    names = ", ".join(map(name_of, companies)) or "a supplier without company"
    if not sys.stdin.isatty():
        raise fail("This cannot be undone. Say --yes, or --dry-run to see what it would do.")
    hint(f"To be forgotten: {names}. This cannot be undone.")
    if not typer.confirm("Go on?", err=True):
        raise fail("Nothing was changed.")


def _forget(services: Services, connection: Connection) -> dict[str, Any]:
    forgotten, problem = forget_company(services, connection.id, operator())
    if problem is not None:
        hint(
            f"{name_of(connection)}: QuickBooks has not confirmed that the tokens are revoked:"
            f" {problem}. They are deleted here; to be sure, let the supplier disconnect the app"
            " in QuickBooks."
        )
    return _row(connection, forgotten, revoked=problem is None)


def _rehearse(
    services: Services, companies: Sequence[Connection], supplier_id: int
) -> tuple[list[dict[str, Any]], Farewell]:
    forgotten, farewell = rehearse(services, [c.id for c in companies], supplier_id)
    rows = [_row(c, f, revoked=None) for c, f in zip(companies, forgotten, strict=True)]
    return rows, farewell


def _row(connection: Connection, forgotten: Forgotten, revoked: bool | None) -> dict[str, Any]:
    return {
        "connection": connection.id,
        "company": name_of(connection),
        **forgotten.as_json(),
        "revoked": revoked,
    }


def _explain(row: dict[str, Any], would_be: str) -> None:
    counts = ", ".join(f"{row[name]} {name}" for name in _COUNTED)
    answer(" ".join(f"{row['company']}: {counts} {would_be} deleted.".split()))
    receipts = row["receipts"]
    if receipts:
        answer(
            f"{row['company']}: {sum(receipts.values())} invoices stay as receipts: they are past"
            f" Approval Awaited, and a lender may rely on them ({_by_status(receipts)})."
        )
    if row["left_undecided"]:
        answer(
            f"{row['company']}: {row['left_undecided']} invoices that nobody has decided about stay"
            " in Infactor, where nobody updates them any more: let their buyers reject them."
        )


def _by_status(receipts: Mapping[str, int]) -> str:
    """Return the count of each of Infactor's words; some states share one."""
    counts: Counter[str] = Counter()
    for state, count in receipts.items():
        counts[written("state", state)] += count
    return ", ".join(f"{count} {words}" for words, count in counts.items())


def _say_farewell(farewell: Farewell, stays: str) -> None:
    if farewell.stays is not None:
        hint(f"The supplier's name {stays}: {farewell.stays}.")
