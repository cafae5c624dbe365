"""An index of the documents that we have withdrawn, which are counted for every page.

Revision: 0009, after 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_WITHDRAWN = (
    "state = 'invoice_rejected'"
    " AND document LIKE '%\"qbkWithdrawn\":%'"
    ' AND document LIKE \'%"buyerInvoiceRemark":"Automatic, from QuickBooks: %\''
)


def upgrade() -> None:
    op.create_index(
        "ix_documents_withdrawn",
        "documents",
        ["connection_id", "supplier_id", "invoice_id"],
        sqlite_where=sa.text(_WITHDRAWN),
        postgresql_where=sa.text(_WITHDRAWN),
    )


def downgrade() -> None:
    op.drop_index("ix_documents_withdrawn", "documents")
