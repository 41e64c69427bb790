"""What is said to the CLI: its handshake, and a message of the user. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence

from claude_code_api.claude.control import Frame
from claude_code_api.claude.knobs import WRITES_NOTHING
from claude_code_api.claude.launch import KIT
from claude_code_api.claude.tools import SERVER
from claude_code_api.core.profiles import AGENT
from claude_code_api.core.turn import Block, Tool
from claude_code_api.runtime.ports import Profile


def handshake(profile: Profile, tools: Sequence[Tool], *, model: str | None, keeps: bool) -> list[Frame]:
    """The control requests that a process begins with; `ClaudeProcess.initialize` says what the arguments mean."""
    first: Frame = {"subtype": "initialize"}
    if tools:  # without a server there is no handshake with it, which takes longer than the rest of this one
        first["sdkMcpServers"] = [SERVER]
    if profile.name != AGENT:
        first["systemPrompt"] = [profile.system] if profile.system else []
    elif profile.system:
        first["appendSystemPrompt"] = profile.system
    if profile.schema is not None:
        first["jsonSchema"] = json.loads(profile.schema)
    box = profile.toolbox
    if box is not None and box.skills and box.tools is not None:  # else the CLI's own come with them
        first["skills"] = [f"{KIT}:{skill.name}" for skill in box.skills]
    settings: Frame = {} if model is None else {"model": model}
    if not keeps:
        settings["env"] = WRITES_NOTHING
    return [first, {"subtype": "apply_flag_settings", "settings": settings}] if settings else [first]


def user_message(turn: str, content: tuple[Block, ...], session: str) -> Frame:
    """A message, word for word: no slash command, no file mention (`client_composed`)."""
    text_only = len(content) == 1 and content[0]["type"] == "text"
    return {
        "type": "user",
        "uuid": turn,
        "client_composed": True,
        "parent_tool_use_id": None,
        "session_id": session,
        "message": {"role": "user", "content": content[0]["text"] if text_only else list(content)},
    }
