"""Twilio's requests about callers who choose from a menu, or wait for a place. Every answer is
TwiML."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from app.http.guard import FormPairs
from app.http.problems import described
from app.http.voice import Pressed, Twiml, facts_of, read
from app.protocol import twilio_webhooks as forms
from app.runtime.lobby import Waiting
from app.runtime.routing import Routing
from app.runtime.scripts import MENU_PATH, QUEUE_LEFT_PATH, QUEUE_PATH


def routes(
    waiting: Waiting, routing: Routing, guard: Callable[..., Awaitable[FormPairs]]
) -> APIRouter:
    """What callers in the queue hear, and what becomes of them, behind ``guard``."""
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

    return router
