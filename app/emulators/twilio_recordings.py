"""The Recordings of Twilio's REST API: of a call that goes on, and their sound afterwards."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from app.emulators.twilio_call import EmulatedCall
from app.emulators.twilio_problem import TwilioProblem
from app.emulators.twilio_tape import Tape

CURRENT = "Twilio.CURRENT"
_CHANNELS = {"mono": 1, "dual": 2}
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
Report = Callable[[EmulatedCall, Tape], None]


def add_recordings(
    application: web.Application, root: str, calls: Mapping[str, EmulatedCall], report: Report
) -> None:
    """Serve them below ``root``."""
    shelf = _Shelf(calls, report)
    router = application.router
    of_call = f"{root}/Calls/{{call}}/Recordings"
    router.add_post(f"{of_call}.json", shelf.create)
    router.add_get(f"{of_call}.json", shelf.list_of_call)
    router.add_post(f"{of_call}/{{recording}}.json", shelf.change)
    router.add_get(f"{root}/Recordings.json", shelf.list_all)
    router.add_get(f"{root}/Recordings/{{recording}}.json", shelf.fetch)
    router.add_delete(f"{root}/Recordings/{{recording}}.json", shelf.delete)
    router.add_get(f"{root}/Recordings/{{recording}}.wav", shelf.media)


class _Shelf:
    def __init__(self, calls: Mapping[str, EmulatedCall], report: Report) -> None:
        self._calls = calls
        self._report = report

    async def create(self, request: web.Request) -> web.Response:
        form = await request.post()
        call = self._call(request)
        if call.status != "in-progress":
            raise TwilioProblem(400, 21220, "Requested resource is not eligible for recording")
        channels = _CHANNELS.get(str(form.get("RecordingChannels", "dual")))
        if channels is None:
            raise TwilioProblem(400, 20001, "Invalid RecordingChannels")
        events = form.getall("RecordingStatusCallbackEvent", ["completed"])
        tape = Tape(
            call.account_sid,
            call.call_sid,
            call.recording,
            call.began_at_ms,
            channels=channels,
            callback=str(form.get("RecordingStatusCallback", "")),
            events=frozenset(str(one) for one in events),
        )
        call.tapes.append(tape)
        answer = web.json_response(tape.resource(), status=201)
        self._report(call, tape)
        return answer

    async def change(self, request: web.Request) -> web.Response:
        form = await request.post()
        call, wanted = self._call(request), request.match_info["recording"]
        going_on = [one for one in call.tapes if not one.over and wanted in (one.sid, CURRENT)]
        if not going_on:
            raise TwilioProblem(404, 20404)
        tape = going_on[-1]
        try:
            tape.change(str(form.get("Status", "")))
        except ValueError:
            raise TwilioProblem(400, 20001, "Invalid Status") from None
        answer = web.json_response(tape.resource())
        if tape.over:
            tape.finish()
            self._report(call, tape)
        return answer

    async def list_of_call(self, request: web.Request) -> web.Response:
        return _page(request, self._call(request).tapes)

    async def list_all(self, request: web.Request) -> web.Response:
        return _page(request, [tape for call in self._calls.values() for tape in call.tapes])

    async def fetch(self, request: web.Request) -> web.Response:
        return web.json_response(self._tape(request)[1].resource())

    async def delete(self, request: web.Request) -> web.Response:
        call, tape = self._tape(request)
        call.tapes.remove(tape)
        return web.Response(status=204)

    async def media(self, request: web.Request) -> web.Response:
        """The sound, or the part of it that was asked for."""
        _, tape = self._tape(request)
        if tape.status != "completed":
            raise TwilioProblem(404, 20404)
        sound, asked = tape.wav(), _RANGE.fullmatch(request.headers.get("Range", ""))
        if asked is None:
            return web.Response(body=sound, content_type="audio/x-wav")
        begin, end = int(asked[1]), int(asked[2] or len(sound) - 1)
        if begin >= len(sound):
            return web.Response(status=416, headers={"Content-Range": f"bytes */{len(sound)}"})
        part = sound[begin : end + 1]
        told = {"Content-Range": f"bytes {begin}-{begin + len(part) - 1}/{len(sound)}"}
        return web.Response(status=206, body=part, content_type="audio/x-wav", headers=told)

    def _call(self, request: web.Request) -> EmulatedCall:
        call = self._calls.get(request.match_info["call"])
        if call is None:
            raise TwilioProblem(404, 20404)
        return call

    def _tape(self, request: web.Request) -> tuple[EmulatedCall, Tape]:
        wanted = request.match_info["recording"]
        for call in self._calls.values():
            for tape in call.tapes:
                if tape.sid == wanted:
                    return call, tape
        raise TwilioProblem(404, 20404)


def _page(request: web.Request, tapes: list[Tape]) -> web.Response:
    page: dict[str, Any] = {
        "recordings": [tape.resource() for tape in tapes],
        "page": 0,
        "page_size": len(tapes),
        "uri": request.path,
        "first_page_uri": request.path,
        "next_page_uri": None,
        "previous_page_uri": None,
    }
    return web.json_response(page)
