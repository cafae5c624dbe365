"""An operator's bad day, as a reader sees it."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from pymongo.database import Database

from service.kit.clock import now
from service.queries import measures
from tests.browser.browsing import Reader, heading, log_in, look
from tests.journey.deployment import Deployment, deployed
from tests.journey.two_companies import REALM, a_book, an_invoice
from tests.people import add_user
from tests.servers import wait_until
from tests.web.ops.operators import PASSWORD, entry
from tests.workers.delivering import infactor_settings


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    """The service in one process, with an operator; one company is connected."""
    url = f"sqlite:///{tmp_path}/pages.db"
    with deployed(tmp_path, a_book(), url, settings={"OPS_USERS": entry("ada")}) as made:
        made.connect(REALM)
        # A command takes more than all that it waits for.
        wait_until(lambda: stored(tmp_path / "pages.db") == 30, 60, "import")
        wait_until(lambda: len(made.rows("invoices", "--supplier", SUPPLIER)) == 30, 60, "import")
        yield made


def stored(database: Path) -> int:
    """Return how many invoices there are."""
    with closing(sqlite3.connect(database)) as connection:
        return int(connection.execute("SELECT count(*) FROM invoices").fetchone()[0])


SUPPLIER = "supplier@example.com"


def test_logging_in_and_looking_around(deployment: Deployment, reader: Reader) -> None:
    page = reader.page()
    page.goto(f"{deployment.receivers[0]}/ops/events")
    heading(page, "Log in to operations")
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("Name and password do not fit")
    expect(page.get_by_label("Name")).to_have_value("ada")
    expect(page.get_by_label("Password")).to_be_focused()
    look(page, "ops-login")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    heading(page, "Webhook events")  # where it was meant to go
    tabs = ("Overview", "Connections", "Events", "Runs", "Alerts", "Findings", "Audit", "Guide")
    for name in tabs:
        page.get_by_role("navigation", name="Operations").get_by_role("link", name=name).click()
        heading(page, {"Events": "Webhook events"}.get(name, name))
        look(page, f"ops-{name.lower()}")
    page.get_by_role("link", name="Operating").click()
    heading(page, "Operating")
    look(page, "ops-guide-operating")
    page.get_by_role("button", name="Log out").click()
    page.goto(f"{deployment.receivers[0]}/ops/")
    heading(page, "Log in to operations")


def test_a_lost_connection(deployment: Deployment, reader: Reader) -> None:
    page = reader.page()
    log_in(page, deployment)
    expect(page.get_by_text("Nothing is wrong.")).to_be_visible()
    deployment.sim("POST", f"/companies/{REALM}/disconnect")
    other = reader.page()
    other.goto(f"{deployment.receivers[0]}/ops/connections")
    other.get_by_role("link", name="Journey Company").click()
    other.get_by_role("button", name="Sync now").click()
    expect(other.get_by_role("status")).to_contain_text("Sync started")
    news = page.locator("#news")
    expect(news).to_have_text(
        "1 thing is wrong: Connection ended by QuickBooks (Journey Company)."
    )  # by itself
    expect(page).to_have_title("1 wrong · Overview · Infactor")
    look(page, "ops-overview-bad")
    page.get_by_role("link", name=re.compile("See details")).click()
    heading(page, "Journey Company")
    expect(page.get_by_text("Ended by QuickBooks")).to_be_visible()
    look(page, "ops-connection-lost")
    page.get_by_role("button", name="Make a link").click()
    heading(page, "Link for Example Supplies")
    expect(page.get_by_label("The link")).to_have_value(re.compile("/quickbook/authorise[?]token="))
    look(page, "ops-link")
    page.get_by_role("link", name="Back to Journey Company").click()
    heading(page, "Journey Company")


def test_a_supplier_is_invited(deployment: Deployment, reader: Reader) -> None:
    page = reader.page()
    log_in(page, deployment, "/ops/connections")
    page.get_by_role("link", name="Invite a supplier").click()
    heading(page, "Invite a supplier")
    page.get_by_label("E-mail address in Infactor").fill("nobody")
    page.get_by_role("button", name="Make a link").click()
    email = page.get_by_label("E-mail address in Infactor")
    expect(email).to_be_focused()
    expect(email).to_have_accessible_description(re.compile("^Exactly as .* This is not an e-mail"))
    look(page, "ops-invite-wrong")
    email.fill("new@example.com")
    page.get_by_label("Name").fill("New Supplies")
    page.get_by_role("button", name="Make a link").click()
    heading(page, "Link for New Supplies")
    expect(page.locator("main time")).to_have_text(re.compile(r"(GMT\u2011[45]|E[SD]T)$"))


def keep_samples(database: Path, count: int) -> None:
    """Add what a worker keeps in so many times five minutes, until now."""
    newest = measures.slot_of(now())
    rows = [(newest - n, 1.5 + n % 7, 9.0 + n % 11, n % 3, 4.0, 80 + n % 50) for n in range(count)]
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executemany(
            "INSERT OR REPLACE INTO samples (slot, lag_p50, lag_p95, pending, oldest_pending, done,"
            " failed, ignored) VALUES (?, ?, ?, ?, ?, ?, 2, 1)",
            rows,
        )


def test_the_course_is_drawn_in_the_readers_time(
    deployment: Deployment, reader: Reader, without_javascript: Reader, tmp_path: Path
) -> None:
    keep_samples(tmp_path / "pages.db", 200)
    page = reader.page()
    log_in(page, deployment)
    picture = page.get_by_role("img", name="Sync latency")
    expect(page.locator(".along time").first).to_have_text(
        re.compile(r"^\d+ \w+, \d\d:\d\d (GMT\u2011[45]|E[SD]T)$")
    )
    expect(picture).to_have_accessible_description(re.compile(r"^p95: .* From .* to .*[45T]$"))
    expect(page.locator(".ticks").first).to_have_text(
        # Round in New York, too: a fifth where a day begins and ends with one.
        re.compile(r"^\s*((00|06|12|18):00\s*){4,5}$")
    )
    look(page, "ops-overview-course")
    tip = page.locator(".plot", has=picture).locator(".tip")
    picture.hover(position={"x": 5, "y": 20})
    expect(tip).to_contain_text("nothing known")  # before the first sample
    page.mouse.move(0, 0)
    expect(tip).to_be_hidden()
    page.keyboard.press("Tab")
    picture.focus()
    page.keyboard.press("End")
    expect(tip).to_contain_text("p95 9.0 sMedian 1.5 s")
    page.keyboard.press("ArrowLeft")
    expect(tip).to_contain_text("p95 10 sMedian 2.5 s")
    said = page.locator(".plot", has=picture).locator(".said")
    expect(said).to_contain_text("p95 10 s, Median 2.5 s")
    with closing(sqlite3.connect(tmp_path / "pages.db")) as connection, connection:
        connection.execute("UPDATE reads SET count = 450000 WHERE kind = 'query'")
    page.get_by_role("link", name="See details of: Most reads of the month are used").click()
    assert page.url.endswith("/ops/#reads")
    most = page.locator("#figures ~ ol").get_by_role("link", name="Journey Company")
    expect(most).to_be_in_viewport()
    look(page, "ops-overview-reads")
    most.click()
    heading(page, "Journey Company")
    plain = without_javascript.page()
    log_in(plain, deployment)
    for label in plain.locator(".along time").all():
        expect(label).to_have_text(re.compile(r"^\d+ \w+, \d\d:\d\d UTC$"))


def test_an_alarm_is_told_and_takes_no_focus_away(
    deployment: Deployment, reader: Reader, tmp_path: Path
) -> None:
    page = reader.page()
    log_in(page, deployment)
    news = page.get_by_role("status")
    expect(news).to_be_empty()
    news.evaluate("element => { element.dataset.kept = 'yes'; }")
    deployment.sim("POST", f"/companies/{REALM}/disconnect")
    deployment.command("sync", "--all", status=1)  # which finds it out
    expect(news).to_have_text("1 thing is wrong: Connection ended by QuickBooks (Journey Company).")
    link = page.get_by_role("link", name=re.compile("See details"))
    link.focus()
    before = link.element_handle()
    keep_samples(tmp_path / "pages.db", 3)
    before.wait_for_element_state("hidden")  # by itself, another has come in its place
    expect(link).to_be_focused()
    deployment.connect(REALM)
    expect(news).to_have_text("Nothing is wrong any more.")
    expect(page).to_have_title("Overview · Infactor")
    expect(page.locator("#live")).to_be_focused()  # what was around the link, which is gone
    expect(news).to_have_attribute("data-kept", "yes")


def line_up(page: Page) -> None:
    """Fail unless the two answers of a question stand in a line, and its box is large enough."""
    yes, no = page.locator("button.danger"), page.get_by_role("link", name="Cancel")
    box = page.get_by_role("checkbox").bounding_box()
    tops = [place["y"] for one in (yes, no) if (place := one.bounding_box())]
    assert len(tops) == 2
    assert tops[0] == tops[1]
    page.set_viewport_size({"width": 360, "height": 900})
    small = page.get_by_role("checkbox").bounding_box()
    assert [(one["width"], one["height"]) for one in (box, small) if one] == [(24, 24)] * 2
    page.set_viewport_size({"width": 1440, "height": 900})


def test_orders_for_a_company(deployment: Deployment, reader: Reader) -> None:
    page = reader.page()
    log_in(page, deployment, "/ops/connections")
    page.get_by_role("link", name="Journey Company").click()
    heading(page, "Journey Company")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("status")).to_contain_text("Paused. This company makes no calls")
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("button", name="Reconcile").click()
    expect(page.get_by_text("Agrees")).to_have_count(2)  # by itself, once it is done
    look(page, "ops-connection")
    page.get_by_role("link", name="Disconnect").click()
    heading(page, "Disconnect Journey Company?")
    look(page, "ops-disconnect")
    line_up(page)
    page.get_by_role("button", name="Disconnect").click()
    expect(page.get_by_role("status")).to_contain_text("Its tokens were given back")


def test_a_run_that_has_stopped(deployment: Deployment, reader: Reader) -> None:
    deployment.sim("POST", "/settings", {"webhooks": "off"})
    paid = [an_invoice(str(n), Balance=0) for n in range(1, 31)]
    deployment.sim("PUT", f"/companies/{REALM}/Invoice", paid)
    page = reader.page()
    log_in(page, deployment, "/ops/connections")
    page.get_by_role("link", name="Journey Company").click()
    page.get_by_role("checkbox", name="Fix what differs").check()
    page.get_by_role("button", name="Reconcile").click()
    decide = page.get_by_role("link", name="Decide")
    expect(decide).to_be_visible()  # by itself, once it has stopped
    look(page, "ops-connection-stopped")
    decide.click()
    heading(page, "Withdraw that many invoices of Journey Company?")
    look(page, "ops-decide")
    page.get_by_role("navigation", name="Operations").get_by_role("link", name="Runs").click()
    page.get_by_role("navigation", name="State").get_by_role("link", name="Needs").click()
    page.get_by_role("link", name=re.compile(r"^Reconcile \d")).click()
    heading(page, "Withdraw that many invoices of Journey Company?")
    page.get_by_role("button", name="End it").click()
    expect(page.get_by_role("status")).to_have_text("Ended. The run withdraws nothing more.")
    expect(decide).to_have_count(0)


def test_an_open_page_follows_its_company(deployment: Deployment, reader: Reader) -> None:
    page = reader.page()
    log_in(page, deployment, "/ops/connections")
    page.get_by_role("link", name="Journey Company").click()
    fix = page.get_by_role("checkbox", name="Fix what differs")
    fix.check()
    before = page.locator("#live").element_handle()
    deployment.command("sync", "--all")
    before.wait_for_element_state("hidden")  # another has come in its place
    expect(fix).to_be_checked()
    expect(fix).to_be_focused()
    page.get_by_role("button", name="Pause").focus()
    deployment.command("connections", "pause", "--company", REALM)
    expect(page.get_by_role("button", name="Resume")).to_be_visible()  # by itself
    expect(page.get_by_role("button", name="Pause")).to_have_count(0)
    expect(page.locator("#orders")).to_be_focused()
    look(page, "ops-connection-paused")
    page.goto(f"{page.url}/release")
    expect(page.get_by_text("disconnect it first")).to_be_visible()
    look(page, "ops-release-connected")


def test_a_failed_notice_is_retried(deployment: Deployment, reader: Reader) -> None:
    page = reader.page()
    log_in(page, deployment, "/ops/events")
    heading(page, "Webhook events")
    deployment.sim("POST", "/poison", {"company": REALM, "id": "7"})
    deployment.sim("PUT", f"/companies/{REALM}/Invoice", an_invoice("7", TotalAmt=7, Balance=7))
    failed = wait_until(lambda: deployment.rows("webhooks", "--failed"), 90, "a failed notice")
    assert len(failed) == 1
    expect(page.locator("#news")).to_contain_text("Something has changed here.")  # by itself
    look(page, "ops-notices-news")
    page.get_by_role("link", name="Show what is new").click()
    page.get_by_role("navigation", name="Status").get_by_role("link", name="Failed").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("tbody time").first).to_have_text(re.compile(r"(GMT\u2011[45]|E[SD]T)$"))
    look(page, "ops-notices-failed")
    page.get_by_role("link", name=re.compile("^Invoice J-7 ")).click()
    heading(page, re.compile("^Invoice J-7 "))
    expect(page.get_by_role("row", name=re.compile("Failed"))).not_to_have_count(0)
    look(page, "ops-notice-failed")
    deployment.sim("DELETE", "/poison")
    page.go_back()
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Retry selected").click()
    expect(page.locator("#flash")).to_contain_text("retried")
    wait_until(lambda: not deployment.rows("webhooks", "--failed"), 60, "its being done")


def test_a_change_after_the_approval(
    tmp_path: Path, infactors: Database[dict[str, Any]], reader: Reader
) -> None:
    add_user(infactors)
    url = f"sqlite:///{tmp_path}/pages.db"
    settings = {"OPS_USERS": entry("ada"), **infactor_settings(infactors)}
    with deployed(tmp_path, a_book(), url, settings=settings) as made:
        made.connect(REALM)
        wait_until(lambda: infactors.invoices.count_documents({}) == 30, 60, "deliveries")
        infactors.invoices.update_one(
            {"qbkInvoiceId": "9"}, {"$set": {"state": "invoice_accepted"}}
        )
        page = reader.page()
        log_in(page, made)
        made.sim("PUT", f"/companies/{REALM}/Invoice", an_invoice("9", TotalAmt=55.5, Balance=55.5))
        expect(page.get_by_role("heading", name="1 thing is wrong")).to_be_visible()  # by itself
        page.get_by_role("link", name=re.compile("See details")).click()
        heading(page, re.compile(r"^Invoice J-9 \(Id 9\)$"))
        look(page, "ops-invoice-critical")
        page.goto(f"{made.receivers[0]}/ops/findings?severity=critical")
        heading(page, "Findings")
        row = page.get_by_role("row", name=re.compile("Amount"))
        expect(row).to_contain_text("100.25 USD")
        expect(row).to_contain_text("55.50 USD")
        look(page, "ops-findings-critical")
        row.get_by_text("Acknowledge", exact=True).first.click()
        row.get_by_label("What you did about it").fill("Asked the supplier")
        row.get_by_role("button", name="Acknowledge").click()
        expect(page.get_by_role("status")).to_contain_text("Acknowledged")
        expect(page.get_by_text("Asked the supplier")).to_be_visible()


def test_the_way_without_javascript(deployment: Deployment, without_javascript: Reader) -> None:
    page = without_javascript.page()
    log_in(page, deployment, "/ops/connections")
    page.get_by_label("Company, supplier, e-mail address or realm id").fill("journey")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="Journey Company").click()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("status")).to_contain_text("Paused. This company makes no calls")
    page.reload()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    expect(page.get_by_role("status")).to_have_count(0)  # it is told once
