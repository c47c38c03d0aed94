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


def with_a_valid_event(batch):
    """Makes the first event valid, and moves every second one into the retention, which random times rarely hit."""
    batch = copy.deepcopy(batch)
    events = batch if isinstance(batch, list) else batch.get("events") or batch.get("rows")
    for event in events[1::2]:
        event["ts"] = VALID["ts"]
    events[0] = VALID
    return batch


@schemathesis.hook
def before_call(context, case, kwargs):
    """Turns a request that is valid by its schema into one that the service must answer with 200.

    - Of alternative parameters, one is kept.
    - A window with `from` ends where it starts, because `from` must not be after `to`.
    - `step=minute` becomes `hour`, because minutes require a short window.
    - A cursor is removed, because no schema describes a valid one.
    - A batch gets a valid event.
    """
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if case.media_type == "application/json":
        case.body = with_a_valid_event(case.body)
    elif case.media_type == "application/x-ndjson":
        case.body = f"{json.dumps(VALID)}\n{case.body}"
    query = dict(case.query or {})
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
