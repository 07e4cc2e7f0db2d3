"""What stands where Twilio would, when it is not configured: no call can have come from there."""

from collections.abc import Mapping
from typing import Any

from app.errors import CarrierFault


class NoCarrier:
    """Refuses whatever Twilio is asked."""

    async def redirect(self, call_sid: str, twiml: str) -> None:
        raise CarrierFault("credentials")

    async def hang_up(self, call_sid: str) -> None:
        raise CarrierFault("credentials")

    async def call_status(self, call_sid: str) -> str:
        raise CarrierFault("credentials")

    async def place(self, to: str, from_: str, url: str, more: Mapping[str, Any]) -> str:
        raise CarrierFault("credentials")

    async def message(self, to: str, from_: str, body: str, **more: str | None) -> str:
        raise CarrierFault("credentials")

    async def record(self, call_sid: str, *, channels: str, status_callback: str) -> str:
        raise CarrierFault("credentials")

    async def change_recording(self, call_sid: str, recording_sid: str | None, status: str) -> None:
        raise CarrierFault("credentials")

    async def recorded_call(self, recording_sid: str) -> str | None:
        raise CarrierFault("credentials")

    async def delete_recording(self, recording_sid: str) -> None:
        raise CarrierFault("credentials")

    def close(self) -> None:
        """Nothing to close."""
