"""What the tests of reconciles do with a world."""

from datetime import timedelta
from typing import Any

from sqlalchemy import update

from service.database.tables import Connection, Run
from service.kit.clock import now
from service.store import runs, watermarks
from tests.workers.world import REALM, World
from workers.runs.reconcile import begin_due
from workers.runs.run import advance


def reconcile(
    world: World, *, full: bool = False, fix: bool = True, cause: str = "daily"
) -> dict[str, Any]:
    """Run a whole reconcile; return its tally, its end and its error."""
    order = {"full": full, "fix": fix}
    with world.services.database.write() as session:
        run_id = runs.begin_reconcile(session, world.connection_id, cause, order, now())
    return finish(world, run_id)


def finish(world: World, run_id: int) -> dict[str, Any]:
    """Do every step of the run that may be done now."""
    while advance(world.services, run_id):
        pass
    run = world.run(run_id)
    return {
        **run.tally,
        "unannounced": run.unannounced,
        "state": run.state,
        "error": run.error,
    }


def due(world: World) -> list[Run]:
    """Look whether reconciles are due, and return all that are under way."""
    begin_due(world.services)
    with world.services.database.read() as session:
        found = runs.latest(session, world.connection_id, "reconcile")
    return [found] if found is not None and found.state == "active" else []


def catch_up(world: World) -> None:
    """Do the reconciles that are due, and whatever judging follows from them."""
    for run in due(world):
        finish(world, run.id)
    world.judge()


def set_connection(world: World, **values: Any) -> None:
    """Change the connection's row behind the service's back."""
    with world.services.database.write() as session:
        session.execute(
            update(Connection).where(Connection.id == world.connection_id).values(**values)
        )


def reconciled_long_ago(world: World, *, days: int) -> None:
    """Let the watermark be so many days ago."""
    set_connection(world, reconciled_until=now() - timedelta(days=days))


def watermark(world: World) -> Any:
    """Return up to when the company was reconciled."""
    with world.services.database.read() as session:
        return watermarks.reconciled_until(session, world.connection_id)


def cannot_show(world: World, *ids: str, entity: str = "Invoice", fault: str = "4002") -> None:
    """Let QuickBooks fail on every page, query and change list that holds one of these."""
    orders = [{"company": REALM, "entity": entity, "id": i, "fault": fault} for i in ids]
    world.order("POST", "poison", orders)


def named(differences: list[dict[str, str]]) -> list[tuple[str, str]]:
    """Return (id, kind) of each difference."""
    return [(one["id"], one["kind"]) for one in differences]
