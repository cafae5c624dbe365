"""What notices of customers lead to: their invoices mapped anew, mostly without reading them."""

from typing import Any

import pytest

from service.database.tables import Customer
from service.domain import RevisionCause
from tests.workers.world import World, a_customer, an_event, an_invoice
from workers.company import CompanyContext
from workers.reading.by_id import CustomerReads, read_invoices
from workers.recording.record import recording

SUB = {"ParentRef": {"value": "7"}, "Job": True, "DisplayName": "Site", "PrimaryEmailAddr": {}}


def a_sub_customer(quickbooks_id: str = "8", **fields: Any) -> dict[str, Any]:
    """Return a sub-customer of customer 7 without an e-mail address of its own."""
    return a_customer(quickbooks_id, **{**SUB, "FullyQualifiedName": "Buyer Seven:Site", **fields})


def of(customer_id: str, quickbooks_id: str = "1", **fields: Any) -> dict[str, Any]:
    """Return an invoice for this customer."""
    return an_invoice(quickbooks_id, CustomerRef={"value": customer_id, "name": "Site"}, **fields)


def emails(world: World) -> dict[str, str]:
    return {i: document["buyerEmail"] for i, document in world.documents().items()}


def names(world: World) -> dict[str, str]:
    return {i: document["companyName"] for i, document in world.documents().items()}


def test_a_fixed_email_address_reaches_the_invoices_without_reading_them(world: World) -> None:
    world.put("Customer", a_customer("7", PrimaryEmailAddr={"Address": "no address"}))
    world.put("Invoice", an_invoice("1"), an_invoice("2"))
    world.webhook(an_event("Invoice", "1", "created"), an_event("Invoice", "2", "created"))
    world.sync()
    assert emails(world) == {"1": "", "2": ""}
    world.put("Customer", a_customer("7", PrimaryEmailAddr={"Address": "fixed@example.com"}))
    world.forget_calls()
    world.hear("Customer", "7", "updated")
    assert emails(world) == {"1": "fixed@example.com", "2": "fixed@example.com"}
    assert world.calls() == 1
    assert world.notices()[-1] == ("done", "customer read")


def test_what_was_decided_about_keeps_its_buyer(world: World) -> None:
    world.arrive(an_invoice("1"))
    world.decide("1", state="invoice_accepted")
    world.put("Customer", a_customer("7", PrimaryEmailAddr={"Address": "new@example.com"}))
    world.hear("Customer", "7", "updated")
    assert emails(world) == {"1": "buyer@example.com"}


def test_a_customer_that_says_the_same_writes_no_revision(world: World) -> None:
    world.arrive(an_invoice("1"))
    world.put("Customer", a_customer("7", Balance=100.0))
    world.hear("Customer", "7", "updated")
    assert world.revisions() == [(1, "notice")]


@pytest.mark.both_databases("the statements are its own")
def test_a_renamed_customer_renames_the_buyer_of_its_invoices(world: World) -> None:
    world.arrive(an_invoice("1"))
    renamed = a_customer("7", DisplayName="New Name", FullyQualifiedName="New Name")
    world.put("Customer", renamed)
    world.forget_calls()
    world.hear("Customer", "7", "updated")
    assert names(world) == {"1": "New Name"}
    assert world.calls() == 1


def test_an_invoice_read_after_a_rename_has_the_name_that_it_says_itself(
    world: World,
) -> None:
    world.arrive(an_invoice("1"))
    renamed = a_customer("7", DisplayName="New Name", FullyQualifiedName="New Name")
    world.put("Customer", renamed)
    world.hear("Customer", "7", "updated")
    world.arrive(an_invoice("1", CustomerRef={"value": "7", "name": "Newer Name"}))
    assert names(world) == {"1": "Newer Name"}


def test_a_parents_address_stands_in_for_a_sub_customers(world: World) -> None:
    world.put("Customer", a_sub_customer("8"))
    world.arrive(of("8"))
    assert emails(world) == {"1": "buyer@example.com"}


def test_a_change_of_the_parent_reaches_the_sub_customers_invoices(world: World) -> None:
    world.put("Customer", a_sub_customer("8"))
    world.arrive(of("8"))
    world.put("Customer", a_customer("7", PrimaryEmailAddr={"Address": "parent@example.com"}))
    world.hear("Customer", "7", "updated")
    assert emails(world) == {"1": "parent@example.com"}


def test_another_parent_that_nobody_has_read_yet_is_read_too(world: World) -> None:
    world.put("Customer", a_sub_customer("8"))
    world.put("Customer", a_customer("9", PrimaryEmailAddr={"Address": "nine@example.com"}))
    world.arrive(of("8"))
    world.put("Customer", a_sub_customer("8", ParentRef={"value": "9"}))
    world.hear("Customer", "8", "updated")
    assert emails(world) == {"1": "nine@example.com"}


@pytest.mark.both_databases("the statements are its own")
def test_a_merge_reads_the_losers_invoices_again(world: World) -> None:
    world.put("Customer", a_customer("27", PrimaryEmailAddr={"Address": "loser@example.com"}))
    world.put("Invoice", of("27", "1"), an_invoice("2"))
    world.webhook(an_event("Invoice", "1", "created"), an_event("Invoice", "2", "created"))
    world.sync()
    world.delete("Customer", "27", mergedInto="7")
    world.forget_calls()
    world.hear("Customer", "7", "merged", data={"deletedid": "27"})
    assert emails(world) == {"1": "buyer@example.com", "2": "buyer@example.com"}
    assert names(world)["1"] == "Buyer Seven"
    assert world.calls() == 2  # the survivor, and invoice 1


def test_an_inactive_customer_keeps_its_name_and_its_invoices(world: World) -> None:
    world.arrive(an_invoice("1"))
    world.delete("Customer", "7")
    world.hear("Customer", "7", "deleted")
    assert names(world) == {"1": "Buyer Seven"}
    assert emails(world) == {"1": "buyer@example.com"}
    assert world.documents()["1"]["state"] == "invoice_created"


def test_an_inactive_customer_is_read_for_a_new_invoice(world: World) -> None:
    world.delete("Customer", "7")
    world.arrive(an_invoice("1"))
    assert emails(world) == {"1": "buyer@example.com"}


def test_a_customer_that_could_not_be_read_at_first_reaches_its_invoices_later(
    world: World,
) -> None:
    world.faults({"preset": "empty", "kind": "query", "entity": "Customer", "count": 1})
    world.arrive(an_invoice("1"))
    assert emails(world) == {"1": ""}
    world.hear("Customer", "7", "updated")
    assert emails(world) == {"1": "buyer@example.com"}


def test_a_customer_that_an_answer_leaves_out_is_read_alone(world: World) -> None:
    world.arrive(an_invoice("1"))
    world.put("Customer", a_customer(PrimaryEmailAddr={"Address": "new@example.com"}))
    world.faults({"preset": "empty", "kind": "query", "entity": "Customer", "count": 1})
    world.hear("Customer", "7", "updated")
    assert emails(world) == {"1": "new@example.com"}


def test_a_customer_that_is_not_there_stays_as_it_is_recorded(world: World) -> None:
    world.arrive(an_invoice("1"))
    world.hear("Customer", "99", "updated")
    assert world.notices()[-1] == ("done", "customer read")
    assert emails(world) == {"1": "buyer@example.com"}


def test_a_customer_left_out_that_cannot_be_read_alone_either_fails_its_own_notice(
    world: World,
) -> None:
    world.arrive(an_invoice("1"))
    world.put("Customer", a_customer("8"))
    world.faults(
        {"preset": "empty", "kind": "query", "entity": "Customer", "count": 1},
        {"kind": "read", "entity": "Customer", "fault": "4002", "count": 1},
    )
    world.webhook(an_event("Customer", "8", "updated"), an_event("Invoice", "1", "updated"))
    world.sync()
    found = {row.entity_id: (row.status, row.error_class) for row in world.notice_rows()}
    assert found == {"8": ("failed", "Poisoned"), "1": ("done", None)}


@pytest.mark.both_databases("the statements are its own")
def test_a_customer_that_quickbooks_cannot_show_spoils_nobody_elses_notice(world: World) -> None:
    world.put("Customer", a_customer("8"), a_customer("9"))
    world.put("Invoice", an_invoice("1"), of("8", "2"))
    world.poison("Customer", "8")
    world.webhook(
        an_event("Invoice", "1", "created"),
        an_event("Invoice", "2", "created"),
        an_event("Customer", "8", "updated"),
        an_event("Customer", "9", "updated"),
    )
    world.sync()
    assert emails(world) == {"1": "buyer@example.com", "2": ""}
    found = {(row.entity, row.entity_id): row for row in world.notice_rows()}
    assert {key: row.status for key, row in found.items()} == {
        ("Invoice", "1"): "done",
        ("Invoice", "2"): "done",
        ("Customer", "8"): "failed",
        ("Customer", "9"): "done",
    }
    assert found["Customer", "8"].error_class == "Poisoned"


def test_a_customer_that_makes_an_invoice_unmappable_leaves_it_as_it_is(world: World) -> None:
    world.arrive(an_invoice("1"))
    world.put("Invoice", an_invoice("2", CustomerRef={"value": "9", "name": "Nine"}))
    world.put("Customer", a_customer("9"), a_customer("7", PrimaryEmailAddr="not an object"))
    world.webhook(an_event("Customer", "7", "updated"), an_event("Invoice", "2", "created"))
    world.sync()
    assert emails(world) == {"1": "buyer@example.com", "2": "buyer@example.com"}
    assert [status for status, _ in world.notices()] == ["done", "done", "done"]


@pytest.mark.both_databases("columns hold different values")
def test_an_absurd_customer_reference_does_not_stop_the_batch(world: World) -> None:
    """PostgreSQL refuses what does not fit its column."""
    bad = an_invoice("1", CustomerRef={"value": "7" * 100}, CurrencyRef={"value": "X" * 100})
    world.put("Invoice", bad, an_invoice("2"))
    world.webhook(an_event("Invoice", "1", "created"), an_event("Invoice", "2", "created"))
    world.sync()
    assert world.holds() == {"1": "currency", "2": None}


def test_a_customer_is_renewed_after_thirty_days(world: World) -> None:
    world.arrive(an_invoice("1"))
    world.put("Customer", a_customer("7", PrimaryEmailAddr={"Address": "new@example.com"}))
    world.age_customers(days=31)
    world.hear("Invoice", "1", "updated")
    assert emails(world) == {"1": "new@example.com"}


@pytest.mark.both_databases("the statements are its own")
def test_an_older_read_of_a_customer_does_not_replace_a_newer_one(world: World) -> None:
    world.arrive(an_invoice("1"))
    with world.services.database.write() as session:
        customer = session.get_one(Customer, (world.connection_id, "7"))
        customer.sync_token = 5
        customer.source = {**customer.source, "PrimaryEmailAddr": {"Address": "v5@example.com"}}
    world.hear("Customer", "7", "updated")
    with world.services.database.read() as session:
        assert session.get_one(Customer, (world.connection_id, "7")).sync_token == 5
    world.arrive(an_invoice("2"))
    assert emails(world)["2"] == "v5@example.com"


@pytest.mark.both_databases("the statements are its own")
def test_recording_reads_nothing_of_what_it_needs(world: World) -> None:
    world.put("Customer", a_sub_customer("8"))
    world.put("Invoice", of("8"))
    company = CompanyContext.of(world.services, world.connection_id)
    reads = CustomerReads(company).complete(read_invoices(company, ["1"]))
    world.forget_calls()
    with recording(company, reads, cause=RevisionCause.NOTICE):
        pass
    assert (world.calls(), emails(world)) == (0, {"1": "buyer@example.com"})
