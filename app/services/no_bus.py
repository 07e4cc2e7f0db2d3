"""The bus of a process that has nobody to ask: alone, or one of several on SQLite."""

from typing import Any


class NoBus:
    """There is no other process."""

    def __init__(self, me: str) -> None:
        self.me = me

    async def ask(self, _to: str, _op: str, _args: dict[str, Any], _within_s: float) -> Any | None:
        """Nobody answers."""
        return None

    async def hears(self, _process: str) -> bool:
        """Nobody does."""
        return False

    async def run(self, _handler: object, _spawn: object) -> None:
        """Nobody asks."""

    async def close(self) -> None:
        """Nothing to close."""
