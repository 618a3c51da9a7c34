"""The connections to an empty Valkey that the tests of the store use."""

from tests.store.conftest import job, raw, store

__all__ = ["job", "raw", "store"]
