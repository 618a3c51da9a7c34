"""An App on an empty Valkey."""

from collections.abc import AsyncIterator

import pytest

from jobpools import App


@pytest.fixture
async def app(valkey_url: str) -> AsyncIterator[App]:
    async with App("shop", redis=valkey_url) as app:
        yield app
