"""Tools that a misled model calls: what they reach is the operator's choice alone."""

from pathlib import Path
from urllib.parse import urlsplit

import orjson
import pytest

from app.tools.callback import Refused
from app.tools.texts import asked
from tests import injections
from tests.tools.test_http_tools import Api, lookup, run
from tests.tools.test_http_tools import api as an_api

api = an_api


@pytest.mark.parametrize("wanted", injections.EVERYTHING)
def test_a_text_message_goes_to_nobody_else(wanted: str) -> None:
    """Recipients and attachments are names of the document."""
    for more in ({"to": wanted}, {"media": wanted}):
        arguments = orjson.dumps({"text": "Hello.", **more}).decode()
        with pytest.raises(Refused):
            asked(arguments, ["caller", "desk"], ["map"], 3)


@pytest.mark.parametrize("wanted", injections.EVERYTHING)
def test_what_the_text_says_changes_no_recipient(wanted: str) -> None:
    """It is what is sent, and nothing besides; unknown arguments are nobody's."""
    given = {"text": wanted, "number": injections.WANTED[0], "from": injections.WANTED[0]}
    text = asked(orjson.dumps(given).decode(), ["caller", "desk"], [], 10)

    assert (text.to, text.media) == ("caller", None)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_http_tool_asks_nobody_else(api: Api, tmp_path: Path, method: str) -> None:
    """Each argument stays within the place that the operator gave it."""
    tool = lookup(api, tmp_path, method=method, query={"who": "{{args.number}}"})
    for wanted in injections.EVERYTHING:
        await run(tool, {"number": wanted})
        assert not (await run(tool, {"number": "x", "url": wanted})).ok, "an argument too many"

    assert api.heard
    for heard_method, path, headers, _ in api.heard:
        assert heard_method == method
        assert headers["host"] == f"127.0.0.1:{api.port}"
        assert headers["authorization"] == "Bearer s3cret"
        where = urlsplit(path)
        assert where.path.startswith("/policies/")
        assert where.path.count("/") == 2, "a step aside"
        assert where.query.count("&") == 0
    assert "x-transfer-to" not in {name for _, _, headers, _ in api.heard for name in headers}
