"""A customer of very many invoices changes: they are mapped again in batches, of which none is lost
or done twice.
"""

import pytest
from dramatiq.brokers.stub import StubBroker
from sqlalchemy import select

from service.database.tables import Connection, Customer, Invoice, Revision
from service.errors import Disconnected
from service.infactor.rules.book import parse_changes
from service.store import connections
from tests.servers import wait_until
from tests.workers.reconciling import set_connection
from tests.workers.world import World, a_customer, an_event, an_invoice, asked_for, with_settings
from workers.company import CompanyContext, RecordedCompany
from workers.process import working
from workers.reading.by_id import CustomerReads, read_invoices
from workers.recording import invoice_batch
from workers.recording.record import record_remapped, rehearse
from workers.rejudging import ask_for_judging, judge_company

pytestmark = pytest.mark.both_databases("the statements are its own")
OLD, NEW = "buyer@example.com", "new@example.com"
WRITES_PLACE = "UPDATE ON customers FOR EACH ROW WHEN (NEW.remap_after IS NOT NULL)"
FIVE = ["1", "2", "3", "4", "5"]


@pytest.fixture
def large(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world in which a customer with five invoices has changed, and two are a batch."""
    monkeypatch.setattr(invoice_batch, "REMAPPED_AT_ONCE", 2)
    # Or those that come to share an address would be judged again, in more turns.
    with_settings(world, infactor_rules=parse_changes("duplicate=off,duplicate_elsewhere=off"))
    world.put("Invoice", *map(an_invoice, FIVE))
    world.webhook(*(an_event("Invoice", number, "created") for number in FIVE))
    world.sync()
    world.judge()
    world.services.jobs.broker.flush_all()
    world.put("Customer", a_customer("7", PrimaryEmailAddr={"Address": NEW}))
    world.hear("Customer", "7", "updated")
    return world


def emails(world: World) -> list[str]:
    """Return the buyer's address of each invoice, in the order in which they are mapped."""
    with world.services.database.read() as session:
        mapped = session.scalars(select(Invoice.mapped).order_by(Invoice.id)).all()
    return [one["buyerEmail"] for one in mapped if one]


def causes(world: World) -> list[str]:
    """Return the cause of every second revision."""
    with world.services.database.read() as session:
        query = select(Revision.cause).where(Revision.number == 2)
        assert session.scalars(select(Revision).where(Revision.number > 2)).all() == []
        return list(session.scalars(query))


def turn(world: World) -> bool:
    """Take one turn of judging, the shortest; return whether another one is asked for."""
    world.services.jobs.broker.flush_all()
    judge_company(world.services, world.connection_id, seconds=0)
    return ("judge_company", world.connection_id) in asked_for(world.services.jobs.broker)


def is_due(world: World) -> bool:
    """Return whether the periodic job asks for the company, as after a message that was lost."""
    world.services.jobs.broker.flush_all()
    ask_for_judging(world.services)
    return ("judge_company", world.connection_id) in asked_for(world.services.jobs.broker)


def test_the_notice_ends_and_the_invoices_follow_a_batch_at_a_time(large: World) -> None:
    assert large.notices()[-1] == ("done", "customer read")
    assert ("judge_company", large.connection_id) in asked_for(large.services.jobs.broker)
    assert emails(large) == [OLD] * 5
    found = []
    for _ in range(3):
        assert is_due(large)
        found.append((turn(large), emails(large).count(NEW)))
    assert found == [(True, 2), (True, 4), (False, 5)]
    assert not is_due(large)
    assert causes(large) == ["customer"] * 5


def test_a_batch_that_is_cut_off_is_done_again_and_no_other(large: World) -> None:
    turn(large)
    with large.refusing(WRITES_PLACE):
        judge_company(large.services, large.connection_id)
    assert emails(large) == [NEW, NEW, OLD, OLD, OLD]
    large.judge()
    assert emails(large) == [NEW] * 5
    assert causes(large) == ["customer"] * 5


def test_the_buyers_accounts_are_counted_again_afterwards(large: World) -> None:
    """A customer's currency, which is that of invoices without one, may have changed."""
    set_connection(large, accounts_due_at=None)
    turn(large)
    assert large.connection().accounts_due_at is not None


def test_a_dry_run_tells_of_all_at_once(large: World) -> None:
    large.put("Customer", a_customer("7", PrimaryEmailAddr={"Address": "newer@example.com"}))
    company = CompanyContext.of(large.services, large.connection_id)
    customers = CustomerReads(company)
    customers.read({"7"})
    reads = customers.complete(read_invoices(company, ["1"]))
    recorded, _, _ = rehearse(company, reads)
    assert sum(outcome.revision is not None for outcome in recorded) == 5


def test_what_cannot_be_mapped_any_more_is_read_again(large: World) -> None:
    with large.services.database.write() as session:
        one = session.scalars(select(Invoice).where(Invoice.quickbooks_id == "3")).one()
        one.source = {**one.source, "TotalAmt": "much"}
    large.judge()
    assert emails(large).count(NEW) == 4
    assert large.notices()[-1][0] == "pending"
    large.sync()
    assert emails(large) == [NEW] * 5


def test_another_change_meanwhile_begins_anew(large: World) -> None:
    turn(large)
    large.put("Customer", a_customer("7", PrimaryEmailAddr={"Address": "newer@example.com"}))
    large.hear("Customer", "7", "updated")
    large.judge()
    assert emails(large) == ["newer@example.com"] * 5


def test_what_is_left_when_a_company_is_handed_over_is_done_in_the_new_suppliers_name(
    large: World,
) -> None:
    before = RecordedCompany.recorded(large.services, large.connection_id)
    assert before is not None
    with large.services.database.write() as session:
        at = session.scalars(select(Connection.connected_at)).one()
        other = connections.ensure_supplier(session, "other@example.com", "Other", "", at)
        session.scalars(select(Connection)).one().supplier_id = other
    with pytest.raises(Disconnected):
        record_remapped(before)
    large.judge()
    with large.services.database.read() as session:
        mapped = session.scalars(select(Invoice.mapped)).all()
    assert [one["supplierName"] for one in mapped if one] == ["Other"] * 5


def test_the_running_service_maps_all_of_them(large: World) -> None:
    assert isinstance(large.services.jobs.broker, StubBroker)
    with working(large.services, threads=2, judging_seconds=0.0):
        large.services.jobs.judge(large.connection_id)
        wait_until(lambda: emails(large) == [NEW] * 5, 60, "the new address")
    with large.services.database.read() as session:
        assert session.scalars(select(Customer.remap_after)).all() == [None]
