"""Responses and their events, instructions inside a dialogue, metadata of conversations."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add what a response is asked for by its id, what is added to a history without a turn, and metadata."""
    op.add_column("conversation", sa.Column("metadata", sa.JSON, nullable=False, server_default="{}"))
    op.add_column("turn", sa.Column("developer", sa.JSON))
    op.create_table(
        "response",
        sa.Column("turn_id", sa.String(36), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("conversation_key", sa.String(32), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("background", sa.Boolean, nullable=False),
        sa.Column("settings", sa.JSON, nullable=False),
        sa.Column("error_code", sa.String(64)),
        sa.Column("error_message", sa.Text),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("finished_at", sa.Float),
        sa.PrimaryKeyConstraint("turn_id", name="pk_response"),
        sa.ForeignKeyConstraint(
            ["conversation_key"], ["conversation.key"], name="fk_response_conversation_key", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_response_conversation_key", "response", ["conversation_key"])
    op.create_index("ix_response_status", "response", ["status"])
    op.create_table(
        "response_event",
        sa.Column("turn_id", sa.String(36), nullable=False),
        sa.Column("first", sa.Integer, nullable=False),
        sa.Column("events", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("turn_id", "first", name="pk_response_event"),
        sa.ForeignKeyConstraint(
            ["turn_id"], ["response.turn_id"], name="fk_response_event_turn_id", ondelete="CASCADE"
        ),
    )
