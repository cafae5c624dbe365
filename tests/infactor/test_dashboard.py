"""Words and figures as Infactor's own supplier dashboard has them."""

from datetime import date

import pytest

from service.infactor.wording import days_to_payout, status


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("draft", "Draft"),
        ("invoice_created", "Approval Awaited"),
        ("invoice_rejected", "Rejected"),
        ("invoice_accepted", "Approved"),
        ("ifactor_request", "Factoring Requested"),
        ("ifactor_rejected", "Rejected"),
        ("ifactor_proposed", "Proposal Received"),
        ("ifactor_proposal_accepted", "Proposal Accepted"),
        ("ifactor_proposal_rejected", "Proposal Rejected"),
        ("ifactor_prepaid", "In Progress"),
        ("invoice_paid", "In Progress"),
        ("completed", "Completed"),
        ("invoice_voided", "-"),
        ("", "-"),
    ],
)
def test_a_state_is_worded_as_on_the_suppliers_dashboard(state: str, words: str) -> None:
    assert status(state) == words


@pytest.mark.parametrize(
    ("payable", "days"),
    [
        ("2026-10-01", 0),
        ("2026-10-02", 1),
        ("2026-10-08", 7),
        ("2026-10-31", 30),
        ("2026-11-30", 59),
        ("2026-12-30", 89),
        ("2027-10-01", 360),
        ("2028-09-30", 720),
        ("2026-09-30", 0),
        ("2020-01-01", 0),
        ("", 0),
        ("soon", 0),
        ("2026-02-30", 0),
    ],
)
def test_days_to_payout_count_in_years_of_360_days(payable: str, days: int) -> None:
    """Rounded values of JavaScript's Math.ceil(days) / 365 * 360, as the page computes them."""
    assert days_to_payout(payable, date(2026, 10, 1)) == days
