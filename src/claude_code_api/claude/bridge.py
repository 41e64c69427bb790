"""The client's tools between the CLI, which asks for them, and the turn that they are called in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from claude_code_api.claude.control import Control, Frame
from claude_code_api.claude.frames import TurnReader
from claude_code_api.claude.tools import SERVER, ClientTools, declined
from claude_code_api.core.turn import Block, TurnEvent


class Bridge:
    """One process's. `tools` are those that it knows, and its open calls."""

    def __init__(self, control: Control) -> None:
        self.tools = ClientTools()
        self._control = control
        self._held: Callable[[], None] | None = None

    def tell(self, news: Frame | None, say: Callable[[], None]) -> None:
        """Say something, behind the news of other tools if there are some: once the CLI has asked which."""
        if news is None:
            say()
        else:
            self._held = say
            self._control.tell(news)

    def drop(self) -> bool:
        """Leave unsaid what waits for that; whether something did."""
        held, self._held = self._held, None
        return held is not None

    def answer(self, results: Sequence[Block]) -> None:
        """Give results to the calls that wait for them."""
        for result in results:
            request_id, answer = self.tools.answer(result)
            self._control.respond(request_id, {"mcp_response": answer})

    def asked(self, frame: Frame, reader: TurnReader | None) -> Iterable[TurnEvent]:
        """The CLI asks for something; what is not offered it gets told so, or it would wait for ever."""
        request, identity = frame["request"], frame["request_id"]
        if request.get("subtype") != "mcp_message" or request.get("server_name") != SERVER:
            self._control.refuse(identity, f"{request.get('subtype')} is not available here")
            return ()
        answer, call = self.tools.take(identity, request["message"])
        if answer is not None:
            self._control.respond(identity, {"mcp_response": answer})
        if request["message"].get("method") == "tools/list" and (say := self._held) is not None:
            self._held = None
            say()
        if call is None or reader is None:
            return ()
        if not reader.expects(call):
            self.answer([declined(call)])
            return ()
        return reader.called(call)
