"""What is asked beside responses: which of the fields have no effect there, and with what name an error comes."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import Request
from pydantic import BaseModel

from claude_code_api.api import aside
from claude_code_api.api.context import Context
from claude_code_api.api.openai_responses.begin import named
from claude_code_api.api.parameters import Refusal, check_refused, ignored, undeclared
from claude_code_api.core.keys import Caller
from claude_code_api.core.turn import Options, TurnCompleted
from claude_code_api.errors import GatewayError
from claude_code_api.runtime.stored import StoredHistory
from claude_code_api.runtime.ticket import Ticket

_REFUSED: Mapping[str, Refusal] = {
    "conversation": Refusal(
        lambda value: value is not None, "name the last response of it as 'previous_response_id', or send its items."
    ),
}


def unused(context: Context, body: BaseModel) -> dict[str, str]:
    """The header that lists the fields without an effect. Raises UnsupportedParameter."""
    check_refused(body.model_extra or {}, _REFUSED)
    names = ignored(undeclared(body), strict=context.strict_params)
    return {"X-Ignored-Params": ", ".join(names)} if names else {}


async def ask(
    request: Request,
    context: Context,
    caller: Caller,
    history: StoredHistory,
    words: str,
    *,
    model: str | None,
    system: str,
    options: Options = aside.NO_OPTIONS,
) -> tuple[Ticket, TurnCompleted]:
    """Ask something at the end of a history; a client that leaves ends it. Raises what the turn fails with."""
    try:
        return await aside.ask(request, context, caller, history, words, model=model, system=system, options=options)
    except GatewayError as error:
        named(error)
        raise
