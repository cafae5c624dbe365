"""Looking at Infactor while its database is away."""

from sqlalchemy import select, update

from service.coordination import circuit_breaker
from service.database.tables import Breaker, Document, Finding, Invoice
from service.kit.clock import now
from service.simulator.server import RunningSimulator
from tests.servers import free_port
from tests.workers.conftest import connected
from tests.workers.delivering import Delivering
from tests.workers.looking import look_at
from tests.workers.world import World, an_invoice
from workers.delivery.poll import poll_documents


def test_while_infactor_is_away_the_breaker_says_so_and_nothing_is_missed(
    simulator: RunningSimulator, sqlite_url: str
) -> None:
    settings = {
        "INFACTOR_MONGODB_URL": f"mongodb://127.0.0.1:{free_port()}/?serverSelectionTimeoutMS=200",
        "INFACTOR_MONGODB_DATABASE": "none",
    }
    with connected(simulator, sqlite_url, **settings) as world:
        seen_once(world)
        poll_documents(world.services)
        with world.services.database.read() as session:
            broken = circuit_breaker.broken(session, "infactor")
            assert session.scalars(select(Finding)).all() == []
            attempts = session.scalars(select(Breaker.failures)).one()
        assert broken
        assert "no MongoDB that takes writes answers" in broken.why
        with world.services.database.write() as session:
            session.execute(update(Breaker).values(open_until=Breaker.open_until + 3600))
        poll_documents(world.services)  # nobody's turn
        with world.services.database.read() as session:
            assert session.scalars(select(Breaker.failures)).one() == attempts


def seen_once(world: World) -> None:
    """Let an invoice have been delivered, before Infactor's database went away."""
    world.arrive(an_invoice())
    with world.services.database.write() as session:
        invoice = session.scalars(select(Invoice)).one()
        session.add(
            Document(
                invoice_id=invoice.id,
                connection_id=invoice.connection_id,
                supplier_id=world.connection().supplier_id,
                state="invoice_created",
                document={"state": "invoice_created"},
                revision=1,
                written_at=now(),
                seen_at=now(),
            )
        )


def test_a_look_that_succeeds_ends_a_failure(small_delivering: Delivering) -> None:
    small_delivering.arrive(an_invoice())
    services = small_delivering.world.services
    with services.database.write() as session:
        circuit_breaker.failed(session, "infactor", "away")
    with services.database.write() as session:
        session.execute(update(Breaker).values(open_until=0.0))
    look_at(small_delivering)
    with services.database.read() as session:
        assert circuit_breaker.broken(session, "infactor") is None
