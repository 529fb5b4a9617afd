"""What a worker knows of the mirror that it serves from, and how it asks for a look at the store."""

import asyncio
from contextlib import suppress

import structlog

from app.layout import NAME
from app.metrics import Metrics
from app.remote.cache import Cache

INTERVAL_S = 1.0

ANSWER_INTERVAL_S = 0.1

LONGEST_LOOK_S = 600.0
"""For what an order is waiting for to be fetched."""

log = structlog.get_logger("headrace.mirror")


class Source:
    """Of one worker. state: the mirror's, as of the last look at it. taken: models have been loaded from it once."""

    def __init__(self, address: str, cache: Cache, metrics: Metrics) -> None:
        self._address, self._cache, self._metrics = address, cache, metrics
        self.state = cache.state()
        self.taken = False
        self._news = asyncio.Condition()

    async def keep_current(self) -> None:
        """For ever."""
        while True:
            self.state = await asyncio.to_thread(self._cache.state)
            up = bool(self.state.looked_at) and not self.state.failed
            self._metrics.tell_store(self._address, up, self.state.looked_at, len(self.state.incomplete))
            async with self._news:
                self._news.notify_all()
            await asyncio.sleep(INTERVAL_S)

    async def filled(self) -> None:
        """Once all that the store holds has been there."""
        async with self._news:
            await self._news.wait_for(lambda: self.state.filled)

    async def changed(self, since: int) -> int:
        """Once a look has changed something since that many changes; how many there are now."""
        async with self._news:
            await self._news.wait_for(lambda: self.state.changes != since)
        return self.state.changes

    def waiting(self) -> str:
        """Why there are no models yet; empty once they have been loaded."""
        if self.taken:
            return ""
        return f"the models' store: {self.state.failed}" if self.state.failed else "models are being fetched"

    async def look(self, model: str) -> str:
        """Bring what the store has of a model now. What was wrong with that, empty if nothing was."""
        if not NAME.fullmatch(model):
            return ""  # no store is asked for what can be no model
        try:
            ask = await asyncio.to_thread(self._cache.ask, model)
        except OSError as error:
            return f"the mirror cannot be asked: {error.strerror}"
        try:
            for _ in range(round(LONGEST_LOOK_S / ANSWER_INTERVAL_S)):
                if (wrong := self._cache.answer(ask)) is not None:
                    return wrong
                await asyncio.sleep(ANSWER_INTERVAL_S)
            return f"the models' store: no answer within {LONGEST_LOOK_S:.0f} s"
        finally:
            with suppress(OSError):
                self._cache.withdraw(ask)
