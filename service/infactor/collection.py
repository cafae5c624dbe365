"""Writes deliveries into Infactor's invoices: conditional, fenced by revision, many at once.

A document is decided from what was read, and written only if it is still that: its state, our
marker and a lower revision are in the filter of the update. So a buyer who decides in between has
the last word, and an older revision never replaces a newer one. A write whose answer was lost is
recognised by its revision. A document that was never seen is inserted without a look: one that is
there all the same refuses that, and is read then.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import bson
from bson import ObjectId
from bson.errors import InvalidDocument
from bson.raw_bson import RawBSONDocument
from msgspec import Struct
from pymongo import InsertOne, UpdateOne
from pymongo.errors import BulkWriteError, DocumentTooLarge, OperationFailure

from service.domain import ENDED, Action, RuleCode, State
from service.errors import InfactorAway
from service.infactor import document_lifecycle
from service.infactor.document_lifecycle import MARKER, REMARK, Decision
from service.infactor.mapped_document import MappedDocument
from service.infactor.mapping import PREFIX
from service.infactor.mongo import InfactorDatabase, from_bson, infactors_errors

REVISION = "qbkRevision"
"""The field with the document's revision."""

# A document that changes between reading and writing more often than this has to wait.
_MOST_ROUNDS = 3
_DUPLICATE_KEY = 11000
# The answer to a whole batch with one document in it that the client let through.
_TOO_LARGE = 10334
# Some versions write the collection before the index: "infactor.invoices.$_id_".
_INDEX = re.compile(r"\bindex: (?:\S*\$)?(\S{1,127})(?:\s|$)")
_LONGEST_STATE = 32
_AT_ONCE = 1_000
MARKS = (REMARK, MARKER)
"""The fields that say why we withdrew a document."""

_OF_OTHERS = (
    *("qbkInvoiceId", "supplierEmail", "state", "invoiceId", "invoiceNo", "invoiceAmount"),
    *("buyerEmail", "companyEmail", "companyName", "contactName"),
)

Key = Any
"""A document's `_id`: our own invoiceId, or an ObjectId of Infactor's."""


class DeliveryOrder(Struct, frozen=True, kw_only=True):
    """One revision of an invoice for its document; `mapped` is None if it was never read, or not
    since its company was handed over.

    `unseen`: its document was never seen, so it may be inserted without a read.
    """

    key: Key
    revision: int
    mapped: MappedDocument | None
    hold: RuleCode | None
    handed_over: bool = False
    may_create: bool = True
    unseen: bool = False
    warnings: Sequence[Mapping[str, str]] = ()


class DeliveryResult(Struct, frozen=True, kw_only=True):
    """The result of an order; `before` and `after` are the document, None if there is none.

    The one that was created is as it is mapped, any other as it is stored.

    `repeated`: the document was at this revision already, because an earlier answer was lost.
    `newer` is the document's revision if ours has to become a higher one to be written.
    """

    action: Action
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    state: str | None
    changed: tuple[str, ...] = ()
    repeated: bool = False
    newer: int | None = None


_HELD = DeliveryResult(action=Action.HOLD, before=None, after=None, state=None)
_CREATES = Decision(Action.CREATE)


@dataclass(frozen=True, slots=True)
class DeliveryRefusal:
    """Why the server does not take a document; trying again at once would not help."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentState:
    """A document's state, revision, and our marks on it."""

    state: str
    revision: int
    marks: Mapping[str, Any]  # our marker and the remark, where there are any, as exact JSON


class _Write(Struct, frozen=True):
    order: DeliveryOrder
    before: Mapping[str, Any] | None
    decision: Decision
    request: InsertOne[Any] | UpdateOne


@dataclass(frozen=True, slots=True)
class _Sent:
    """What the server did not take, and of which writes its answer does not tell."""

    refused: Mapping[Key, DeliveryRefusal]
    unclear: Collection[Key]


class InvoiceCollection:
    """Infactor's invoices; every method raises InfactorAway if the database does not answer."""

    def __init__(self, database: InfactorDatabase, *, withdraw: bool) -> None:
        self._invoices = database.invoices
        self._withdraw = withdraw

    def deliver(
        self, orders: Iterable[DeliveryOrder]
    ) -> dict[Key, DeliveryResult | DeliveryRefusal]:
        """Write the orders; return the results, without those whose document kept changing."""
        left = {order.key: order for order in orders}
        ended = self._write(
            [
                _creation(order, order.mapped)
                for order in left.values()
                if order.mapped is not None and _is_creatable(order)
            ]
        )
        for _ in range(_MOST_ROUNDS):
            left = {key: order for key, order in left.items() if key not in ended}
            if not left:
                break
            ended |= self._round(left)
        return ended

    def read(
        self, keys: Collection[Key], fields: Collection[str] | None = None
    ) -> dict[Key, dict[str, Any]]:
        """Return the existing documents of these keys, whole or with these fields only."""
        if not keys:
            return {}
        with infactors_errors():
            found = self._invoices.find(_among(keys), None if fields is None else list(fields))
            return {document["_id"]: document for document in found}

    def states(self, keys: Collection[Key]) -> dict[Key, DocumentState]:
        """Return the states of the existing documents of these keys."""
        found = self.read(keys, ("state", REVISION, *MARKS))
        return {key: state_of(document) for key, document in found.items()}

    def others(
        self, quickbooks_ids: Collection[str], suppliers: Collection[str]
    ) -> list[dict[str, Any]]:
        """Return the documents for these Ids of these suppliers that are not ours; scans the
        collection.
        """
        wanted = {
            "qbkInvoiceId": {"$in": list(quickbooks_ids)},
            "supplierEmail": {"$in": list(suppliers)},
            "_id": {"$not": re.compile(f"^{PREFIX}")},
        }
        with infactors_errors():
            return list(self._invoices.find(wanted, _OF_OTHERS))

    def in_name_of(self, supplier: str) -> Iterator[list[dict[str, Any]]]:
        """Yield, in batches, the documents in this supplier's name on which money may still be
        lent, with few fields; scans the collection.

        They need not be ours. Asked for the form of our ids, the server would go along their index,
        whose order is none of the documents: at a million that took 24 s instead of 0.6.
        """
        wanted = {
            "supplierEmail": supplier,
            "state": {"$nin": sorted({*ENDED, State.INVOICE_REJECTED})},
        }
        with infactors_errors():
            found = self._invoices.find(wanted, ("qbkInvoiceId", "state", "invoiceNo"))
            while some := list(islice(found, _AT_ONCE)):
                yield some

    def _round(
        self, orders: Mapping[Key, DeliveryOrder]
    ) -> dict[Key, DeliveryResult | DeliveryRefusal]:
        current = self.read(orders)
        ended: dict[Key, DeliveryResult | DeliveryRefusal] = {}
        writes: list[_Write] = []
        for key, order in orders.items():
            made = self._decide(order, current.get(key))
            if isinstance(made, _Write):
                writes.append(made)
            else:
                ended[key] = made
        return ended | self._write(writes)

    def _decide(
        self, order: DeliveryOrder, current: Mapping[str, Any] | None
    ) -> DeliveryResult | _Write:
        if current is None and not order.may_create:
            return _HELD
        revision = _revision_of(current)
        mapped = None if order.mapped is None else order.mapped.as_stored()
        decision = document_lifecycle.decide(
            current,
            mapped,
            order.hold,
            withdraw=self._withdraw,
            handed_over=order.handed_over or (order.unseen and _is_anothers(current, mapped)),
        )
        # A document at this revision is what we wrote, in an attempt whose answer was lost, unless
        # there is still something to do about it. Then it is of another life of our record, which
        # was restored from a backup or forgotten and imported anew, and counts again.
        same = revision == order.revision
        ahead = revision > order.revision or (same and decision.document is not None)
        # What was approved may differ from the record in what no field says: that it is held.
        differs = decision.action is Action.FROZEN and (decision.changed or order.hold is not None)
        repeated = same and not differs
        if current is not None and (ahead or repeated):
            return DeliveryResult(
                action=Action.UNCHANGED,
                before=current,
                after=current,
                state=text_of_state(current),
                repeated=repeated and not ahead,
                newer=revision if ahead else None,
            )
        if decision.action in (Action.HOLD, Action.FROZEN):
            return DeliveryResult(
                action=decision.action,
                before=current,
                after=current,
                state=text_of_state(current),
                changed=decision.changed,
            )
        if current is None:
            return _HELD if order.mapped is None else _creation(order, order.mapped)
        return _Write(order, current, decision, _request(order, current, decision))

    def _write(self, writes: Sequence[_Write]) -> dict[Key, DeliveryResult | DeliveryRefusal]:
        """Write; return the results, without those whose document is another one by now."""
        if not writes:
            return {}
        try:
            return self._send_and_see(writes)
        except (InvalidDocument, DocumentTooLarge):
            # Neither client nor server says which one; the others must not suffer.
            return {key: made for write in writes for key, made in self._alone(write).items()}

    def _alone(self, write: _Write) -> dict[Key, DeliveryResult | DeliveryRefusal]:
        try:
            return self._send_and_see([write])
        except (InvalidDocument, DocumentTooLarge) as e:
            return {
                write.order.key: DeliveryRefusal(
                    f"the document cannot be stored ({type(e).__name__})"
                )
            }

    def _send_and_see(
        self, writes: Sequence[_Write]
    ) -> dict[Key, DeliveryResult | DeliveryRefusal]:
        sent = self._send(writes)
        updated = {write.order.key for write in writes if write.before is not None}
        there = self.read(updated.intersection(sent.unclear), ("state", REVISION))
        ended: dict[Key, DeliveryResult | DeliveryRefusal] = {**sent.refused}
        for write in writes:
            key, revision = write.order.key, write.order.revision
            if key in ended:
                continue
            if key not in sent.unclear:
                ended[key] = _done(write, _written(write))
            # A document that stands where one was to be created is read whole: it may be decided.
            elif write.before is not None and there.get(key, {}).get(REVISION) == revision:
                ended[key] = _done(write, there[key])
        return ended

    def _send(self, writes: Sequence[_Write]) -> _Sent:
        failed: dict[Key, Mapping[str, Any]] = {}
        with infactors_errors(but=(InvalidDocument, DocumentTooLarge)):
            try:
                requests = [write.request for write in writes]
                matched = self._invoices.bulk_write(requests, ordered=False).matched_count
            except BulkWriteError as e:
                if e.details.get("writeConcernErrors"):
                    raise InfactorAway(
                        "Infactor's MongoDB did not confirm a write in time"
                    ) from None
                matched = e.details.get("nMatched", 0)
                for error in e.details.get("writeErrors", []):
                    failed[writes[error["index"]].order.key] = error
            except OperationFailure as e:
                if e.code == _TOO_LARGE:
                    raise DocumentTooLarge(str(e)) from None
                raise
        refused = {
            key: DeliveryRefusal(f"Infactor's MongoDB refused it ({_why(error)})")
            for key, error in failed.items()
            # Another worker was faster: what it wrote is read again.
            if not _is_there_already(error)
        }
        unclear = failed.keys() - refused.keys()
        updates = {w.order.key for w in writes if w.before is not None} - failed.keys()
        # The server tells how many of them matched their condition, and not which.
        return _Sent(refused, unclear | updates if matched < len(updates) else unclear)


def _is_there_already(error: Mapping[str, Any]) -> bool:
    """Return whether a write failed because there is a document of this `_id`.

    So also if the error names no index: what is read again then tells.
    """
    if error.get("code") != _DUPLICATE_KEY:
        return False
    if pattern := error.get("keyPattern"):
        return bool(list(pattern) == ["_id"])
    return _index_of(error) in (None, "_id_")


def _why(error: Mapping[str, Any]) -> str:
    """Return why a write failed, without the values, which are people's."""
    code, index = error.get("code"), _index_of(error)
    if code == _DUPLICATE_KEY and index:
        return f"error {code}: another document has the same values in its unique index {index}"
    return f"error {code}"


def _index_of(error: Mapping[str, Any]) -> str | None:
    """Return the unique index that an error names: in its text, nowhere else."""
    found = _INDEX.search(str(error.get("errmsg", "")))
    return found[1] if found else None


def own_key(text: str) -> Key:
    """Return the `_id` that Infactor gave to a document, from its text."""
    return ObjectId(text)


def _is_anothers(current: Mapping[str, Any] | None, mapped: Mapping[str, Any] | None) -> bool:
    """Return whether a document is in another supplier's name, of before the company was forgotten
    and connected by this one.
    """
    if current is None or mapped is None:
        return False
    return bool(current.get("supplierEmail") != mapped["supplierEmail"])


def _is_creatable(order: DeliveryOrder) -> bool:
    """Return whether the document may be inserted without a look at what is there."""
    return order.unseen and order.may_create and order.hold is None


def _creation(order: DeliveryOrder, mapped: MappedDocument) -> _Write:
    own = {"_id": order.key, REVISION: order.revision}
    document = mapped.doubles()
    document.update(own)
    request: InsertOne[Any]
    try:
        request = InsertOne(RawBSONDocument(bson.encode(document, check_keys=True)))
    except InvalidDocument:  # a name that MongoDB 4.2 does not allow, or what nobody can store
        request = InsertOne(mapped.as_stored() | own)
    return _Write(order, None, _CREATES, request)


def _written(write: _Write) -> Mapping[str, Any] | None:
    """Return what the document is now, if the server took the write."""
    if write.before is None:
        return write.order.mapped
    return write.decision.document or write.before


def _request(order: DeliveryOrder, before: Mapping[str, Any], decision: Decision) -> UpdateOne:
    after = before if decision.document is None else decision.document
    values = {name: v for name, v in after.items() if name not in before or before[name] != v}
    gone = {name: "" for name in before if name not in after}
    only_if: dict[str, Any] = {
        "_id": order.key,
        "state": before["state"],
        REVISION: {"$not": {"$gte": order.revision}},
    }
    if before["state"] == State.INVOICE_REJECTED:  # by us, and nobody has touched that since
        only_if |= {MARKER: before[MARKER], REMARK: before[REMARK]}
    changes: dict[str, Any] = {"$set": {**values, REVISION: order.revision}}
    if gone:
        changes["$unset"] = gone
    return UpdateOne(only_if, changes)


def _done(write: _Write, after: Mapping[str, Any] | None) -> DeliveryResult:
    decision = write.decision
    if write.before is None:  # what is mapped is undecided: nothing of it is decoded to see that
        undecided = State.INVOICE_CREATED.value
        return DeliveryResult(action=decision.action, before=None, after=after, state=undecided)
    written = decision.action in (Action.REFRESH, Action.RESTORE)
    return DeliveryResult(
        action=decision.action,
        before=write.before,
        after=_written(write),
        state=text_of_state(after),
        changed=decision.changed if written else (),
    )


def _among(keys: Collection[Key]) -> dict[str, Any]:
    return {"_id": {"$in": list(keys)}}


def _revision_of(document: Mapping[str, Any] | None) -> int:
    """Return a document's revision; 0 if it has none or something else in its place."""
    revision = (document or {}).get(REVISION)
    return int(revision) if isinstance(revision, int | float) and revision > 0 else 0


def state_of(document: Mapping[str, Any]) -> DocumentState:
    return DocumentState(
        state=text_of_state(document) or "",
        revision=_revision_of(document),
        marks={name: from_bson(value) for name, value in marks_of(document).items()},
    )


def marks_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return our marker and remark, if the document has them."""
    return {name: document[name] for name in MARKS if name in document}


def text_of_state(document: Mapping[str, Any] | None) -> str | None:
    """Return the state as text that fits our tables, whatever was written there."""
    if document is None:
        return None
    return str(document.get("state")).replace("\x00", "")[:_LONGEST_STATE]
