"""The door of the application: who asks is known, allowed and not asking too much before a route sees the request."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from features.errors import CemriskError
from serving.keys import Keyring
from serving.limits import Limits, Meter
from serving.policy import ANYBODY, POLICY, PROBES, THIS_MACHINE, Caller, Role, set_caller

#: Knows other tokens than our keys: from the token and the pattern of the route to who asks, None if it is not his.
Recognise = Callable[[bytes, str], Caller | None]

_LOOPBACK_NAMES = frozenset({b"localhost", b"[::1]"})
#: A proxy that calls us by an address of this machine, as some do by themselves, often says so in one of these.
_PASSED_ON = frozenset({b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"via"})


class Refused(CemriskError):
    """The door stays shut; ``code`` says why, ``headers`` go with the refusal."""

    http_status = 401

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.headers: Mapping[str, str] = {"WWW-Authenticate": "Bearer"}


class Forbidden(Refused):
    """Who asks is known, and may not."""

    http_status = 403


class Door:
    """Lets in who shows a key with one of the roles that a route needs.

    Without a ``keyring`` everybody is let in: the application is embedded in another one. With a keyring that holds no
    keys only this machine is, called by a name of its own, so that no proxy and no page of another site gets in.
    """

    def __init__(
        self, keyring: Keyring | None = None, others: Sequence[Recognise] = (), limits: Limits | None = None
    ) -> None:
        self._keyring, self._others = keyring, tuple(others)
        self.meter = Meter(limits or Limits())

    def admit(self, scope: MutableMapping[str, Any], pattern: str, needed: frozenset[Role]) -> Caller:
        """Who asks. Raises ``Refused``, or ``KeysUnreadable``."""
        if self._keyring is None:
            return ANYBODY
        if not self._keyring.in_use:
            _require_this_machine(scope)
            found = THIS_MACHINE
        elif not needed:
            return Caller(None, frozenset())
        else:
            found = self._recognised(_token(scope["headers"]), pattern)
        if needed and not needed & found.roles:
            raise Forbidden("role_missing", _who_may(needed, found))
        return found

    def _recognised(self, token: bytes | None, pattern: str) -> Caller:
        if token is None:
            raise Refused("no_key", "send the header Authorization: Bearer and an access key")
        assert self._keyring is not None
        key = self._keyring.find(token)
        if key is None:
            other = next((caller for known in self._others if (caller := known(token, pattern)) is not None), None)
            if other is None:
                raise Refused("wrong_key", "this is no access key of the service")
            return other
        state = key.state(time.time())
        if state != "good":
            raise Refused(f"key_{state}", f"the access key is {state}; ask the administrator for another")
        return Caller(key.id, frozenset(key.roles))


class GuardedRoute(APIRoute):
    """A route that has a line in the policy and lets nobody past it."""

    def __init__(self, path: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(path, *args, **kwargs)
        missing = [(method, path) for method in self.methods or () if (method, path) not in POLICY]
        if missing:
            raise LookupError(f"no line in serving/policy.py for {missing}")
        self.app = _answering(self.endpoint)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As any route, once the door is passed; a method that the route does not take is 405 for everybody."""
        needed = POLICY.get((scope["method"], self.path))
        if needed is None:
            await super().handle(scope, receive, send)
            return
        door: Door = scope["app"].state.door
        found = door.admit(scope, self.path, needed)
        set_caller(scope, found)
        if self.path in PROBES:  # a busy service must not look like a dead one
            await super().handle(scope, receive, send)
            return
        door.meter.charge(found.key_id, 1)
        with door.meter.held(found.key_id):
            await super().handle(scope, receive, send)


def _answering(endpoint: Callable[[Request], Awaitable[Response]]) -> ASGIApp:
    """The endpoint as it is: ours read the request themselves, so nothing has to be worked out for them by FastAPI."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        response = await endpoint(Request(scope, receive, send))
        await response(scope, receive, send)

    return app


def _who_may(needed: frozenset[Role], found: Caller) -> str:
    roles = " or ".join(sorted(needed))
    if found.key_id is None:
        return f"this needs an access key with the role {roles}, and the service has no keys: cemrisk keys create"
    return f"this needs an access key with the role {roles}"


def _token(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """What stands after Bearer; empty, which no key is, where the header is of another kind or stands twice."""
    given = [value for name, value in headers if name == b"authorization"]
    if not given:
        return None
    scheme, _, token = given[0].partition(b" ")
    return token.strip() if len(given) == 1 and scheme.lower() == b"bearer" else b""


def _require_this_machine(scope: MutableMapping[str, Any]) -> None:
    """The address that was reached and the name it was called by must be loopback's.

    A page of another site can point its own name to 127.0.0.1 and then ask from the user's browser; a proxy that
    passes on its own name lets in the world. The name that they send gives both away, as do headers of a proxy.
    """
    server = scope.get("server")
    host = next((value for name, value in scope["headers"] if name == b"host"), b"")
    name = host if host.endswith(b"]") else host.rpartition(b":")[0] or host
    if (
        server is None
        or any(name in _PASSED_ON for name, _ in scope["headers"])
        or not _is_loopback(server[0])
        or not (_is_loopback(name.decode("latin-1")) or name in _LOOPBACK_NAMES)
    ):
        raise Forbidden(
            "keys_needed", "the service has no access keys, so it answers only its own machine: cemrisk keys create"
        )


def _is_loopback(address: str) -> bool:
    """All that run.py binds to as an address of this machine."""
    return address == "::1" or (address.startswith("127.") and address.replace(".", "").isdecimal())
