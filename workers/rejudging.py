"""Judges recorded invoices again, without a read: all of a company at midnight and when the rules
have changed, some of them when something has changed that surrounds them. Before that, maps those
again whose customer has changed, where these are very many.
"""

import time
from collections.abc import Iterator, Sequence
from datetime import datetime

import structlog

from service.config.settings import Settings
from service.domain import RuleCode
from service.errors import Disconnected
from service.infactor.rules.facts import decoded
from service.kit.clock import now
from service.services import Services
from service.store import accounts, customers, judging_queue, revision_chain
from service.store.judging_queue import Basis, JudgedInvoice, WantedJudging
from workers.accounts import count_accounts
from workers.company import RecordedCompany
from workers.recording.judge_batch import Judge, OtherReason, kept, other_reasons
from workers.recording.record import record_judgements, record_remapped

log = structlog.get_logger(__name__)

_PAGE = 1_000
_MOST_AT_ONCE = 50
_MOST_AT_RISK = 100_000
TURN_SECONDS = 60.0


def ask_for_judging(services: Services) -> None:
    """Ask for each company to be judged whose invoices were judged by other rules, on another day,
    or while it was otherwise known whether they are true; or some of which have to be judged again.

    So also the day after the clock was set ahead, and the one after it was set back; and whatever
    ended or proved a company, though its message was lost or nobody worked then.
    """
    settings = services.settings
    with services.database.read() as session:
        environment = settings.quickbooks_environment
        due = judging_queue.due(session, environment, basis_of(settings, now()), _MOST_AT_ONCE)
    if due and services.jobs.trouble() is not None:
        return  # as with a sweep, each would wait for it
    for connection_id in due:
        services.jobs.judge(connection_id)


def judged_by(settings: Settings) -> str:
    """Return what every company's judgements depend on: the rules in force and what else of the
    settings they ask, and the day.
    """
    withdraw = "on" if settings.infactor_withdraw else "off"
    asked = f"{settings.rules.digest}:{settings.infactor_currency}:{withdraw}"
    return f"{asked} {settings.today(now()).isoformat()}"


def basis_of(settings: Settings, at: datetime) -> Basis:
    """Return what judgements depend on at this moment besides the record."""
    return Basis(judged_by(settings), settings.rules.limit_of(RuleCode.UNPROVEN), at)


def judge_company(services: Services, connection_id: str, *, seconds: float = TURN_SECONDS) -> None:
    """Judge the company's invoices, unless another process does, and record what has changed.

    All of them if that is due, else those that were asked for; a page of these also whenever all of
    them take another turn. Before, the accounts of its buyers are counted, which asks for more.
    Invoices whose customer has changed are mapped first.
    What is not done after so many seconds is left to another turn, which is asked for: a very large
    company gets through, and others get through meanwhile.
    """
    ends_at = time.monotonic() + seconds
    with services.leases.hold(f"judge:{connection_id}") as mine:
        if not mine:
            return
        with services.database.write() as session:
            judging_queue.take_turn(session, connection_id)
        company = RecordedCompany.recorded(services, connection_id)
        if company is None:
            return
        at = now()
        with services.database.read() as session:
            wanted = judging_queue.wanted(session, connection_id, basis_of(services.settings, at))
            begins = wanted is not None and not wanted.begun
            counts = begins or accounts.is_company_due(session, connection_id, at)
        if counts:
            count_accounts(company)
        try:
            mapped = _remap(company, ends_at)
        except Disconnected:
            return  # to be done in the new supplier's name, which is asked for in a minute
        if wanted is None:
            done = _judge_asked(company, ends_at)
        else:
            if wanted.begun:
                _judge_asked(company, time.monotonic())
            done = _judge_all(company, wanted, ends_at)
    if not (done and mapped):
        services.jobs.judge(connection_id)


def _remap(company: RecordedCompany, ends_at: float) -> bool:
    """Map invoices again whose customer has changed, at least one batch; return whether all are."""
    changed, is_left = 0, _has_to_remap(company)
    while is_left:
        changed += record_remapped(company)
        is_left = _has_to_remap(company)
        if time.monotonic() >= ends_at:
            break
    if changed:
        log.info("customers.remapped", connection=company.connection_id, invoices=changed)
    return not is_left


def _has_to_remap(company: RecordedCompany) -> bool:
    with company.services.database.read() as session:
        return customers.to_remap(session, company.connection_id) is not None


def _judge_all(company: RecordedCompany, wanted: WantedJudging, ends_at: float) -> bool:
    """Judge all, from where that was left; return whether it is done. It is one page at least."""
    services, connection_id = company.services, company.connection_id
    with services.database.write() as session:
        after = judging_queue.begin(session, connection_id, wanted.key)
    changed = _withdraw_first(company, ends_at) if wanted.unproven else 0
    seen, going_on = 0, True
    while page := _page(company, after):
        seen, after = seen + len(page), page[-1].quickbooks_id
        others = _judged_otherwise(company, page)
        if others:
            changed += record_judgements(company, others)
        with services.database.write() as session:
            going_on = judging_queue.judged_until(session, connection_id, wanted.key, after)
        if not going_on or time.monotonic() >= ends_at:
            break
    done = not page
    with services.database.write() as session:
        if done:
            judging_queue.end(session, connection_id, wanted.key)
        head = revision_chain.of_company(session, connection_id)
    # Kept elsewhere, the last link shows whether somebody has written another history since.
    log.info("chain.head", connection=connection_id, revisions=head.length, link=head.link)
    log.info(
        "rules.judged", connection=connection_id, invoices=seen, changed=changed, finished=done
    )
    return done


def _withdraw_first(company: RecordedCompany, ends_at: float) -> int:
    """Judge what is offered and undecided first, the largest first: money may be lent on that.

    Returns how many invoices have other reasons now. What is held is not looked for again.
    """
    settings = company.services.settings
    if not (settings.infactor_withdraw and settings.rules.holds(RuleCode.UNPROVEN)):
        return 0
    with company.services.database.read() as session:
        ids = judging_queue.at_risk(session, company.connection_id, _MOST_AT_RISK)
    changed = 0
    for start in range(0, len(ids), _PAGE):
        changed += record_judgements(company, ids[start : start + _PAGE])
        if time.monotonic() >= ends_at:
            break
    return changed


def _judge_asked(company: RecordedCompany, ends_at: float) -> bool:
    """Judge those that were asked for; return whether it is done. It is one page at least."""
    seen, changed = 0, 0
    while (ids := _asked(company)) and (not seen or time.monotonic() < ends_at):
        seen += len(ids)
        changed += record_judgements(company, ids)
    if seen:
        log.info("rules.judged", connection=company.connection_id, invoices=seen, changed=changed)
    return not ids


def _asked(company: RecordedCompany) -> Sequence[str]:
    with company.services.database.read() as session:
        return judging_queue.asked(session, company.connection_id, _PAGE)


def what_if(
    services: Services, connection_id: str, other: Settings
) -> Iterator[tuple[int, list[OtherReason]]]:
    """Yield, page by page, (invoices judged, what the rules of `other` settings say otherwise).

    Judges by both, so it shows what the change of settings does and nothing else. Writes nothing
    and reads nothing of QuickBooks.
    """
    after, at = "", now()
    while True:
        with services.database.read() as session:
            page = judging_queue.page(session, connection_id, after, _PAGE)
            facts = {one.id: decoded(one.facts) for one in page}
            by_ours, by_other = (
                Judge(session, settings, connection_id, at).judgements(facts)
                for settings in (services.settings, other)
            )
        if not page:
            return
        yield (
            len(page),
            [
                reason
                for one in page
                for reason in other_reasons(one.id, kept(by_ours[one.id]), kept(by_other[one.id]))
            ],
        )
        after = page[-1].quickbooks_id


def _page(company: RecordedCompany, after: str) -> list[JudgedInvoice]:
    with company.services.database.read() as session:
        return list(judging_queue.page(session, company.connection_id, after, _PAGE))


def _judged_otherwise(company: RecordedCompany, page: list[JudgedInvoice]) -> list[str]:
    """Return the ids of those whose reasons are others now."""
    services = company.services
    with services.database.read() as session:
        judge = Judge(session, services.settings, company.connection_id, now())
        judgements = judge.judgements({one.id: decoded(one.facts) for one in page})
    return [one.id for one in page if kept(judgements[one.id]) != (one.holds, one.signals)]
