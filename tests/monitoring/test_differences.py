"""What a reconcile has left, in words."""

from typing import Any

from service.wording import advice, by_name, gist, is_beyond_fixing


def left(quickbooks_id: str, number: str, kind: str, **fields: str) -> dict[str, str]:
    return {"id": quickbooks_id, "number": number, "kind": kind, "there": "", "here": "", **fields}


UNREADABLE = left("the first invoice after 176 (Id 76) in the order of changes", "", "unreadable")


def a_tally(*differences: dict[str, str], infactor: list[dict[str, str]] | None = None) -> Any:
    return {"differences": list(differences), "infactor": infactor or []}


def test_nothing_left_says_nothing() -> None:
    assert (by_name(a_tally()), gist(a_tally()), advice(a_tally())) == (None, None, None)
    assert not is_beyond_fixing(a_tally())
    assert gist({}) is None  # of a run that an older version has ended


def test_each_kind_has_a_number_of_its_own_and_names_invoices_as_people_do() -> None:
    tally = a_tally(
        left("1", "", "missing"),
        UNREADABLE,
        left("7", "107", "unreadable"),
        left("2", "102", "outdated"),
        infactor=[left("3", "103", "doubled"), left("", "", "", there="no answer")],
    )
    assert by_name(tally) == (
        "QuickBooks cannot show 2 invoices: the first invoice after 176 (Id 76) in the order of"
        " changes, 107 (Id 7); 2 invoices differ from QuickBooks: Id 1 (missing), 102 (Id 2,"
        " outdated); 1 document differs in Infactor: 103 (Id 3, doubled); Infactor's documents"
        " could not be compared: no answer"
    )
    assert gist(tally) == (
        "QuickBooks cannot show 2 invoices; 2 invoices differ from QuickBooks; 1 document differs"
        " in Infactor; Infactor's documents could not be compared: no answer"
    )
    assert not is_beyond_fixing(tally)


def test_ten_are_named() -> None:
    tally = a_tally(*(left(str(n), "", "missing") for n in range(11)))
    assert (by_name(tally) or "").endswith("Id 9 (missing), …")


def test_what_cannot_be_shown_is_beyond_fixing_and_has_advice() -> None:
    tally = a_tally(UNREADABLE)
    assert is_beyond_fixing(tally)
    assert advice(tally) == (
        "Ask the supplier to open and save this invoice in QuickBooks, or contact Intuit's support"
        " with the intuit_tid of the failed event"
    )
    document = left("", "", "", there="no answer")
    assert not is_beyond_fixing(a_tally(UNREADABLE, infactor=[document]))
