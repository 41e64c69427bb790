"""The tables. Times are Unix seconds; JSON columns hold Messages API shapes. Migrations must lead to exactly this."""

from __future__ import annotations

from sqlalchemy import JSON, Column, Float, ForeignKey, Index, Integer, MetaData, String, Table, Text, UniqueConstraint

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

conversation = Table(
    "conversation",
    metadata,
    Column("key", String(32), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("conversation_id", String(256), nullable=False),
    Column("place", String(64), nullable=False),
    Column("cli_session_id", String(64)),
    Column("leaf", String(64)),
    Column("system", Text, nullable=False),
    Column("model", String(128), nullable=False),
    Column("turns", Integer, nullable=False),
    Column("input_tokens", Integer, nullable=False),
    Column("output_tokens", Integer, nullable=False),
    Column("cache_read_tokens", Integer, nullable=False),
    Column("cache_write_tokens", Integer, nullable=False),
    Column("thinking_tokens", Integer, nullable=False),
    Column("cost_usd", Float, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("last_used_at", Float, nullable=False),
    UniqueConstraint("tenant", "conversation_id"),
)

turn = Table(
    "turn",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("number", Integer, nullable=False),
    Column("conversation_key", ForeignKey("conversation.key", ondelete="CASCADE"), nullable=False),
    Column("request_id", String(128), nullable=False),
    Column("status", String(16), nullable=False),
    Column("start", String(16), nullable=False),
    Column("base", JSON(none_as_null=True)),
    Column("input", JSON, nullable=False),
    Column("output", JSON(none_as_null=True)),
    Column("stop_reason", String(64)),
    Column("error_code", String(64)),
    Column("model", String(128), nullable=False),
    Column("input_tokens", Integer, nullable=False),
    Column("output_tokens", Integer, nullable=False),
    Column("cost_usd", Float, nullable=False),
    Column("started_at", Float, nullable=False),
    Column("finished_at", Float),
    Index(None, "conversation_key", "number"),
    Index(None, "status"),
)
