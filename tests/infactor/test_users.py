"""Looking people up in Infactor's database: whoever wrote it, whatever is in it."""

from datetime import UTC, datetime
from typing import Any

import bson
import pytest
from bson import ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo.database import Database

from service.errors import InfactorAway, NotASupplier, Refusal
from service.infactor.logins import Logins
from service.infactor.mongo import InfactorDatabase
from service.infactor.users import Account, Users, preferred, verified_supplier
from tests.people import SID, SUPPLIER_ID, add_user
from tests.servers import away

NOW = datetime.now(UTC)
OPERATOR = {"$ne": None}


@pytest.fixture
def users(opened: InfactorDatabase) -> Users:
    return Users(opened)


def queries(infactors: Database[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the queries that the server's own profiler has seen."""
    return [
        seen["command"]
        for seen in infactors["system.profile"].find({"op": "query"})
        if seen["ns"].endswith((".users", ".sessions"))
    ]


def test_a_supplier_is_known_by_the_very_spelling_of_the_address(
    users: Users, infactors: Database[dict[str, Any]]
) -> None:
    add_user(infactors)
    assert users.supplier("supplier@example.com") == Account(
        id="5c8f2b1e9d3a4f0012ab34c1",
        email="supplier@example.com",
        name="Sue Pliers",
        address="local",
        type="Supplier",
        verified=True,
    )
    assert users.supplier("Supplier@example.com") is None
    assert users.supplier("supplier@example.com\0") is None
    assert users.supplier("\ud800@example.com") is None


def test_a_user_is_known_by_id(users: Users, infactors: Database[dict[str, Any]]) -> None:
    add_user(infactors)
    found = users.by_id("5c8f2b1e9d3a4f0012ab34c1")
    assert found is not None
    assert found.email == "supplier@example.com"
    assert users.by_id("5c8f2b1e9d3a4f0012ab34c2") is None
    assert users.by_id("") is None
    assert users.by_id("{'$ne': null}") is None


def test_nothing_but_the_named_fields_is_ever_asked_for(
    users: Users, infactors: Database[dict[str, Any]]
) -> None:
    add_user(infactors)
    infactors.command("profile", 2)
    users.supplier("supplier@example.com")
    users.by_id(str(SUPPLIER_ID))
    users.registered_buyers(["supplier@example.com"])
    assert [sorted(query["projection"]) for query in queries(infactors)] == [
        ["accountStatus", "address", "email", "firstName", "lastName", "type"]
    ] * 3


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"firstName": "Sue", "lastName": "Pliers"}, "Sue Pliers"),
        ({"firstName": "Sue", "lastName": ""}, "Sue"),
        ({"firstName": None, "lastName": "Pliers"}, "Pliers"),
        ({"firstName": None, "lastName": None}, "Anonymous"),
        ({"firstName": OPERATOR, "lastName": 5}, "Anonymous"),
        ({"firstName": "  Sue\r\n", "lastName": "\u202ePli\x00ers"}, "Sue Pli ers"),
        ({"firstName": "S" * 300, "lastName": "P"}, "S" * 200),
    ],
)
def test_a_name_is_put_together_as_infactor_does(
    users: Users, infactors: Database[dict[str, Any]], fields: dict[str, Any], name: str
) -> None:
    add_user(infactors, **fields)
    found = users.supplier("supplier@example.com")
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"type": "Buyer"}, Refusal.NOT_A_SUPPLIER),
        ({"type": "supplier"}, Refusal.NOT_A_SUPPLIER),
        ({"type": OPERATOR}, Refusal.NOT_A_SUPPLIER),
        ({"type": ["Supplier"]}, Refusal.NOT_A_SUPPLIER),
        ({"accountStatus": "unverified"}, Refusal.NOT_VERIFIED),
        ({"accountStatus": OPERATOR}, Refusal.NOT_VERIFIED),
        ({"accountStatus": True}, Refusal.NOT_VERIFIED),
    ],
    ids=str,
)
def test_who_is_no_verified_supplier_is_told_apart(
    users: Users, infactors: Database[dict[str, Any]], fields: dict[str, Any], refusal: Refusal
) -> None:
    add_user(infactors, **fields)
    with pytest.raises(NotASupplier) as e:
        verified_supplier(users.supplier("supplier@example.com"))
    assert e.value.refusal is refusal


@pytest.mark.parametrize(
    "email", [OPERATOR, None, 5, ["supplier@example.com"], "", "two words@example.com", "a@\0b"]
)
def test_an_account_without_an_address_of_any_use_is_nobodys(
    users: Users, infactors: Database[dict[str, Any]], email: Any
) -> None:
    add_user(infactors, email=email)
    assert users.by_id(str(SUPPLIER_ID)) is None
    assert users.supplier("supplier@example.com") is None
    assert users.registered_buyers(["supplier@example.com"]) == {}


def test_a_record_with_nothing_but_an_address_is_an_account(
    users: Users, infactors: Database[dict[str, Any]]
) -> None:
    infactors["users"].insert_one({"_id": SUPPLIER_ID, "email": "bare@example.com"})
    assert users.supplier("bare@example.com") == Account(
        "5c8f2b1e9d3a4f0012ab34c1", "bare@example.com", "Anonymous", "", "", verified=False
    )


def test_a_text_that_is_no_utf8_keeps_nobody_from_being_found(
    users: Users, infactors: Database[dict[str, Any]]
) -> None:
    record = bson.encode(
        {"_id": SUPPLIER_ID, "email": "supplier@example.com", "firstName": "BROKEN"}
    )
    raw = RawBSONDocument(record.replace(b"BROKEN", b"Su\xff\xfee!"))
    infactors["users"].insert_one(raw)
    found = users.supplier("supplier@example.com")
    assert found is not None
    assert found.name == "Su\ufffd\ufffde!"


def a_buyer(infactors: Database[dict[str, Any]], email: Any, **fields: Any) -> None:
    add_user(infactors, **{"_id": ObjectId(), "email": email, "type": "Buyer", **fields})


def test_buyers_are_found_whatever_the_case_in_one_query(
    users: Users, infactors: Database[dict[str, Any]]
) -> None:
    a_buyer(infactors, "Buyer@Example.com")
    a_buyer(infactors, "second@example.com")
    add_user(infactors)
    infactors.command("profile", 2)
    asked = [f"nobody{n}@example.com" for n in range(1000)]
    found = users.registered_buyers(
        ["BUYER@example.COM", "second@example.com", "supplier@example.com", *asked]
    )
    assert found == {
        "buyer@example.com": "Buyer@Example.com",
        "second@example.com": "second@example.com",
    }
    assert len(queries(infactors)) == 1
    assert users.registered_buyers([]) == {}
    assert users.registered_buyers(["\0", "\ud800@example.com"]) == {}


@pytest.mark.parametrize(
    ("email", "fields"),
    [
        ("buyer@example.com", {"type": "buyer"}),
        ("buyer@example.com", {"type": "Financier"}),
        ("buyer@example.com", {"accountStatus": "Verified"}),
        ("buyer@example.com", {"accountStatus": OPERATOR}),
        ("buy\u200ber@example.com", {}),
        ("\uff42uyer@example.com", {}),
        ("buyer@example.com\0", {}),
        (["buyer@example.com"], {}),
        (OPERATOR, {}),
        ("buyerAexample.com", {}),
    ],
    ids=str,
)
def test_who_only_resembles_a_verified_buyer_is_none(
    users: Users, infactors: Database[dict[str, Any]], email: Any, fields: dict[str, Any]
) -> None:
    a_buyer(infactors, email, **fields)
    assert users.registered_buyers(["buyer@example.com"]) == {}


def test_of_accounts_that_differ_in_case_the_exact_one_counts_else_the_oldest(
    users: Users, infactors: Database[dict[str, Any]]
) -> None:
    for n, email in enumerate(["BUYER@example.com", "buyer@EXAMPLE.com", "buyer@example.com"]):
        a_buyer(infactors, email, _id=ObjectId(f"{9 - n:024x}"))
    assert users.registered_buyers(["Buyer@example.com"]) == {
        "buyer@example.com": "buyer@example.com"  # the smallest id: the oldest
    }
    assert users.registered_buyers(["BUYER@example.com"]) == {
        "buyer@example.com": "BUYER@example.com"
    }


@pytest.mark.parametrize(
    ("emails", "registered", "wanted"),
    [
        ([], {}, ("", False)),
        ([], {"a@x.com": "a@x.com"}, ("", False)),
        (["A@x.com"], {}, ("A@x.com", False)),
        (["one@x.com", "Two@X.com"], {"two@x.com": "TWO@x.com"}, ("TWO@x.com", True)),
        (
            ["one@x.com", "two@x.com"],
            {"two@x.com": "two@x.com", "one@x.com": "One@x.com"},
            ("One@x.com", True),
        ),
    ],
)
def test_the_first_registered_address_is_written_in_its_accounts_spelling(
    emails: list[str], registered: dict[str, str], wanted: tuple[str, bool]
) -> None:
    assert preferred(emails, registered) == wanted


def test_nobody_is_known_while_the_database_is_away() -> None:
    nobody = InfactorDatabase(away(), "ifactor")
    with pytest.raises(InfactorAway):
        Users(nobody).registered_buyers(["buyer@example.com"])
    with pytest.raises(InfactorAway):
        Logins(nobody).user_id(SID, NOW)
    nobody.close()
