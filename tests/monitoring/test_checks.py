"""Every cause: set the rows, and it is there; take them away, and it is over."""

from datetime import UTC, datetime, timedelta

import pytest

from service.monitoring.condition import Condition
from tests.databases import statements
from tests.monitoring.scene import DAYS, HOURS, MINUTES, NOW, SECONDS, Scene, some_settings

pytestmark = pytest.mark.both_databases("the statements are its own")


def test_nothing_is_wrong_with_a_company_that_works(scene: Scene) -> None:
    scene.company(hard_expires_at=NOW + 300 * DAYS)
    scene.reconciled(ago=2 * HOURS)
    scene.notices(3, ago=2 * MINUTES)
    scene.webhooks(5, "stored", ago=MINUTES)
    scene.last_beat("receiver", 5)
    scene.last_beat("clock", 5)
    assert scene.wrong() == []


def test_a_connection_that_quickbooks_has_ended(scene: Scene) -> None:
    dead_since = NOW - 3 * HOURS
    scene.company("c1", state="disconnected", problem="invalid_grant", disconnected_at=dead_since)
    assert scene.wrong() == [
        Condition(
            cause="connection.dead",
            severity="critical",
            subject="c1",
            company="Company c1",
            since=dead_since,
            text="QuickBooks no longer accepts this company's connection: nothing is read until"
            " its supplier connects again.",
            command="infactor-quickbooks connect-url --connection c1",
        )
    ]
    scene.change(state="connected", problem=None)
    assert scene.wrong() == []


def test_a_connection_that_an_operator_has_ended_is_not_wrong(scene: Scene) -> None:
    scene.company(state="disconnected", problem=None, disconnected_at=NOW - HOURS)
    scene.reconciled(ago=2 * HOURS, error="1 invoice differs")
    assert scene.wrong() == []


def test_the_companies_of_another_environment_are_nobodys_concern(scene: Scene) -> None:
    scene.company(
        environment="production",
        state="disconnected",
        problem="invalid_grant",
        throttled_since=NOW - HOURS,
        hard_expires_at=NOW + DAYS,
    )
    scene.reconciled(ago=HOURS, error="1 invoice differs", unannounced=100)
    scene.notices(1, ago=HOURS)
    assert scene.wrong() == []


@pytest.mark.parametrize(
    ("left", "causes"),
    [
        (30 * DAYS + MINUTES, []),
        (30 * DAYS, ["token.ending"]),
        (7 * DAYS + MINUTES, ["token.ending"]),
        (7 * DAYS, ["token.ending_soon", "token.ending"]),
        (-HOURS, ["token.ending_soon", "token.ending"]),
    ],
)
def test_an_authorisation_that_ends_within_30_days_and_again_within_7(
    scene: Scene, left: timedelta, causes: list[str]
) -> None:
    scene.company(hard_expires_at=NOW + left)
    assert scene.causes() == causes


def test_the_end_of_an_authorisation_is_told_with_its_day_and_what_to_do(scene: Scene) -> None:
    scene.company("c1", hard_expires_at=NOW + 5 * DAYS)
    soon, ending = scene.wrong()
    assert (soon.severity, ending.severity) == ("critical", "warning")
    assert soon.text == ending.text
    assert soon.text == (
        "QuickBooks ends this company's authorisation on 2026-11-25, in 5 days: its supplier has"
        " to connect again before."
    )
    assert soon.command == "infactor-quickbooks connect-url --connection c1"
    assert (soon.since, ending.since) == (NOW - 2 * DAYS, NOW - 25 * DAYS)
    scene.change(hard_expires_at=NOW + 1825 * DAYS)
    assert scene.wrong() == []


def test_a_reconcile_that_left_a_difference_is_red_until_one_is_green(scene: Scene) -> None:
    scene.company("c1")
    scene.last_beat("clock", 5)
    scene.reconciled(ago=2 * DAYS)
    scene.reconciled(ago=5 * HOURS, error="2 invoices differ")
    scene.reconciled(ago=4 * HOURS, kind="backfill")  # another kind of run says nothing about it
    scene.reconciled(ago=HOURS, state="active")  # nor does one that has not ended
    (red,) = scene.wrong()
    assert red == Condition(
        cause="reconcile.red",
        severity="critical",
        subject="c1",
        company="Company c1",
        since=NOW - 5 * HOURS,
        text="The newest reconcile left a difference: 2 invoices differ.",
        command="infactor-quickbooks reconcile --connection c1 --fix",
    )


def test_a_reconcile_that_left_what_cannot_be_shown_says_what_to_do(scene: Scene) -> None:
    """By no number: it is whatever a supplier has typed, and this is sent elsewhere."""
    scene.company("c1")
    scene.last_beat("clock", 5)
    unreadable = {"id": "7", "number": "Smith", "kind": "unreadable", "there": "", "here": ""}
    outdated = {"id": "8", "number": "Jones", "kind": "outdated", "there": "", "here": ""}
    advice = (
        " Ask the supplier to open and save this invoice in QuickBooks, or contact Intuit's support"
        " with the intuit_tid of the failed event."
    )
    error = "QuickBooks cannot show 1 invoice: Smith (Id 7)"
    scene.reconciled(ago=5 * HOURS, error=error, tally={"differences": [outdated, unreadable]})
    (red,) = scene.wrong()
    assert red.text == (
        "The newest reconcile left a difference: QuickBooks cannot show 1 invoice;"
        f" 1 invoice differs from QuickBooks.{advice}"
    )
    assert red.command == "infactor-quickbooks reconcile --connection c1 --fix"
    scene.reconciled(ago=HOURS, error=error, tally={"differences": [unreadable]})
    (red,) = scene.wrong()
    assert red.text == (
        f"The newest reconcile left a difference: QuickBooks cannot show 1 invoice.{advice}"
    )
    assert red.command == "infactor-quickbooks webhooks --failed"


WOULD = (
    "it would withdraw 30 of the company's 30 undecided invoices"
    " (30 paid in QuickBooks; more than 4 need an operator's confirmation)"
)


def test_a_run_that_waits_for_an_operator(scene: Scene) -> None:
    scene.company("c1")
    scene.last_beat("clock", 5)
    halted = {
        "state": "active",
        "halted_at": NOW - HOURS,
        "halt_reason": WOULD,
        "error": f"{WOULD}: Smith, 102",
    }
    scene.reconciled(ago=2 * HOURS, **halted)
    later = {**halted, "halted_at": NOW - MINUTES}
    scene.reconciled(ago=2 * HOURS, kind="backfill", **later)  # one after the other
    (stopped,) = scene.wrong()
    assert stopped == Condition(
        cause="withdrawals.stopped",
        severity="critical",
        subject="c1",
        company="Company c1",
        since=NOW - HOURS,
        text=f"A reconcile has stopped: {WOULD}. Until somebody decides, the company is not"
        " reconciled.",
        command="infactor-quickbooks confirm --run 1 --dry-run",
    )
    scene.run(1, state="failed", finished_at=NOW)
    commands = {c.cause: c.command for c in scene.wrong()}
    assert commands["withdrawals.stopped"] == "infactor-quickbooks confirm --run 2 --dry-run"
    scene.run(2, halted_at=None, confirmed=True)
    assert "withdrawals.stopped" not in scene.causes()


def test_a_run_that_waits_is_nobodys_concern_where_nobody_can_help(scene: Scene) -> None:
    halted = {"state": "active", "halted_at": NOW - HOURS, "halt_reason": WOULD}
    scene.company("c1", environment="production")
    scene.company("c2", state="disconnected", problem=None)
    scene.reconciled("c1", ago=HOURS, **halted)
    scene.reconciled("c2", ago=HOURS, **halted)
    assert "withdrawals.stopped" not in scene.causes()


FAILING = {
    "state": "active",
    "error": "QuickBooks refused (HTTP 400, code 6000)",
    "error_class": "Refused",
    "failing_since": NOW - MINUTES,
}


@pytest.mark.parametrize(
    ("kind", "cause", "called"),
    [
        ("backfill", "connect", "first backfill"),
        ("backfill", "command", "backfill"),
        ("reconcile", "daily", "reconcile"),
    ],
)
def test_a_run_that_fails(scene: Scene, kind: str, cause: str, called: str) -> None:
    scene.company("c1")
    scene.last_beat("clock", 5)
    scene.reconciled(ago=HOURS, kind=kind, **{**FAILING, "cause": cause})
    assert scene.wrong() == [
        Condition(
            cause="run.failing",
            subject="c1",
            company="Company c1",
            severity="critical",
            since=NOW - MINUTES,
            text=f"The {called} fails: QuickBooks refused (HTTP 400, code 6000). It is retried"
            " automatically, at most an hour apart, and goes on from where it is; until then"
            " invoices may be missing or out of date here.",
            command="infactor-quickbooks connections retry --connection c1",
        )
    ]
    for over in (
        {"state": "done", "error": None},
        {"error": None, "failing_since": None},
        {"halted_at": NOW, "halt_reason": WOULD},
    ):
        scene.run(1, **{**FAILING, "halted_at": None, **over})
        assert "run.failing" not in scene.causes()


@pytest.mark.parametrize("error_class", ["TransientError", "StoreFailed"])
def test_what_may_pass_is_told_when_it_lasts(scene: Scene, error_class: str) -> None:
    scene.company("c1")
    scene.last_beat("clock", 5)
    scene.reconciled(ago=HOURS, **{**FAILING, "error_class": error_class, "attempts": 4})
    assert scene.wrong() == []
    (failing,) = scene.wrong(NOW + 9 * MINUTES)
    assert (failing.cause, failing.severity) == ("run.failing", "warning")
    scene.run(1, attempts=5)
    assert scene.causes() == ["run.failing"]


@pytest.mark.parametrize(
    "fields",
    [
        {"state": "disconnected", "problem": None},
        {"suspended_at": NOW},
        {"environment": "production"},
    ],
)
def test_what_fails_is_nobodys_concern_where_it_is_not_read(
    scene: Scene, fields: dict[str, object]
) -> None:
    scene.company("c1", barred_since=NOW, **fields)
    scene.company("c2", **fields)
    for company in ("c1", "c2"):
        scene.reconciled(company, ago=HOURS, **FAILING)
    assert {"run.failing", "connection.barred"}.isdisjoint(scene.causes())


def test_a_company_that_does_not_let_us_in(scene: Scene) -> None:
    scene.company("c1", barred_since=NOW - HOURS, problem="the subscription has ended")
    scene.last_beat("clock", 5)
    scene.reconciled(ago=HOURS, **FAILING)
    assert scene.wrong() == [
        Condition(
            cause="connection.barred",
            subject="c1",
            company="Company c1",
            severity="critical",
            since=NOW - HOURS,
            text="the subscription has ended. The supplier can fix that in QuickBooks."
            " We try again every hour; the command tries now.",
            command="infactor-quickbooks connections retry --connection c1",
        )
    ]


def test_the_apps_own_keys(scene: Scene) -> None:
    scene.company("c1")
    scene.company("c2", keys_refused_since=NOW - MINUTES)
    scene.company("c3", keys_refused_since=NOW, state="disconnected", problem=None)
    scene.last_beat("clock", 5)
    scene.reconciled("c2", ago=HOURS, **FAILING)
    (refused,) = scene.wrong()
    assert (refused.cause, refused.severity, refused.subject) == ("keys.refused", "critical", "")
    assert refused.since == NOW - MINUTES
    assert "for 1 of 2 companies: check QUICKBOOKS_CLIENT_ID and" in refused.text


def test_a_green_reconcile_ends_a_red_one(scene: Scene) -> None:
    scene.company("c1")
    scene.company("c2")
    scene.reconciled("c1", ago=5 * HOURS, error="2 invoices differ")
    scene.reconciled("c2", ago=4 * HOURS, state="failed", error="QuickBooks refused")
    scene.reconciled("c1", ago=3 * HOURS)
    (red,) = scene.wrong()
    assert (red.subject, red.text) == ("c2", "The newest reconcile failed: QuickBooks refused.")


def test_changes_that_no_notice_announced(scene: Scene) -> None:
    scene.company("c1")
    scene.company("c2")
    scene.reconciled("c1", ago=20 * HOURS, unannounced=6)
    scene.reconciled("c2", ago=3 * HOURS, unannounced=3)
    scene.reconciled("c2", ago=25 * HOURS, unannounced=50)
    scene.reconciled("c2", ago=2 * HOURS, unannounced=50, cause="downtime")
    assert scene.wrong() == []
    scene.reconciled("c2", ago=HOURS, unannounced=1)
    (broken,) = scene.wrong()
    assert (broken.cause, broken.since) == ("webhooks.broken", NOW - 20 * HOURS)
    assert broken.text == (
        "10 changes of 2 companies came without a notification within a day: webhooks look"
        " broken. The reconcile has read them."
    )
    assert scene.wrong(NOW + 10 * HOURS) == []


def test_whoever_was_turned_away_for_want_of_room(scene: Scene) -> None:
    scene.webhooks(2, "crowded_out", ago=11 * MINUTES)
    scene.webhooks(5, "head_too_large", ago=MINUTES)  # which does no harm
    assert scene.wrong() == []
    scene.webhooks(3, "crowded_out", ago=9 * MINUTES)
    scene.webhooks(4, "page_crowded_out", ago=MINUTES)
    (crowded,) = scene.wrong()
    assert (crowded.cause, crowded.severity) == ("receivers.crowded", "warning")
    assert crowded.text.startswith("7 connections or requests within 10 min were turned away")
    assert crowded.command == "ss -tn state established '( sport = :3000 )'"


def test_a_burst_of_deliveries_without_a_right_signature(scene: Scene) -> None:
    scene.webhooks(1000, "unsigned", ago=11 * MINUTES)
    scene.webhooks(500, "stored", ago=5 * MINUTES)
    scene.webhooks(60, "unsigned", ago=9 * MINUTES)
    scene.webhooks(39, "unsigned", ago=MINUTES)
    assert scene.wrong() == []
    scene.webhooks(1, "unsigned", ago=2 * MINUTES)
    (forged,) = scene.wrong()
    assert (forged.cause, forged.severity) == ("webhooks.forged", "warning")
    assert forged.since == datetime(2026, 11, 20, 16, 10, tzinfo=UTC)
    assert forged.text.startswith("100 webhooks within 10 min were refused")
    assert forged.command == "infactor-quickbooks webhooks --limit 20"
    assert scene.wrong(NOW + 10 * MINUTES) == []


class TestStuckNotices:
    def test_notices_that_wait_for_over_ten_minutes(self, scene: Scene) -> None:
        scene.company("c1")
        scene.company("c2")
        scene.last_beat("clock", 5)
        scene.notices(2, "c1", ago=25 * MINUTES)
        scene.notices(1, "c2", ago=10 * MINUTES)
        scene.notices(1, "c2", ago=9 * MINUTES)
        (stuck,) = scene.wrong()
        assert stuck == Condition(
            cause="webhooks.stuck",
            severity="critical",
            since=NOW - 25 * MINUTES,
            text="3 webhook events of 2 companies are overdue; the oldest has waited for 25 min."
            " None was tried, though workers are alive. Restart the workers, or start more.",
            command="infactor-quickbooks webhooks --pending",
        )
        scene.end_notices(status="done", handled_at=NOW)
        assert scene.wrong() == []

    def test_what_is_tried_again_and_again_waits_all_the_same(self, scene: Scene) -> None:
        scene.company(paused_until=NOW + 5 * MINUTES)
        scene.last_beat("clock", 5)
        scene.notices(1, ago=HOURS, attempts=4, due_at=NOW + 5 * MINUTES)
        assert scene.causes() == ["webhooks.stuck"]

    def test_what_an_operator_has_just_retried_has_not_waited_yet(self, scene: Scene) -> None:
        scene.company()
        scene.last_beat("clock", 5)
        scene.notices(1, ago=9 * DAYS, attempts=0, due_at=NOW - MINUTES)
        assert scene.wrong() == []
        assert scene.causes(NOW + 9 * MINUTES) == ["webhooks.stuck"]

    @pytest.mark.parametrize(
        "fields",
        [
            {"state": "disconnected"},
            {"suspended_at": NOW - 9 * DAYS},
            {"renewed_at": NOW - 9 * MINUTES},
        ],
    )
    def test_what_cannot_be_worked_on_is_not_stuck(
        self, scene: Scene, fields: dict[str, object]
    ) -> None:
        scene.company(**fields)
        scene.last_beat("clock", 5)
        scene.notices(1, ago=8 * DAYS)
        scene.notices(1, None, ago=8 * DAYS)  # of a company that never connected
        assert scene.wrong() == []


class TestLastingThrottle:
    def test_one_company_that_gets_nothing_but_429(self, scene: Scene) -> None:
        scene.company("c1", throttled_since=NOW - 14 * MINUTES)
        scene.reads(1234)
        assert scene.wrong() == []
        scene.change("c1", throttled_since=NOW - 15 * MINUTES)
        (throttled,) = scene.wrong()
        assert throttled == Condition(
            cause="throttled.lasting",
            severity="warning",
            since=NOW - 15 * MINUTES,
            text="QuickBooks has answered 1 company nothing but 429 for more than 15 min,"
            " at 1,234 of 500,000 reads this month.",
            command="infactor-quickbooks connections",
        )
        scene.change("c1", throttled_since=None)
        assert scene.wrong() == []

    def test_several_companies_at_once_look_like_the_cap_of_the_month(self, scene: Scene) -> None:
        for name in ("c1", "c2", "c3"):
            scene.company(name, throttled_since=NOW - HOURS)
        (throttled,) = scene.wrong()
        assert throttled.severity == "critical"
        assert throttled.text.endswith(" This looks like Intuit's cap for the month.")

    def test_one_company_at_the_end_of_the_budget_does_too(self, scene: Scene) -> None:
        scene.company("c1", throttled_since=NOW - HOURS)
        scene.reads(480_000)
        throttled, high = scene.wrong()
        assert throttled.text.endswith(" This looks like Intuit's cap for the month.")
        assert high.cause == "reads.high"

    def test_a_company_that_nobody_calls_is_not_throttled(self, scene: Scene) -> None:
        scene.company("c1", throttled_since=NOW - HOURS, suspended_at=NOW - MINUTES)
        assert scene.wrong() == []


def test_four_fifths_of_the_months_reads(scene: Scene) -> None:
    scene.settings = some_settings(QUICKBOOKS_READS_PER_MONTH="1000")
    scene.company("c1")
    scene.company("c2")
    scene.reads(900, "2026-10")
    scene.reads(500, connection_id="c1")
    scene.reads(299, connection_id="c2")
    assert scene.wrong() == []
    scene.reads(300, connection_id="c2")
    (high,) = scene.wrong()
    assert (high.cause, high.severity, high.since) == ("reads.high", "warning", None)
    assert high.text.startswith("800 of 1,000 reads of this month are used, 80%:")
    assert high.command == "infactor-quickbooks connections"
    assert scene.wrong(NOW + 11 * DAYS) == []  # another month


def test_imports_that_wait_for_another_month_are_critical(scene: Scene) -> None:
    def high() -> tuple[str, bool]:
        (found,) = [one for one in scene.wrong() if one.cause == "reads.high"]
        return found.severity, "1 company waits for it." in found.text

    scene.settings = some_settings(QUICKBOOKS_READS_PER_MONTH="1000")
    scene.company("c1")
    scene.company("c2")
    scene.reconciled("c1", ago=HOURS, kind="backfill", state="active")
    scene.reads(899)
    assert high() == ("warning", False)
    scene.reads(900)
    assert high() == ("critical", True)
    scene.change("c1", state="disconnected")
    assert high() == ("warning", False)


class TestSilence:
    def test_workers_of_which_none_has_beaten_for_two_minutes(self, scene: Scene) -> None:
        scene.last_beat("clock", 110)
        assert scene.wrong() == []
        scene.last_beat("clock", 300)
        (silent,) = scene.wrong()
        assert (silent.cause, silent.severity) == ("workers.silent", "critical")
        assert silent.text == (
            "No worker has been alive for 5 min. Webhooks are stored, but invoices are not brought"
            " up to date."
        )
        assert silent.command == "infactor-quickbooks serve"  # without Redis it does their work
        assert silent.since is not None
        assert abs(silent.since - (NOW - 300 * SECONDS)) < 5 * SECONDS

    def test_where_workers_are_processes_of_their_own_one_is_to_be_started(
        self, scene: Scene
    ) -> None:
        scene.settings = some_settings(
            DATABASE_URL="postgresql://localhost/unused", REDIS_URL="redis://localhost"
        )
        scene.last_beat("clock", 300)
        assert [c.command for c in scene.wrong()] == ["infactor-quickbooks worker"]

    def test_workers_that_never_were_are_missed_once_there_is_work(self, scene: Scene) -> None:
        scene.company("c1")
        assert scene.wrong() == []
        scene.notices(1, ago=MINUTES)
        (silent,) = scene.wrong()
        assert silent.text.startswith("No worker has ever been alive.")
        scene.end_notices(status="done", handled_at=NOW)
        assert scene.wrong() == []

    def test_a_run_is_work_too(self, scene: Scene) -> None:
        scene.company("c1")
        scene.reconciled(ago=MINUTES, kind="backfill", state="active")
        assert scene.causes() == ["workers.silent"]

    def test_receivers_of_which_none_has_beaten_for_two_minutes(self, scene: Scene) -> None:
        assert scene.wrong() == []
        scene.last_beat("receiver", 125)
        (silent,) = scene.wrong()
        assert (silent.cause, silent.command) == ("receivers.silent", "infactor-quickbooks serve")
        assert silent.text.startswith("No receiver has been alive for 2 min")
        scene.last_beat("receiver", 3)
        assert scene.wrong() == []


def test_what_is_critical_comes_first(scene: Scene) -> None:
    scene.company("c1", hard_expires_at=NOW + 20 * DAYS)
    scene.company("c2", state="disconnected", problem="invalid_grant", disconnected_at=NOW)
    scene.notices(10, ago=9 * DAYS, status="failed", handled_at=NOW)
    scene.last_beat("receiver", 500)
    assert scene.causes() == [
        "receivers.silent",
        "connection.dead",
        "token.ending",
        "webhooks.failed",
    ]


def test_no_text_names_a_company_or_a_person(scene: Scene) -> None:
    scene.company("c1", throttled_since=NOW - HOURS, hard_expires_at=NOW + DAYS)
    scene.company("c2", state="disconnected", problem="invalid_grant", disconnected_at=NOW)
    scene.reconciled(ago=HOURS, error="1 invoice differs", unannounced=100)
    scene.notices(1, ago=HOURS)
    texts = [condition.text + condition.command for condition in scene.wrong()]
    assert len(texts) == 7
    assert [text for text in texts if "Company c" in text or "@" in text] == []


def test_a_look_costs_few_queries_however_many_companies_there_are(scene: Scene) -> None:
    for number in range(60):
        name = f"c{number}"
        scene.company(name, throttled_since=NOW - HOURS, hard_expires_at=NOW + DAYS)
        scene.reconciled(name, ago=HOURS, error="1 invoice differs")
        scene.notices(1, name, ago=HOURS)
    with statements(scene.database) as sent:
        found = scene.causes()
    assert found.count("reconcile.red") == 60
    assert 1 <= len([one for one in sent if one.startswith("SELECT")]) <= 20


def test_an_authorisation_that_has_ended_is_not_told_to_end(scene: Scene) -> None:
    scene.company(hard_expires_at=NOW - 40 * DAYS)
    assert {condition.text for condition in scene.wrong()} == {
        "QuickBooks has ended this company's authorisation on 2026-10-11: its supplier has to"
        " connect again."
    }
