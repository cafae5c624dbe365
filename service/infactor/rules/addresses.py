"""The rules that ask to whom the invoice is shown: whose the buyer's e-mail address is."""

from datetime import timedelta

from service.domain import RuleCode, Severity
from service.infactor.rules.circumstances import Circumstances
from service.infactor.rules.domains import FREE_MAIL, domain_of, own_domains, within
from service.infactor.rules.facts import InvoiceFacts
from service.infactor.rules.rule import Figures, Limit, Mode, Rule


def _own_buyer(facts: InvoiceFacts, around: Circumstances, limit: int) -> Figures | None:
    if not around.own_addresses:
        return None
    domains = own_domains(around.own_addresses)
    for address in facts.emails:
        if address.casefold() in around.own_addresses:
            return {"address": address, "whose": "the supplier's own address"}
        if within(domain_of(address), domains):
            return {"address": address, "whose": "at the supplier's own domain"}
    return None


def _lookalike_domain(facts: InvoiceFacts, around: Circumstances, limit: int) -> Figures | None:
    if not around.lookalikes:
        return None
    for address in facts.emails:
        if other := around.lookalikes.get(domain_of(address)):
            return {"address": address, "like": other}
    return None


def _shared_address(facts: InvoiceFacts, around: Circumstances, limit: int) -> Figures | None:
    for address in facts.emails if around.shared_addresses else ():
        if address.casefold() in around.shared_addresses:
            return {"address": address}
    return None


def _free_mail(facts: InvoiceFacts, around: Circumstances, limit: int) -> Figures | None:
    for address in facts.emails:
        if domain_of(address) in FREE_MAIL:
            return {"address": address}
    return None


def _buyer_changed(facts: InvoiceFacts, around: Circumstances, limit: int) -> Figures | None:
    changed = facts.address_changed
    if changed is None or around.today - changed > timedelta(days=limit):
        return None
    now = facts.emails[0] if facts.emails else "none"
    return {"before": facts.address_before, "now": now, "changed": changed.isoformat()}


RULES = (
    Rule(
        code=RuleCode.OWN_BUYER,
        asks=(
            "The buyer's e-mail address is the supplier's own: of their account, of their company "
            "in QuickBooks, or at the domain of one of these."
        ),
        test=_own_buyer,
        words="the supplier as the buyer",
        explains="The buyer's address, {address}, is {whose}.",
        after_approval=Severity.CRITICAL,
    ),
    Rule(
        code=RuleCode.LOOKALIKE_DOMAIN,
        asks=(
            "The domain of the buyer's address looks like the supplier's or that of another buyer "
            "who was there before: a letter is another one, is added or is left out."
        ),
        test=_lookalike_domain,
        words="a domain that looks like another",
        explains="The domain of {address} looks like {like}.",
        after_approval=Severity.CRITICAL,
    ),
    Rule(
        code=RuleCode.SHARED_ADDRESS,
        asks="The buyer's address is, or was, that of several customers of the company.",
        test=_shared_address,
        words="an address of several customers",
        explains="Several customers of this company have the address {address}.",
        lender=Mode.SIGNAL,
    ),
    Rule(
        code=RuleCode.FREE_MAIL,
        asks="The buyer's address is at a provider where anybody gets a mailbox at once.",
        test=_free_mail,
        words="a free mailbox",
        explains="Anybody can have an address like {address}.",
        lender=Mode.SIGNAL,
    ),
    Rule(
        code=RuleCode.BUYER_CHANGED,
        asks=(
            "The buyer's address was replaced in the last {limit}. It is serious if the approval "
            "follows within that time."
        ),
        test=_buyer_changed,
        limit=Limit(30, "days"),
        words="a new address of the buyer",
        explains="The buyer's address was {before} until {changed}, and is {now} since.",
        lender=Mode.SIGNAL,
        after_approval=Severity.CRITICAL,
        at_approval=True,
    ),
)
