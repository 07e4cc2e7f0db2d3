"""Which built-in tools an agent may use, where its ``tools`` are a list of names."""

from collections.abc import Collection, Mapping

from app.agents.layers import near
from app.agents.part import Part
from app.agents.values import Texts, refuse
from app.call.built_in import COLLECT_DTMF, TRANSFER_CALL


class Offer(Part):
    """What is said of a built-in tool beside its name."""

    targets: Texts | None = None
    """Of transfer_call: whom the agent may put callers through to. Left out: every target."""
    presets: Texts | None = None
    """Of collect_dtmf: what the agent may have keyed in. Left out: everything."""


_OPTION = {TRANSFER_CALL: "targets", COLLECT_DTMF: "presets"}


def check(offers: Mapping[str, Offer], targets: Collection[str], presets: Collection[str]) -> None:
    """Refuse options that mean nothing, or speak of what is not there."""
    known = {"targets": targets, "presets": presets}
    for tool, offer in offers.items():
        for option, names in known.items():
            given = getattr(offer, option)
            if given is None:
                continue
            if _OPTION.get(tool) != option:
                refuse("does not belong to this tool", at=f"{tool}.{option}")
            for name in given:
                if name not in names:
                    sentence = f'unknown {option.removesuffix("s")} "{name}"'
                    refuse(sentence, at=f"{tool}.{option}", meant=near(name, names))
