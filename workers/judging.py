"""Judges all of a company again, without a read: at midnight, and when the rules have changed."""

from collections.abc import Sequence

import structlog

from service.config.settings import Settings
from service.infactor.rules.facts import decoded
from service.infactor.rules.judge import plain
from service.kit.clock import now
from service.services import Services
from service.store import judging, same_sale
from service.store.judging import JudgedInvoice
from workers.company import RecordedCompany
from workers.recording.judging import Judge
from workers.recording.record import record_judgements

log = structlog.get_logger(__name__)

_PAGE = 1_000
_MOST_AT_ONCE = 50


def ask_for_judging(services: Services) -> None:
    """Ask for each company to be judged whose invoices were judged by other rules, or another
    day's; or one of which is to be judged again because of another invoice.

    So also the day after the clock was set ahead, and the one after it was set back.
    """
    settings = services.settings
    with services.database.read() as session:
        due = judging.due(
            session, settings.quickbooks_environment, judged_by(settings), _MOST_AT_ONCE
        )
    for connection_id in due:
        services.jobs.judge(connection_id)


def judged_by(settings: Settings) -> str:
    """Return what a judgement depends on besides the record: the rules in force, and the day."""
    return f"{settings.rules.digest} {settings.today(now()).isoformat()}"


def judge_company(services: Services, connection_id: str) -> None:
    """Judge the company's invoices, unless another process does, and record what has changed.

    All of them if the rules or the day are others, else those that were asked for.
    """
    with services.leases.hold(f"judge:{connection_id}") as mine:
        company = RecordedCompany.recorded(services, connection_id) if mine else None
        if company is not None:
            if _is_due(company):
                _judge(company)
            _judge_asked(company)


def _is_due(company: RecordedCompany) -> bool:
    with company.services.database.read() as session:
        wanted = judged_by(company.services.settings)
        return judging.is_due(session, company.connection_id, wanted)


def _judge_asked(company: RecordedCompany) -> None:
    """Judge those whose neighbours have changed; see `same_sale.ask`."""
    while ids := _asked(company):
        changed = record_judgements(company, ids)
        log.info(
            "rules.judged", connection=company.connection_id, invoices=len(ids), changed=changed
        )


def _asked(company: RecordedCompany) -> Sequence[str]:
    with company.services.database.read() as session:
        return same_sale.asked(session, company.connection_id, _PAGE)


def _judge(company: RecordedCompany) -> None:
    services, wanted = company.services, judged_by(company.services.settings)
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
