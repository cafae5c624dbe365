"""What invoices are sorted and searched by."""

import pytest

from service.store.invoices import keys


def number_key(number: str) -> str:
    return keys({"invoiceNo": number})["number_key"]


def test_numbers_are_sorted_as_people_count() -> None:
    numbers = ["INV-10", "INV-9", "inv-9a", "7", "0010", "", "A1-2", "A1-10"]
    assert sorted(numbers, key=number_key) == [
        *("", "7", "0010", "A1-2", "A1-10", "INV-9", "inv-9a", "INV-10")
    ]


def test_what_is_sought_is_the_buyer_and_the_number_in_one_case() -> None:
    found = keys({"invoiceNo": "Ab 1", "companyName": "  STRASSE\n& Söhne ", "payableDate": ""})
    assert found == {
        "number_key": "ab 000000000001",
        "due_key": "~",
        "sought": "strasse & söhne\nab 1",
    }
    assert keys({})["sought"] == "\n"
    assert keys(None)["sought"] == ""  # as it is asked for with `RECORDED`


@pytest.mark.parametrize(
    "character", ["a", "1", "ß", "\N{GRINNING FACE}", "\N{LATIN SMALL LIGATURE FFI}"]
)
def test_no_key_is_too_long_for_an_index(character: str) -> None:
    found = keys({"invoiceNo": character * 9000, "companyName": character * 9000})
    assert sum(len(key.encode()) for key in found.values()) < 2000
