"""What kind of session a conversation is."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the profile; what there is so far was a chat."""
    op.add_column("conversation", sa.Column("profile", sa.String(64), nullable=False, server_default="chat"))
