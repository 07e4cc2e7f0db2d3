"""An error of Twilio's REST API, in its classic shape."""

from aiohttp import web

_TEXTS = {
    20003: "Authenticate",
    20404: "The requested resource was not found",
    20429: "Too Many Requests",
    20500: "Internal Server Error",
    21220: "Call is not in-progress. Cannot redirect.",
    21610: "Attempt to send to unsubscribed recipient",
}


class TwilioProblem(Exception):
    """An error in Twilio's classic shape."""

    def __init__(self, status: int, code: int, text: str | None = None) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code
        self.text = text or _TEXTS.get(code, "Bad request")

    def response(self) -> web.Response:
        """The answer that tells it."""
        body = {
            "code": self.code,
            "message": self.text,
            "more_info": f"https://www.twilio.com/docs/errors/{self.code}",
            "status": self.status,
        }
        headers = {"WWW-Authenticate": 'Basic realm="Twilio API"'} if self.status == 401 else {}
        return web.json_response(body, status=self.status, headers=headers)
