"""Makes every call of Events, Queries and Legacy with the generated Python client. Used by specification/clients/check.

Usage: calls.py URL
"""

import datetime
import importlib
import pkgutil
import sys
import time

from bookend_client import AuthenticatedClient, api
from bookend_client.models import (
    BatchReply, CompletedSession, CountSeries, ErrorCode, ErrorReply, Event, EventBatch, EventKind, OpenSession,
    OrphanSession, PlayerEvent, RejectedBatch, RejectionCode, RowBatch, SessionExplanation, SessionsPage, SessionStatus,
    StartCounts, StartsPage, Step,
)

NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
BEGIN = NOW - datetime.timedelta(minutes=2)

# Without keys, a service ignores the token.
client = AuthenticatedClient(base_url=sys.argv[1], token="none", raise_on_unexpected_status=True)


def calls():
    """The calls of the three groups, by the name of their module."""
    found = {}
    for group in ("events", "queries", "legacy"):
        package = importlib.import_module(f"{api.__name__}.{group}")
        for module in pkgutil.iter_modules(package.__path__):
            found[module.name] = importlib.import_module(f"{package.__name__}.{module.name}")
    return found


left = calls()
modules = dict(left)


def call(name, kind, *arguments, by=client, **parameters):
    """Makes a call, and returns its reply, which must be of a type."""
    left.pop(name, None)
    reply = modules[name].sync(*arguments, client=by, **parameters)
    assert isinstance(reply, kind), f"{name}: {reply}"
    return reply


def start(session, **more):
    return Event(user_id="py", session_id=session, event=EventKind.START, ts=BEGIN, country="SK", **more)


def end(session):
    return Event(user_id="py", session_id=session, event=EventKind.END, ts=int(NOW.timestamp() * 1000))


def send():
    complete = EventBatch(events=[start("complete"), end("complete")])
    assert call("send_events", BatchReply, body=complete, strict=True).accepted == 2
    assert call("send_events", BatchReply, body=[start("open")]).accepted == 1
    mistyped = start("mistyped")
    mistyped.additional_properties["contry"] = "SK"
    refused = call("send_events", RejectedBatch, body=[mistyped], strict=True)
    assert refused.error.code is ErrorCode.NOTHING_USABLE
    assert [event.code for event in refused.rejected] == [RejectionCode.UNKNOWN_FIELD]
    assert call("send_events", ErrorReply, body=[]).error.code is ErrorCode.EMPTY_BATCH
    # Older clients.
    assert call("send_batch", BatchReply, body=[end("orphan")]).accepted == 1
    row = PlayerEvent(player_id="py", session_id="row", event=EventKind.START, ts=BEGIN)
    json = client.with_headers({"Accept": "application/json"})
    assert call("send_rows", BatchReply, body=RowBatch(rows=[row]), by=json).accepted == 1


def wait(session):
    """Waits until queries return a session."""
    for _ in range(600):
        if call("explain_session", (SessionExplanation, ErrorReply), "py", session).to_dict().get("status"):
            return
        time.sleep(0.05)
    raise AssertionError(f"{session} is not returned")


def explain():
    unknown = call("explain_session", ErrorReply, "py", "nothing")
    assert unknown.error.code is ErrorCode.UNKNOWN_SESSION
    for explained in (
        call("explain_session", SessionExplanation, "py", "complete"),
        call("explain_session_by_query", SessionExplanation, user_id="py", session_id="complete"),
    ):
        assert explained.status is SessionStatus.COMPLETE and explained.session.started_at == BEGIN
        assert [fact.kind for fact in explained.facts] == [EventKind.START, EventKind.END]


def list_sessions():
    for reply in (
        call("list_user_sessions", SessionsPage, "py"),
        call("list_user_sessions_by_query", SessionsPage, user_id="py"),
    ):
        [session] = reply.sessions
        assert isinstance(session, CompletedSession) and session.duration_ms == 120_000
    opened = call("list_user_sessions", SessionsPage, "py", status=SessionStatus.OPEN).sessions
    assert {session.session_id for session in opened if isinstance(session, OpenSession)} == {"open", "row"}
    [orphan] = call("list_user_sessions_by_query", SessionsPage, user_id="py", status=SessionStatus.ORPHAN).sessions
    assert isinstance(orphan, OrphanSession) and orphan.ended_at == NOW
    last = call("list_last_sessions", object, user_id="py")
    assert [session.session_id for session in last["py"]] == ["complete"]


def list_starts():
    until = NOW + datetime.timedelta(minutes=1)
    for reply in (
        call("list_session_starts", StartsPage, days=1),
        call("list_session_starts", StartsPage, from_=BEGIN, to=until, country=["SK", "DE"]),
    ):
        assert {start.ts for start in reply.countries["SK"] if start.user_id == "py"} == {BEGIN}
    assert call("count_session_starts", StartCounts, hours=1).countries["SK"] == 2
    series = call("count_session_starts", CountSeries, hours=1, step=Step.MINUTE)
    assert sum(point.starts for point in series.series["SK"]) == 2
    wrong = call("count_session_starts", ErrorReply)
    assert wrong.error.code is ErrorCode.MISSING_WINDOW
    assert len(call("list_last_events", object, days=1)["SK"]) == 2
    assert "<html" in call("get_root", str)


send()
for session in ("complete", "open", "orphan", "row"):
    wait(session)
explain()
list_sessions()
list_starts()
assert not left, f"calls that are not made: {', '.join(left)}"
