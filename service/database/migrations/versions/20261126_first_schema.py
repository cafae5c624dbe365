"""The first schema, table by table as `service.database.tables` has them.

Revision: 0001, after nothing. It imports nothing of ours, so that it stays what it is.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_INSTANT = sa.DateTime(timezone=True)
_MONEY = sa.Numeric(24, 6).with_variant(sa.BigInteger(), "sqlite")
_JSON = sa.Text()
_KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_LONG_AGO = "1970-01-01 00:00:00"


def upgrade() -> None:
    _suppliers()
    _inbox()
    _invoices()
    _documents()
    _runs()
    _coordination()
    _operations()
    _events()


def downgrade() -> None:
    for table in (
        *("events", "event_positions"),
        *("samples", "counters", "login_attempts", "operator_sessions", "audit", "alerts"),
        *("reads", "processes", "paces", "leases", "heartbeats", "deliveries"),
        *("clock_errors", "breakers"),
        *("runs_seen", "runs"),
        *("findings", "receipts", "documents", "settlements", "erased_revisions"),
        *("revisions", "old_ids"),
        *(
            "invoices_to_judge",
            "delivery_states",
            "invoices",
            "busy_hours",
            "buyer_addresses",
            "buyer_accounts",
        ),
        "customers",
        *(
            "notice_attempts",
            "notices",
            "spent_links",
            "oauth_states",
            "sessions",
            "connections",
            "suppliers",
        ),
    ):
        op.drop_table(table)


def _suppliers() -> None:
    op.create_table(
        "spent_links",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("expires_at", _INSTANT, nullable=False),
    )
    op.create_index("ix_spent_links_expires_at", "spent_links", ["expires_at"])
    op.create_table(
        "suppliers",
        sa.Column("id", _ROW_ID, primary_key=True),
        sa.Column("email", sa.String(320), nullable=False, unique=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
    )
    op.create_table(
        "connections",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("supplier_id", _ROW_ID, sa.ForeignKey("suppliers.id"), nullable=False),
        sa.Column("environment", sa.String(16), nullable=False),
        sa.Column("realm_digest", sa.String(64), nullable=False),
        sa.Column("realm_sealed", sa.Text, nullable=False),
        sa.Column("company_name", sa.Text, nullable=False),
        sa.Column("country", sa.Text, nullable=False, server_default=""),
        sa.Column("own_emails", _JSON, nullable=False, server_default="[]"),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("problem", sa.Text),
        sa.Column("access_sealed", sa.Text),
        sa.Column("access_expires_at", _INSTANT),
        sa.Column("refresh_sealed", sa.Text),
        sa.Column("previous_refresh_sealed", sa.Text),
        sa.Column("refresh_expires_at", _INSTANT),
        sa.Column("hard_expires_at", _INSTANT),
        sa.Column("connected_at", _INSTANT, nullable=False),
        sa.Column("disconnected_at", _INSTANT),
        sa.Column("suspended_at", _INSTANT),
        sa.Column("released_at", _INSTANT),
        sa.Column("renewed_at", _INSTANT, nullable=False),
        sa.Column("last_synced_at", _INSTANT),
        sa.Column("changes_read_until", _INSTANT, nullable=False),
        sa.Column("reconciled_until", _INSTANT, nullable=False, server_default=_LONG_AGO),
        sa.Column("time_ahead", _INSTANT),
        sa.Column("time_ahead_at", _INSTANT),
        sa.Column("reconciled_at", _INSTANT),
        sa.Column("proved_at", _INSTANT),
        sa.Column("proof_lost", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("reconcile_due_at", _INSTANT, nullable=False, server_default=_LONG_AGO),
        sa.Column("refreshes", sa.Integer, nullable=False, server_default="0"),
        sa.Column("fetch_number", sa.BigInteger, nullable=False),
        sa.Column("paused_until", _INSTANT),
        sa.Column("throttled_since", _INSTANT),
        sa.Column("outage_since", _INSTANT),
        sa.Column("outage", sa.Text),
        sa.Column("barred_since", _INSTANT),
        sa.Column("keys_refused_since", _INSTANT),
        sa.Column("revival_tried_at", _INSTANT),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("unasked", sa.Integer, nullable=False, server_default="0"),
        sa.Column("unasked_at", _INSTANT),
        sa.Column("silent_after", sa.Integer),
        sa.Column("nudge_due_at", _INSTANT),
        sa.Column("chain_length", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("chain_link", sa.String(64), nullable=False, server_default=""),
        sa.Column("judged_by", sa.String(64), nullable=False, server_default=""),
        sa.Column("judged_until", sa.String(64), nullable=False, server_default=""),
        sa.Column("judging_turn", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("accounts_due_at", _INSTANT),
        sa.Column("adopted_at", _INSTANT),
        sa.UniqueConstraint("environment", "realm_digest"),
    )
    op.create_index("ix_connections_supplier_id", "connections", ["supplier_id"])
    op.create_table(
        "oauth_states",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("session_digest", sa.String(64), nullable=False),
        sa.Column("environment", sa.String(16), nullable=False),
        sa.Column("supplier_id", _ROW_ID, sa.ForeignKey("suppliers.id"), nullable=False),
        sa.Column("link_id", sa.String(64)),
        sa.Column("another_company", sa.Boolean, nullable=False),
        sa.Column("infactor_user", sa.String(24)),
        sa.Column("expires_at", _INSTANT, nullable=False),
        sa.Column("used_at", _INSTANT),
    )
    op.create_index("ix_oauth_states_expires_at", "oauth_states", ["expires_at"])
    op.create_table(
        "sessions",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("supplier_id", _ROW_ID, sa.ForeignKey("suppliers.id")),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("expires_at", _INSTANT, nullable=False),
    )
    op.create_index("ix_sessions_expires_at", "sessions", ["expires_at"])


def _inbox() -> None:
    op.create_table(
        "notices",
        sa.Column("id", _ROW_ID, primary_key=True),
        sa.Column("dedupe_key", sa.String(64), unique=True),
        sa.Column("connection_id", sa.String(32), sa.ForeignKey("connections.id")),
        sa.Column("realm_digest", sa.String(64)),
        sa.Column("realm_sealed", sa.Text),
        sa.Column("format", sa.String(16), nullable=False),
        sa.Column("event_id", sa.String(128)),
        sa.Column("entity", sa.String(128)),
        sa.Column("operation", sa.String(128)),
        sa.Column("entity_id", sa.String(128)),
        sa.Column("deleted_id", sa.String(128)),
        sa.Column("changed_at", _INSTANT),
        sa.Column("received_at", _INSTANT, nullable=False),
        sa.Column("delivery_id", sa.String(32)),
        sa.Column("body_sealed", sa.Text),
        sa.Column("duplicates", sa.Integer, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("losses", sa.Integer, nullable=False),
        sa.Column("due_at", _INSTANT),
        sa.Column("claimed_by", sa.String(64)),
        sa.Column("last_attempt_at", _INSTANT),
        sa.Column("error_class", sa.String(64)),
        sa.Column("error_message", sa.Text),
        sa.Column("intuit_tid", sa.String(128)),
        sa.Column("handled_at", _INSTANT),
    )
    op.create_index("ix_notices_connection", "notices", ["connection_id", "received_at"])
    op.create_index("ix_notices_entity", "notices", ["entity_id"])
    op.create_index("ix_notices_handled", "notices", ["handled_at"])
    op.create_index("ix_notices_ignored", "notices", ["id"], **_where("status = 'ignored'"))
    op.create_index(
        "ix_notices_failed", "notices", ["connection_id", "id"], **_where("status = 'failed'")
    )
    op.create_index(
        "ix_notices_pending", "notices", ["connection_id", "id"], **_where("status = 'pending'")
    )
    op.create_index("ix_notices_tid", "notices", ["intuit_tid"], **_where("intuit_tid IS NOT NULL"))
    op.create_index(
        "ix_notices_unconnected", "notices", ["realm_digest"], **_where("connection_id IS NULL")
    )
    op.create_table(
        "notice_attempts",
        sa.Column("id", _ROW_ID, primary_key=True),
        sa.Column(
            "notice_id",
            _ROW_ID,
            sa.ForeignKey("notices.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("began_at", _INSTANT, nullable=False),
        sa.Column("ended_at", _INSTANT, nullable=False),
        sa.Column("error_class", sa.String(64), nullable=False),
        sa.Column("error_message", sa.Text, nullable=False),
        sa.Column("intuit_tid", sa.String(128)),
        sa.Column("due_at", _INSTANT),
    )
    op.create_index("ix_notice_attempts_notice", "notice_attempts", ["notice_id", "id"])


def _invoices() -> None:
    op.create_table(
        "customers",
        sa.Column(
            "connection_id", sa.String(32), sa.ForeignKey("connections.id"), primary_key=True
        ),
        sa.Column("quickbooks_id", sa.String(64), primary_key=True),
        sa.Column("parent_id", sa.String(64)),
        sa.Column("sync_token", sa.BigInteger, nullable=False),
        sa.Column("last_updated", _INSTANT, nullable=False),
        sa.Column("fetch_number", sa.BigInteger, nullable=False),
        sa.Column("renamed_at_fetch", sa.BigInteger),
        sa.Column("bills_parent", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("open_balance", _MONEY),
        sa.Column("balance_until", _INSTANT),
        sa.Column("remap_after", sa.String(32)),
        sa.Column("source", _JSON, nullable=False),
        sa.Column("read_at", _INSTANT, nullable=False),
    )
    op.create_index(
        "ix_customers_to_remap",
        "customers",
        ["connection_id", "quickbooks_id"],
        **_where("remap_after IS NOT NULL"),
    )
    op.create_table(
        "buyer_accounts",
        sa.Column(
            "connection_id", sa.String(32), sa.ForeignKey("connections.id"), primary_key=True
        ),
        sa.Column("customer_id", sa.String(64), primary_key=True),
        sa.Column("buyer_id", sa.String(64), nullable=False),
        sa.Column("concentration", sa.Integer),
        sa.Column("overdue", sa.Integer),
        sa.Column("credit", sa.Integer),
    )
    op.create_table(
        "invoices",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("connection_id", sa.String(32), sa.ForeignKey("connections.id"), nullable=False),
        sa.Column("quickbooks_id", sa.String(64), nullable=False),
        sa.Column("sync_token", sa.BigInteger, nullable=False),
        sa.Column("last_updated", _INSTANT),
        sa.Column("fetch_number", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.String(32), nullable=False, server_default=""),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("void_noticed", sa.Boolean, nullable=False),
        sa.Column("source", _JSON, nullable=False),
        sa.Column("mapped", _JSON),
        sa.Column("facts", sa.Text, nullable=False, server_default=""),
        sa.Column("hold", sa.String(20)),
        sa.Column("holds", sa.Text, nullable=False, server_default="[]"),
        sa.Column("signals", sa.Text, nullable=False, server_default="[]"),
        sa.Column("warnings", _JSON, nullable=False),
        sa.Column("customer_id", sa.String(64)),
        sa.Column("customer_versions", sa.Text, nullable=False),
        sa.Column("doc_number", sa.Text, nullable=False),
        sa.Column("number_key", _KEY, nullable=False, server_default=""),
        sa.Column("due_key", _KEY, nullable=False, server_default="~"),
        sa.Column("sought", _KEY, nullable=False, server_default=""),
        sa.Column("twin_number", sa.BigInteger),
        sa.Column("twin_buyer", sa.BigInteger),
        sa.Column("twin_name", sa.BigInteger),
        sa.Column("twin_email", sa.BigInteger),
        sa.Column("total", _MONEY),
        sa.Column("balance", _MONEY),
        sa.Column("currency", sa.String(8)),
        sa.Column("first_total", _MONEY),
        sa.Column("settled_at", sa.Float(53)),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("recorded_at", _INSTANT, nullable=False),
        sa.Column("buyer_emails", _JSON, nullable=False, server_default="[]"),
        sa.Column("delivery_warnings", _JSON, nullable=False, server_default="[]"),
        sa.Column("fixed", _JSON, nullable=False, server_default="[]"),
        sa.Column("fixed_at", _INSTANT),
        sa.Column("withdrawn_at", sa.Float(53)),
        sa.Column("approved_at", _INSTANT),
        sa.Column("settled_fetch", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("adopted", sa.String(24)),
        sa.Column("adopted_as", sa.String(64)),
        sa.Column("old_rows_held", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.UniqueConstraint("connection_id", "quickbooks_id"),
    )
    op.create_index("ix_invoices_amount", "invoices", ["connection_id", "total", "id"])
    op.create_index(
        "ix_invoices_customer",
        "invoices",
        [
            *("connection_id", "customer_id", "currency", "due_key", "deleted", "total"),
            *("balance", "first_total", "settled_at", "created_ms", "id"),
        ],
    )
    op.create_index("ix_invoices_doc_number", "invoices", ["doc_number"])
    op.create_index(
        "ix_invoices_open",
        "invoices",
        [
            *("connection_id", "customer_id", "due_key", "currency", "last_updated", "balance"),
            "deleted",
        ],
        **_where("balance > 0 AND NOT deleted"),
    )
    op.create_index("ix_invoices_due", "invoices", ["connection_id", "due_key", "id"])
    op.create_index(
        "ix_invoices_held",
        "invoices",
        ["connection_id", "id"],
        **_where("hold IS NOT NULL OR old_rows_held"),
    )
    op.create_index("ix_invoices_company", "invoices", ["connection_id", "id"])
    op.create_index("ix_invoices_recorded_at", "invoices", ["recorded_at", "id"])
    op.create_index("ix_invoices_newest", "invoices", ["connection_id", "created_ms", "id"])
    op.create_index("ix_invoices_number", "invoices", ["connection_id", "number_key", "id"])
    op.create_index(
        "ix_invoices_sought",
        "invoices",
        ["connection_id", "sought", "id", "total", "created_ms", "number_key", "due_key"],
        **_where("sought <> ''"),
    )
    op.create_index(
        "ix_invoices_to_fix",
        "invoices",
        ["connection_id", "created_ms", "id"],
        **_where("hold IS NULL AND (warnings <> '[]' OR delivery_warnings <> '[]')"),
    )
    op.create_index(
        "ix_invoices_withdrawn",
        "invoices",
        ["connection_id", "withdrawn_at"],
        **_where("withdrawn_at IS NOT NULL"),
    )
    op.create_index("ix_invoices_twin_number", "invoices", ["twin_number", "created_ms", "id"])
    op.create_index("ix_invoices_twin_buyer", "invoices", ["twin_buyer", "created_ms", "id"])
    op.create_index("ix_invoices_twin_name", "invoices", ["twin_name", "created_ms", "id"])
    op.create_index("ix_invoices_twin_email", "invoices", ["twin_email", "created_ms", "id"])
    op.create_index("ux_invoices_adopted", "invoices", ["adopted"], unique=True)
    op.create_index(
        "ix_invoices_adopted_as", "invoices", ["adopted_as"], **_where("adopted_as IS NOT NULL")
    )
    op.create_index(
        "ix_invoices_to_explain",
        "invoices",
        ["connection_id"],
        **_where(
            "approved_at IS NOT NULL AND settled_fetch < fetch_number"
            " AND (balance < total OR settled_fetch > 0)"
        ),
    )
    op.create_index(
        "ix_invoices_old_rows_held", "invoices", ["connection_id"], **_where("old_rows_held")
    )
    # The last ones: of indexes that would do alike, SQLite takes the youngest.
    for name, where in (
        ("to_correct", "hold IS NULL AND warnings <> '[]'"),
        (
            "unseen",
            "hold IS NULL AND (delivery_warnings <> '[]' OR warnings LIKE '%\"no_buyer_email\"%')",
        ),
        ("to_invite", "hold IS NULL AND delivery_warnings <> '[]'"),
        ("current", "balance > 0 AND NOT deleted"),
        ("closed", "NOT (balance > 0 AND NOT deleted) AND sought <> ''"),
    ):
        columns = ["connection_id", "created_ms", "id"]
        op.create_index(f"ix_invoices_{name}", "invoices", columns, **_where(where))
    op.create_index(
        "ix_invoices_outside",
        "invoices",
        ["connection_id", "created_ms", "id", "currency", "total"],
        **_where(
            "(hold IS NOT NULL OR old_rows_held) AND balance > 0 AND NOT deleted AND sought <> ''"
        ),
    )
    op.create_index(
        "ix_invoices_fixed",
        "invoices",
        ["connection_id", "fixed_at"],
        **_where("fixed_at IS NOT NULL"),
    )
    op.create_table(
        "delivery_states",
        sa.Column("invoice_id", sa.String(32), sa.ForeignKey("invoices.id"), primary_key=True),
        sa.Column("connection_id", sa.String(32), nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("recorded_at", _INSTANT, nullable=False),
        sa.Column("delivered_revision", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("due_at", _INSTANT),
        sa.Column("attempts", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("error", sa.Text),
    )
    op.create_index(
        "ix_delivery_states_outgoing",
        "delivery_states",
        ["connection_id", "recorded_at", "invoice_id"],
        **_where("delivered_revision < revision"),
    )
    op.create_table(
        "buyer_addresses",
        sa.Column(
            "connection_id", sa.String(32), sa.ForeignKey("connections.id"), primary_key=True
        ),
        sa.Column("address", _KEY, primary_key=True),
        sa.Column("customer_id", sa.String(64), primary_key=True),
        sa.Column("domain", _KEY, nullable=False),
        sa.Column("since_ms", sa.BigInteger, nullable=False),
    )
    op.create_index(
        "ix_buyer_addresses_domain", "buyer_addresses", ["connection_id", "domain", "since_ms"]
    )
    op.create_table(
        "busy_hours",
        sa.Column(
            "connection_id", sa.String(32), sa.ForeignKey("connections.id"), primary_key=True
        ),
        sa.Column("hour", sa.Integer, primary_key=True, autoincrement=False),
    )
    op.create_table(
        "invoices_to_judge",
        sa.Column("connection_id", sa.String(32), primary_key=True),
        sa.Column("invoice_id", sa.String(32), primary_key=True),
    )
    op.create_table(
        "old_ids",
        sa.Column(
            "connection_id", sa.String(32), sa.ForeignKey("connections.id"), primary_key=True
        ),
        sa.Column("quickbooks_id", sa.String(64), primary_key=True),
    )


def _documents() -> None:
    op.create_table(
        "documents",
        sa.Column("invoice_id", sa.String(32), primary_key=True),
        sa.Column("connection_id", sa.String(32), nullable=False),
        sa.Column("supplier_id", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("document", _JSON, nullable=False),
        sa.Column("withdrawn", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("marked", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("total", _MONEY),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("written_at", _INSTANT, nullable=False),
        sa.Column("balance", _MONEY),
        sa.Column("currency", sa.String(8)),
        sa.Column("customer_id", sa.String(64)),
        sa.Column("seen_at", _INSTANT),
    )
    op.create_index(
        "ix_documents_state", "documents", ["connection_id", "supplier_id", "state", "invoice_id"]
    )
    op.create_index("ix_documents_of_state", "documents", ["state", "invoice_id", "connection_id"])
    op.create_index("ix_documents_changed_at", "documents", ["seen_at", "written_at", "invoice_id"])
    op.create_index(
        "ix_documents_withdrawn",
        "documents",
        ["connection_id", "supplier_id", "invoice_id"],
        **_where("withdrawn"),
    )
    op.create_index(
        "ix_documents_total",
        "documents",
        ["connection_id", "supplier_id", "state", "currency", "total"],
        **_where("NOT withdrawn"),
    )
    op.create_table(
        "findings",
        sa.Column("id", _ROW_ID, primary_key=True),
        sa.Column("invoice_id", sa.String(32), sa.ForeignKey("invoices.id"), nullable=False),
        sa.Column("connection_id", sa.String(32), sa.ForeignKey("connections.id"), nullable=False),
        sa.Column("kind", sa.String(24), nullable=False),
        sa.Column("cause", sa.String(32), nullable=False, server_default=""),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("state", sa.String(64), nullable=False),
        sa.Column("fields", _JSON, nullable=False),
        sa.Column("found_at", _INSTANT, nullable=False),
        sa.Column("changed_at", _INSTANT, nullable=False),
        sa.Column("closed_at", _INSTANT),
        sa.Column("acknowledged_at", _INSTANT),
        sa.Column("note", sa.Text),
    )
    op.create_index("ix_findings_connection", "findings", ["connection_id", "id"])
    op.create_index(
        "ux_findings_open",
        "findings",
        ["invoice_id", "kind", "cause"],
        unique=True,
        **_where("closed_at IS NULL"),
    )
    op.create_index(
        "ix_findings_alarming",
        "findings",
        ["connection_id", "id"],
        **_where("closed_at IS NULL AND acknowledged_at IS NULL AND severity = 'critical'"),
    )
    op.create_table(
        "receipts",
        sa.Column("id", _ROW_ID, primary_key=True),
        sa.Column("invoice_id", sa.String(32), nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("state", sa.String(64)),
        sa.Column("changed", _JSON, nullable=False),
    )
    op.create_index("ix_receipts_invoice", "receipts", ["invoice_id", "id"])
    op.create_table(
        "revisions",
        sa.Column("invoice_id", sa.String(32), sa.ForeignKey("invoices.id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("recorded_at", _INSTANT, nullable=False),
        sa.Column("cause", sa.String(32), nullable=False),
        sa.Column("sync_token", sa.BigInteger, nullable=False),
        sa.Column("last_updated", _INSTANT),
        sa.Column("customer_versions", sa.Text, nullable=False),
        sa.Column("hold", sa.String(20)),
        sa.Column("holds", sa.Text, nullable=False, server_default="[]"),
        sa.Column("signals", sa.Text, nullable=False, server_default="[]"),
        sa.Column("changes", _JSON, nullable=False),
        sa.Column("connection_id", sa.String(32), sa.ForeignKey("connections.id"), nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("entry", sa.Text, nullable=False),
        sa.Column("entry_digest", sa.String(64), nullable=False),
        sa.Column("link", sa.String(64), nullable=False),
        sa.UniqueConstraint("connection_id", "sequence"),
    )
    op.create_table(
        "settlements",
        sa.Column("invoice_id", sa.String(32), sa.ForeignKey("invoices.id"), primary_key=True),
        sa.Column("payment_id", sa.String(64), primary_key=True),
        sa.Column("source_id", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("amount", _MONEY, nullable=False),
        sa.Column("share", _MONEY, nullable=False),
        sa.Column("paid_on", sa.String(10), nullable=False),
        sa.Column("payer", sa.Text, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("number", sa.Text, nullable=False),
        sa.Column("dated", sa.String(10), nullable=False),
        sa.Column("read_at", _INSTANT, nullable=False),
    )
    op.create_table(
        "erased_revisions",
        sa.Column(
            "connection_id", sa.String(32), sa.ForeignKey("connections.id"), primary_key=True
        ),
        sa.Column("sequence", sa.BigInteger, primary_key=True),
        sa.Column("entry_digest", sa.String(64), nullable=False),
        sa.Column("link", sa.String(64), nullable=False),
    )


def _runs() -> None:
    op.create_table(
        "runs",
        sa.Column("id", _ROW_ID, primary_key=True),
        sa.Column("connection_id", sa.String(32), sa.ForeignKey("connections.id"), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("cause", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("since", _INSTANT),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("fetch_number", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("cursor", _JSON),
        sa.Column("expected", sa.Integer),
        sa.Column("tally", _JSON, nullable=False),
        sa.Column("unannounced", sa.Integer, nullable=False, server_default="0"),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("losses", sa.Integer, nullable=False),
        sa.Column("claimed_by", sa.String(64)),
        sa.Column("due_at", _INSTANT),
        sa.Column("error", sa.Text),
        sa.Column("error_class", sa.String(64)),
        sa.Column("failing_since", _INSTANT),
        sa.Column("halted_at", _INSTANT),
        sa.Column("halt_reason", sa.Text),
        sa.Column("confirmed", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("would_withdraw", _JSON),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("started_at", _INSTANT),
        sa.Column("finished_at", _INSTANT),
    )
    op.create_index("ix_runs_connection_id", "runs", ["connection_id"])
    op.create_index("ix_runs_error", "runs", ["id"], **_where("error IS NOT NULL"))
    op.create_index("ix_runs_finished", "runs", ["finished_at"])
    op.create_index("ix_runs_kind", "runs", ["kind", "id"])
    op.create_index("ix_runs_newest", "runs", ["connection_id", "kind", "id"])
    op.create_index(
        "ux_runs_active",
        "runs",
        ["connection_id", "kind"],
        unique=True,
        **_where("state = 'active'"),
    )
    op.create_table(
        "runs_seen",
        sa.Column("run_id", _ROW_ID, sa.ForeignKey("runs.id"), primary_key=True),
        sa.Column("quickbooks_id", sa.String(64), primary_key=True),
        sa.Column("sync_token", sa.BigInteger),
        sa.Column("last_updated", _INSTANT),
        sa.Column("total", _MONEY),
        sa.Column("balance", _MONEY),
    )


def _coordination() -> None:
    op.create_table(
        "breakers",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("since", sa.Float(53)),
        sa.Column("open_until", sa.Float(53), nullable=False),
        sa.Column("error", sa.Text),
    )
    op.create_table(
        "clock_errors",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("seconds", sa.Float(53), nullable=False),
        sa.Column("at", sa.Float(53), nullable=False),
    )
    op.create_table(
        "deliveries",
        sa.Column("minute", _INSTANT, primary_key=True),
        sa.Column("outcome", sa.String(16), primary_key=True),
        sa.Column("count", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "heartbeats",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("at", sa.Float(53), nullable=False),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("taken_at", sa.Float(53), nullable=False),
        sa.Column("until", sa.Float(53), nullable=False),
    )
    op.create_table(
        "paces",
        sa.Column(
            "connection_id", sa.String(32), sa.ForeignKey("connections.id"), primary_key=True
        ),
        sa.Column("free_at", sa.Float(53), nullable=False),
    )
    op.create_table(
        "processes",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("accepts_webhooks", sa.Boolean, nullable=False),
        sa.Column("at", sa.Float(53), nullable=False),
    )
    op.create_table(
        "reads",
        sa.Column(
            "connection_id", sa.String(32), sa.ForeignKey("connections.id"), primary_key=True
        ),
        sa.Column("month", sa.String(7), primary_key=True),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("count", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_reads_month", "reads", ["month", "count"])


def _operations() -> None:
    op.create_table(
        "alerts",
        sa.Column("id", _ROW_ID, primary_key=True),
        sa.Column("cause", sa.String(32), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("about", sa.String(64), nullable=False, server_default=""),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("command", sa.Text, nullable=False),
        sa.Column("page", sa.Text, nullable=False, server_default=""),
        sa.Column("since", _INSTANT, nullable=False),
        sa.Column("raised_at", _INSTANT, nullable=False),
        sa.Column("ended_at", _INSTANT),
        sa.Column("sent_at", _INSTANT),
        sa.Column("end_sent_at", _INSTANT),
        sa.Column("sent_to", sa.Text, nullable=False, server_default=""),
        sa.Column("accepted_by", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_at", _INSTANT),
        sa.Column("error", sa.Text),
    )
    op.create_index("ix_alerts_newest", "alerts", ["raised_at"])
    op.create_index(
        "ux_alerts_open",
        "alerts",
        ["cause", "subject", "about"],
        unique=True,
        **_where("ended_at IS NULL"),
    )
    op.create_table(
        "audit",
        sa.Column("id", _ROW_ID, primary_key=True),
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("actor", sa.String(128), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("connection_id", sa.String(32)),
        sa.Column("details", _JSON, nullable=False),
    )
    op.create_index("ix_audit_at", "audit", ["at"])
    op.create_index("ix_audit_actor", "audit", ["actor", "id"])
    op.create_index("ix_audit_action", "audit", ["action", "id"])
    op.create_index("ix_audit_connection", "audit", ["connection_id", "id"])
    op.create_table(
        "login_attempts",
        sa.Column("id", _ROW_ID, primary_key=True),
        sa.Column("about", sa.String(64), nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
    )
    op.create_index("ix_login_attempts_about", "login_attempts", ["about", "at"])
    op.create_table(
        "operator_sessions",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("mark", sa.String(64), nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("expires_at", _INSTANT, nullable=False),
    )
    op.create_index("ix_operator_sessions_expires_at", "operator_sessions", ["expires_at"])
    op.create_table(
        "counters",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("first", sa.String(64), primary_key=True),
        sa.Column("second", sa.String(255), primary_key=True),
        sa.Column("total", sa.BigInteger, nullable=False),
        sa.Column("counted_until", _INSTANT),
    )
    op.create_table(
        "samples",
        sa.Column("slot", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("lag_p50", sa.Float(53)),
        sa.Column("lag_p95", sa.Float(53)),
        sa.Column("pending", sa.BigInteger, nullable=False),
        sa.Column("oldest_pending", sa.Float(53), nullable=False),
        sa.Column("done", sa.BigInteger, nullable=False),
        sa.Column("failed", sa.BigInteger, nullable=False),
        sa.Column("ignored", sa.BigInteger, nullable=False),
    )


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("id", _ROW_ID, primary_key=True),
        sa.Column("event_id", sa.String(32), nullable=False),
        sa.Column("position", sa.BigInteger),
        sa.Column("connection_id", sa.String(32), nullable=False),
        sa.Column("environment", sa.String(16), nullable=False),
        sa.Column("type", sa.String(32), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("data", _JSON, nullable=False),
        sa.Column("waiting", sa.Boolean, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_at", _INSTANT),
        sa.Column("error", sa.Text),
    )
    op.create_index("ux_events_position", "events", ["position"], unique=True)
    op.create_index("ix_events_environment", "events", ["environment", "position"])
    op.create_index("ix_events_connection_id", "events", ["connection_id"])
    op.create_index("ix_events_at", "events", ["at"])
    op.create_index(
        "ix_events_waiting", "events", ["connection_id", "position"], **_where("waiting")
    )
    op.create_index(
        "ix_events_waiting_since",
        "events",
        ["environment", "at", "id", "waiting"],
        **_where("waiting"),
    )
    op.create_index(
        "ix_events_refused",
        "events",
        ["environment", "at", "id"],
        **_where("waiting AND attempts > 0"),
    )
    op.create_table(
        "event_positions",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("last", sa.BigInteger, nullable=False),
        sa.Column("pruned", sa.BigInteger, nullable=False),
    )


def _where(condition: str) -> dict[str, Any]:
    """Return what makes an index a partial one on either database."""
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}
