"""Finding a call's record from a terminal: a file, or the running server's operator API."""

import json
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from app.settings import Settings

KEY_FILE = Path("data") / "api_key"
ANSWER_S = 5
_MOST_BYTES = 16 * 1024 * 1024


class RecordFault(Exception):
    """There is no such record; the message is a sentence with the fix."""


def find(call: str, server: str, settings: Settings) -> dict[str, Any]:
    """The record in the file ``call``, or of the call of that id. Raises ``RecordFault``."""
    file = Path(call)
    content = _read(file) if file.is_file() else _fetch(call, server, settings)
    try:
        record = json.loads(content)
    except ValueError:
        record = None
    if not isinstance(record, dict) or record.get("schema") != "cdr/1":
        raise RecordFault(f"{call} is not a call record: it has no schema cdr/1.")
    return record


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as exc:
        raise RecordFault(f"{file} cannot be read: {exc.strerror}") from exc


def _fetch(call: str, server: str, settings: Settings) -> bytes:
    if not server.startswith(("http://", "https://")):
        raise RecordFault(f'"{server}" is not the address of a server, such as http://host:5050.')
    url = f"{server.rstrip('/')}/v1/calls/{urllib.parse.quote(call, safe='')}"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {_key(settings)}"})
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:
            return bytes(answer.read(_MOST_BYTES))
    except urllib.error.HTTPError as exc:
        exc.close()
        raise RecordFault(_REFUSALS.get(exc.code, f"{server} answered {exc.code}.")) from None
    except (urllib.error.URLError, TimeoutError, ConnectionError) as exc:
        raise RecordFault(
            f"No server answers at {server}, and there is no file {call}: start one with"
            " ./scripts/start, or name it by --server."
        ) from exc


_REFUSALS = {
    401: "The server does not take this key: set API_KEY to the one it printed.",
    404: "The server knows no such call; records are kept in memory until it ends.",
}


def _key(settings: Settings) -> str:
    if settings.api_key is not None:
        return settings.api_key.get_secret_value()
    try:
        return KEY_FILE.read_text(encoding="utf-8").strip()
    except OSError:
        raise RecordFault(
            f"There is no API key: set API_KEY, or run this where the server's {KEY_FILE} is."
        ) from None
