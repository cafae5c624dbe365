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
def test_what_nobody_here_can_mend_is_an_outage(
    small_world: World, fault: dict[str, Any], why: str
) -> None:
    heard(small_world)
    if fault.get("kind") == "token":
        small_world.pass_time_in_quickbooks(hours=2)
    small_world.faults(fault)
    small_world.sync()
    began = small_world.connection()
    assert (began.outage, began.outage_since is not None) == (why, True)
    small_world.sync()
    assert small_world.connection().outage_since == began.outage_since
    small_world.no_faults()
    small_world.sync()
    ended = small_world.connection()
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
    small_world: World, fault: dict[str, Any]
) -> None:
    heard(small_world)
    small_world.faults(fault)
    small_world.sync()
    assert small_world.connection().outage_since is None


def test_it_is_over_when_quickbooks_answers_anything(small_world: World) -> None:
    heard(small_world)
    small_world.faults(DOWN)
    small_world.sync()
    assert small_world.connection().outage_since is not None
    small_world.no_faults()
    small_world.faults({"status": 429})
    small_world.sync()
    assert small_world.connection().outage_since is None


def test_a_run_meets_it_as_well(small_world: World) -> None:
    run_id = small_world.begin_backfill()
    small_world.faults(DOWN)
    small_world.work_on_run(run_id)
    assert small_world.connection().outage == "QuickBooks is down (HTTP 503)"
    small_world.no_faults()
    small_world.let_time_pass()
    small_world.work_on_run(run_id)
    assert small_world.connection().outage_since is None
