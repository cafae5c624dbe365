"""Counts each buyer's whole account, and asks for the invoices to be judged that it matters to.

Counting takes a query over the company's open invoices, too much for each batch that is recorded.
So recording judges by the accounts as last counted, and asks for them to be counted soon.
"""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal

import structlog
from sqlalchemy import or_
from sqlalchemy.orm import Session

from service.domain import RuleCode
from service.infactor.rules.book import RuleBook
from service.infactor.rules.circumstances import AccountShares, Circumstances
from service.infactor.rules.facts import InvoiceFacts
from service.infactor.rules.shares import ACCOUNT_RULES, COUNTED_RULES, account_of, busy_hours
from service.kit.clock import now
from service.store import accounts, connections, judging_queue
from service.store.accounts import KeptAccount, OpenAmount, Shares
from workers.company import RecordedCompany

log = structlog.get_logger(__name__)

_HABIT = timedelta(days=90)
# Any open invoice: what these rules ask of an invoice is the same for all of a buyer's.
_OPEN = InvoiceFacts(total=Decimal(1), balance=Decimal(1))


def count_accounts(company: RecordedCompany) -> None:
    """Count the accounts of the company's buyers, and its busy hours, unless it is being imported.

    Invoices to which that makes a difference are asked to be judged again, in one transaction with
    what was counted.
    """
    services, connection_id = company.services, company.connection_id
    book = services.settings.rules
    with services.database.write() as session:
        connections.lock(session, connection_id)
        if accounts.is_importing(session, connection_id):
            return
        if not book.asks_any(COUNTED_RULES):
            accounts.counted(session, connection_id)
            return
        before = accounts.kept(session, connection_id)
        after = _accounts(company, session, before)
        accounts.keep(session, connection_id, before, after)
        concerned = [
            customer
            for customer in before.keys() | after.keys()
            if _reasons(book, before.get(customer)) != _reasons(book, after.get(customer))
        ]
        hours = _count_hours(company, session)
        asked = 0
        if concerned or hours:
            which = or_(accounts.are_open_of(concerned), accounts.were_entered_in(hours))
            asked = judging_queue.ask_for(session, connection_id, which)
        accounts.counted(session, connection_id)
    if asked:
        log.info("accounts.moved", connection=connection_id, invoices=asked)


def _accounts(
    company: RecordedCompany, session: Session, before: Mapping[str, KeptAccount]
) -> dict[str, KeptAccount]:
    """Return the account of each customer with open invoices: its buyer's."""
    settings, connection_id = company.services.settings, company.connection_id
    currency = settings.infactor_currency
    amounts = accounts.open_amounts(session, connection_id, settings.today(now()), currency)
    buyers = accounts.buyers_of(session, connection_id, amounts.keys())
    theirs = accounts.of_buyers(amounts, buyers)
    elsewhere = accounts.open_elsewhere(session, connection_id, currency)
    all_of = sum(theirs.values(), OpenAmount())
    known = {one.buyer_id: AccountShares(*one.shares) for one in before.values()}
    counted = {
        buyer_id: account_of(
            invoices=amount.invoices,
            open_amount=amount.open,
            overdue=amount.overdue,
            credit=amount.credit,
            buyers=len(theirs) + elsewhere.customers,
            all_invoices=all_of.invoices + elsewhere.invoices,
            all_open=all_of.open + elsewhere.open,
            before=known.get(buyer_id, AccountShares()),
        )
        for buyer_id, amount in theirs.items()
    }
    return {
        customer: KeptAccount(buyer, _shares(counted[buyer])) for customer, buyer in buyers.items()
    }


def _shares(counted: AccountShares) -> Shares:
    return Shares(counted.concentration, counted.overdue, counted.credit)


def _reasons(book: RuleBook, kept: KeptAccount | None) -> list[Mapping[str, str] | None]:
    """Return what the rules about an account say of an open invoice."""
    settled = AccountShares(*kept.shares) if kept else AccountShares()
    today = now().date()  # no such rule asks it
    around = Circumstances(today=today, currency="", account=settled)
    return [
        one.rule.test(_OPEN, around, one.limit)
        for one in book.in_force
        if one.rule.code in ACCOUNT_RULES
    ]


def _count_hours(company: RecordedCompany, session: Session) -> set[int]:
    """Keep which hours were busy, and return those that begin or cease to be."""
    connection_id = company.connection_id
    limit = company.services.settings.rules.limit_of(RuleCode.BURST)
    before = accounts.busy_hours(session, connection_id)
    busy: list[int] = []
    if limit is not None:
        since_ms = int((now() - _HABIT).timestamp() * 1000)
        entered = accounts.entered_by_hour(session, connection_id, since_ms)
        busy = busy_hours(entered, limit, before)
    accounts.keep_busy_hours(session, connection_id, before, busy)
    return before ^ set(busy)
