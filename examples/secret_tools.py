"""The tools of `secret.yaml`: typed functions beside the agent document that names them."""


def get_weather(location: str) -> str:
    """Get the weather for a given location."""
    return f"The weather in {location} is sunny."


def secret(question: str) -> str:
    """A secret tool to tell the special number."""
    return f"The answer to {question} is 42."
