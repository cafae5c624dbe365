"""Infactor's page prints Qty times UnitPrice of each sales line: neither may be missing."""

from decimal import Decimal
from typing import Any

import pytest

from service.errors import Unmappable
from service.infactor.mapping import completed
from service.kit import exact_json


def a_line(text: str) -> dict[str, Any]:
    line: dict[str, Any] = exact_json.decode(text)
    return {"DetailType": "SalesItemLineDetail", **line}


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        # both missing: 1 and Amount
        ('{"Amount":25.50,"SalesItemLineDetail":{}}', '{"Qty":1,"UnitPrice":25.50}'),
        ('{"Amount":25.50}', '{"Qty":1,"UnitPrice":25.50}'),
        ('{"Amount":25.50,"SalesItemLineDetail":null}', '{"Qty":1,"UnitPrice":25.50}'),
        ('{"SalesItemLineDetail":{}}', '{"Qty":1,"UnitPrice":0}'),
        ('{"Amount":null,"SalesItemLineDetail":{}}', '{"Qty":1,"UnitPrice":0}'),
        # UnitPrice missing: Amount / Qty, 0 if Qty is 0
        ('{"Amount":25.50,"SalesItemLineDetail":{"Qty":3}}', '{"Qty":3,"UnitPrice":8.5}'),
        ('{"Amount":10,"SalesItemLineDetail":{"Qty":3}}', '{"Qty":3,"UnitPrice":3.3333333}'),
        ('{"Amount":20,"SalesItemLineDetail":{"Qty":3}}', '{"Qty":3,"UnitPrice":6.6666667}'),
        ('{"Amount":300,"SalesItemLineDetail":{"Qty":3}}', '{"Qty":3,"UnitPrice":100}'),
        ('{"Amount":9,"SalesItemLineDetail":{"Qty":0}}', '{"Qty":0,"UnitPrice":0}'),
        ('{"Amount":9,"SalesItemLineDetail":{"Qty":0.00}}', '{"Qty":0.00,"UnitPrice":0}'),
        ('{"Amount":0,"SalesItemLineDetail":{"Qty":-2}}', '{"Qty":-2,"UnitPrice":0}'),
        ('{"SalesItemLineDetail":{"Qty":3}}', '{"Qty":3,"UnitPrice":0}'),
        # Qty missing: Amount / UnitPrice, 1 if UnitPrice is 0
        ('{"Amount":10,"SalesItemLineDetail":{"UnitPrice":2.5}}', '{"UnitPrice":2.5,"Qty":4}'),
        ('{"Amount":-5,"SalesItemLineDetail":{"UnitPrice":2.5}}', '{"UnitPrice":2.5,"Qty":-2}'),
        ('{"Amount":9,"SalesItemLineDetail":{"UnitPrice":0}}', '{"UnitPrice":0,"Qty":1}'),
        ('{"SalesItemLineDetail":{"UnitPrice":7}}', '{"UnitPrice":7,"Qty":0}'),
        # both there: as they are, whatever Amount says
        (
            '{"Amount":9,"SalesItemLineDetail":{"Qty":2,"UnitPrice":1.10}}',
            '{"Qty":2,"UnitPrice":1.10}',
        ),
        ('{"SalesItemLineDetail":{"Qty":"2","UnitPrice":"1"}}', '{"Qty":"2","UnitPrice":"1"}'),
        # a null is as good as missing; other keys stay where they are
        (
            '{"Amount":8,"SalesItemLineDetail":{"ItemRef":{},"Qty":null,"UnitPrice":2}}',
            '{"ItemRef":{},"Qty":4,"UnitPrice":2}',
        ),
    ],
)
def test_what_is_missing_of_quantity_and_price_is_added(line: str, detail: str) -> None:
    (result,) = completed([a_line(line)])

    assert exact_json.encode(result["SalesItemLineDetail"]) == detail.encode()


def test_the_rest_of_the_line_stays_as_it_is() -> None:
    line = a_line('{"Id":"1","Description":"x","Amount":5.00,"SalesItemLineDetail":{}}')

    (result,) = completed([line])

    assert {**result, "SalesItemLineDetail": {}} == line
    assert line["SalesItemLineDetail"] == {}


@pytest.mark.parametrize(
    "line",
    [
        {"DetailType": "SubTotalLineDetail", "Amount": 5, "SubTotalLineDetail": {}},
        {"DetailType": "DescriptionOnly", "SalesItemLineDetail": {}},
        {"Amount": 5, "SalesItemLineDetail": {}},
        {
            "DetailType": "GroupLineDetail",
            "GroupLineDetail": {"Line": [{"DetailType": "SalesItemLineDetail", "Amount": 5}]},
        },
    ],
)
def test_lines_that_the_page_does_not_show_stay_as_they_are(line: dict[str, Any]) -> None:
    assert completed([line]) == [line]


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ({"Amount": "much"}, "Line[1].Amount"),
        ({"Amount": [1]}, "Line[1].Amount"),
        ({"SalesItemLineDetail": []}, "Line[1].SalesItemLineDetail"),
        ({"SalesItemLineDetail": {"Qty": True}}, "Line[1].SalesItemLineDetail.Qty"),
        ({"SalesItemLineDetail": {"Qty": 1, "UnitPrice": "NaN"}}, "Line[1].SalesItemLineDetail."),
        ({"SalesItemLineDetail": {"Qty": "1E+999999999"}}, "Line[1].SalesItemLineDetail.Qty"),
        (
            {"Amount": Decimal("1E+14"), "SalesItemLineDetail": {"Qty": Decimal("1E-40")}},
            "Line[1].Amount",
        ),
    ],
)
def test_a_line_that_would_print_nan_is_refused_by_its_path(
    line: dict[str, Any], field: str
) -> None:
    with pytest.raises(Unmappable) as e:
        completed([{}, {"DetailType": "SalesItemLineDetail", **line}])

    assert e.value.field.startswith(field)
