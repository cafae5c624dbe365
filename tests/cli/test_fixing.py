"""Looking at companies and notices, and having notices worked on again."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import redis

from service.database.tables import Notice
from service.kit.clock import now
from tests.cli.columns import cells_of
from tests.cli.place import NOW, Place, a_notice, rows
from tests.journey.deployment import SECRETS
from tests.store.delivery_rows import DeliveryRows

REALM, OTHER = "9341455000000077", "9341455000000088"
NOTHING = (
    "Nothing to retry: no failed or done webhook event matches. Pending ones are tried anyway;"
    " ignored ones can never be acted upon.\n"
)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def statuses(place: Place) -> dict[int, str]:
    return {row["id"]: row["status"] for row in rows(place, "webhooks")}


def test_the_table_of_notices_says_whose_how_often_and_when_next(place: Place) -> None:
    company = place.add_company(REALM, "Bright [red] Bakery")
    place.add_notices(
        a_notice(company, "pending", attempts=3, due_at=NOW + timedelta(hours=1)),
        a_notice(company, "failed", attempts=1, error_message="TotalAmt: missing"),
    )
    failed, pending = cells_of(place.run("webhooks").stdout)
    assert pending == [
        *("1", "2026-11-22 09:36 UTC", "Bright [red] Bakery", "Invoice 145 Update", "pending", ""),
        *("3", "2026-11-22 10:36 UTC", "1", ""),
    ]
    assert failed[4:8] == ["failed", "TotalAmt: missing", "1", ""]


def test_what_quickbooks_cannot_show_says_where_it_is_and_what_to_do(place: Place) -> None:
    company = place.add_company(REALM, "Bright Bakery")
    unreadable = Notice(
        connection_id=company,
        format="own",
        entity="Connection",
        operation="unreadable",
        received_at=NOW,
        status="failed",
        reason="QuickBooks cannot show the first invoice after 176 (Id 76) in the order of changes",
        error_message="QuickBooks failed on a record of the query",
        intuit_tid="1-abc-def",
    )
    place.add_notices(unreadable)
    (failed,) = cells_of(place.run("webhooks", "--failed").stdout)
    assert failed[3] == "What QuickBooks cannot show"
    assert failed[5] == (
        "QuickBooks cannot show the first invoice after 176 (Id 76) in the order of changes:"
        " QuickBooks failed on a record of the query. Ask the supplier to open and save it in"
        " QuickBooks, then retry this. Or contact Intuit's support with this intuit_tid."
    )


def test_notices_are_chosen_by_what_became_of_them(place: Place) -> None:
    company = place.add_company(REALM, "Bright Bakery")
    place.add_notices(*(a_notice(company, s) for s in ("pending", "done", "failed", "ignored")))
    assert [row["status"] for row in rows(place, "webhooks", "--failed")] == ["failed"]
    assert [row["status"] for row in rows(place, "webhooks", "--pending")] == ["pending"]
    both = rows(place, "webhooks", "--failed", "--pending")
    assert [row["status"] for row in both] == ["failed", "pending"]
    assert {row["company"] for row in rows(place, "webhooks")} == {"Bright Bakery"}


def test_a_table_shows_a_hundred_notices_and_programs_get_all_of_them(place: Place) -> None:
    company = place.add_company(REALM, "Bright Bakery")
    place.add_notices(*(a_notice(company, "done", reason="read") for _ in range(101)))
    table = place.run("webhooks")
    assert table.stdout.count("Invoice 145 Update") == 100
    assert table.stderr == ("These are the newest 100. --limit shows more, --json all of them.\n")
    everything = place.run("webhooks", "--limit", "101")
    assert (everything.stdout.count("Invoice 145 Update"), everything.stderr) == (101, "")
    assert len(rows(place, "webhooks")) == 101
    assert [row["id"] for row in rows(place, "webhooks", "--limit", "2")] == [101, 100]


def test_a_disconnected_company_comes_with_the_command_that_fixes_it(place: Place) -> None:
    lost = place.add_company(REALM, "Bright Bakery", state="disconnected")
    place.add_company(OTHER, "Connected Bakery")
    ended = place.run("connections")
    assert ended.stdout.count("2026-11-22 09:36 UTC") == 2
    assert ended.stderr == (
        "Bright Bakery is disconnected. Send a new link:"
        f" infactor-quickbooks connect-url --connection {lost}\n"
    )


def test_a_backfill_of_nobody_is_no_failure(place: Place) -> None:
    place.run("migrate")
    ended = place.run("backfill", "--all")
    assert (ended.returncode, ended.stdout) == (0, "")
    assert ended.stderr == "No company is connected, so there is nothing to read.\n"


def test_a_backfill_that_leaves_everybody_out_is_a_failure(place: Place) -> None:
    place.add_company(REALM, "Bright Bakery", state="disconnected")
    ended = place.run("backfill", "--all")
    assert ended.returncode == 1
    assert "Bright Bakery: not connected, left out" in ended.stderr


def test_one_notice_is_retried_as_if_it_had_just_come(place: Place) -> None:
    company = place.add_company(REALM, "Bright Bakery")
    failed = {"attempts": 4, "losses": 3, "handled_at": NOW, "reason": "failed for good"}
    failed |= {"error_class": "Refused", "error_message": "no", "intuit_tid": "t-1"}
    one, another = place.add_notices(
        a_notice(company, "failed", **failed), a_notice(company, "failed", **failed)
    )
    before = now()
    ended = place.run("replay", "--event", str(one))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "1 event will be retried.\n", "")
    with place.services() as services, services.database.read() as session:
        fixed, other = session.get_one(Notice, one), session.get_one(Notice, another)
    assert (other.status, other.attempts, other.losses) == ("failed", 4, 3)
    assert (fixed.status, fixed.reason) == ("pending", "retried by an operator")
    assert (fixed.attempts, fixed.losses, fixed.handled_at) == (0, 0, None)
    assert (fixed.error_class, fixed.error_message, fixed.intuit_tid) == (None, None, None)
    assert fixed.due_at is not None
    assert before <= fixed.due_at <= now()


def test_replaying_twice_is_harmless(place: Place) -> None:
    company = place.add_company(REALM, "Bright Bakery")
    place.add_notices(a_notice(company, "failed"))
    assert place.run("replay", "--company", REALM).returncode == 0
    before = rows(place, "webhooks")
    again = place.run("replay", "--company", REALM)
    assert (again.returncode, again.stdout, again.stderr) == (2, "", NOTHING)
    assert rows(place, "webhooks") == before


def test_what_is_pending_or_can_never_be_acted_upon_stays(place: Place) -> None:
    company = place.add_company(REALM, "Bright Bakery")
    kinds = ("pending", "done", "failed", "ignored")
    place.add_notices(*(a_notice(company, status) for status in kinds))
    assert place.run("replay", "--company", REALM).stdout == "2 events will be retried.\n"
    assert statuses(place) == {1: "pending", 2: "pending", 3: "pending", 4: "ignored"}


@pytest.mark.parametrize(
    ("options", "retried"),
    [
        (["--invoice", "145"], {1, 2, 3}),
        (["--company", OTHER], {3}),
        (["--company", f" 00{OTHER}"], {3}),
        (["--company", REALM, "--invoice", "146"], {4}),
        (["--since", "2026-11-22T09:46Z"], {2, 3, 4}),
        (["--since", "2026-11-22", "--until", "2026-11-22T09:46Z"], {1}),
        (["--company", REALM, "--since", "2026-11-22T10:46+01:00"], {2, 4}),
    ],
)
def test_options_together_choose_what_fits_all_of_them(
    place: Place, options: list[str], retried: set[int]
) -> None:
    mine, other = place.add_company(REALM, "Mine"), place.add_company(OTHER, "Other")
    place.add_notices(
        a_notice(mine, "done"),
        a_notice(mine, "done", minutes=10),
        a_notice(other, "done", minutes=20),
        a_notice(mine, "done", minutes=30, entity_id="146"),
    )
    assert place.run("replay", *options).returncode == 0
    assert {number for number, status in statuses(place).items() if status == "pending"} == retried


def test_notices_of_a_disconnected_company_wait(place: Place) -> None:
    company = place.add_company(REALM, "Bright Bakery", state="disconnected")
    place.add_notices(a_notice(company, "failed"))
    ended = place.run("replay", "--event", "1")
    assert (ended.returncode, ended.stdout) == (0, "1 event will be retried.\n")
    assert ended.stderr == "Bright Bakery: not connected; its events wait until it is again.\n"


@pytest.mark.parametrize("options", [["--event", "99"], ["--company", OTHER], ["--invoice", "1"]])
def test_whoever_asks_for_nothing_that_is_there_is_told_so(
    place: Place, options: list[str]
) -> None:
    company = place.add_company(REALM, "Bright Bakery")
    place.add_company(OTHER, "Connected Bakery")
    place.add_notices(a_notice(company, "failed"))
    ended = place.run("replay", *options)
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", NOTHING)
    assert statuses(place) == {1: "failed"}


def test_whoever_gives_the_number_of_an_invoice_is_told_its_id(place: Place) -> None:
    mine, other = place.add_company(REALM, "Mine"), place.add_company(OTHER, "Other")
    place.add_notices(a_notice(mine, "failed", entity_id="20"))
    with place.services() as services:
        DeliveryRows(services.database, mine).invoice("20", doc_number="1020")
        DeliveryRows(services.database, other).invoice(
            "33",
            doc_number="1020",
        )
    ended = place.run("replay", "--invoice", "1020")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == NOTHING.replace("\n", " Number 1020 is Id 20 or 33.\n")
    ended = place.run("replay", "--invoice", "1020", "--company", REALM)
    assert ended.stderr == NOTHING.replace("\n", " Number 1020 is Id 20.\n")


def test_a_company_that_nobody_knows_is_not_one_without_notices(place: Place) -> None:
    company = place.add_company(REALM, "Bright Bakery")
    place.add_notices(a_notice(company, "failed"))
    ended = place.run("replay", "--company", REALM[:-1])
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == ("No company matches. `infactor-quickbooks connections` lists them.\n")


SELECTORS = "Name at least one of --event ID, --invoice ID, --company REALM, --since WHEN.\n"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], SELECTORS),
        (["--until", "2026-11-22"], SELECTORS),
        (["--since", "soon"], "--since takes a date such as 2026-01-31, or 2026-01-31T08:00Z.\n"),
        (
            ["--since", "2026-11-22", "--until", "0001-01-01T00:00+14:00"],
            "--until takes a date such as 2026-01-31, or 2026-01-31T08:00Z.\n",
        ),
        (
            ["--since", "2026-11-22", "--until", "2026-11-22"],
            "--until must be later than --since.\n",
        ),
        (
            ["--invoice", "x"],
            "--invoice takes the Id of an invoice in QuickBooks, which is digits.\n",
        ),
    ],
)
def test_a_replay_that_makes_no_sense_is_refused_in_words(
    place: Place, options: list[str], says: str
) -> None:
    ended = place.run("replay", *options)
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", says)


@pytest.fixture
def failed(tmp_path: Path, postgres_database: str) -> Callable[[str], Place]:
    """A place on PostgreSQL with one failed notice, for a Redis at the given address."""

    def make(redis_url: str) -> Place:
        urls = {"DATABASE_URL": postgres_database, "REDIS_URL": redis_url}
        place = Place(tmp_path, {**SECRETS, **urls})
        company = place.add_company(REALM, "Bright Bakery")
        place.add_notices(a_notice(company, "failed"))
        return place

    return make


def test_workers_are_asked_to_begin_at_once(
    failed: Callable[[str], Place], redis_database: str
) -> None:
    ended = failed(redis_database).run("replay", "--event", "1")
    assert (ended.returncode, ended.stderr) == (0, "")
    with redis.Redis.from_url(redis_database) as client:
        assert client.llen("dramatiq:sync") == 1


def test_without_redis_the_notice_is_retried_all_the_same(
    failed: Callable[[str], Place],
) -> None:
    ended = failed("redis://127.0.0.1:1").run("replay", "--event", "1")
    assert (ended.returncode, ended.stdout) == (0, "1 event will be retried.\n")
    assert ended.stderr == (
        "REDIS_URL: no answer (ConnectionError); workers find the work once it is back.\n"
    )
