"""What a restart of the simulator finds again."""

from datetime import UTC, datetime

from service.simulator.generate.companies import generated_book


def test_the_companies_are_the_same_all_day() -> None:
    first = generated_book(datetime(2026, 11, 22, 0, 0, 1, tzinfo=UTC))
    last = generated_book(datetime(2026, 11, 22, 23, 59, 59, 999999, tzinfo=UTC))
    assert first.companies == last.companies


def test_nothing_in_them_is_later_than_the_day_begins() -> None:
    book = generated_book(datetime(2026, 11, 22, 15, 30, tzinfo=UTC))
    newest = max(
        datetime.fromisoformat(invoice["MetaData"]["LastUpdatedTime"])
        for company in book.companies.values()
        for invoice in company["Invoice"]
    )
    assert newest <= datetime(2026, 11, 22, tzinfo=UTC)
