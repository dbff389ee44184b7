"""The application of `bench.peers.asgi`, as its libraries' documentation suggests; it runs in their environment."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator

from aiokafka import AIOKafkaConsumer  # type: ignore[import-not-found, unused-ignore]
from sse_starlette import EventSourceResponse  # type: ignore[import-not-found, unused-ignore]
from starlette.applications import Starlette  # type: ignore[import-not-found, unused-ignore]
from starlette.requests import Request  # type: ignore[import-not-found, unused-ignore]
from starlette.routing import Route  # type: ignore[import-not-found, unused-ignore]

_queues: "set[asyncio.Queue[str]]" = set()


async def _consume() -> None:
    consumer = AIOKafkaConsumer(os.environ["BENCH_TOPIC"], bootstrap_servers=os.environ["BENCH_BROKER"])
    await consumer.start()
    try:
        async for record in consumer:
            text = record.value.decode()
            for queue in _queues:
                queue.put_nowait(text)
    finally:
        await consumer.stop()


@contextlib.asynccontextmanager
async def _lifespan(_app: object) -> AsyncIterator[None]:
    task = asyncio.create_task(_consume())
    yield
    task.cancel()


async def _stream(_request: Request) -> EventSourceResponse:
    async def events() -> AsyncIterator[dict[str, str]]:
        queue: asyncio.Queue[str] = asyncio.Queue()
        _queues.add(queue)
        try:
            while True:
                yield {"data": await queue.get()}
        finally:
            _queues.discard(queue)

    return EventSourceResponse(events())


app = Starlette(routes=[Route("/stream", _stream)], lifespan=_lifespan)
