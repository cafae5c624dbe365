"""A company is judged in turns that keep what is done; money at risk first, and no company last."""

import pytest
from sqlalchemy import func, select, text, update

from service.database.tables import Connection, Document, Invoice, Revision
from service.infactor.rules.book import parse_changes
from service.kit.clock import now
from service.store import judging_queue
from tests.copies import copy_row
from tests.servers import wait_until
from tests.workers.world import REALM, World, an_invoice, asked_for, with_settings
from workers import rejudging
from workers.process import working
from workers.rejudging import basis_of, judge_company

PAGE = 100
TWO_PAGES = 110


@pytest.fixture
def large(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world whose company has two pages of invoices to judge, all offered; n is due on each.

    A page is of 100, where a real one of 1,000 takes seconds.
    """
    monkeypatch.setattr(rejudging, "_PAGE", PAGE)
    return with_two_pages(world, TWO_PAGES)


def with_two_pages(world: World, invoices: int) -> World:
    world.arrive(an_invoice("1", TotalAmt=1.0, Balance=1.0))
    own = {
        "id": "'qbk-copy-' || n",
        "invoice_id": "'qbk-copy-' || n",
        "quickbooks_id": "CAST(10000 + n AS text)",
        "balance": "one.balance * n",
    }
    with world.services.database.write() as session:
        for table in (Invoice, Document):
            copy_row(session, table, (2, invoices), own)
    world.services.jobs.broker.flush_all()
    return world


def key_of(world: World) -> str:
    """Return by what the company is to be judged."""
    with world.services.database.read() as session:
        basis = basis_of(world.services.settings, now())
        return str(session.scalars(select(basis.key()).select_from(Connection)).one())


def test_what_one_turn_leaves_is_done_in_others(large: World) -> None:
    turns = 0
    while large.connection().judged_by != key_of(large):
        large.services.jobs.broker.flush_all()
        judge_company(large.services, large.connection_id, seconds=0)
        turns += 1
        assert turns <= 3
        left = ("judge_company", large.connection_id) in asked_for(large.services.jobs.broker)
        assert left is (turns < 3)  # two pages, and one to see that there are no more


def test_the_running_service_gets_through_though_its_turns_are_too_short(large: World) -> None:
    with working(large.services, threads=2, judging_seconds=0.0):
        large.services.jobs.judge(large.connection_id)
        wait_until(lambda: large.connection().judged_by == key_of(large), 60, "the judgement")


def test_what_is_asked_for_anew_begins_anew(large: World) -> None:
    judge_company(large.services, large.connection_id, seconds=0)
    until = large.connection().judged_until
    assert until
    with large.services.database.write() as session:
        judging_queue.ask_for_all(session, large.connection_id)
        assert judging_queue.begin(session, large.connection_id, key_of(large)) == ""


def test_what_is_asked_for_meanwhile_waits_for_no_more_than_a_turn(large: World) -> None:
    judge_company(large.services, large.connection_id, seconds=0)
    with large.services.database.write() as session:
        judging_queue.ask(session, large.connection_id, ["qbk-copy-2"])
    judge_company(large.services, large.connection_id, seconds=0)
    assert large.connection().judged_by.endswith(" begun")
    with large.services.database.read() as session:
        assert judging_queue.asked(session, large.connection_id, 1) == []


def test_the_largest_that_are_offered_are_withdrawn_first(world: World) -> None:
    large, invoices = with_two_pages(world, 1_100), 1_100  # of pages as they are
    with_settings(large, infactor_rules=parse_changes("unproven=hold"))
    with large.services.database.write() as session:
        session.execute(update(Connection).values(proved_at=None))
    judge_company(large.services, large.connection_id, seconds=0)
    with large.services.database.read() as session:
        held = select(Invoice.balance).where(Invoice.hold == "unproven")
        in_order = session.scalars(
            select(Invoice.balance)
            .join(Revision, Revision.invoice_id == Invoice.id)
            .where(Revision.hold == "unproven")
            .order_by(Revision.sequence)
        ).all()
        assert session.scalar(select(func.count()).select_from(held.subquery())) == invoices
    # A page in one transaction: the smallest hundred came after it, though their ids come first.
    assert min(in_order[:1_000]) == 101
    assert max(in_order[1_000:]) == 100


def test_a_company_that_cannot_be_judged_lets_others_be(world: World) -> None:
    world.connect(f"{REALM}7", "second@example.com")
    with world.services.database.write() as session:
        first, second = session.scalars(select(Connection.id).order_by(Connection.id)).all()
        broken = update(Connection).where(Connection.id == first).values(realm_sealed="broken")
        session.execute(broken)
        session.execute(text("UPDATE connections SET judged_by = ''"))
    with pytest.raises(Exception, match=r".*"):
        judge_company(world.services, first)
    with world.services.database.read() as session:
        basis = basis_of(world.services.settings, now())
        assert judging_queue.due(session, "simulator", basis, 1) == [second]
