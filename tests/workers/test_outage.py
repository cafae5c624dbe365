"""Since when QuickBooks cannot be reached for a company: what begins that, and what ends it."""

from typing import Any

import pytest

from tests.workers.world import World, an_event, an_invoice

DOWN = {"status": 503}


def heard(world: World) -> None:
    world.put("Invoice", an_invoice("1"))
    world.webhook(an_event("Invoice", "1", "created"))


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ({"status": 503}, "QuickBooks is down (HTTP 503)"),
        ({"status": 500}, "QuickBooks is down (HTTP 500)"),
        ({"status": 408}, "QuickBooks is down (HTTP 408)"),
        ({"status": 502, "body": "<html>"}, "QuickBooks is down (HTTP 502)"),
        ({"drop": True}, "QuickBooks could not be reached (RemoteProtocolError)"),
        ({"kind": "token", "status": 503}, "QuickBooks' token service is down (HTTP 503)"),
    ],
)
def test_what_nobody_here_can_fix_is_an_outage(
    world: World, fault: dict[str, Any], why: str
) -> None:
    heard(world)
    if fault.get("kind") == "token":
        world.pass_time_in_quickbooks(hours=2)
    world.faults(fault)
    world.sync()
    began = world.connection()
    assert (began.outage, began.outage_since is not None) == (why, True)
    world.sync()
    assert world.connection().outage_since == began.outage_since
    world.no_faults()
    world.sync()
    ended = world.connection()
    assert (ended.outage, ended.outage_since) == (None, None)


@pytest.mark.parametrize(
    "fault",
    [
        {"preset": "401"},
        {"status": 429},
        {"fault": "3100"},
        {"fault": "4002"},
        {"status": 418},
    ],
)
def test_what_quickbooks_answers_about_a_company_is_none(
    world: World, fault: dict[str, Any]
) -> None:
    heard(world)
    world.faults(fault)
    world.sync()
    assert world.connection().outage_since is None


def test_it_is_over_when_quickbooks_answers_anything(world: World) -> None:
    heard(world)
    world.faults(DOWN)
    world.sync()
    assert world.connection().outage_since is not None
    world.no_faults()
    world.faults({"status": 429})
    world.sync()
    assert world.connection().outage_since is None


def test_a_run_meets_it_as_well(world: World) -> None:
    run_id = world.begin_backfill()
    world.faults(DOWN)
    world.work_on_run(run_id)
    assert world.connection().outage == "QuickBooks is down (HTTP 503)"
    world.no_faults()
    world.let_time_pass()
    world.work_on_run(run_id)
    assert world.connection().outage_since is None
