"""An invoice as it is mapped: its text, and what Infactor stores of it."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from service.infactor.mapped_document import MappedDocument
from service.infactor.mongo import to_bson
from service.kit import exact_json

PAYLOADS = sorted((Path(__file__).parents[1] / "payloads").glob("*.infactor.json"))


@pytest.mark.parametrize("path", PAYLOADS, ids=lambda path: path.name)
def test_its_doubles_are_those_of_the_exact_numbers(path: Path) -> None:
    document = exact_json.decode(path.read_bytes())["document"]
    assert MappedDocument(exact_json.encode(document)).doubles() == to_bson(document)


def test_every_number_becomes_a_double_at_any_depth() -> None:
    text = '{"a":1,"b":[-0.1,{"c":12345678901234567890}],"d":[[true,null,"1"]]}'
    found = MappedDocument(text).doubles()
    assert found == {"a": 1.0, "b": [-0.1, {"c": 1.2345678901234567e19}], "d": [[True, None, "1"]]}
    assert [type(found["a"]), type(found["b"][1]["c"])] == [float, float]
    deep = "[" * 40 + "7" + "]" * 40
    assert (
        json.dumps(MappedDocument(f'{{"a":{deep}}}').doubles())
        == f'{{"a": {deep[:40]}7.0{deep[41:]}}}'
    )


def test_other_texts_leave_every_digit_as_it_was() -> None:
    mapped = MappedDocument('{"invoiceAmount":1.10,"buyerEmail":"","items":[{"buyerEmail":"x"}]}')
    other = mapped.with_texts({"buyerEmail": "a@example.com"})
    assert exact_json.encode(other.as_json) == (
        b'{"invoiceAmount":1.10,"buyerEmail":"a@example.com","items":[{"buyerEmail":"x"}]}'
    )
    assert dict(other)["invoiceAmount"] == Decimal("1.10")
    assert other.with_texts({"buyerEmail": "a@example.com"}) is other
