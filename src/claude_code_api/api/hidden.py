"""What the answers of the server do not say: where on the machine its conversations lie."""

from __future__ import annotations

import re
from typing import Any


class Hidden:
    """Puts `/workspace` where a conversation's own directory is named: where that lies is the machine's affair."""

    def __init__(self, root: str) -> None:
        self._own = re.compile(rf"{re.escape(root)}/[0-9a-f]+(?:/work\b)?")

    def of(self, value: Any) -> Any:
        """The value without it."""
        if isinstance(value, str):
            return self._own.sub("/workspace", value)
        if isinstance(value, dict):
            return {self.of(name): self.of(one) for name, one in value.items()}
        return [self.of(one) for one in value] if isinstance(value, list) else value
