"""Handlers of kopf's start: its settings and its credentials."""

from typing import Any

import kopf

from jobpools_operator.handlers import REGISTRY


@kopf.on.startup(registry=REGISTRY)
async def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    """Configure kopf to watch only, without writing events, annotations, finalizers or peering objects."""
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.networking.request_timeout = 30
    settings.networking.enforce_retry_after = True
    settings.queueing.error_delays = (1, 1, 2, 3, 5)
    settings.execution.default_backoff = 2


@kopf.on.login(registry=REGISTRY)
def login(**every: Any) -> kopf.ConnectionInfo | None:
    """Return the credentials of the pod's service account, or those of KUBECONFIG outside a pod."""
    return kopf.login_with_service_account(**every) or kopf.login_with_kubeconfig(**every)
