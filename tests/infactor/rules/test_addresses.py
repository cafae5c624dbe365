"""Whose the buyer's address is."""

from datetime import date
from typing import Any

import pytest

from service.infactor.rules.book import parse_changes, rule_book
from service.infactor.rules.circumstances import Circumstances
from service.infactor.rules.domains import FREE_MAIL, lookalikes, looks_like
from service.infactor.rules.facts import InvoiceFacts
from service.infactor.rules.judge import judge
from service.infactor.rules.rule import Profile

OURS = frozenset({"owner@supplies.test", "supplies@gmail.com", "books@example.com"})


def applies(change: str, *emails: str, **more: Any) -> dict[str, str] | None:
    known = {name: more.pop(name) for name in ("address_changed", "address_before") if name in more}
    around = Circumstances(today=date(2026, 11, 30), currency="USD", **more)
    book = rule_book(Profile.GUIDE, parse_changes(change))
    holds = judge(InvoiceFacts(emails=emails, **known), around, book).holds
    return dict(holds[0].figures) if holds else None


@pytest.mark.parametrize(
    ("emails", "whose"),
    [
        ((), None),
        (("ap@acme.test",), None),
        (("OWNER@supplies.test",), "the supplier's own address"),
        (("ap@acme.test", "owner@supplies.test"), "the supplier's own address"),
        (("anybody@supplies.test",), "at the supplier's own domain"),
        (("anybody@mail.SUPPLIES.test",), "at the supplier's own domain"),
        (("anybody@notsupplies.test",), None),
        # A mail provider's domain is nobody's own, nor is one that is reserved for examples.
        (("supplies@gmail.com",), "the supplier's own address"),
        (("another@gmail.com",), None),
        (("another@example.com",), None),
    ],
)
def test_own_buyer(emails: tuple[str, ...], whose: str | None):
    found = applies("own_buyer=hold", *emails, own_addresses=OURS)
    assert found == (whose and {"address": emails[-1], "whose": whose})


@pytest.mark.parametrize(
    ("email", "free"),
    [
        ("buyer@gmail.com", True),
        ("buyer@GMX.de", True),
        ("buyer@mail.gmail.com", False),
        ("buyer@acme.test", False),
    ],
)
def test_free_mail(email: str, *, free: bool):
    assert applies("free_mail=hold", "ap@acme.test", email) == (
        {"address": email} if free else None
    )


def test_shared_address():
    of_several = frozenset({"ap@acme.test"})
    found = applies(
        "shared_address=hold", "x@acme.test", "AP@acme.test", shared_addresses=of_several
    )
    assert found == {"address": "AP@acme.test"}
    assert applies("shared_address=hold", "x@acme.test", shared_addresses=of_several) is None


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("acme.com", "acme.com", False),
        ("mail.acme.com", "acme.com", False),
        ("acrne.com", "acme.com", True),
        ("acm\u0435.com", "acme.com", True),  # a Cyrillic e
        ("xn--acm-tdd.com", "acme.com", True),  # the same, as mail servers write it
        ("ac0me.com", "acome.com", True),
        ("vvalker.com", "walker.com", True),
        ("acm\u00e9.com", "acme.com", True),
        ("acme.co", "acme.com", True),
        ("acme.de", "acme.com", False),
        ("acme.de", "acme.dk", False),
        ("globex-corp.com", "globexcorp.com", True),
        ("gloebx.com", "globex.com", True),
        ("globx.com", "globex.com", False),  # five letters are too few
        ("globexx.com", "globex.com", True),
        ("glovex.com", "globex.com", True),
        ("abc.com", "abd.com", False),
        ("store1.com", "store2.com", False),
        ("ebglox.com", "globex.com", False),
        ("globex.com", "globex.net", False),
        ("com", "org", False),
        ("xn--.com", "acme.com", False),
        ("xn--\u0435.com", "acme.com", False),
        ("", "acme.com", False),
    ],
)
def test_a_domain_looks_like_another(one: str, other: str, *, alike: bool):
    assert (looks_like(one, other), looks_like(other, one)) == (alike, alike)
    assert lookalikes([one], {one: 2, other: 1}) == ({one: other} if alike else {})


def test_the_one_that_was_there_first_imitates_nobody():
    known = {"acme.com": 1, "acrne.com": 2, "zed.test": 0}
    assert lookalikes(known, known) == {"acrne.com": "acme.com"}
    assert lookalikes(["acme.com"], {**known, "acrne.com": -1}) == {"acme.com": "acrne.com"}
    assert lookalikes(["gmai1.com", "gmail.com"], {"gmail.com": 1, "gmai1.com": 2}) == {}


def test_lookalike_domain():
    found = applies("lookalike_domain=hold", "ap@ACRNE.com", lookalikes={"acrne.com": "acme.com"})
    assert found == {"address": "ap@ACRNE.com", "like": "acme.com"}
    assert applies("lookalike_domain=hold", "ap@acme.com", lookalikes={"acrne.com": "x"}) is None


@pytest.mark.parametrize(
    ("changed", "rule", "applied"),
    [
        (None, "buyer_changed=hold", False),
        (date(2026, 11, 30), "buyer_changed=hold", True),
        (date(2026, 10, 31), "buyer_changed=hold", True),
        (date(2026, 10, 30), "buyer_changed=hold", False),
        (date(2026, 11, 29), "buyer_changed=hold:0", False),
    ],
)
def test_buyer_changed(changed: date | None, rule: str, *, applied: bool):
    found = applies(rule, "new@acme.test", address_changed=changed, address_before="old@acme.test")
    expected = {"before": "old@acme.test", "now": "new@acme.test", "changed": str(changed)}
    assert found == (expected if applied else None)


def test_free_mail_is_written_as_domains_are_compared():
    assert all(domain == domain.casefold() and "." in domain for domain in FREE_MAIL)
