"""The two lines of a call: the caller's WebSocket and the model's."""
