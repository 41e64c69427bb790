"""Conversations and turns."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the first tables."""
    op.create_table(
        "conversation",
        sa.Column("key", sa.String(32), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("conversation_id", sa.String(256), nullable=False),
        sa.Column("place", sa.String(64), nullable=False),
        sa.Column("cli_session_id", sa.String(64)),
        sa.Column("leaf", sa.String(64)),
        sa.Column("system", sa.Text, nullable=False),
        sa.Column("model", sa.String(128), nullable=False),
        sa.Column("turns", sa.Integer, nullable=False),
        sa.Column("input_tokens", sa.Integer, nullable=False),
        sa.Column("output_tokens", sa.Integer, nullable=False),
        sa.Column("cache_read_tokens", sa.Integer, nullable=False),
        sa.Column("cache_write_tokens", sa.Integer, nullable=False),
        sa.Column("thinking_tokens", sa.Integer, nullable=False),
        sa.Column("cost_usd", sa.Float, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("last_used_at", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_conversation"),
        sa.UniqueConstraint("tenant", "conversation_id", name="uq_conversation_tenant"),
    )
    op.create_table(
        "turn",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("conversation_key", sa.String(32), nullable=False),
        sa.Column("request_id", sa.String(128), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("start", sa.String(16), nullable=False),
        sa.Column("base", sa.JSON),
        sa.Column("input", sa.JSON, nullable=False),
        sa.Column("output", sa.JSON),
        sa.Column("stop_reason", sa.String(64)),
        sa.Column("error_code", sa.String(64)),
        sa.Column("model", sa.String(128), nullable=False),
        sa.Column("input_tokens", sa.Integer, nullable=False),
        sa.Column("output_tokens", sa.Integer, nullable=False),
        sa.Column("cost_usd", sa.Float, nullable=False),
        sa.Column("started_at", sa.Float, nullable=False),
        sa.Column("finished_at", sa.Float),
        sa.PrimaryKeyConstraint("id", name="pk_turn"),
        sa.ForeignKeyConstraint(
            ["conversation_key"], ["conversation.key"], name="fk_turn_conversation_key", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_turn_conversation_key", "turn", ["conversation_key", "number"])
    op.create_index("ix_turn_status", "turn", ["status"])
