"""What of a Realtime session is changed in mid-call, and what the session is with that.

Changes are kept apart from what the line was set up with, so that a new line gets them, and they
can be taken back. A ``replace`` puts a field's new value in the place of the old one; a ``merge``
is a JSON Merge Patch (RFC 7396) of it: objects are merged, lists replaced, null deletes. Rule:
what is not named stays as it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from app.protocol.realtime_client_events import SessionConfig

FIELDS = ("instructions", "tools", "transcription", "noise_reduction", "turn_detection", "speed")
"""Of ``SessionConfig``, what may be changed; ``tools`` are the names of those that remain."""
_OF_DETECTION = {
    "server_vad": {"type", "threshold", "prefix_padding_ms", "silence_duration_ms"},
    "semantic_vad": {"type", "eagerness"},
}


@dataclass(frozen=True, slots=True)
class Changes:
    """All that is changed, by field of ``FIELDS``."""

    replace: Mapping[str, Any] = field(default_factory=dict)
    """What has a new value."""
    merge: Mapping[str, Any] = field(default_factory=dict)
    """What is merged into the old one."""

    def replaced(self, fields: Mapping[str, Any]) -> "Changes":
        """These, and then the fields have new values."""
        merge = {name: patch for name, patch in self.merge.items() if name not in fields}
        return Changes({**self.replace, **fields}, merge)

    def merged(self, fields: Mapping[str, Any]) -> "Changes":
        """These, and then the fields are merged in."""
        replaced, patches = dict(self.replace), dict(self.merge)
        for name, patch in fields.items():
            if name in replaced:
                replaced[name] = patched(replaced[name], patch)
            elif name in patches:
                patches[name] = _both(patches[name], patch)
            else:
                patches[name] = patch
        return Changes(replaced, patches)

    @property
    def tools(self) -> list[str] | None:
        """The names of the tools that remain; None: all."""
        remain: list[str] | None = self.replace.get("tools", self.merge.get("tools"))
        return remain


def patched(value: Any, patch: Any) -> Any:
    """``value`` after a JSON Merge Patch; neither is changed."""
    if not isinstance(patch, Mapping):
        return patch
    old = value if isinstance(value, Mapping) else {}
    kept = {name: one for name, one in old.items() if name not in patch}
    given = {name: patched(old.get(name), one) for name, one in patch.items() if one is not None}
    return {**kept, **given}


def _both(first: Any, second: Any) -> Any:
    """One patch that does what the two do one after the other: a null still deletes."""
    if not isinstance(first, Mapping) or not isinstance(second, Mapping):
        return second
    return {
        **first,
        **{name: _both(first[name], one) if name in first else one for name, one in second.items()},
    }


def changed(config: SessionConfig, changes: Changes) -> SessionConfig:
    """What a line that was set up with ``config`` is to be with ``changes``."""
    new = {name: value for name, value in changes.replace.items() if name != "tools"}
    for name, patch in changes.merge.items():
        if name != "tools":
            new[name] = patched(getattr(config, name), patch)
    if changes.tools is not None:
        new["tools"] = tuple(one for one in config.tools if one["name"] in changes.tools)
    if "turn_detection" in new:
        new["turn_detection"] = _detection(new["turn_detection"], config.turn_detection)
    if new.get("transcription") is not None:
        new["transcription"] = _transcription(new["transcription"])
    return replace(config, **new)


def _detection(wanted: Mapping[str, Any], before: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of two kinds merged only what the wanted one has; who answers is not the operator's."""
    known = _OF_DETECTION[wanted.get("type", "server_vad")]
    ours = ("create_response", "interrupt_response")
    return {
        **{name: value for name, value in wanted.items() if name in known},
        **{name: before[name] for name in ours if name in before},
    }


def _transcription(wanted: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """One language takes the place of several; None where no model is named."""
    if "model" not in wanted:
        return None
    if not wanted.get("language"):
        return wanted
    one = {name: value for name, value in wanted.items() if name != "languages"}
    if wanted["model"] == "gpt-transcribe":
        # This model takes a list, also of one (openai_realtime 4.5).
        one["languages"] = [one.pop("language")]
    return one
