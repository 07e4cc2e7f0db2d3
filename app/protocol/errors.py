"""What a codec raises: the peer sent something that is not the protocol."""


class Malformed(ValueError):
    """A message that cannot be understood; ``reason`` is short, stable and free of its content."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
