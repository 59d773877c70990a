"""The verbs of the service's administrator: what they do, and what they print."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from features.errors import UsageError
from serving import keys, switch
from serving.policy import Role

#: An exit code, and text or what is printed as JSON.
Shown = tuple[int, str | dict[str, Any]]


def manage_keys(arguments: argparse.Namespace, home: Path) -> Shown:
    """What ``cemrisk keys`` was asked for."""
    return {"create": create_key, "list": list_keys, "revoke": revoke_key}[arguments.what](arguments, home)


def stop(arguments: argparse.Namespace, home: Path) -> Shown:
    """Stop a model; running workers follow within a second, later ones start with it stopped."""
    made = switch.stop(home, arguments.outcome, arguments.why, "command line")
    told = {"outcome": arguments.outcome, **asdict(made)}
    return 0, told if arguments.json else f"{arguments.outcome}: stopped since {made.since}: {made.why}"


def resume(arguments: argparse.Namespace, home: Path) -> Shown:
    """Let a model answer again."""
    was_stopped = switch.resume(home, arguments.outcome)
    told = {"outcome": arguments.outcome, "was_stopped": was_stopped}
    text = "answers again" if was_stopped else "was not stopped"
    return 0, told if arguments.json else f"{arguments.outcome}: {text}"


def create_key(arguments: argparse.Namespace, home: Path) -> Shown:
    """Make a key; its text goes to standard output, alone, so that it can be piped into a store of secrets."""
    known = [role.value for role in Role]
    if not set(arguments.role) <= set(known):
        raise UsageError(f"a role is one of {', '.join(known)}")
    key, text = keys.create(home, arguments.name, [Role(role) for role in arguments.role], arguments.days)
    if arguments.json:
        return 0, {**_told(key), "key": text}
    sys.stderr.write(f"{_line(key)}\nThe key is shown this once; send it as `Authorization: Bearer KEY`.\n")
    return 0, text


def list_keys(arguments: argparse.Namespace, home: Path) -> Shown:
    """All keys, good or not."""
    found = keys.read(home)
    if arguments.json:
        return 0, {"keys": [_told(key) for key in found]}
    nobody = "no keys: the service answers its own machine only; make one with `cemrisk keys create`"
    return 0, "\n".join(map(_line, found)) or nobody


def revoke_key(arguments: argparse.Namespace, home: Path) -> Shown:
    """Revoke a key; running workers follow within a second."""
    key = keys.revoke(home, arguments.id)
    return 0, _told(key) if arguments.json else _line(key)


def _told(key: keys.Key) -> dict[str, Any]:
    """All of a key but its hash."""
    times = {"created_at": key.created_at, "expires_at": key.expires_at, "revoked_at": key.revoked_at}
    return {"id": key.id, "name": key.name, "roles": list(key.roles), "state": key.state(time.time()), **times}


def _line(key: keys.Key) -> str:
    until = f"until {key.expires_at}" if key.expires_at else "no expiry"
    return f"{key.id}  {key.state(time.time()):8}{until:29}{','.join(key.roles):26}{key.name}"
