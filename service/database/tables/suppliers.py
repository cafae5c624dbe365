"""Suppliers, their companies, and their browsers.

Other tables know a company by its connection's id; only here is the realm id, sealed.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from service.database.tables.metadata import Base
from service.database.types import ExactJSON, Instant, RowId


class Supplier(Base):
    """One supplier, known by the e-mail address of their account in Infactor."""

    __tablename__ = "suppliers"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    # Spelled as in their account: Infactor tells two spellings apart, and so do we.
    email: Mapped[str] = mapped_column(String(320), unique=True)
    name: Mapped[str] = mapped_column(Text)
    address: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Instant)


class Connection(Base):
    """One company's authorisation. A company belongs to one supplier until it is released."""

    __tablename__ = "connections"
    __table_args__ = (UniqueConstraint("environment", "realm_digest"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    supplier_id: Mapped[int] = mapped_column(ForeignKey("suppliers.id"), index=True)
    environment: Mapped[str] = mapped_column(String(16))
    realm_digest: Mapped[str] = mapped_column(String(64))
    realm_sealed: Mapped[str] = mapped_column(Text)
    company_name: Mapped[str] = mapped_column(Text)
    # As QuickBooks writes it, to conclude the home currency from; "" where it is not known.
    country: Mapped[str] = mapped_column(Text, default="", server_default="")
    # The company's own e-mail addresses in QuickBooks: a buyer who has one is no buyer.
    own_emails: Mapped[list[Any]] = mapped_column(ExactJSON, default=list, server_default="[]")
    state: Mapped[str] = mapped_column(String(16))  # a ConnectionState
    problem: Mapped[str | None] = mapped_column(Text)  # why it is disconnected or paused
    access_sealed: Mapped[str | None] = mapped_column(Text)
    access_expires_at: Mapped[datetime | None] = mapped_column(Instant)
    refresh_sealed: Mapped[str | None] = mapped_column(Text)
    # The refresh token before the present one, kept until QuickBooks has accepted the present one.
    previous_refresh_sealed: Mapped[str | None] = mapped_column(Text)
    refresh_expires_at: Mapped[datetime | None] = mapped_column(Instant)
    hard_expires_at: Mapped[datetime | None] = mapped_column(Instant)
    connected_at: Mapped[datetime] = mapped_column(Instant)
    disconnected_at: Mapped[datetime | None] = mapped_column(Instant)
    # Paused by an operator: nobody calls QuickBooks for it until it is resumed.
    suspended_at: Mapped[datetime | None] = mapped_column(Instant)
    # Released by an operator: any supplier may connect it next.
    released_at: Mapped[datetime | None] = mapped_column(Instant)
    renewed_at: Mapped[datetime] = mapped_column(Instant)
    last_synced_at: Mapped[datetime | None] = mapped_column(Instant)
    # Everything that changed up to here, by QuickBooks' own clock, has been read.
    changes_read_until: Mapped[datetime] = mapped_column(Instant)
    # Everything that changed or was deleted up to here, by QuickBooks' own clock, was reconciled.
    reconciled_until: Mapped[datetime] = mapped_column(Instant)
    # A time that QuickBooks has said though it lies ahead of the database's clock, and when.
    time_ahead: Mapped[datetime | None] = mapped_column(Instant)
    time_ahead_at: Mapped[datetime | None] = mapped_column(Instant)
    reconciled_at: Mapped[datetime | None] = mapped_column(Instant)
    # When the whole company was last known to be recorded as QuickBooks has it, and the fetch
    # number that a read must exceed to prove it; see `store.proof`.
    proved_at: Mapped[datetime | None] = mapped_column(Instant)
    proof_lost: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    reconcile_due_at: Mapped[datetime] = mapped_column(Instant)
    refreshes: Mapped[int] = mapped_column(default=0)
    # Rises by one for each read of this company; orders answers without comparing clocks.
    fetch_number: Mapped[int] = mapped_column(BigInteger, default=0)
    paused_until: Mapped[datetime | None] = mapped_column(Instant)
    # Since when QuickBooks has answered nothing but 429.
    throttled_since: Mapped[datetime | None] = mapped_column(Instant)
    # Since when QuickBooks could not be reached for it or answered 5xx, and how.
    outage_since: Mapped[datetime | None] = mapped_column(Instant)
    outage: Mapped[str | None] = mapped_column(Text)
    # Since when QuickBooks has barred us, though the tokens are good.
    barred_since: Mapped[datetime | None] = mapped_column(Instant)
    # Since when QuickBooks has refused to renew its tokens because of the app's own keys.
    keys_refused_since: Mapped[datetime | None] = mapped_column(Instant)
    # When the last token of a dead connection was last tried again.
    revival_tried_at: Mapped[datetime | None] = mapped_column(Instant)
    failures: Mapped[int] = mapped_column(default=0)
    # How many objects QuickBooks sent that were not asked for, lately, and when the last one.
    unasked: Mapped[int] = mapped_column(default=0)
    unasked_at: Mapped[datetime | None] = mapped_column(Instant)
    # After so many seconds without a webhook it is silent against its habit; see `store.silence`.
    silent_after: Mapped[int | None] = mapped_column()
    nudge_due_at: Mapped[datetime | None] = mapped_column(Instant)
    # How many revisions its chain has, and the last link; see `store.revision_chain`.
    chain_length: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    chain_link: Mapped[str] = mapped_column(String(64), default="", server_default="")
    # By which rules, and on which day, its invoices were last judged; see `workers.rejudging`.
    judged_by: Mapped[str] = mapped_column(String(64), default="", server_default="")
    # Up to which QuickBooks Id, as text, all of them are being judged.
    judged_until: Mapped[str] = mapped_column(String(64), default="", server_default="")
    # Rises above every other company's whenever this one is judged: the lowest is next.
    judging_turn: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    # When the buyers' accounts are counted next; None while nothing has changed since.
    accounts_due_at: Mapped[datetime | None] = mapped_column(Instant)
    # When rows of Infactor's old import were last checked; until then nothing is delivered.
    adopted_at: Mapped[datetime | None] = mapped_column(Instant)


class BrowserSession(Base):
    """One browser, by the digest of its cookie, and the supplier that it has proved to be."""

    __tablename__ = "sessions"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    supplier_id: Mapped[int | None] = mapped_column(ForeignKey("suppliers.id"))
    created_at: Mapped[datetime] = mapped_column(Instant)
    expires_at: Mapped[datetime] = mapped_column(Instant, index=True)


class OAuthState(Base):
    """One pass through QuickBooks' consent: usable once, by the browser that began it."""

    __tablename__ = "oauth_states"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    session_digest: Mapped[str] = mapped_column(String(64))
    environment: Mapped[str] = mapped_column(String(16))
    supplier_id: Mapped[int] = mapped_column(ForeignKey("suppliers.id"))
    link_id: Mapped[str | None] = mapped_column(String(64))
    another_company: Mapped[bool] = mapped_column(default=False)
    # Who was logged in to Infactor when its button was pressed; checked again at the end.
    infactor_user: Mapped[str | None] = mapped_column(String(24))
    expires_at: Mapped[datetime] = mapped_column(Instant, index=True)
    used_at: Mapped[datetime | None] = mapped_column(Instant)


class SpentLink(Base):
    """A connect link that has stored a connection, so that it opens nothing again."""

    __tablename__ = "spent_links"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    expires_at: Mapped[datetime] = mapped_column(Instant, index=True)
