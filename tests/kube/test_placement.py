"""Which Redis endpoint an object belongs on: what is looked up, and what is decided. Pure."""

import pytest

from jobpools.core.objects import RedisRef, SecretKeyRef
from jobpools.errors import ObservationError
from jobpools_operator.placement import (
    CHECK_SECRET_AFTER,
    RETRY_AFTER,
    Lookup,
    Placement,
    RedisUrls,
    decide_placement,
)

FOUND, UNREADABLE = Lookup("redis://a"), Lookup(None, "Secret shop/dsn: not found")


@pytest.mark.parametrize(
    ("lookup", "facts", "expected"),
    [
        (FOUND, {"is_placed": False, "reads_secret": False}, Placement("redis://a")),
        (FOUND, {"is_placed": True, "reads_secret": False}, Placement("redis://a")),
        (FOUND, {"is_placed": False, "reads_secret": True}, Placement("redis://a", check_after=CHECK_SECRET_AFTER)),
        (FOUND, {"is_placed": True, "reads_secret": True}, Placement("redis://a", check_after=CHECK_SECRET_AFTER)),
        (
            UNREADABLE,
            {"is_placed": False, "reads_secret": True},
            Placement(problem=UNREADABLE.problem, check_after=RETRY_AFTER),
        ),
        (
            UNREADABLE,
            {"is_placed": True, "reads_secret": True},
            Placement(check_after=RETRY_AFTER),
        ),  # the object stays where it is
        (
            UNREADABLE,
            {"is_placed": False, "reads_secret": False},
            Placement(problem=UNREADABLE.problem, check_after=RETRY_AFTER),
        ),
    ],
)
def test_an_object_moves_only_to_a_url_that_is_known(
    lookup: Lookup, facts: dict[str, bool], expected: Placement
) -> None:
    assert decide_placement(lookup, **facts) == expected


class FakeSecrets:
    """One Secret of the namespace `shop`."""

    async def value(self, namespace: str, ref: SecretKeyRef) -> str:
        if (namespace, ref.name, ref.key) == ("shop", "dsn", "url"):
            return "redis://from-secret"
        raise ObservationError(f"Secret {namespace}/{ref.name}: not found")


@pytest.mark.parametrize(
    ("redis", "url"),
    [
        (None, "redis://default"),
        (RedisRef(url="redis://own"), "redis://own"),
        (RedisRef(secret_key_ref=SecretKeyRef(name="dsn", key="url")), "redis://from-secret"),
    ],
)
async def test_the_url_is_the_specs_or_the_secrets_or_the_default(redis: RedisRef | None, url: str) -> None:
    assert await RedisUrls(FakeSecrets(), "redis://default").of("shop", redis) == url


async def test_a_secret_that_cannot_be_read_raises() -> None:
    ref = RedisRef(secret_key_ref=SecretKeyRef(name="other", key="url"))
    with pytest.raises(ObservationError, match="shop/other"):
        await RedisUrls(FakeSecrets(), "redis://default").of("shop", ref)
