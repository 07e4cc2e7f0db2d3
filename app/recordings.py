"""Where the sound of recordings comes from."""

from app.http.recordings import Fetch
from app.services.recording_media import RecordingMedia
from app.settings import Settings


def media(settings: Settings) -> Fetch | None:
    """Where their sound is fetched; None without an account."""
    if settings.twilio_account_sid is None:
        return None
    username, password = settings.rest_credentials
    where = RecordingMedia(settings.twilio_api_url, settings.twilio_account_sid, username, password)
    return where.fetch
