"""The built-in tools: what the model may say to them, and what it never can."""

from app.tools import builtin
from app.tools.builtin import Texting

TARGETS = {"human": "Anything you cannot help with", "Billing": ""}
REASON = {"type": "string", "description": "Why, in a few words; the caller does not hear it."}


def test_the_schemas_are_stable() -> None:
    """Names and arguments of the built-ins are part of the contract with operators."""
    end_call, transfer_call, collect_dtmf, callback, reminder, hold, text, code = (
        builtin.end_call(),
        builtin.transfer_call(TARGETS),
        builtin.collect_dtmf({"pin": "4 digits", "menu": ""}),
        builtin.schedule_callback(),
        builtin.set_reminder(),
        builtin.hold(),
        builtin.send_sms(Texting(("caller", "Billing"), {"map": "The way", "menu": ""})),
        builtin.verify_code(),
    )

    assert list(hold["parameters"]["properties"]) == ["reason"]
    assert text["parameters"]["properties"]["to"]["enum"] == ["caller", "Billing"]
    assert text["parameters"]["properties"]["media"]["enum"] == ["map", "menu"]
    assert text["parameters"]["required"] == ["text"]
    assert code["parameters"]["properties"] == {
        "step": {"type": "string", "enum": ["send", "check"]}
    }
    assert collect_dtmf["parameters"] == {
        "type": "object",
        "properties": {
            "preset": {
                "type": "string",
                "enum": ["pin", "menu"],
                "description": "pin: 4 digits\nmenu",
            }
        },
        "required": ["preset"],
        "additionalProperties": False,
    }
    assert list(callback["parameters"]["properties"]) == [
        *("in_minutes", "day", "time", "timezone", "reason")
    ]
    assert callback["parameters"]["required"] == ["reason"]
    assert list(reminder["parameters"]["properties"]) == [
        *("title", "description", "in_minutes", "day", "time", "timezone")
    ]
    assert reminder["parameters"]["required"] == ["title"]
    assert end_call["parameters"] == {
        "type": "object",
        "properties": {"reason": REASON},
        "additionalProperties": False,
    }
    assert transfer_call["parameters"] == {
        "type": "object",
        "properties": {
            "target": {
                "type": "string",
                "enum": ["human", "Billing"],
                "description": "human: Anything you cannot help with\nBilling",
            },
            "reason": REASON,
        },
        "required": ["target"],
        "additionalProperties": False,
    }
    for schema in (end_call, transfer_call):
        assert schema["type"] == "function"
        assert 0 < len(schema["description"]) <= 1024
