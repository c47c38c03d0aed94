"""What schemathesis has to be told of this API beside its description, for specification/try."""

import copy
import json
import zlib

import schemathesis

GOOD = {"user_id": "u1", "session_id": "s1", "event": "start", "ts": "2019-05-12T00:00:00Z", "country": "SK"}

# Of these ways to say the same thing one has to be taken, and with it a value that is good.
WINDOW = {"days": 170, "hours": 1.5, "from": "2019-05-12T00:00:00Z"}
USER = {"user_id": "u1", "player_id": "u1"}
WAYS = {
    "/v1/session-starts": WINDOW,
    "/v1/session-starts/counts": WINDOW,
    "/user/last-events": {"days": 170, "hours": 1.5},
    "/user/last-sessions-user": USER,
}


@schemathesis.serializer("application/x-ndjson")
def lines(context, value):
    """A body of lines is sent as it is."""
    return str(value).encode("utf-8", "surrogatepass")


def with_a_good_event(batch):
    """The batch with a good event for its first, and every other one at a time that is kept, for nearly all times are not."""
    batch = copy.deepcopy(batch)
    events = batch if isinstance(batch, list) else batch.get("events") or batch.get("rows")
    for event in events[1::2]:
        event["ts"] = GOOD["ts"]
    events[0] = GOOD
    return batch


@schemathesis.hook
def before_call(context, case, kwargs):
    """Makes a good question of one that only no schema can tell from it, so that it has to be answered 200.

    Of the ways to say the same thing one is taken. The window of a `from` ends where it begins, for it must not begin later than it
    ends, or than now. Minutes are only counted of a short one. A cursor is dropped: a good one is in no schema. A batch has a good event.
    """
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if case.media_type == "application/json":
        case.body = with_a_good_event(case.body)
    elif case.media_type == "application/x-ndjson":
        case.body = f"{json.dumps(GOOD)}\n{case.body}"
    query = dict(case.query or {})
    query.pop("cursor", None)
    ways = WAYS.get(case.path)
    if ways:
        # Which one is chance, but the same each time.
        chance = zlib.crc32(repr(sorted(query.items())).encode())
        said = [way for way in ways if way in query] or list(ways)
        taken = said[chance % len(said)]
        value = query.get(taken, ways[taken])
        query = {name: value for name, value in query.items() if name not in ways and name != "to"}
        query[taken] = value
        if taken == "from":
            query["to"] = value
        elif query.get("step") == "minute":
            query["step"] = "hour"
    case.query = query
