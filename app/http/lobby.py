"""Twilio's requests about callers who choose from a menu, wait for a place, or come to somebody
else in the agent's place. Every answer is TwiML."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from app.http.guard import FormPairs
from app.http.problems import described
from app.http.voice import Pressed, Twiml, dial_result, facts_of, read
from app.protocol import twilio_webhooks as forms
from app.runtime.lobby import Waiting
from app.runtime.routing import Routing
from app.runtime.scripts import MENU_PATH, QUEUE_LEFT_PATH, QUEUE_PATH, TURNED_AWAY_PATH
from app.runtime.turned_away import TurnedAway


def routes(
    waiting: Waiting,
    routing: Routing,
    turned_away: TurnedAway,
    guard: Callable[..., Awaitable[FormPairs]],
) -> APIRouter:
    """What callers hear whom no agent talks to, and what becomes of them, behind ``guard``."""
    router = APIRouter(
        tags=["twilio"],
        default_response_class=Twiml,
        responses=described(400, 403, 413, 503),
    )
    Form = Annotated[FormPairs, Depends(guard)]

    @router.post(MENU_PATH)
    async def menu(form: Form) -> Response:
        """A caller was asked for their language: they are answered, knowing it."""
        return Twiml(await routing.admit(facts_of(form, read(forms.parse_pressed, form))))

    @router.post(QUEUE_PATH)
    async def queue(form: Form) -> Response:
        """A caller waits for a place: what they hear next."""
        news = read(forms.parse_queue_news, form)
        return Twiml(waiting.asked(facts_of(form), news.position, news.waited_s))

    @router.post(QUEUE_LEFT_PATH)
    async def queue_left(form: Form, pressed: Pressed = None) -> Response:
        """A caller waits no longer: they enter, or get what the document has otherwise."""
        news, facts = read(forms.parse_queue_news, form), facts_of(form, pressed)
        answer = waiting.left(facts, news.result, news.waited_s)
        return Twiml(await routing.admit(facts) if answer is None else answer)

    @router.post(f"{TURNED_AWAY_PATH}/{{token}}")
    async def turned_away_dialled(token: str, form: Form) -> Response:
        """A caller was put through in the agent's place, and that has ended."""
        return Twiml(await turned_away.dialled(token, **dial_result(form)))

    return router
