"""Which of Infactor's users a journey through QuickBooks' consent was begun by.

Revision: 0003, after 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("oauth_states", sa.Column("infactor_user", sa.String(length=24), nullable=True))


def downgrade() -> None:
    op.drop_column("oauth_states", "infactor_user")
