"""The query log in a real PostgreSQL server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pg8000.native
import pytest

from features.errors import LogDamaged, LogUnavailable, UsageError
from serving.query_log import LogSettings, QueryLog
from serving.query_log.keys import read_keys
from serving.query_log.postgres import PostgresStore
from serving.query_log.store import open_to_read
from tests.service import logged
from tests.service.cluster import Cluster, cluster, installed
from tests.service.process import running
from tests.service.questions import EXAMPLE

PROGRAMS = installed()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAMS is None, reason="PostgreSQL is not installed (apt-get install postgresql)"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[Cluster]:
    assert PROGRAMS is not None
    with cluster(PROGRAMS) as found:
        yield found


@pytest.fixture
def place(server: Cluster, tmp_path: Path) -> LogSettings:
    """A log of its own for each test."""
    connection = _connect(server.url)
    for table in ("meta", "entries", "inputs"):
        connection.run(f"DROP TABLE IF EXISTS cemrisk_{table}")
    connection.close()
    return logged.settings(tmp_path, database=server.url, keep_inputs=True)


def _connect(url: str) -> pg8000.native.Connection:
    port = int(url.rpartition(":")[2].partition("/")[0])
    return pg8000.native.Connection("cemrisk", host="127.0.0.1", port=port, database="postgres")


def test_one_log_of_several_processes(place: LogSettings) -> None:
    logged.fill_from_two_processes(place, [1, 2, 3] * 5)
    verdict = logged.verdict(place, read_keys(place.key))
    assert (verdict.faults, verdict.records, verdict.commits) == ([], 60, 30)


def test_records_are_found(place: LogSettings) -> None:
    keys = logged.fill(place, [1, 2])
    store = open_to_read(place)
    rows = list(store.rows())
    found = store.find(rows[1].id)
    assert found == rows[1] and found is not None and found.kept is not None
    assert keys.hash("input", found.kept) == json.loads(found.content)["input"]
    digest = logged.MODELS["leakage"]["sha256"]
    assert list(store.mentioning(str(digest))) == rows and list(store.mentioning("0" * 64)) == []
    assert store.find("nobody") is None
    store.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE cemrisk_entries SET content = replace(content, 'preop', 'postop') WHERE seq = 2",
        "DELETE FROM cemrisk_entries WHERE seq = 2",
        "DELETE FROM cemrisk_entries WHERE seq > 3",
        "UPDATE cemrisk_entries SET signature = NULL WHERE seq = 4",
        "UPDATE cemrisk_inputs SET body = '{}' WHERE id = (SELECT id FROM cemrisk_entries WHERE seq = 3)",
        "UPDATE cemrisk_meta SET value = repeat('0', 32) WHERE name = 'log_id'",
    ],
)
def test_tampering_is_found(place: LogSettings, statement: str) -> None:
    keys = logged.fill(place, [1, 2, 1])
    assert logged.verdict(place, keys).faults == []
    connection = _connect(str(place.database))
    connection.run(statement)
    connection.close()
    assert logged.verdict(place, keys).faults


def test_a_server_that_goes_and_comes_back(place: LogSettings, server: Cluster) -> None:
    log = QueryLog("test", place)
    asyncio.run(log.keep(logged.answered(1)))
    server.stop()
    try:
        with pytest.raises(LogUnavailable) as caught:
            asyncio.run(log.keep(logged.answered(2)))
        assert "age_years" not in str(caught.value)
    finally:
        server.start()
    asyncio.run(log.keep(logged.answered(3)))
    verdict = logged.verdict(place, read_keys(place.key))
    assert (verdict.faults, verdict.records) == ([], 2)


def test_who_waits_too_long_for_the_others_is_told(place: LogSettings) -> None:
    from serving.query_log.postgres import LOCK

    keys = logged.fill(place, [1])
    holder = _connect(str(place.database))
    holder.run("BEGIN")
    holder.run(f"SELECT pg_advisory_xact_lock({LOCK})")
    with pytest.raises(LogUnavailable, match="55P03"):
        logged.fill(place, [1])
    holder.run("ROLLBACK")
    holder.close()
    logged.fill(place, [1])
    assert logged.verdict(place, keys).records == 2


def test_no_log_yet_and_no_database(place: LogSettings) -> None:
    with pytest.raises(LogUnavailable, match="no query log yet"):
        open_to_read(place)
    with pytest.raises(LogUnavailable, match="opened"):
        PostgresStore("postgresql://cemrisk@127.0.0.1:1/postgres", None)
    for url in ("postgresql://", "postgresql://cemrisk@host", "postgresql://a:b@host/log?sslmode=require"):
        with pytest.raises(UsageError):
            PostgresStore(url, None)


def test_another_key_is_refused_and_a_table_that_is_gone_is_seen(place: LogSettings, tmp_path: Path) -> None:
    keys = logged.fill(place, [1])
    with pytest.raises(LogUnavailable, match="not the one"):
        logged.fill(logged.settings(tmp_path / "other", database=place.database), [1])
    connection = _connect(str(place.database))
    connection.run("DROP TABLE cemrisk_inputs")
    connection.close()
    with pytest.raises(LogDamaged):
        logged.verdict(place, keys)


def test_a_service_writes_into_it(
    place: LogSettings, server: Cluster, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the environment, as an administrator says it; the folder of the state holds no log then."""
    own = tmp_path / "home"
    own.mkdir()
    (own / "released").symlink_to(home / "released")
    monkeypatch.setenv("CEMRISK_DATABASE_URL", server.url)
    with running(own, tmp_path) as service:
        service.wait_ready()
        found = httpx.post(f"{service.url}/v1/risk", json=EXAMPLE)
        assert found.status_code == 200
        server.stop()
        try:
            refused = httpx.post(f"{service.url}/v1/risk", json=EXAMPLE, timeout=30)
        finally:
            server.start()
        assert (refused.status_code, refused.json()["code"]) == (503, "log_unavailable")
        again = httpx.post(f"{service.url}/v1/risk", json=EXAMPLE)
        assert again.status_code == 200
        assert "PostgreSQL" in service.log.read_text()
    settings = LogSettings.of(own, {"CEMRISK_DATABASE_URL": server.url})
    verdict = logged.verdict(settings, read_keys(settings.key))
    assert (verdict.faults, verdict.records) == ([], 2) and not settings.folder.exists()
