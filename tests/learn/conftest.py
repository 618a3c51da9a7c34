"""An app on an empty Valkey, for each lesson."""

from collections.abc import AsyncIterator

import pytest

from jobpools import App


@pytest.fixture
async def app(valkey_url: str) -> AsyncIterator[App]:
    async with App("shop", redis=valkey_url) as app:
        yield app
