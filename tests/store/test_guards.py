"""What makes single writes conditional: what ended, was told or is another's stays as it is."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from service.database.engine import Database
from service.database.tables import (
    Alert,
    Base,
    BrowserSession,
    Connection,
    Document,
    Finding,
    Invoice,
    LoginAttempt,
    Notice,
    OAuthState,
    Run,
    Sample,
    SpentLink,
)
from service.domain import FindingKind
from service.infactor.document_lifecycle import columns_of
from service.queries import measures
from service.store import (
    accounts,
    alerts,
    approvals,
    connections,
    findings,
    inbox,
    invoices,
    judging_queue,
    login_attempts,
    old_rows,
    proof,
    quickbooks_times,
    runs,
    sessions,
    tokens,
    watermarks,
)
from service.store.accounts import KeptAccount, Shares
from tests.builders import like
from tests.store.delivery_rows import DeliveryRows

AT = datetime(2026, 11, 20, 16, 19, 17, tzinfo=UTC)
KEY = ("queue.away", "", "")


def begin_alert(database: Database, at: datetime) -> None:
    with database.write() as session:
        alerts.begin(
            session, KEY, severity="critical", text="Away.", command="doctor", since=at, now=at
        )


def end_alert(database: Database, at: datetime) -> None:
    with database.write() as session:
        ids = session.scalars(select(Alert.id)).all()
        alerts.end(session, ids, at)


def ends(database: Database) -> list[datetime | None]:
    with database.read() as session:
        return list(session.scalars(select(Alert.ended_at).order_by(Alert.id)))


def test_an_alert_ends_once(database: Database) -> None:
    begin_alert(database, AT)
    end_alert(database, AT + timedelta(hours=1))
    end_alert(database, AT + timedelta(hours=2))
    assert ends(database) == [AT + timedelta(hours=1)]


def test_what_returns_within_a_minute_was_never_over(database: Database) -> None:
    begin_alert(database, AT)
    end_alert(database, AT + timedelta(hours=1))
    begin_alert(database, AT + timedelta(hours=1, seconds=59))
    assert ends(database) == [None]


def test_what_returns_later_is_another_alert(database: Database) -> None:
    begin_alert(database, AT)
    end_alert(database, AT + timedelta(hours=1))
    begin_alert(database, AT + timedelta(hours=1, seconds=61))
    assert ends(database) == [AT + timedelta(hours=1), None]


def test_what_returns_after_its_end_was_sent_is_another_alert(database: Database) -> None:
    begin_alert(database, AT)
    end_alert(database, AT + timedelta(hours=1))
    with database.write() as session:
        first = session.scalars(select(Alert.id)).one()
        alerts.note_sent(
            session, first, over=True, to=["ALERT_URL"], now=AT + timedelta(hours=1, seconds=1)
        )
    begin_alert(database, AT + timedelta(hours=1, seconds=2))
    assert ends(database) == [AT + timedelta(hours=1), None]


def test_a_run_that_has_ended_meanwhile_is_not_stopped(
    database: Database, connection_id: str
) -> None:
    with database.write() as session:
        run_id = runs.create_or_join(session, connection_id, "command", None, AT)
    with database.read() as session:
        run = session.get_one(Run, run_id)
    with database.write() as session:
        assert runs.finish(session, session.get_one(Run, run_id), "done", run.tally, None, AT)
    with database.write() as session:
        assert not approvals.await_approval(session, run, "too many", "1001", {"qbk-1": "void"}, AT)
    with database.read() as session:
        ended = session.get_one(Run, run_id)
    assert (ended.state, ended.halted_at, ended.would_withdraw) == ("done", None, None)


def test_old_findings_of_one_kind_are_closed_and_closed_ones_stay_as_they_are(
    database: Database, connection_id: str
) -> None:
    invoice_id = DeliveryRows(database, connection_id).invoice()
    long_ago, earlier = AT - timedelta(days=9), AT - timedelta(days=8)
    with database.write() as session:
        for kind, field, closed_at in (
            (FindingKind.HURRIED, "amount", None),
            (FindingKind.HURRIED, "buyer", earlier),
            (FindingKind.CHANGED, "amount", None),
            (FindingKind.HURRIED, "new", None),
        ):
            session.add(
                Finding(
                    invoice_id=invoice_id,
                    connection_id=connection_id,
                    kind=kind,
                    cause=field,
                    fields=[],
                    severity="critical",
                    state="invoice_accepted",
                    found_at=AT if field == "new" else long_ago,
                    changed_at=long_ago,
                    closed_at=closed_at,
                )
            )
    with database.write() as session:
        findings.close_old(session, FindingKind.HURRIED, AT - timedelta(days=1), AT)
    with database.read() as session:
        rows = session.scalars(select(Finding).order_by(Finding.id)).all()
    assert [row.closed_at for row in rows] == [AT, earlier, None, None]


def columns(database: Database) -> dict[str, object]:
    with database.read() as session:
        row = session.scalars(select(Connection)).one()
        return {column.key: getattr(row, column.key) for column in Connection.__table__.columns}


@pytest.mark.parametrize(
    "late",
    [
        lambda session: connections.synced(session, "c1", AT),
        lambda session: connections.pause(session, "c1", AT, "QuickBooks is down"),
        lambda session: connections.outage_began(session, "c1", "QuickBooks is down", AT),
        lambda session: connections.bar(session, "c1", AT, "not let in", AT),
        lambda session: connections.call_again(session, "c1"),
    ],
    ids=["a success", "an error", "an outage", "a bar", "a retry"],
)
def test_what_comes_late_leaves_a_disconnected_company_as_it_is(
    database: Database, connection_id: str, late: Callable[[Session], None]
) -> None:
    ended = {"state": "disconnected", "failures": 3, "problem": "invalid_grant"}
    with database.write() as session:
        session.execute(update(Connection).values(**ended, paused_until=AT))
    before = columns(database)
    with database.write() as session:
        late(session)
    assert columns(database) == before


def test_a_success_does_not_end_the_pause_that_another_worker_has_begun(
    database: Database, connection_id: str
) -> None:
    until = AT + timedelta(minutes=5)
    with database.write() as session:
        connections.pause(session, connection_id, until, "QuickBooks is down")
        connections.synced(session, connection_id, AT)
    assert columns(database)["paused_until"] == until
    with database.write() as session:
        connections.synced(session, connection_id, until)
    assert columns(database)["paused_until"] is None


def test_since_when_a_company_is_barred_stays_what_it_was(
    database: Database, connection_id: str
) -> None:
    until, later = AT + timedelta(hours=1), AT + timedelta(minutes=30)
    for at in (AT, later):
        with database.write() as session:
            connections.bar(session, connection_id, until, "not let in", at)
    assert columns(database)["barred_since"] == AT


def a_notice(**fields: Any) -> Notice:
    given = {"format": "cloudevents", "status": "done", "received_at": AT, "handled_at": AT}
    mine = {"connection_id": "c1", "entity": "Invoice", "entity_id": "1", "operation": "updated"}
    return Notice(**{**given, **mine, "reason": "refreshed", **fields})


def add(database: Database, *rows: Base) -> None:
    with database.write() as session:
        session.add_all(rows)


def notices(database: Database) -> list[Notice]:
    with database.read() as session:
        return list(session.scalars(select(Notice).order_by(Notice.id)))


def test_a_company_gets_the_notices_of_no_other(database: Database, connection_id: str) -> None:
    unknown = {"connection_id": None, "realm_sealed": "sealed", "status": "pending"}
    add(
        database,
        a_notice(**unknown, realm_digest="mine"),
        a_notice(**unknown, realm_digest="theirs"),
    )
    with database.write() as session:
        assert inbox.link(session, connection_id, "mine") == 1
    assert [n.connection_id for n in notices(database)] == [connection_id, None]


def test_only_what_waits_is_hurried(database: Database, connection_id: str) -> None:
    later, before = AT + timedelta(hours=1), AT - timedelta(hours=1)
    add(
        database,
        a_notice(status="pending", due_at=later),
        a_notice(status="failed", due_at=later),
        a_notice(status="done", due_at=later),
        a_notice(status="pending", due_at=before),
        a_notice(status="pending", due_at=None),
    )
    with database.write() as session:
        assert inbox.hurry(session, connection_id, AT) == 2
    assert [n.due_at for n in notices(database)] == [AT, AT, later, before, None]


def test_only_the_outcome_that_was_promised_of_this_invoice_is_taken_back(
    database: Database, connection_id: str
) -> None:
    add(
        database,
        a_notice(),
        a_notice(entity="Customer"),
        a_notice(entity_id="2"),
        a_notice(status="pending"),
        a_notice(handled_at=AT - timedelta(seconds=1)),
        a_notice(reason="created"),
    )
    with database.write() as session:
        inbox.take_back(session, connection_id, "1", AT)
    taken_back = "not refreshed: already decided in Infactor"
    assert [n.reason for n in notices(database)] == [taken_back, *["refreshed"] * 4, "created"]


def test_a_reconcile_moves_the_watermark_of_its_company_alone_and_no_other_back(
    database: Database, connection_id: str
) -> None:
    read_until = AT + timedelta(hours=2)
    with database.write() as session:
        mine = session.scalars(select(Connection)).one()
        session.add(like(mine, "c2"))
        session.execute(update(Connection).values(changes_read_until=read_until))
    until = AT + timedelta(hours=1)
    with database.write() as session:
        watermarks.reconciled(session, connection_id, until, until)
    with database.read() as session:
        columns = (Connection.reconciled_until, Connection.changes_read_until)
        rows = session.execute(select(*columns).order_by(Connection.id)).all()
    assert [tuple(row) for row in rows] == [(until, read_until), (AT, read_until)]


def test_an_older_revision_of_a_document_is_not_written_over_a_newer_one(
    database: Database, connection_id: str
) -> None:
    invoice_id = DeliveryRows(database, connection_id).invoice()

    def write(revision: int) -> None:
        document = {"state": "invoice_created", "invoiceAmount": revision}
        with database.write() as session:
            supplier_id = session.scalars(select(Connection.supplier_id)).one()
            row = {
                "invoice_id": invoice_id,
                "connection_id": connection_id,
                "supplier_id": supplier_id,
                **columns_of(document),
                "revision": revision,
                "written_at": AT,
            }
            invoices.write_documents(session, [row])

    write(2)
    write(1)
    with database.read() as session:
        assert session.scalars(select(Document.revision)).all() == [2]
    write(3)
    with database.read() as session:
        assert session.scalars(select(Document.revision)).all() == [3]


def test_a_new_session_takes_over_the_consents_of_its_supplier_in_that_browser(
    database: Database, connection_id: str
) -> None:
    browser, another = "b" * 64, "a" * 64

    def begin(session: Session, supplier_id: int, session_digest: str) -> str:
        return sessions.begin_consent(
            session,
            session_digest=session_digest,
            environment="simulator",
            supplier_id=supplier_id,
            link_id=None,
            another_company=False,
            now=AT,
        )

    with database.write() as session:
        mine = session.scalars(select(Connection.supplier_id)).one()
        theirs = connections.upsert_supplier(session, "t@example.com", "T", "", AT)
        states = [
            begin(session, mine, browser),
            begin(session, mine, another),
            begin(session, theirs, browser),
        ]
        cookie = sessions.replace(session, browser, mine, AT)
        kept = [session.get_one(OAuthState, sessions.digest(state)) for state in states]
        found = [consent.session_digest for consent in kept]
    assert found == [sessions.digest(cookie), another, browser]


def test_a_consent_is_used_once_and_no_other_with_it(
    database: Database, connection_id: str
) -> None:
    with database.write() as session:
        supplier_id = session.scalars(select(Connection.supplier_id)).one()
        one, other = (
            sessions.begin_consent(
                session,
                session_digest="b" * 64,
                environment="simulator",
                supplier_id=supplier_id,
                link_id=None,
                another_company=False,
                now=AT,
            )
            for _ in range(2)
        )
    used = []
    for state in (one, one, other):
        with database.write() as session:
            used.append(sessions.use_consent(session, state, AT)[1])
    assert used == [True, False, True]


def test_what_has_expired_is_deleted_and_nothing_else(
    database: Database, connection_id: str
) -> None:
    def left(session: Session) -> list[int]:
        tables = (BrowserSession, OAuthState, SpentLink, LoginAttempt)
        return [session.scalar(select(func.count()).select_from(one)) or 0 for one in tables]

    with database.write() as session:
        supplier_id = session.scalars(select(Connection.supplier_id)).one()
        sessions.SUPPLIERS.begin(session, AT, supplier_id=supplier_id)
        sessions.begin_consent(
            session,
            session_digest="b" * 64,
            environment="simulator",
            supplier_id=supplier_id,
            link_id=None,
            another_company=False,
            now=AT,
        )
        for _ in range(2):  # two consents of one link may both end well
            sessions.spend_link(session, "link", AT)
        login_attempts.attempt(session, ["ops:ada"], AT)
    kept = []
    for later in (timedelta(minutes=9), timedelta(hours=13), timedelta(days=2), timedelta(days=8)):
        with database.write() as session:
            sessions.prune(session, AT + later)
            login_attempts.prune(session, AT + later)
            kept.append(left(session))
    assert kept == [[1, 1, 1, 1], [0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]]


def test_the_first_sample_of_five_minutes_stays(database: Database) -> None:
    for later in (timedelta(0), timedelta(minutes=4)):
        with database.write() as session:
            measures.take(session, "simulator", 5_900_000, AT + later)
    with database.read() as session:
        assert session.scalars(select(Sample.slot)).all() == [5_900_000]


def sealed(refresh: str) -> tokens.SealedTokens:
    later = AT + timedelta(hours=1)
    return tokens.SealedTokens(
        access="access",
        access_expires_at=later,
        refresh=refresh,
        refresh_expires_at=later,
        hard_expires_at=later,
    )


def refresh_tokens(database: Database) -> list[tuple[str | None, str]]:
    """Return the refresh token and the state of each company."""
    with database.read() as session:
        columns = (Connection.refresh_sealed, Connection.state)
        return [tuple(row) for row in session.execute(select(*columns).order_by(Connection.id))]


@pytest.fixture
def two_companies(database: Database, connection_id: str) -> None:
    """Another company with the same tokens beside the first."""
    with database.write() as session:
        session.add(like(session.scalars(select(Connection)).one(), "c2"))
        session.flush()
        session.execute(update(Connection).values(refresh_sealed="old"))


@pytest.mark.usefixtures("two_companies")
def test_tokens_are_replaced_of_one_company_and_only_those_that_they_were_got_with(
    database: Database,
) -> None:
    old, new = ("old", "connected"), ("new", "connected")
    with database.write() as session:
        assert not tokens.replace_tokens(session, "c1", sealed("new"), "another")
    assert refresh_tokens(database) == [old, old]
    for _ in range(2):  # what was stored already counts as stored
        with database.write() as session:
            assert tokens.replace_tokens(session, "c1", sealed("new"), "old")
        assert refresh_tokens(database) == [new, old]


@pytest.mark.usefixtures("two_companies")
def test_one_company_is_declared_dead_and_only_because_of_its_last_token(
    database: Database,
) -> None:
    old = ("old", "connected")
    with database.write() as session:
        assert not tokens.disconnect(session, "c1", "another", "invalid_grant", AT)
    assert refresh_tokens(database) == [old, old]
    with database.write() as session:
        assert tokens.disconnect(session, "c1", "old", "invalid_grant", AT)
    assert refresh_tokens(database) == [("old", "disconnected"), old]


def test_an_invoice_keeps_the_old_row_that_it_has(database: Database, connection_id: str) -> None:
    rows = DeliveryRows(database, connection_id)
    ids = [rows.invoice("1"), rows.invoice("2")]
    for row in ("a" * 24, "b" * 24):
        with database.write() as session:
            old_rows.adopt(session, {ids[0]: (row, None)})
    with database.read() as session:
        adopted = select(Invoice.adopted).order_by(Invoice.quickbooks_id)
        assert session.scalars(adopted).all() == ["a" * 24, None]


@pytest.mark.usefixtures("two_companies")
def test_only_this_companys_invoices_are_let_go(database: Database) -> None:
    for company in ("c1", "c2"):
        DeliveryRows(database, company).invoice("1", old_rows_held=True)
    with database.write() as session:
        old_rows.hold(session, ["c1"], [], AT)
    with database.read() as session:
        held = select(Invoice.old_rows_held).order_by(Invoice.connection_id)
        assert session.scalars(held).all() == [False, True]


@pytest.mark.usefixtures("two_companies")
def test_a_reconcile_resets_no_other_companys_watermark_that_lies_ahead(
    database: Database,
) -> None:
    ahead = datetime(2099, 1, 1, tzinfo=UTC)
    with database.write() as session:
        session.execute(update(Connection).values(changes_read_until=ahead))
    with database.write() as session:
        watermarks.reconciled(session, "c1", AT, AT)
    with database.read() as session:
        found = select(Connection.changes_read_until).order_by(Connection.id)
        assert session.scalars(found).all() == [AT, ahead]


def test_an_outage_that_was_none_does_not_end(database: Database, connection_id: str) -> None:
    with database.write() as session:
        assert not connections.outage_ended(session, connection_id)
        connections.outage_began(session, connection_id, "QuickBooks is down", AT)
        assert connections.outage_ended(session, connection_id)
        assert not connections.outage_ended(session, connection_id)


@pytest.mark.usefixtures("two_companies")
def test_only_what_was_noted_of_this_company_before_is_forgotten(database: Database) -> None:
    ahead = datetime(2099, 1, 1, tzinfo=UTC)
    with database.write() as session:
        session.execute(update(Connection).values(time_ahead=ahead, time_ahead_at=AT))

    def forget(before: datetime) -> list[datetime | None]:
        with database.write() as session:
            quickbooks_times.forget_ahead(session, "c1", before)
        with database.read() as session:
            noted = select(Connection.time_ahead).order_by(Connection.id)
            return list(session.scalars(noted))

    assert forget(AT) == [ahead, ahead]
    assert forget(AT + timedelta(seconds=1)) == [None, ahead]


@pytest.mark.usefixtures("two_companies")
def test_of_accounts_only_those_that_changed_are_replaced_and_none_of_another_company(
    database: Database,
) -> None:
    low, high = (KeptAccount("7", Shares(share, 0, 0)) for share in (10, 90))
    with database.write() as session:
        for company in ("c1", "c2"):
            accounts.keep(session, company, {}, {"7": low, "8": low})
            accounts.keep_busy_hours(session, company, (), (3, 4))
    with database.write() as session:
        accounts.keep(session, "c1", {"7": low, "8": low}, {"7": high, "8": low})
        accounts.keep_busy_hours(session, "c1", (3, 4), (4, 5))
    with database.read() as session:
        kept = {company: accounts.kept(session, company) for company in ("c1", "c2")}
        busy = {company: accounts.busy_hours(session, company) for company in ("c1", "c2")}
    assert kept == {"c1": {"7": high, "8": low}, "c2": {"7": low, "8": low}}
    assert busy == {"c1": {4, 5}, "c2": {3, 4}}


@pytest.mark.usefixtures("two_companies")
def test_accounts_that_are_to_be_counted_already_are_not_put_off(database: Database) -> None:
    def due() -> list[datetime | None]:
        with database.read() as session:
            return list(session.scalars(select(Connection.accounts_due_at).order_by(Connection.id)))

    def ask(at: datetime) -> None:
        with database.write() as session:
            accounts.ask(session, "c1", at)

    in_half_a_minute = AT + timedelta(seconds=30)
    ask(AT)
    ask(AT + timedelta(seconds=20))
    assert due() == [in_half_a_minute, None]
    ask(AT - timedelta(hours=1))  # the clock was set back
    assert due() == [in_half_a_minute - timedelta(hours=1), None]


@pytest.mark.usefixtures("two_companies")
def test_one_company_is_judged_and_only_if_nobody_has_asked_again(database: Database) -> None:
    def judged_by() -> list[str]:
        with database.read() as session:
            return list(session.scalars(select(Connection.judged_by).order_by(Connection.id)))

    for company in ("c1", "c2"):
        with database.write() as session:
            judging_queue.begin(session, company, "today")
    with database.write() as session:
        judging_queue.end(session, "c1", "today")
    begun = judged_by()[1]
    assert judged_by() == ["today", begun]
    with database.write() as session:
        judging_queue.ask_for_all(session, "c2")
        judging_queue.end(session, "c2", "today")
    assert judged_by() == ["today", ""]
    assert begun != "today"


@pytest.mark.usefixtures("two_companies")
def test_a_look_proves_its_company_alone_and_none_that_is_paused(database: Database) -> None:
    def proved() -> list[datetime | None]:
        with database.read() as session:
            return list(session.scalars(select(Connection.proved_at).order_by(Connection.id)))

    with database.write() as session:
        session.execute(
            update(Connection).where(Connection.id == "c2").values(suspended_at=AT, proof_lost=0)
        )
        before = proved()[1]
        later = AT + timedelta(days=1)
        assert not proof.prove(session, "c2", 5, later)
        assert proof.prove(session, "c1", 5, later)
    assert proved() == [later, before]


@pytest.mark.usefixtures("two_companies")
def test_changes_move_the_watermark_of_their_company_alone_and_not_back(database: Database) -> None:
    with database.write() as session:
        session.execute(update(Connection).values(changes_read_until=AT))
        watermarks.changes_read(session, "c1", AT + timedelta(hours=1))
        watermarks.changes_read(session, "c1", AT)
    with database.read() as session:
        found = select(Connection.changes_read_until).order_by(Connection.id)
        assert session.scalars(found).all() == [AT + timedelta(hours=1), AT]


def test_a_reconcile_moves_no_watermark_back_but_one_that_lies_ahead(
    database: Database, connection_id: str
) -> None:
    def after(until: datetime) -> datetime:
        with database.write() as session:
            session.execute(update(Connection).values(reconciled_until=until))
            watermarks.reconciled(session, connection_id, AT, AT)
        with database.read() as session:
            return session.scalars(select(Connection.reconciled_until)).one()

    hour = timedelta(hours=1)
    assert (after(AT - hour), after(AT + hour)) == (AT, AT + hour)
    assert after(datetime(2099, 1, 1, tzinfo=UTC)) == AT


@pytest.mark.usefixtures("two_companies")
def test_watermarks_that_lie_ahead_are_reset_of_one_company_and_of_none_that_are_right(
    database: Database,
) -> None:
    ahead = datetime(2099, 1, 1, tzinfo=UTC)

    def reset() -> bool:
        with database.write() as session:
            return watermarks.reset(session, "c1", AT)

    assert not reset()
    with database.write() as session:
        session.execute(update(Connection).values(changes_read_until=ahead))
    assert reset()
    with database.read() as session:
        found = session.scalars(select(Connection.changes_read_until).order_by(Connection.id)).all()
    assert (found[0] < ahead, found[1]) == (True, ahead)
