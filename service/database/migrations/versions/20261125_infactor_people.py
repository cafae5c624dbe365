"""Which of Infactor's users a journey through QuickBooks' consent was begun by.

Revision: 0005, after 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("oauth_states", sa.Column("infactor_user", sa.String(length=24), nullable=True))


def downgrade() -> None:
    op.drop_column("oauth_states", "infactor_user")
