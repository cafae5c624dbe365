"""One batch of reads: what of it is newer than the record is mapped, judged and written.

What the batch would withdraw beyond the limit is left out of it.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from typing import Any, TypeVar

import structlog
from sqlalchemy.orm import Session

from service.database.engine import after_commit
from service.database.tables import Customer
from service.domain import Action, RevisionCause, RuleCode
from service.errors import ApprovalNeeded, Disconnected, SyncError, Unmappable
from service.infactor import document_lifecycle
from service.infactor.document_lifecycle import Decision, columns_of
from service.infactor.rules.facts import decoded
from service.kit.clock import now
from service.store import (
    approvals,
    connections,
    customers,
    event_feed,
    invoice_events,
    invoice_twins,
    invoices,
    judging_queue,
    quickbooks_times,
    revision_chain,
)
from service.store.event_feed import Happening
from service.store.invoice_events import RevisedInvoice
from service.store.invoice_twins import Key
from service.store.invoices import InvoiceRow, LockedDocument, RecordedVersion
from service.store.judging_queue import RecordedReasons
from workers.company import RecordedCompany
from workers.reading.reads import CompleteReads, Read
from workers.recording.invoice_rows import (
    InvoiceBasis,
    InvoiceRows,
    judged_revision,
    keys_of,
    revision,
    sale,
    same,
)
from workers.recording.judge_batch import DUPLICATES, Judge, kept
from workers.recording.outcome import Outcome, Recorded
from workers.recording.withdrawal_limit import check_withdrawals

log = structlog.get_logger(__name__)

REMAPPED_AT_ONCE = 1_000
"""More invoices of customers that have changed are mapped again in transactions of their own."""

R = TypeVar("R", InvoiceRow, RecordedReasons)


class InvoiceBatch:
    """What was read of one company; written in its caller's transaction, without a call to it."""

    def __init__(
        self,
        company: RecordedCompany,
        session: Session,
        cause: RevisionCause,
        voided: frozenset[str],
        *,
        overrule: bool = False,
    ) -> None:
        self._company = company
        self._session = session
        self._cause = cause
        self._voided = voided
        self._overrule = overrule
        at = now()
        self._rows = InvoiceRows(company, at, quickbooks_times.latest(session))
        self._judge = Judge(session, company.services.settings, company.connection_id, at)
        self._recorded = Recorded()
        self._withheld: Mapping[str, str] = {}
        self._were_unproven: set[str] = set()
        # The keys, now and before, of invoices that may now be duplicates of others, or these of
        # them; those apart that were judged together.
        self._moved: list[dict[str, set[Key]]] = []
        self._customers_changed = False

    @property
    def moves_accounts(self) -> bool:
        """Whether the batch may have changed what a buyer has open."""
        return self._customers_changed or any(one.revision is not None for one in self._recorded)

    def write_within_limit(self, reads: CompleteReads) -> Recorded:
        """Write the batch, but leave what would be withdrawn beyond the limit to an operator."""
        for attempt in self._within_limit():
            with attempt:
                self.write(reads)
        return self._recorded

    def judge_within_limit(self, ids: Collection[str]) -> Recorded:
        """Write what the rules say of these invoices now, but leave what would be withdrawn beyond
        the limit to an operator.
        """
        for attempt in self._within_limit():
            with attempt:
                self._judge_again(ids)
        # Whatever an operator confirms is read once more, and must not count as unchanged.
        withheld = {one.invoice_id: "" for one in self._recorded if one.withheld}
        invoices.keep_digests(self._session, withheld)
        return self._recorded

    def remap_within_limit(self) -> Recorded:
        """Map the next invoices again whose customer has changed, but leave what would be withdrawn
        beyond the limit to an operator.

        Raises Disconnected if the company was handed over since its supplier was read.
        """
        for attempt in self._within_limit():
            with attempt:
                self._remap_next()
        return self._recorded

    def _within_limit(self) -> Iterator[AbstractContextManager[None]]:
        """Yield what to write in: once, and again without what is beyond the limit if that was."""
        company, session = self._company, self._session
        beyond: list[ApprovalNeeded] = []
        yield self._undone_beyond_limit(beyond)
        if not beyond:
            return
        (stopped,) = beyond
        session.expire_all()  # what was undone may have been read
        self._withheld = self._recorded.withdrawn
        self._recorded, self._moved = Recorded(), []
        yield nullcontext()
        approvals.withhold(
            session,
            company.connection_id,
            self._recorded.withheld,
            stopped.why,
            stopped.named,
            stopped.reasons,
            now(),
        )
        after_commit(
            session,
            log.warning,
            "withdrawals.withheld",
            connection=company.connection_id,
            withdrawals=stopped.withdrawals,
            offered=stopped.offered,
        )

    @contextmanager
    def _undone_beyond_limit(self, beyond: list[ApprovalNeeded]) -> Iterator[None]:
        """Undo what is written in the block, and say why, if an operator has to approve it."""
        try:
            with self._session.begin_nested():
                yield
                check_withdrawals(self._session, self._company.connection_id, self._recorded, None)
        except ApprovalNeeded as e:
            beyond.append(e)

    def write(self, reads: CompleteReads) -> Recorded:
        """Write all of the batch that is newer than what is recorded, and is not withheld."""
        # One batch at a time for each company: customers stay as they are while invoices are
        # mapped with them.
        self._lock_company()
        changed_customers = customers.store(
            self._session,
            self._company.connection_id,
            reads.customers.values(),
            now(),
            overrule=self._overrule,
        )
        self._customers_changed = bool(changed_customers)
        for quickbooks_id, error in reads.failed.items():
            self._fail(quickbooks_id, error)
        for place, error in reads.unnamed.items():
            self._recorded.append(Outcome(place=place, error=error))
        found = self._identified(reads.found)
        self._note_times_ahead(
            [read.entity.last_updated for read in found.values()]
            + [customer.last_updated for customer in reads.customers.values()]
        )
        ids = {self._company.invoice_id(i) for i in [*found, *reads.gone]}
        versions = invoices.lock_versions(self._session, ids)
        bases = self._bases(found, versions)
        new = {
            i: basis
            for i, basis in bases.items()
            if self._differs(basis, changed_customers, versions)
        }
        known = self._known([*new, *reads.gone], versions)
        rows = [*self._mapped(new, known), *self._deletions(reads.gone, known)]
        # What is withheld stays as it is, and others are judged beside that.
        self._keep(self._judge.judged(self._unless_withheld(rows)), known)
        self._note_unchanged(bases.keys() - new.keys(), versions)
        if changed_customers:
            self._remap_customers(changed_customers, skip=ids)
        return self._recorded

    def ask_for_neighbours(self) -> None:
        """Ask for the invoices to be judged again that share, or shared, a sale with those written.

        They may be another company's, which has transactions of its own. Those that were judged
        together know each other, but not what was remapped after them.
        """
        if not self._rows.settings.rules.asks_any(DUPLICATES):
            return
        session, services = self._session, self._company.services
        environment = services.settings.quickbooks_environment
        ids: set[str] = set()
        for moved in self._moved:
            ids |= invoice_twins.neighbours(session, environment, moved)
        for connection_id in sorted(invoice_twins.ask(session, ids)):
            after_commit(session, services.jobs.judge, connection_id)

    def _judge_again(self, ids: Collection[str]) -> None:
        session, connection_id = self._session, self._company.connection_id
        connections.lock(session, connection_id)
        # Invoices before what is asked for, as whoever delivers or polls locks them.
        before = self._unless_withheld(judging_queue.lock(session, ids), remapped=True)
        judging_queue.answered(session, connection_id, ids)
        judgements = self._judge.judgements({row.id: decoded(row.facts) for row in before})
        rows = [
            row._replace(hold=hold, holds=holds, signals=signals, revision=row.revision + 1)
            for row in before
            for hold in (judgements[row.id].hold,)
            for holds, signals in (kept(judgements[row.id]),)
            if (holds, signals) != (row.holds, row.signals)
        ]
        if not rows:
            return
        self._note_unproven(before)
        judging_queue.save(session, rows, self._rows.at)
        revisions = [judged_revision(row, self._rows.at, self._cause) for row in rows]
        invoices.add_revisions(session, revision_chain.linked(session, connection_id, revisions))
        actions = self._actions(rows)
        self._tell(rows, revisions, {row.id: row for row in before}, actions)
        self._recorded += [self._written(row, actions[row.id], remapped=True) for row in rows]

    def _actions(self, rows: Sequence[RecordedReasons]) -> dict[str, Action]:
        """Return what these rows, which were judged again, do to Infactor's documents.

        Those are stored if nothing is delivered. Else no document is read as a whole.
        """
        ids = [row.id for row in rows]
        if not self._rows.settings.delivers:
            stored = invoices.load(self._session, ids)
            return self._deliver(list(stored.values()))
        states = invoices.document_states(self._session, ids)
        actions = {}
        for row in rows:
            state, withdrawn = states.get(row.id, (None, False))
            actions[row.id] = document_lifecycle.action_of(
                state,
                RuleCode(row.hold) if row.hold else None,
                withdrawn=withdrawn,
                withdraw=self._rows.settings.infactor_withdraw,
            )
        return actions

    def _note_times_ahead(self, times: Sequence[datetime]) -> None:
        if times and max(times) > self._rows.latest:
            quickbooks_times.note_ahead(self._session, self._company.connection_id, max(times))

    def _unless_withheld(self, rows: Sequence[R], *, remapped: bool = False) -> list[R]:
        """Return the rows that may be written; the others keep what is recorded of them."""
        self._recorded += [
            Outcome(
                quickbooks_id=row.quickbooks_id,
                invoice_id=row.id,
                hold=RuleCode(self._withheld[row.id]),
                remapped=remapped,
                withheld=True,
            )
            for row in rows
            if row.id in self._withheld
        ]
        return [row for row in rows if row.id not in self._withheld]

    def _fail(self, quickbooks_id: str, error: SyncError) -> None:
        self._recorded.append(Outcome(quickbooks_id=quickbooks_id, error=error))

    def _lock_company(self) -> None:
        """Lock the company; raise Disconnected if it was disconnected or handed over since it was
        read.
        """
        connection_id, supplier_id = self._company.connection_id, self._company.supplier_id
        if not connections.lock_if_held(self._session, connection_id, supplier_id):
            raise Disconnected("the connection ended while its company was being read")

    def _identified(self, reads: Sequence[Read]) -> dict[str, Read]:
        """Return what has an Id and a version, by QuickBooks Id."""
        found: dict[str, Read] = {}
        for read in reads:
            try:
                found[read.entity.id] = read
            except Unmappable as e:
                self._fail(str(read.raw.get("Id"))[:64], e)
        return found

    def _bases(
        self, found: dict[str, Read], versions: dict[str, RecordedVersion]
    ) -> dict[str, InvoiceBasis]:
        buyers = self._buyers(found.values())
        bases = {}
        for quickbooks_id, read in found.items():
            before = versions.get(self._company.invoice_id(quickbooks_id))
            called_void = quickbooks_id in self._voided or bool(before and before.void_noticed)
            chain = customers.chain(buyers, read.customer_id)
            bases[quickbooks_id] = self._rows.basis(read, chain, called_void=called_void)
        return bases

    def _differs(
        self,
        basis: InvoiceBasis,
        changed_customers: Collection[str],
        versions: dict[str, RecordedVersion],
    ) -> bool:
        """Return whether the record may have to become another one: mapping tells for sure."""
        before = versions.get(self._company.invoice_id(basis.read.entity.id))
        if self._cause == RevisionCause.RECONCILE:
            return True  # something differs, and the digest may be what is wrong
        if before is None or any(c.quickbooks_id in changed_customers for c in basis.chain):
            return True
        return before.digest != basis.digest

    def _known(
        self, quickbooks_ids: Collection[str], versions: dict[str, RecordedVersion]
    ) -> dict[str, InvoiceRow]:
        ids = {self._company.invoice_id(i) for i in quickbooks_ids}
        return invoices.load(self._session, ids & versions.keys())

    def _note_unchanged(
        self, quickbooks_ids: Collection[str], versions: dict[str, RecordedVersion]
    ) -> None:
        ids = {i: self._company.invoice_id(i) for i in quickbooks_ids}
        offered = invoices.offered(self._session, ids.values())
        self._recorded += [
            _unwritten(i, id_, versions[id_].hold, is_offered=id_ in offered)
            for i, id_ in ids.items()
        ]

    def _mapped(
        self, bases: dict[str, InvoiceBasis], known: Mapping[str, InvoiceRow]
    ) -> list[InvoiceRow]:
        rows = []
        for quickbooks_id, basis in bases.items():
            before = known.get(self._company.invoice_id(quickbooks_id))
            try:
                row = self._rows.read(basis, before)
            except Unmappable as e:
                self._fail(quickbooks_id, e)
            else:
                rows.append(row)
        return rows

    def _deletions(self, gone: dict[str, int], known: Mapping[str, InvoiceRow]) -> list[InvoiceRow]:
        return [
            self._rows.deletion(i, fetch_number, known.get(self._company.invoice_id(i)))
            for i, fetch_number in gone.items()
        ]

    def _buyers(self, reads: Iterable[Read]) -> dict[str, Customer]:
        wanted = {i for read in reads if (i := read.customer_id)}
        return customers.load_with_parents(self._session, self._company.connection_id, wanted)

    def _remap_customers(self, changed: set[str], skip: set[str]) -> None:
        """Map the invoices of these customers again, or note that it is to be done: deliveries of
        the company wait for this transaction.
        """
        is_trial = self._cause is RevisionCause.REHEARSAL  # nobody waits for it
        ids = self._of_customers(changed, limit=None if is_trial else REMAPPED_AT_ONCE + 1)
        if is_trial or len(ids) <= REMAPPED_AT_ONCE:
            self._remap(set(ids) - skip)
            return
        connection_id = self._company.connection_id
        customers.remap_later(self._session, connection_id, changed)
        after_commit(self._session, self._company.services.jobs.judge, connection_id)

    def _remap_next(self) -> None:
        session, connection_id = self._session, self._company.connection_id
        connections.lock(session, connection_id)
        owner = connections.get(session, connection_id)
        if owner is None or owner.supplier_id != self._company.supplier_id:
            raise Disconnected("the company was handed over meanwhile")
        customer = customers.to_remap(session, connection_id)
        if customer is None:
            return
        customer_id, after = customer
        ids = self._of_customers({customer_id}, after=after, limit=REMAPPED_AT_ONCE)
        self._remap(ids)
        until = ids[-1] if len(ids) == REMAPPED_AT_ONCE else None
        customers.remapped(session, connection_id, customer_id, until)

    def _of_customers(self, changed: set[str], **which: Any) -> list[str]:
        """Return ids of the invoices of these customers and of those below them, in their order."""
        connection_id = self._company.connection_id
        concerned = customers.with_children(self._session, connection_id, changed)
        theirs = invoices.of_customers(self._session, connection_id, concerned, **which)
        return [id_ for id_, *_ in theirs]

    def _remap(self, ids: Collection[str]) -> None:
        """Map these invoices again, from the recorded originals."""
        stored = invoices.load(self._session, ids)
        reads = {id_: Read(one.source, one.fetch_number) for id_, one in stored.items()}
        buyers = self._buyers(reads.values())
        rows = []
        for id_, invoice in stored.items():
            try:
                chain = customers.chain(buyers, reads[id_].customer_id)
                void = invoice.void_noticed
                basis = self._rows.basis(reads[id_], chain, called_void=void)
                rows.append(self._rows.read(basis, invoice))
            except Unmappable as e:  # it stays as it is
                self._fail(invoice.quickbooks_id, e)
        rows = self._judge.judged(self._unless_withheld(rows, remapped=True))
        actions = self._write_newer(rows, stored, remap=True)
        self._recorded += [
            self._written(row, actions[row.id], remapped=True) for row in rows if row.id in actions
        ]

    def _keep(self, rows: Sequence[InvoiceRow], known: Mapping[str, InvoiceRow]) -> None:
        actions = self._write_newer(rows, known)
        offered = invoices.offered(self._session, [r.id for r in rows if r.id not in actions])
        for row in rows:
            if row.id in actions:
                self._recorded.append(self._written(row, actions[row.id]))
                continue
            before = known.get(row.id)
            hold = before.hold if before else row.hold
            self._recorded.append(
                _unwritten(row.quickbooks_id, row.id, hold, is_offered=row.id in offered)
            )

    def _note_unproven(self, before: Iterable[RevisedInvoice]) -> None:
        """Note which of these were held before because nothing proved them, if that withdraws."""
        if self._rows.settings.infactor_withdraw:
            self._were_unproven.update(row.id for row in before if row.hold == RuleCode.UNPROVEN)

    def _written(self, row: RevisedInvoice, action: Action, *, remapped: bool = False) -> Outcome:
        return Outcome(
            quickbooks_id=row.quickbooks_id,
            invoice_id=row.id,
            action=action,
            hold=RuleCode(row.hold) if row.hold else None,
            revision=row.revision,
            remapped=remapped,
            was_unproven=row.id in self._were_unproven,
            judged_unproven=self._cause is RevisionCause.RULES
            and any(one["code"] == RuleCode.UNPROVEN for one in row.holds),
        )

    def _write_newer(
        self, rows: Sequence[InvoiceRow], known: Mapping[str, InvoiceRow], *, remap: bool = False
    ) -> dict[str, Action]:
        """Write the rows that differ from the record; return each one's action in Infactor."""
        alike = {row.id: row.digest for row in rows if same(known.get(row.id), row)}
        invoices.keep_digests(self._session, alike)
        changed = [row for row in rows if row.id not in alike]
        accepted = invoices.upsert_if_newer(
            self._session, changed, remap=remap, overrule=self._overrule and not remap
        )
        written = [row for row in changed if row.id in accepted]
        invoices.note_fixed(self._session, _before_fixes(written, known), self._rows.at)
        self._note_unproven(known.values())
        moved = {}
        for row in written:
            was = known.get(row.id)
            if was is None or sale(was) != sale(row):
                moved[row.id] = {*keys_of(row), *(keys_of(was) if was else ())}
        self._moved.append(moved)
        revisions = [revision(row, known.get(row.id), self._cause) for row in written]
        connection_id = self._company.connection_id
        invoices.add_revisions(
            self._session, revision_chain.linked(self._session, connection_id, revisions)
        )
        actions = self._deliver(written)
        self._tell(written, revisions, known, actions)
        return actions

    def _tell(
        self,
        written: Sequence[RevisedInvoice],
        revisions: Sequence[dict[str, Any]],
        before: Mapping[str, RevisedInvoice],
        actions: Mapping[str, Action],
    ) -> None:
        """Write an event of each new revision, and of its delivery if nothing else delivers it."""
        happenings = self._happenings(written, revisions, before, actions)
        event_feed.tell(self._session, happenings, self._rows.at)

    def _happenings(
        self,
        written: Sequence[RevisedInvoice],
        revisions: Sequence[dict[str, Any]],
        before: Mapping[str, RevisedInvoice],
        actions: Mapping[str, Action],
    ) -> Iterator[Happening]:
        for row, line in zip(written, revisions, strict=True):
            yield from invoice_events.of_revision(row, before.get(row.id), line)
            if not self._rows.settings.delivers:
                yield from invoice_events.of_delivery(
                    row.connection_id, row.id, actions[row.id], row.revision
                )

    def _deliver(self, rows: Sequence[InvoiceRow]) -> dict[str, Action]:
        """Decide what these rows do to Infactor's documents; store that if nothing is delivered."""
        current = invoices.documents(self._session, [row.id for row in rows])
        decisions = {row.id: self._decide(row, current.get(row.id)) for row in rows}
        if not self._rows.settings.delivers:  # else the deliveries store what Infactor has
            documents = [
                self._document_row(row, current.get(row.id), document, decisions[row.id].action)
                for row in rows
                if (document := decisions[row.id].document) is not None
            ]
            invoices.write_documents(self._session, documents)
        return {invoice_id: decision.action for invoice_id, decision in decisions.items()}

    def _document_row(
        self,
        row: InvoiceRow,
        current: LockedDocument | None,
        document: Mapping[str, Any],
        action: Action,
    ) -> dict[str, Any]:
        # What is not read anew stays in the name in which it is.
        named = current if row.mapped is None else None
        written = {
            "invoice_id": row.id,
            "connection_id": row.connection_id,
            "supplier_id": (named or self._company).supplier_id,
            **columns_of(document),
            "currency": row.currency,
            "revision": row.revision,
            "written_at": row.recorded_at,
        }
        if action is Action.CREATE:  # as it is mapped, which is JSON already
            written["document"] = row.mapped_text
        return written

    def _decide(self, row: InvoiceRow, current: LockedDocument | None) -> Decision:
        return document_lifecycle.decide(
            current.document if current else None,
            row.mapped,
            RuleCode(row.hold) if row.hold else None,
            withdraw=self._rows.settings.infactor_withdraw,
            handed_over=current is not None and current.supplier_id != self._company.supplier_id,
        )


def _before_fixes(
    written: Sequence[InvoiceRow], before: Mapping[str, InvoiceRow]
) -> dict[str, list[Any]]:
    """Return the warnings before, by id, of those of which one of them is gone."""
    return {
        row.id: was.warnings
        for row in written
        if (was := before.get(row.id)) is not None
        and not {one["code"] for one in was.warnings} <= {one["code"] for one in row.warnings}
    }


def _unwritten(
    quickbooks_id: str, invoice_id: str, hold: str | None, *, is_offered: bool
) -> Outcome:
    return Outcome(
        quickbooks_id=quickbooks_id,
        invoice_id=invoice_id,
        action=Action.UNCHANGED if is_offered else Action.HOLD,
        hold=RuleCode(hold) if hold else None,
    )
