"""Judges all of a company again, without a read: at midnight, when the rules have changed, and when
its proof was lost or found.
"""

import structlog

from service.config.settings import Settings
from service.domain import RuleCode
from service.infactor.rules.facts import decoded
from service.infactor.rules.judge import plain
from service.kit.clock import now
from service.services import Services
from service.store import judging
from service.store.judging import Basis, JudgedInvoice
from workers.company import RecordedCompany
from workers.recording.judging import Judge
from workers.recording.record import record_judgements

log = structlog.get_logger(__name__)

_PAGE = 1_000
_MOST_AT_ONCE = 50


def ask_for_judging(services: Services) -> None:
    """Ask for each company to be judged whose invoices were judged by other rules, on another day,
    or while it was otherwise known whether they are true.

    So also the day after the clock was set ahead, and the one after it was set back; and whatever
    ended or proved a company, though its message was lost or nobody worked then.
    """
    settings = services.settings
    with services.database.read() as session:
        environment = settings.quickbooks_environment
        due = judging.due(session, environment, _basis(settings), _MOST_AT_ONCE)
    if due and services.jobs.trouble() is not None:
        return  # as with a sweep, each would wait for it
    for connection_id in due:
        services.jobs.judge(connection_id)


def judged_by(settings: Settings) -> str:
    """Return what every company's judgements depend on: the rules in force, and the day."""
    return f"{settings.rules.digest} {settings.today(now()).isoformat()}"


def _basis(settings: Settings) -> Basis:
    return Basis(judged_by(settings), settings.rules.limit_of(RuleCode.UNPROVEN), now())


def judge_company(services: Services, connection_id: str) -> None:
    """Judge the company's invoices if that is due, unless another process does, and record what
    has changed.
    """
    with services.leases.hold(f"judge:{connection_id}") as mine:
        company = RecordedCompany.recorded(services, connection_id) if mine else None
        if company is not None:
            _judge(company)


def _judge(company: RecordedCompany) -> None:
    services, basis = company.services, _basis(company.services.settings)
    with services.database.read() as session:
        wanted = judging.wanted(session, company.connection_id, basis)
    if wanted is None:
        return
    after, seen, changed = "", 0, 0
    while page := _page(company, after):
        seen, after = seen + len(page), page[-1].quickbooks_id
        others = _judged_otherwise(company, page)
        if others:
            changed += record_judgements(company, others)
    with services.database.write() as session:
        judging.judged(session, company.connection_id, wanted)
    log.info("rules.judged", connection=company.connection_id, invoices=seen, changed=changed)


def _page(company: RecordedCompany, after: str) -> list[JudgedInvoice]:
    with company.services.database.read() as session:
        return list(judging.page(session, company.connection_id, after, _PAGE))


def _judged_otherwise(company: RecordedCompany, page: list[JudgedInvoice]) -> list[str]:
    """Return the ids of those whose reasons are others now."""
    services = company.services
    with services.database.read() as session:
        judge = Judge(session, services.settings, company.connection_id, now())
        judgements = judge.judgements({one.id: decoded(one.facts) for one in page})
    return [
        one.id
        for one in page
        if (plain(judgements[one.id].holds), plain(judgements[one.id].signals))
        != (one.holds, one.signals)
    ]
