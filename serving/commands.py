"""The verbs of the service's administrator: their arguments, and what they print."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from serving import keys
from serving.policy import Role

KEYS_EXAMPLE = 'cemrisk keys create --role ask --name "EHR of the spine ward"'

#: An exit code, and text or what is printed as JSON.
Shown = tuple[int, str | dict[str, Any]]
Run = Callable[[argparse.Namespace, Path], Shown]

_ROLES = {
    Role.ASK: "ask for risks, read models and nomograms",
    Role.READ_LOG: "read the metrics, and the log where it is served",
    Role.ADMINISTER: "read the metrics, stop a model and let it answer again",
}


def add_keys(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``cemrisk keys``."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    create = _action(actions, "create", create_key, "Make a key and print it, once", KEYS_EXAMPLE)
    create.add_argument(
        "--role",
        action="append",
        required=True,
        choices=[role.value for role in Role],
        help="; ".join(f"{role}: {text}" for role, text in _ROLES.items()) + "; may stand more than once",
    )
    create.add_argument("--name", required=True, metavar="TEXT", help="who uses it: a system, not a person")
    days = create.add_mutually_exclusive_group()
    days.add_argument(
        "--days", type=float, default=keys.DEFAULT_DAYS, metavar="N", help="good for so long (%(default)s)"
    )
    days.add_argument("--no-expiry", action="store_const", const=None, dest="days", help="good until it is revoked")
    _action(actions, "list", list_keys, "Show the keys that there are, without what they open", "cemrisk keys list")
    revoke = _action(actions, "revoke", revoke_key, "Take a key out of use for good", "cemrisk keys revoke 3f9a2b1c")
    revoke.add_argument("id", metavar="ID", help="its id, as cemrisk keys list shows it")


def create_key(arguments: argparse.Namespace, home: Path) -> Shown:
    """Make a key; its text goes to standard output, alone, so that it can be piped into a store of secrets."""
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


def _action(actions: Any, name: str, run: Run, summary: str, example: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(
        name,
        help=summary,
        description=f"{summary}.",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(act=run)
    return parser
