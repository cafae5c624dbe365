"""QuickBooks' e-mail fields are free text."""

import pytest

from service.infactor.mapping import addresses


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a@x.com", ["a@x.com"]),
        ("  a@x.com\n", ["a@x.com"]),
        ("a@x.com,b@y.com", ["a@x.com", "b@y.com"]),
        ("a@x.com; b@y.com", ["a@x.com", "b@y.com"]),
        ("a@x.com b@y.com\tc@z.com", ["a@x.com", "b@y.com", "c@z.com"]),
        (",; a@x.com,,", ["a@x.com"]),
        ("none, b@y.com", ["b@y.com"]),
        ("Jane Doe <jane@x.com>", ["jane@x.com"]),
        ('"a@x.com"', ["a@x.com"]),
        ("A@x.com, a@X.com, b@y.com", ["A@x.com", "b@y.com"]),
        ("Buyer.Name+invoices@Sub.Example.CO", ["Buyer.Name+invoices@Sub.Example.CO"]),
        ("o'brien@x-y.example", ["o'brien@x-y.example"]),
        ("jürgen@bücher.example", ["jürgen@bücher.example"]),
        ("a" * 64 + "@" + "b" * 60 + ".com", ["a" * 64 + "@" + "b" * 60 + ".com"]),
    ],
)
def test_the_valid_addresses_come_in_their_order(text: str, found: list[str]) -> None:
    assert addresses(text) == tuple(found)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        " ",
        "n/a",
        "see website",
        "@x.com",
        "a@",
        "a@localhost",
        "a@@x.com",
        "a@x@y.com",
        "a@x..com",
        "a@.com",
        "a@-x.com",
        "a@x-.com",
        "a@x.c",
        "a@x.com.",
        "a\x00b@x.com",
        "a\u200b@x.com",
        "a" * 65 + "@x.com",
        "a@" + "b" * 64 + ".com",
        "a@" + "bcd." * 62 + "commm",
        "a@" + "b-" * 5000,
    ],
)
def test_what_is_no_address_is_left_out(text: str | None) -> None:
    assert addresses(text) == ()


def test_254_characters_are_the_limit() -> None:
    domain = "bcd." * 62

    assert len(addresses("a@" + domain + "comm")[0]) == 254
