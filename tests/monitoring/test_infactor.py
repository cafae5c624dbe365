"""Causes between the record and Infactor: set the rows, and they are there."""

from datetime import timedelta

import pytest

from service.monitoring.condition import Condition
from service.monitoring.pages import link_of
from service.queries import companies
from service.store import findings, infactor_outbox
from tests.monitoring.scene import HOURS, MINUTES, NOW, Scene

pytestmark = pytest.mark.both_databases("the statements are its own")


class TestAway:
    def test_a_database_that_has_been_away_for_two_minutes(self, scene: Scene) -> None:
        scene.deliver()
        scene.infactor_away(110, "no MongoDB answers")
        assert scene.wrong() == []
        scene.infactor_away(130, "no MongoDB answers")
        (away,) = scene.wrong()
        assert (away.cause, away.severity) == ("infactor.away", "critical")
        assert away.text == (
            "Nothing is delivered for 2 min: no MongoDB answers. Deliveries wait and follow"
            " automatically."
        )
        assert away.command == "infactor-quickbooks doctor"
        assert away.since is not None
        assert abs(away.since - (NOW - timedelta(seconds=130))) < timedelta(seconds=5)
        scene.infactor_works()
        assert scene.wrong() == []

    def test_where_nothing_is_delivered_any_more_nobody_misses_it(self, scene: Scene) -> None:
        scene.infactor_away(9000)
        assert scene.wrong() == []


class TestStuck:
    def test_invoices_that_should_be_there_by_now(self, scene: Scene) -> None:
        scene.deliver()
        scene.company("c1")
        rows = scene.rows()
        rows.invoice("1", recorded_at=NOW - 25 * MINUTES)
        rows.invoice("2", recorded_at=NOW - 10 * MINUTES)
        rows.invoice("3", recorded_at=NOW - 9 * MINUTES)
        rows.invoice("4", recorded_at=NOW - HOURS, delivered_revision=1)
        assert scene.wrong() == [
            Condition(
                cause="deliveries.stuck",
                severity="critical",
                since=NOW - 25 * MINUTES,
                text="2 invoices should be in Infactor by now, which works; the oldest has waited"
                " for 25 min and no other of its company has arrived meanwhile. Restart the"
                " workers, unless the doctor finds a reason.",
                command="infactor-quickbooks doctor",
            )
        ]

    def test_a_long_queue_that_moves_is_not_stuck(self, scene: Scene) -> None:
        scene.deliver()
        for name in ("c1", "c2"):
            scene.company(name)
            scene.rows(name).invoice("1", recorded_at=NOW - 9 * HOURS)
            scene.rows(name).invoice("2", recorded_at=NOW - 9 * HOURS, delivered_revision=1)
        scene.rows("c1").receipt("2", "created", NOW - 11 * MINUTES)
        scene.rows("c1").receipt("2", "created", NOW - 9 * MINUTES)
        (stuck,) = scene.wrong()
        assert stuck.text.startswith("1 invoice should be")  # c2's
        scene.rows("c2").receipt("2", "created", NOW - MINUTES)
        assert scene.wrong() == []

    def test_a_queue_moves_though_a_slower_clock_wrote_the_next_receipt(self, scene: Scene) -> None:
        scene.deliver()
        for name in ("c1", "c2"):
            scene.company(name)
            scene.rows(name).invoice("1", recorded_at=NOW - 9 * HOURS)
            scene.rows(name).invoice("2", recorded_at=NOW - 9 * HOURS, delivered_revision=1)
        scene.rows("c1").receipt("2", "created", NOW - 9 * MINUTES)
        scene.rows("c2").receipt("2", "created", NOW - 12 * MINUTES)
        (stuck,) = scene.wrong()
        assert stuck.text.startswith("1 invoice should be")  # c2's

    def test_an_old_invoice_that_is_to_be_delivered_once_more_has_not_waited(
        self, scene: Scene
    ) -> None:
        scene.deliver()
        scene.company()
        scene.rows().invoice(recorded_at=NOW - 9 * HOURS, due_at=NOW - MINUTES)
        assert scene.wrong() == []
        assert scene.causes(NOW + 9 * MINUTES) == ["deliveries.stuck"]

    def test_while_infactor_is_away_that_is_the_cause(self, scene: Scene) -> None:
        scene.deliver()
        scene.company()
        scene.rows().invoice(recorded_at=NOW - HOURS)
        scene.infactor_away(600)
        assert scene.causes() == ["infactor.away"]

    def test_without_infactors_database_nothing_is_outgoing(self, scene: Scene) -> None:
        scene.company()
        scene.rows().invoice(recorded_at=NOW - HOURS, error="no")
        assert scene.wrong() == []

    def test_the_companies_of_another_environment_are_nobodys_concern(self, scene: Scene) -> None:
        scene.deliver()
        scene.company(environment="production")
        scene.rows().invoice(recorded_at=NOW - HOURS, error="no")
        scene.rows().finding("1", "critical")
        assert scene.wrong() == []


def test_invoices_that_infactor_does_not_take(scene: Scene) -> None:
    scene.deliver()
    scene.company()
    later = {"due_at": NOW + HOURS, "error": "error 121"}
    scene.rows().invoice("1", recorded_at=NOW - 2 * HOURS, **later)
    scene.rows().invoice("2", recorded_at=NOW - HOURS, **{**later, "error": "another"})
    assert scene.wrong() == [
        Condition(
            cause="deliveries.refused",
            severity="warning",
            since=NOW - 2 * HOURS,
            text="2 invoices are not taken by Infactor's database, the first qbk-c1-1: error 121."
            " They are tried again, at most an hour apart.",
            command="infactor-quickbooks doctor",
        )
    ]
    for quickbooks_id in ("1", "2"):
        scene.rows().change(quickbooks_id, delivered_revision=1, error=None)
    assert scene.wrong() == []


def test_each_critical_finding_is_told_with_the_invoice_it_is_about(scene: Scene) -> None:
    for name in ("c1", "c2"):
        scene.company(name)
        mapped = {"companyName": "Zephyr zoe@zephyr.example"}
        scene.rows(name).invoice(doc_number="1460", currency="USD", mapped=mapped)
        scene.rows(name).invoice("2")
    fields = [
        {"field": "invoice", "severity": "critical", "approved": "open", "current": "void"},
        {"field": "balance", "severity": "critical", "approved": "1016.67", "current": "0"},
        {"field": "invoiceNo", "severity": "info", "approved": "1460", "current": "1461"},
    ]
    scene.rows("c1").finding("1", "critical", fields=fields, found_at=NOW - 2 * HOURS)
    address = {"field": "buyerEmail", "approved": "zoe@zephyr.example", "current": "x@y.example"}
    scene.rows("c1").finding("2", "critical", found_at=NOW - HOURS, **address)
    scene.rows("c2").finding("1", "critical", found_at=NOW - HOURS)
    scene.rows("c2").finding("2", "warning")
    first, second, third = scene.wrong()
    assert first == Condition(
        cause="finding.critical",
        severity="critical",
        subject="c1",
        about="1",
        company="Company c1",
        since=NOW - 2 * HOURS,
        text="Invoice 1460 (Zephyr (address)): Invoice: approved open, now void; Balance due:"
        " approved 1,016.67 USD, now 0.00 USD. 1 other field changed too. In Infactor: Approved."
        " Someone may fund or pay it.",
        command="infactor-quickbooks invoice qbk-c1-1",
        page="/ops/invoices/qbk-c1-1",
    )
    assert second.text == (
        "Invoice 101: Buyer's e-mail address: approved (address), now (address). In Infactor:"
        " Approved. Someone may fund or pay it."
    )
    assert (third.subject, third.about) == ("c2", "3")
    scene.rows().close_findings()
    assert scene.wrong() == []


def test_of_many_critical_findings_ten_of_a_company_are_told_and_the_others_counted(
    scene: Scene,
) -> None:
    for name in ("c1", "c2"):
        scene.company(name)
        scene.rows(name).invoice()
    for number in range(13):
        scene.rows("c1").finding("1", "critical", field=f"field-{number}")
    scene.rows("c2").finding("1", "critical")
    told = [(one.subject, one.about) for one in scene.wrong()]
    assert told == [*(("c1", str(n)) for n in range(1, 11)), ("c2", "14"), ("c1", "more")]
    more = scene.wrong()[-1]
    assert more.text == (
        "3 more critical findings of this company, beside the 10 that have an alert of their own."
    )
    assert link_of(more.cause, more.subject, "", more.page) == (
        "/ops/findings?severity=critical&company=c1"
    )
    with scene.database.write() as session:
        findings.acknowledge(session, 3, "simulator", "called", NOW)
    assert ("c1", "11") in [(one.subject, one.about) for one in scene.wrong()]


def test_invoices_that_wait_for_old_rows_to_be_explained(scene: Scene) -> None:
    for name in ("c1", "c2"):
        scene.company(name)
        scene.rows(name).invoice("1", old_rows_held=True)
        scene.rows(name).invoice("2")
    scene.rows("c2").invoice("3", old_rows_held=True)
    assert scene.wrong() == []  # nothing is delivered anyway
    scene.deliver()
    first, second = [one for one in scene.wrong() if one.cause == "old_rows.held"]
    assert first == Condition(
        cause="old_rows.held",
        severity="warning",
        subject="c1",
        company="Company c1",
        text="1 invoice waits: Infactor has rows of its old import with the same Id that fit no"
        " invoice, and nothing may be offered twice. Fix or remove those rows in Infactor.",
        command="infactor-quickbooks adopt --connection c1 --dry-run",
    )
    assert (second.subject, second.text[:15]) == ("c2", "2 invoices wait")
    for name in ("c1", "c2"):
        for number in ("1", "3"):
            scene.rows(name).change(number, old_rows_held=False)
    assert "old_rows.held" not in scene.causes()


def test_a_refused_invoice_waits_since_it_was_recorded_whenever_it_is_tried_again(
    scene: Scene,
) -> None:
    scene.deliver()
    scene.company()
    scene.rows().invoice(recorded_at=NOW - 5 * HOURS, due_at=NOW + HOURS, error="error 121")
    with scene.database.read() as session:
        assert infactor_outbox.backlog(session, "simulator").oldest == NOW - 5 * HOURS
        assert infactor_outbox.backlog_of_each(session, ["c1"])["c1"].oldest == NOW - 5 * HOURS
    assert scene.causes(NOW + 2 * HOURS) == ["deliveries.refused"]


def test_a_company_is_late_by_what_has_waited_or_was_refused(scene: Scene) -> None:
    scene.deliver()
    for name in ("c1", "c2", "c3"):
        scene.company(name)
    scene.rows("c1").invoice(recorded_at=NOW - HOURS)
    scene.rows("c2").invoice(recorded_at=NOW - MINUTES)
    scene.rows("c3").invoice(recorded_at=NOW - MINUTES, error="error 121")
    with scene.database.read() as session:
        late = companies.page(session, "simulator", late_since=NOW - 10 * MINUTES, limit=9)
    assert [entry.connection.id for entry in late] == ["c1", "c3"]
