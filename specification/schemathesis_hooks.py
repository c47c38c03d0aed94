"""Hooks for schemathesis: the rules of this API that OpenAPI cannot express. Used by specification/try."""

import copy
import json
import zlib

import schemathesis

VALID = {"user_id": "u1", "session_id": "s1", "event": "start", "ts": "2019-05-12T00:00:00Z", "country": "SK"}

# A request must use exactly one of these alternative parameters. The values are valid.
WINDOW = {"days": 170, "hours": 1.5, "from": "2019-05-12T00:00:00Z"}
USER = {"user_id": "u1", "player_id": "u1"}
ALTERNATIVES = {
    "/v1/session-starts": WINDOW,
    "/v1/session-starts/counts": WINDOW,
    "/user/last-events": {"days": 170, "hours": 1.5},
    "/user/last-sessions-user": USER,
}


@schemathesis.serializer("application/x-ndjson")
def lines(context, value):
    """Sends an NDJSON body unchanged."""
    return str(value).encode("utf-8", "surrogatepass")


def valid_event(query):
    """A valid event. The parameter `id` chooses the key of its user."""
    event = dict(VALID)
    event[query.get("id", "user_id")] = event.pop("user_id")
    return event


def with_a_valid_event(batch, event):
    """Makes the first event valid, and moves every second one into the retention, which random times rarely hit."""
    batch = copy.deepcopy(batch)
    events = batch if isinstance(batch, list) else batch.get("events") or batch.get("rows")
    for other in events[1::2]:
        other["ts"] = VALID["ts"]
    events[0] = event
    return batch


@schemathesis.hook
def before_call(context, case, kwargs):
    """Turns a request that is valid by its schema into one that the service must answer with 200.

    - Of alternative parameters, one is kept.
    - A window with `from` ends where it starts, because `from` must not be after `to`.
    - `step=minute` becomes `hour`, because minutes require a short window.
    - A cursor is removed, because no schema describes a valid one.
    - A batch gets a valid event, whose user has the key that `id` chooses.
    """
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    query = dict(case.query or {})
    if case.media_type == "application/json":
        case.body = with_a_valid_event(case.body, valid_event(query))
    elif case.media_type == "application/x-ndjson":
        case.body = f"{json.dumps(valid_event(query))}\n{case.body}"
    query.pop("cursor", None)
    alternatives = ALTERNATIVES.get(case.path)
    if alternatives:
        # A random choice that is the same in every run.
        choice = zlib.crc32(repr(sorted(query.items())).encode())
        given = [name for name in alternatives if name in query] or list(alternatives)
        kept = given[choice % len(given)]
        value = query.get(kept, alternatives[kept])
        query = {name: value for name, value in query.items() if name not in alternatives and name != "to"}
        query[kept] = value
        if kept == "from":
            query["to"] = value
        elif query.get("step") == "minute":
            query["step"] = "hour"
    case.query = query
