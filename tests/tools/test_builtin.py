"""The built-in tools: what the model may say to them, and what it never can."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.tools.builtin import (
    RESERVED_NAMES,
    TransferWish,
    WishRefused,
    builtin_schemas,
    parse_end_call,
    parse_transfer,
)

TARGETS = {"human": "Anything you cannot help with", "Billing": ""}
REASON = {"type": "string", "description": "Why, in a few words; the caller does not hear it."}


def test_the_schemas_are_stable() -> None:
    """Names and arguments of the built-ins are part of the contract with operators."""
    end_call, transfer_call = builtin_schemas(TARGETS)

    assert {end_call["name"], transfer_call["name"]} == RESERVED_NAMES
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


def test_without_targets_no_transfer_is_offered() -> None:
    """A model that is offered a transfer to nobody will promise one."""
    assert [schema["name"] for schema in builtin_schemas({})] == ["end_call"]


@pytest.mark.parametrize(
    ("arguments", "target", "reason"),
    [
        ('{"target":"human"}', "human", ""),
        ('{"target":" BILLING ","reason":"invoice"}', "Billing", "invoice"),
        ('{"target":"human","reason":7,"number":"+19005551212"}', "human", ""),
    ],
)
def test_a_target_is_chosen_by_its_name(arguments: str, target: str, reason: str) -> None:
    """Speech models are careless with capitals; the operator's spelling is what counts."""
    assert parse_transfer(arguments, TARGETS) == TransferWish(target, reason)


@pytest.mark.parametrize(
    "arguments",
    [
        '{"target":"+19005551212"}',
        '{"target":"sip:mallory@evil.test"}',
        '{"target":"human+19005551212"}',
        '{"target":["human"]}',
        '{"target":{"name":"human"}}',
        '{"target":null}',
        '{"target":""}',
        "{}",
        "[]",
        "null",
        "",
        '{"target":"hum',
    ],
)
def test_what_is_no_name_is_refused_with_the_names(arguments: str) -> None:
    """A caller who says "transfer me to +1900…" must never get there."""
    refused = parse_transfer(arguments, TARGETS)

    assert refused == WishRefused(
        "There is no such target. There are: human, Billing. Choose one by its name."
    )


@given(st.text(st.characters(codec=None, exclude_categories=())))
def test_no_text_makes_the_built_ins_raise(arguments: str) -> None:
    """The arguments are a model's words."""
    assert isinstance(parse_transfer(arguments, TARGETS), WishRefused)
    assert isinstance(parse_transfer(arguments, {}), WishRefused)
    assert isinstance(parse_end_call(arguments), str)


def test_a_goodbye_needs_no_well_formed_arguments() -> None:
    """Refusing to hang up over a comma would keep the caller on a dead line."""
    assert parse_end_call('{"reason":"caller is done"}') == "caller is done"
    assert parse_end_call("") == ""
    assert parse_end_call('{"reason":') == ""
    assert len(parse_end_call('{"reason":"' + "x" * 9000 + '"}')) == 500
