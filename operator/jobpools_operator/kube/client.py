"""A JSON client of the API server. Only this module imports `kubernetes`.

Objects are plain dictionaries, as manifests and watches need them. The official client handles credentials,
certificates and token rotation.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any, Self

import aiohttp
from kubernetes.aio import client as kubernetes_client, config
from kubernetes.aio.client.exceptions import ApiException

from jobpools.core.text.error_text import first_line
from jobpools.errors import ConfigurationError, ObservationError

Object = dict[str, Any]

ANSWER_TIMEOUT = 10.0
"""Maximum seconds until one request is answered."""
WATCH_SECONDS = 240
"""Seconds after which the server ends a watch; the next one resumes where it ended."""
WATCH_SILENCE = 120.0
"""Maximum seconds between two lines of a watch, which has a bookmark about once a minute; then it counts as broken."""
PAGE_SIZE = 500
"""Maximum number of objects in one response to a list."""
CRD_CHECK_INTERVAL = 2.0
"""Seconds between two checks whether the CRDs are installed."""

CORE_API = "/api/v1"
APPS_API = "/apis/apps/v1"
COORDINATION_API = "/apis/coordination.k8s.io/v1"
CRD_API = "/apis/jobpools.dev/v1"

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
SERVER_SIDE_APPLY = "application/apply-patch+yaml"

log = logging.getLogger("jobpools.operator")


class ApiError(ObservationError):
    """The API server refused a request, or did not answer it."""

    def __init__(self, message: str, status: int = 0, causes: Sequence[str] = ()) -> None:
        """Create the error. `status`: the HTTP status; 0: no answer. `causes`: reasons in `details.causes`."""
        super().__init__(message)
        self.status = status
        self.causes = tuple(causes)

    def copy(self) -> Self:
        """Return an equal error: one that several tasks raise collects the tracebacks of all."""
        return type(self)(str(self), self.status, self.causes)

    @property
    def is_missing(self) -> bool:
        """Return whether the object does not exist."""
        return self.status == 404  # noqa: PLR2004  # HTTP's own number

    @property
    def is_namespace_terminating(self) -> bool:
        """Return whether the namespace is being deleted: nothing can be created in it any more."""
        return "NamespaceTerminating" in self.causes

    @property
    def is_conflict(self) -> bool:
        """Return whether another client wrote first."""
        return self.status == 409  # noqa: PLR2004  # HTTP's own number

    @property
    def is_expired(self) -> bool:
        """Return whether the resource version is too old to watch from."""
        return self.status == 410  # noqa: PLR2004  # HTTP's own number


class Api:
    """One connection pool to the API server."""

    def __init__(self, client: Any) -> None:
        self._client = client

    @classmethod
    async def connect(cls) -> Self:
        """Connect with the pod's service account, or with KUBECONFIG outside a pod. Raises ConfigurationError."""
        settings = kubernetes_client.Configuration()
        settings.connection_pool_maxsize = 64
        try:
            try:
                config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]  # pyright: ignore[reportUnknownMemberType]  # not typed there
            except config.ConfigException:
                await config.load_kube_config(client_configuration=settings)  # type: ignore[no-untyped-call]  # pyright: ignore[reportUnknownMemberType]  # as above
        except (config.ConfigException, OSError) as error:
            raise ConfigurationError(f"Kubernetes: no credentials: {error}; set KUBECONFIG") from error
        return cls(kubernetes_client.ApiClient(configuration=settings))

    async def close(self) -> None:
        """Close every socket."""
        await self._client.close()

    async def wait_for(self, api: str) -> None:
        """Wait until the server has the API group of this path. Raises ApiError when the operator may not read it."""
        is_logged = False
        while True:
            try:
                await self.get(api)
            except ApiError as error:
                if error.status in (401, 403):
                    raise
                if not is_logged:
                    log.warning(
                        "%s; if the CRDs are missing, install them (crds/); checking again every %g s",
                        error,
                        CRD_CHECK_INTERVAL,
                    )
                is_logged = True
                await asyncio.sleep(CRD_CHECK_INTERVAL)
            else:
                return

    async def get(self, path: str, **query: Any) -> Object:
        """Return what the path names: an object, one page of a list or an API group. Raises ApiError."""
        return await self._json("GET", path, query)

    async def list(self, path: str, **query: Any) -> tuple[list[Object], str]:
        """Read a list page by page; return its objects and the resource version to watch from. Raises ApiError."""
        items: list[Object] = []
        page: str | None = None
        while True:
            more = {"continue": page} if page else {}
            found = await self.get(path, limit=PAGE_SIZE, **query, **more)
            items += found.get("items", [])
            page = found["metadata"].get("continue")
            if not page:
                return items, found["metadata"]["resourceVersion"]

    async def create(self, path: str, body: Object) -> Object:
        """Create the object; return it as created. Raises ApiError."""
        return await self._json("POST", path, {}, body)

    async def replace(self, path: str, body: Object) -> Object:
        """Replace the object. Raises ApiError, with `is_conflict` when its `resourceVersion` is not the latest."""
        return await self._json("PUT", path, {}, body)

    async def merge(self, path: str, body: Object, manager: str) -> Object:
        """Apply a JSON merge patch; return the object. Raises ApiError."""
        return await self._json("PATCH", path, {"fieldManager": manager}, body, MERGE_PATCH)

    async def apply(self, path: str, body: Object, manager: str) -> Object:
        """Apply on the server side, taking fields over from other managers; return the object. Raises ApiError."""
        return await self._json("PATCH", path, {"fieldManager": manager, "force": "true"}, body, SERVER_SIDE_APPLY)

    async def watch(self, path: str, version: str, **query: Any) -> AsyncIterator[tuple[str, Object]]:
        """Yield (ADDED | MODIFIED | DELETED | BOOKMARK, object) from a resource version on, until the server ends it.

        Raises ApiError, also when nothing arrives for WATCH_SILENCE.
        """
        query |= {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": WATCH_SECONDS,
        }
        timeout = aiohttp.ClientTimeout(total=WATCH_SECONDS + ANSWER_TIMEOUT, sock_read=WATCH_SILENCE)
        response = await self._send("GET", path, query, None, None, timeout)
        raw = response.response
        try:
            async for line in _lines(raw.content):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    status = event["object"]
                    raise ApiError(f"watch {path}: {status.get('message', status)}", status.get("code", 0))
                yield event["type"], event["object"]
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiError(f"watch {path}: {type(error).__name__}: {error}") from error
        finally:
            raw.close()

    async def _json(
        self, method: str, path: str, query: Object, body: Object | None = None, content: str = JSON
    ) -> Object:
        response = await self._send(method, path, query, body, content, aiohttp.ClientTimeout(total=ANSWER_TIMEOUT))
        try:
            found: Object = json.loads(await response.read())
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise ApiError(f"{method} {path}: {type(error).__name__}: {error}") from error
        return found

    async def _send(
        self,
        method: str,
        path: str,
        query: Object,
        body: Object | None,
        content: str | None,
        time_limit: aiohttp.ClientTimeout,
    ) -> Any:
        headers = {"Accept": "application/json"} | ({"Content-Type": content} if content else {})
        try:
            request = await self._client.param_serialize(
                method,
                path,
                query_params=list(query.items()),
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
            )
            response = await self._client.call_api(*request, _request_timeout=time_limit)
            if response.status < 400:  # noqa: PLR2004  # HTTP's own number
                return response
            text = (await response.read()).decode(errors="replace")
        except (aiohttp.ClientError, ApiException, TimeoutError, OSError) as error:
            raise ApiError(f"{method} {path}: {type(error).__name__}: {error}") from error
        message, causes = _message_and_causes(text)
        raise ApiError(f"{method} {path}: {message or response.reason}", response.status, causes)


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Yield whole lines of any length: aiohttp's reader fails at 128 KiB, and an object may have 1.5 MiB.

    An unfinished last line is dropped: the connection broke within it.
    """
    parts: list[bytes] = []
    async for chunk in content.iter_any():
        first, *more = chunk.split(b"\n")
        parts.append(first)
        for part in more:
            yield b"".join(parts)
            parts = [part]


def _message_and_causes(text: str) -> tuple[str, tuple[str, ...]]:
    """Return the message of an error response and the reasons of its causes."""
    try:
        status: dict[str, Any] = json.loads(text)
        details: dict[str, Any] = status.get("details") or {}
        causes: Sequence[dict[str, Any]] = details.get("causes") or ()
        return str(status.get("message", "")), tuple(str(each.get("reason", "")) for each in causes)
    except (ValueError, AttributeError):
        return first_line(text), ()


def path_of(api: str, namespace: str, plural: str, name: str = "", part: str = "") -> str:
    """Return the path of an object, as in `/apis/apps/v1/namespaces/shop/deployments/emails/scale`."""
    return "/".join(filter(None, (api, "namespaces", namespace, plural, name, part)))
