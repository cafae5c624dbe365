"""What surrounds the invoices of one company, read for a whole batch at once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from service.database.engine import rows_of
from service.database.tables import Connection, Supplier
from service.infactor.rules.domains import domain_of, lookalikes, own_domains
from service.infactor.rules.facts import InvoiceFacts, decoded
from service.infactor.rules.twins import Twin, twin_keys
from service.store import buyer_addresses, invoice_twins
from service.store.buyer_addresses import AddressRow
from service.store.invoice_twins import MOST, Key

Facts = Mapping[str, InvoiceFacts]
"""The facts of a batch by invoice id."""


@dataclass(frozen=True, slots=True)
class Owner:
    """To whom the invoices of a batch belong; the addresses are the supplier's own."""

    connection_id: str
    supplier_id: int
    environment: str
    addresses: frozenset[str]


_OWNER = (
    select(Connection.supplier_id, Connection.environment, Connection.own_emails, Supplier.email)
    .join(Supplier, Supplier.id == Connection.supplier_id)
    .where(Connection.id == bindparam("company"))
)


def owner_of(session: Session, connection_id: str) -> Owner:
    """Return the owner of the company of this connection."""
    row = rows_of(session, _OWNER, {"company": connection_id}).one()
    addresses = frozenset(map(str.casefold, [row.email, *row.own_emails]))
    return Owner(connection_id, row.supplier_id, row.environment, addresses)


@dataclass(frozen=True, slots=True)
class TwinsOfOne:
    """The invoices that share a key with one, and the state of its own document in Infactor."""

    state: str | None
    twins: Sequence[Twin]


class Twins:
    """The invoices that share a key with those of a batch: in the batch itself, and recorded.

    What is recorded of the batch's own counts for nothing: it is about to be replaced.
    """

    def __init__(self, session: Session, owner: Owner, facts: Facts) -> None:
        self._facts = facts
        self._owner = owner
        self._keys = {id_: invoice_twins.keys_of(twin_keys(known)) for id_, known in facts.items()}
        self._within = self._of_several()
        every = {key for keys in self._keys.values() for key in keys}
        self._recorded = invoice_twins.sharing(session, owner.environment, every, besides=facts)
        concerned = {id_ for ids in self._recorded.values() for id_ in ids}
        concerned |= {id_ for ids in self._within.values() for id_ in ids}
        if self._recorded:
            shared = self._recorded.keys()
            concerned |= {i for i, keys in self._keys.items() if not shared.isdisjoint(keys)}
        self._known = invoice_twins.load(session, concerned)

    def of_each(self) -> dict[str, TwinsOfOne]:
        """Return the twins of each invoice that has any."""
        found: dict[str, TwinsOfOne] = {}
        for id_, keys in self._keys.items():
            ids = {
                other
                for key in keys
                for among in (self._within, self._recorded)
                for other in among.get(key, ())
            } - {id_}
            twins = [twin for other in sorted(ids) if (twin := self._twin(other))]
            if twins:
                found[id_] = TwinsOfOne(self._state(id_), twins)
        return found

    def _of_several(self) -> dict[Key, list[str]]:
        """Return the first ids of each key that several invoices of the batch have."""
        found: dict[Key, list[str]] = {}
        for id_, keys in self._keys.items():
            for key in keys:
                found.setdefault(key, []).append(id_)
        return {
            key: sorted(ids, key=lambda id_: (self._facts[id_].created_ms, id_))[:MOST]
            for key, ids in found.items()
            if len(ids) > 1
        }

    def _state(self, id_: str) -> str | None:
        known = self._known.get(id_)
        return known.state if known else None

    def _twin(self, id_: str) -> Twin | None:
        if mine := self._facts.get(id_):
            return Twin(id=id_, facts=mine, same_supplier=True, state=self._state(id_))
        known = self._known.get(id_)
        if known is None:  # it was forgotten at this moment
            return None
        same_supplier = known.supplier_id == self._owner.supplier_id
        facts = decoded(known.facts)
        return Twin(id=id_, facts=facts, same_supplier=same_supplier, state=known.state)


def shared_addresses(session: Session, owner: Owner, facts: Facts) -> frozenset[str]:
    """Return which addresses of these buyers several customers of the company have."""
    addresses = {email.casefold() for known in facts.values() for email in known.emails}
    return buyer_addresses.shared(session, owner.connection_id, addresses)


def lookalike_domains(session: Session, owner: Owner, facts: Facts) -> dict[str, str]:
    """Return which domains of these buyers look like another one of the supplier's."""
    wanted = set(map(domain_of, {email for known in facts.values() for email in known.emails}))
    if not wanted:
        return {}
    known = buyer_addresses.domains(session, owner.supplier_id, owner.environment)
    own = dict.fromkeys(own_domains(owner.addresses), -1)  # before every buyer's
    return lookalikes(wanted, known | own)


def addresses_of(connection_id: str, facts: Iterable[InvoiceFacts]) -> list[AddressRow]:
    """Return what is to be kept of the buyers' addresses of these invoices."""
    since: dict[tuple[str, str], int] = {}
    for one in facts:
        for email in one.emails if one.top_customer_id else ():
            key = email.casefold(), one.top_customer_id or ""
            since[key] = min(one.created_ms, since.get(key, one.created_ms))
    return [
        AddressRow(connection_id, address, customer_id, domain_of(address), earliest)
        for (address, customer_id), earliest in sorted(since.items())
    ]
