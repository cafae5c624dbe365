"""The connect journey: what is stored when it goes well."""

from datetime import timedelta
from http.cookies import SimpleCookie
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from service.kit.clock import now
from service.store import approvals, connections, runs
from tests.web.conftest import OTHER, OURS, WITHOUT_NAME, Place, said


def morsel(answer: httpx.Response):
    return SimpleCookie(answer.headers["set-cookie"])["infactor_quickbooks"]


def test_the_page_of_a_link_says_whom_it_connects_and_changes_nothing(place: Place) -> None:
    page = place.browser().get(f"/quickbook/authorise?token={place.token()}")
    assert page.status_code == 200
    assert "for Example Supplies supplier@example.com" in said(page.text)
    assert '<button class="connect">Connect to QuickBooks</button>' in page.text
    assert "is connected already" not in page.text
    assert "set-cookie" not in page.headers
    assert [place.rows(table) for table in ("suppliers", "oauth_states", "sessions")] == [0, 0, 0]


def test_what_a_link_says_is_text_and_never_markup(place: Place) -> None:
    token = place.token(name="<script>alert(1)</script>")
    page = place.browser().get(f"/quickbook/authorise?token={token}").text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert" not in page


def test_the_button_leads_to_intuits_consent_with_a_state_and_the_registered_redirect(
    place: Place,
) -> None:
    url = urlsplit(place.begin(place.browser(), place.token()))
    query = parse_qs(url.query)
    assert f"{url.scheme}://{url.netloc}{url.path}" == f"{place.simulator.url}/connect/oauth2"
    assert query["client_id"] == ["client-1"]
    assert query["redirect_uri"] == ["http://localhost:3000/quickbook/connect"]
    assert query["scope"] == ["com.intuit.quickbooks.accounting"]
    assert query["response_type"] == ["code"]
    assert len(query["state"][0]) >= 32


def test_a_clock_of_quickbooks_that_is_ahead_is_not_believed(place: Place) -> None:
    """Or nothing that changes would ever be newer than where the company was connected."""
    place.simulator.simulator.clock.advance(3 * 86_400)
    try:
        place.connect(place.browser())
    finally:
        place.simulator.simulator.clock.advance(-3 * 86_400)
    [connection] = place.connections()
    assert max(connection.changes_read_until, connection.reconciled_until) <= now()
    assert connection.time_ahead is not None
    assert connection.time_ahead > now() + timedelta(days=2)


def test_a_supplier_connects_a_company(place: Place) -> None:
    browser = place.browser()
    began = now()
    answer = place.connect(browser)

    [connection] = place.connections()
    assert answer.status_code == 302
    assert answer.headers["location"] == f"/quickbook/connected/{connection.id}"
    assert connection.state == "connected"
    assert (connection.company_name, connection.country) == ("Our <b>Books</b>", "US")
    assert connection.environment == "simulator"
    assert connection.problem is None
    assert began - timedelta(seconds=5) < connection.changes_read_until < now()
    assert place.services.access.realm_id(connection) == OURS
    assert place.services.access.access_token(connection.id).startswith("eyJ")
    assert (place.rows("runs"), place.rows("spent_links")) == (1, 1)
    assert place.only("SELECT cause FROM runs") == "connect"
    assert place.only("SELECT since FROM runs") is None
    assert place.only("SELECT email FROM suppliers") == "supplier@example.com"

    page = browser.get(answer.headers["location"])
    assert page.status_code == 200
    assert "Our &lt;b&gt;Books&lt;/b&gt; is connected" in page.text
    assert 'hx-trigger="every 2s"' in page.text


def test_the_import_is_asked_for_once_the_connection_is_stored(place: Place) -> None:
    place.connect(place.browser())
    place.client.app_state["nudges"].stop()
    queued = list(place.services.jobs.broker.queues["runs"].queue)
    assert len(queued) == 1
    assert b'"run_id":1' in queued[0]


def test_the_count_grows_until_the_import_has_ended(place: Place) -> None:
    browser = place.browser()
    address = place.connect(browser).headers["location"]
    for page in (address, f"{address}/progress"):
        assert "Looking for invoices" in browser.get(page).text
        assert "You can close this window. The import will continue." in browser.get(page).text
    place.imported(place.connections()[0].id)
    for page in (address, f"{address}/progress"):
        assert "<strong>1</strong> invoice read" in browser.get(page).text
        assert "hx-get" not in browser.get(page).text
        assert "goes on" not in browser.get(page).text


def test_an_import_that_waits_for_an_operator_says_nothing_technical(place: Place) -> None:
    browser = place.browser()
    address = place.connect(browser).headers["location"]
    with place.services.database.write() as session:
        run = approvals.lock(session, 1)
        assert run is not None
        approvals.await_approval(
            session, run, "it would withdraw 30 of the company's 30", "101", {}, now()
        )
    for page in (address, f"{address}/progress"):
        shown = said(browser.get(page).text)
        assert "team is reviewing this before it continues." in shown
        assert "withdraw" not in shown
        assert "slow to answer" not in shown
    with place.services.database.write() as session:
        approvals.approve(session, run)
    assert "staff" not in browser.get(f"{address}/progress").text


def test_connecting_again_shows_no_count_of_an_import_that_ended_before(place: Place) -> None:
    browser = place.browser()
    place.connect(browser)
    place.imported(place.connections()[0].id)
    page = said(browser.get(place.connect(browser).headers["location"]).text)
    assert "Our <b>Books</b> is connected It is connected again." in page
    assert "catching up on every change." in page
    assert "invoice read" not in page
    assert "goes on" not in page


def test_connecting_again_shows_the_import_that_is_still_under_way(place: Place) -> None:
    browser = place.browser()
    place.connect(browser)
    address = place.connect(browser).headers["location"]
    assert "Looking for invoices" in browser.get(address).text
    place.imported(place.connections()[0].id)
    assert "<strong>1</strong> invoice read" in browser.get(f"{address}/progress").text


def test_the_browser_gets_a_new_session_when_it_becomes_known(place: Place) -> None:
    browser = place.browser()
    planted = morsel(place.authorised(browser, place.token())).value
    answer = place.connect(browser)
    assert morsel(answer).value != planted
    assert place.rows("sessions") == 1

    thief = place.browser()
    thief.cookies.set("infactor_quickbooks", planted)
    assert thief.get("/quickbook/").status_code == 401
    assert browser.get("/quickbook/").status_code == 200


def test_the_cookie_is_for_our_pages_alone_and_out_of_reach_of_scripts(place: Place) -> None:
    cookie = morsel(place.authorised(place.browser(), place.token()))
    assert cookie["path"] == "/quickbook"
    assert cookie["httponly"] is True
    assert cookie["samesite"] == "lax"
    assert cookie["secure"] == ""
    assert cookie["domain"] == ""


def test_the_database_holds_no_cookie_state_token_or_company_id(place: Place) -> None:
    browser = place.browser()
    consent = place.begin(browser, place.token())
    place.consent()
    back = place.decided(consent)
    answer = browser.get(back)
    secret = [morsel(answer).value, *(v[0] for v in parse_qs(urlsplit(back).query).values())]
    with place.services.database.engine.connect() as connection:
        dump = "".join(
            str(row)
            for table in ("sessions", "oauth_states", "connections", "suppliers", "spent_links")
            for row in connection.exec_driver_sql(f"SELECT * FROM {table}")
        )
    assert [value for value in secret if value in dump] == []


def test_a_company_without_a_trade_name_is_called_by_its_legal_name(place: Place) -> None:
    place.connect(place.browser(), realm=WITHOUT_NAME)
    assert place.connections()[0].company_name == "Legal Name Ltd"


def test_a_link_without_a_name_keeps_the_name_that_is_known(place: Place) -> None:
    place.connect(place.browser(), place.token())
    place.connect(place.browser(), place.token(name=""))
    assert place.only("SELECT name FROM suppliers") == "Example Supplies"


@pytest.mark.parametrize("other", ["Supplier@Example.com", "SUPPLIER@EXAMPLE.COM"])
def test_another_spelling_of_an_address_is_another_supplier(place: Place, other: str) -> None:
    place.connect(place.browser())
    stranger = place.log_in(other)
    assert "No invoices" in stranger.get("/quickbook/").text or "Connect to QuickBooks" in (
        stranger.get("/quickbook/").text
    )
    assert place.only("SELECT email FROM suppliers ORDER BY id LIMIT 1") == "supplier@example.com"


def test_connecting_again_while_connected_renews_and_starts_no_second_import(
    place: Place,
) -> None:
    place.connect(place.browser())
    [before] = place.connections()
    token = place.token()
    assert "is already connected" in place.browser().get(f"/quickbook/authorise?token={token}").text

    answer = place.connect(place.browser(), token)

    [after] = place.connections()
    assert answer.headers["location"] == f"/quickbook/connected/{before.id}"
    assert after.id == before.id
    assert after.renewed_at > before.renewed_at
    assert after.connected_at == before.connected_at
    assert after.changes_read_until == before.changes_read_until
    assert after.refresh_sealed != before.refresh_sealed
    assert place.rows("runs") == 1
    # It may have been cut off unnoticed: whatever changed is asked for once.
    assert place.only("SELECT entity || ' ' || operation || ' ' || status FROM notices") == (
        "Connection renewed pending"
    )


@pytest.mark.parametrize("state", ["connected", "disconnected"])
def test_connecting_again_ends_the_pauses_of_what_has_failed(place: Place, state: str) -> None:
    place.connect(place.browser())
    [before] = place.connections()
    later = now() + timedelta(hours=1)
    place.do(f"UPDATE connections SET state = '{state}', problem = 'barred'")
    with place.services.database.write() as session:
        run_id = runs.latest_of(session, [before.id])[before.id].id
        runs.postpone(session, run_id, later, "no", error_class="Refused", failing=now())
        connections.bar(session, before.id, later, "barred", now())
    place.connect(place.browser())
    with place.services.database.read() as session:
        assert run_id in runs.due(session, before.environment, now())
    assert place.connections()[0].barred_since is None


def test_connecting_again_after_a_loss_fetches_what_was_missed(place: Place) -> None:
    place.connect(place.browser())
    [before] = place.connections()
    place.imported(before.id)
    place.do(
        "UPDATE connections SET state = 'disconnected', problem = 'gone', failures = 3,"
        " changes_read_until = '2026-11-02 03:04:05.000000'"
    )
    place.connect(place.browser())

    [after] = place.connections()
    assert (after.state, after.problem, after.failures) == ("connected", None, 0)
    assert place.rows("runs") == 2
    assert place.only("SELECT cause FROM runs WHERE state = 'active'") == "reconnect"
    assert place.only("SELECT since FROM runs WHERE state = 'active'") is None
    assert place.only("SELECT changes_read_until FROM connections").startswith("2026-11-02")


def test_connecting_again_before_the_first_import_ended_well_reads_everything(
    place: Place,
) -> None:
    place.connect(place.browser())
    place.do("UPDATE runs SET state = 'failed'")
    place.do("UPDATE connections SET state = 'disconnected'")
    place.connect(place.browser())
    assert place.only("SELECT since FROM runs WHERE state = 'active'") is None


def test_a_further_company_needs_a_link_made_for_it_and_then_stands_beside_the_first(
    place: Place,
) -> None:
    place.connect(place.browser())
    token = place.token(another_company=True)
    assert (
        "adds another QuickBooks company"
        in place.browser().get(f"/quickbook/authorise?token={token}").text
    )
    place.connect(place.browser(), token, OTHER)
    names = [connection.company_name for connection in place.connections()]
    assert names == ["Our <b>Books</b>", "Other Books"]
    assert place.rows("suppliers") == 1
    assert place.rows("runs") == 2


def test_notices_that_waited_for_the_company_are_linked_and_worked_on(place: Place) -> None:
    digest = place.services.vault.digest(OURS)
    place.do(
        "INSERT INTO notices (dedupe_key, realm_digest, realm_sealed, format, received_at,"
        " duplicates, status, attempts, losses) VALUES"
        f" ('k', '{digest}', 'sealed', 'cloudevents', '2026-11-22 00:00:00.000000', 0,"
        " 'pending', 0, 0)"
    )
    place.connect(place.browser())
    [connection] = place.connections()
    assert place.only("SELECT connection_id FROM notices") == connection.id
    assert place.only("SELECT realm_sealed FROM notices") is None
    place.client.app_state["nudges"].stop()
    assert len(place.services.jobs.broker.queues["sync"].queue) == 1


def test_two_pop_ups_at_once_both_work(place: Place) -> None:
    browser, token = place.browser(), place.token()
    place.consent()
    for _ in range(2):  # both pages are open before either button is pressed
        assert browser.get(f"/quickbook/authorise?token={token}").status_code == 200
    first, second = place.begin(browser, token), place.begin(browser, token)
    assert place.rows("sessions") == 1
    answers = [browser.get(place.decided(first)), browser.get(place.decided(second))]
    [connection] = place.connections()
    for answer in answers:
        assert answer.headers["location"] == f"/quickbook/connected/{connection.id}"
    assert browser.get(f"/quickbook/connected/{connection.id}").status_code == 200
    assert (place.rows("runs"), place.rows("spent_links")) == (1, 1)


@pytest.mark.parametrize("suffix", ["", "/progress"])
def test_the_page_of_a_connection_is_its_suppliers_alone(place: Place, suffix: str) -> None:
    address = place.connect(place.browser()).headers["location"] + suffix
    stranger = place.log_in("other@example.com")
    assert place.browser().get(address).status_code == 401
    assert stranger.get(address).status_code == 404
    assert stranger.get(address).text == stranger.get("/quickbook/connected/unknown").text
