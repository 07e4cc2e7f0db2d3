"""Documents that are searched, on both databases: the same question, the same answer."""

import asyncio

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from app.call.wording import beginnings, words
from app.services.store.knowledge import Knowledge
from app.services.store.schema import knowledge_files, now


def passages(*texts: tuple[str, str]) -> list[tuple[str, str, str]]:
    """With their words."""
    return [(place, text, " ".join(words(f"{place} {text}"))) for place, text in texts]


RETURNS = passages(
    ("Returns", "You may return the goods within thirty days."),
    ("Returns > Damaged goods", "Goods that arrive damaged are replaced at our cost."),
    ("Returns > Food", "Food cannot be returned, and the seal of the goods must be whole."),
)
HOURS = passages(
    ("page 2", "The shop is open from nine to six. Über Mittag ist das Café geöffnet.")
)


async def asked(known: Knowledge, question: str, *digests: str, most: int = 4) -> list[str]:
    """The places of the answers, the best first."""
    found = await known.search(beginnings(question), digests, most)
    return [one.place for one in found]


@pytest.fixture
async def known(engine: AsyncEngine) -> Knowledge:
    """Two documents."""
    one = Knowledge(engine)
    await one.add("returns", RETURNS)
    await one.add("hours", HOURS)
    return one


async def test_c16_a_question_finds_the_passage_that_answers(known: Knowledge) -> None:
    """C16, C23: by its words, in other forms of them too, without any embedding."""
    both = ("returns", "hours")

    assert await asked(known, "What if the goods are damage?", *both, most=1) == [
        "Returns > Damaged goods"
    ]
    assert await asked(known, "returning food", *both, most=1) == ["Returns > Food"]
    assert await asked(known, "uber mittag, cafe?", *both) == ["page 2"]
    assert await asked(known, "bicycles", *both) == []
    assert len(await asked(known, "the goods", *both, most=2)) == 2


async def test_c16_only_the_agents_own_documents_are_searched(known: Knowledge) -> None:
    """Two agents may have different ones."""
    assert await asked(known, "open", "returns") == []
    assert await asked(known, "open", "hours") == ["page 2"]
    assert await asked(known, "open") == []


@pytest.mark.parametrize(
    "question",
    [
        "",
        "?!",
        '" OR 1=1 --',
        "goods'); DROP TABLE knowledge_passages; --",
        'goods* AND (NEAR : ^ - "',
        "goods:* & ! <-> 'x",
        "words:goods {place}: col",
        "\\' || \\",
        "goods\0 damaged",
        "AND OR NOT NEAR",
        "%s %(x)s :asked",
        "x" * 5_000,
    ],
)
async def test_c16_a_question_is_words_and_never_a_query(known: Knowledge, question: str) -> None:
    """What the model or a caller writes means nothing to the database."""
    await asked(known, question, "returns", "hours")

    assert await asked(known, "damaged", "returns") == ["Returns > Damaged goods"]


async def test_c16_a_document_is_added_once_by_many(engine: AsyncEngine, known: Knowledge) -> None:
    """Processes that start together read the same folder."""
    other = Knowledge(engine)

    added = await asyncio.gather(*(x.add("new", HOURS) for x in (known, other, known)))

    assert sorted(added) == [False, False, True]
    assert await asked(other, "open", "new") == ["page 2"]
    assert await other.known(["new", "hours", "nothing"]) == {"new", "hours"}


async def test_c16_what_nobody_uses_any_more_is_forgotten(
    engine: AsyncEngine, known: Knowledge
) -> None:
    """With its words; what is in use is not."""
    old = sa.update(knowledge_files).where(knowledge_files.c.digest == "hours")
    async with engine.begin() as connection:
        await connection.execute(old.values(seen_at=now(-31 * 86_400)))

    assert await known.expire() == 1
    assert await asked(known, "open", "hours") == []
    assert await known.known(["returns", "hours"]) == {"returns"}
    assert await known.add("hours", HOURS)
    assert await asked(known, "open", "hours") == ["page 2"]
