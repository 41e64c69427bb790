"""The tables. Times are Unix seconds; JSON columns hold Messages API shapes. Migrations must lead to exactly this."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

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
    Column("epoch", Integer, nullable=False, server_default="0"),
    Column("lineage", String(64)),
    Column("kept", Boolean, nullable=False, server_default="1"),
    Column("profile", String(64), nullable=False, server_default="chat"),
    Column("metadata", JSON, nullable=False, server_default="{}"),
    Column("toolbox", JSON(none_as_null=True)),
    UniqueConstraint("tenant", "conversation_id"),
    Index("ix_conversation_page", "tenant", "created_at", "conversation_id"),
    Index("ix_conversation_lineage", "tenant", "lineage"),
    Index(None, "place"),
    Index(None, "last_used_at"),
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
    Column("cache_read_tokens", Integer, nullable=False, server_default="0"),
    Column("cache_write_tokens", Integer, nullable=False, server_default="0"),
    Column("thinking_tokens", Integer, nullable=False, server_default="0"),
    Column("fingerprint", String(64), nullable=False, server_default=""),
    Column("delivered", Boolean, nullable=False, server_default="1"),
    Column("developer", JSON(none_as_null=True)),
    Column("stop_sequence", Text),
    Index(None, "conversation_key", "number"),
    Index(None, "status"),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("turn_id", ForeignKey("turn.id", ondelete="CASCADE"), nullable=False),
    Column("created_at", Float, nullable=False),
    Index(None, "turn_id"),
    Index(None, "created_at"),
)

response = Table(
    "response",
    metadata,
    Column("turn_id", String(36), primary_key=True),  # its turn has no row before it is sent
    Column("tenant", String(64), nullable=False),
    Column("conversation_key", ForeignKey("conversation.key", ondelete="CASCADE"), nullable=False),
    Column("status", String(16), nullable=False),
    Column("background", Boolean, nullable=False),
    Column("settings", JSON, nullable=False),
    Column("error_code", String(64)),
    Column("error_message", Text),
    Column("created_at", Float, nullable=False),
    Column("finished_at", Float),
    Index(None, "conversation_key"),
    Index(None, "status"),
)

response_event = Table(
    "response_event",
    metadata,
    Column("turn_id", ForeignKey("response.turn_id", ondelete="CASCADE"), primary_key=True),
    Column("first", Integer, primary_key=True, autoincrement=False),
    Column("events", JSON, nullable=False),
)

managed_agent = Table(
    "managed_agent",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("version", Integer, nullable=False),  # the newest one
    Column("created_at", Float, nullable=False),
    Column("archived_at", Float),
    Index("ix_managed_agent_page", "tenant", "created_at", "id"),
)

managed_agent_version = Table(
    "managed_agent_version",
    metadata,
    Column("agent_id", ForeignKey("managed_agent.id", ondelete="CASCADE"), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("definition", JSON, nullable=False),
    Column("updated_at", Float, nullable=False),
)

managed_environment = Table(
    "managed_environment",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text),
    Column("config", JSON, nullable=False),
    Column("metadata", JSON, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("archived_at", Float),
    Index("ix_managed_environment_page", "tenant", "created_at", "id"),
)

managed_file = Table(
    "managed_file",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("filename", Text, nullable=False),
    Column("mime_type", String(255), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float),
    Index("ix_managed_file_page", "tenant", "created_at", "id"),
    Index(None, "expires_at"),
)

managed_skill = Table(
    "managed_skill",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("display_name", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Index("ix_managed_skill_page", "tenant", "created_at", "id"),
)

managed_skill_version = Table(
    "managed_skill_version",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("skill_id", ForeignKey("managed_skill.id", ondelete="CASCADE"), nullable=False),
    Column("name", String(64), nullable=False),
    Column("description", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Index("ix_managed_skill_version_page", "skill_id", "created_at", "id"),
)

api_key = Table(
    "api_key",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("tenant", String(64), nullable=False),
    Column("name", String(128), nullable=False),
    Column("profiles", JSON(none_as_null=True)),
    Column("is_admin", Boolean, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float),
    Column("revoked_at", Float),
)

transcript_entry = Table(
    "transcript_entry",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("conversation_key", ForeignKey("conversation.key", ondelete="CASCADE"), nullable=False),
    Column("project_key", String(256), nullable=False),
    Column("session_id", String(64), nullable=False),
    Column("subpath", String(256), nullable=False),
    Column("uuid", String(64)),
    Column("entry", JSON, nullable=False),
    Column("written_at", Float, nullable=False),
    Index("uq_transcript_entry", "conversation_key", "project_key", "session_id", "subpath", "uuid", unique=True),
)

managed_session = Table(
    "managed_session",
    metadata,
    Column("conversation_key", ForeignKey("conversation.key", ondelete="CASCADE"), primary_key=True),
    Column("agent", JSON, nullable=False),
    Column("agent_id", String(64), nullable=False),
    Column("agent_version", Integer, nullable=False),
    Column("is_implicit", Boolean, nullable=False),
    Column("environment_id", String(64), nullable=False),
    Column("title", Text),
    Column("budget", BigInteger),
    Column("is_budgeted", Boolean, nullable=False),
    Column("resources", JSON, nullable=False),
    Column("status", String(16), nullable=False),
    Column("stop_reason", JSON(none_as_null=True)),
    Column("waiting", JSON, nullable=False),
    Column("outcomes", JSON, nullable=False),
    Column("run", JSON(none_as_null=True)),
    Column("active_seconds", Float, nullable=False),
    Column("running_since", Float),
    Column("archived_at", Float),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("followed", Integer, nullable=False),
    Column("works", Boolean, nullable=False),
    Index(None, "agent_id"),
    Index(None, "works"),
)

managed_event = Table(
    "managed_event",
    metadata,
    Column("session_key", ForeignKey("managed_session.conversation_key", ondelete="CASCADE"), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("id", String(48), nullable=False),
    Column("type", String(48), nullable=False),
    Column("body", JSON, nullable=False),
    Column("blocks", JSON(none_as_null=True)),
    Column("created_at", Float, nullable=False),
    Column("processed_at", Float),
    Column("turn_id", String(36)),
    Column("call_id", String(128)),
    Index(None, "session_key", "type", "seq"),
    Index("ix_managed_event_turn", "session_key", "turn_id"),
    Index("ix_managed_event_call", "session_key", "call_id"),
    Index("uq_managed_event_id", "session_key", "id", unique=True),
)
