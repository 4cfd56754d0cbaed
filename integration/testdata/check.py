"""Checks without a broker: what a call refuses, what becomes of records that nobody takes, and event_ids."""

import json
import logging
import socket
import time
import uuid
from datetime import datetime

from ai_backlog import Backlog, NotDelivered, uuid7
from confluent_kafka import KafkaError, KafkaException


def refused(kind: type[BaseException], call, *arguments, **fields) -> BaseException:
    try:
        call(*arguments, **fields)
    except kind as error:
        return error
    raise AssertionError(f"{fields} were not refused")


with socket.socket() as nobody:
    nobody.bind(("127.0.0.1", 0))  # and does not listen
    away = {"bootstrap.servers": "127.0.0.1:%d" % nobody.getsockname()[1], "delivery.timeout.ms": 300}

    logging.getLogger("ai_backlog").addHandler(logging.NullHandler())  # that it cannot connect is no news here
    backlog = Backlog(service="s", config=away)
    refused(ValueError, backlog.metric, "m", float("nan"))
    refused(ValueError, backlog.event, "e", payload=[float("inf")])
    refused(ValueError, backlog.log, "INFO", "half of a pair \ud83d")
    refused(TypeError, backlog.event, "e", payload=b"bytes")
    refused(TypeError, backlog.log, "INFO")
    too_large = refused(KafkaException, backlog.log, "INFO", "x" * 1_000_001)
    assert too_large.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE, too_large
    assert backlog.flush() == []

    given = uuid7()
    assert backlog.log("INFO", "local time", event_id=given, timestamp=datetime(2026, 1, 2, 3, 4, 5), agent_id="a") == given
    made = backlog.event("e", service="other", x=None)
    first, second = backlog.flush()
    assert backlog.flush() == []
    assert (first.kind, second.kind) == ("log", "event") and "timed out" in first.reason, first
    log, event = json.loads(first.value), json.loads(second.value)
    assert datetime.fromisoformat(log.pop("timestamp")).timestamp() == datetime(2026, 1, 2, 3, 4, 5).timestamp()
    assert log == {"event_id": str(given), "level": "INFO", "message": "local time", "service": "s", "agent_id": "a"}, log
    event.pop("timestamp")
    assert event == {"event_id": str(made), "type": "e", "service": "other", "x": None}, event

    try:
        with Backlog(config=away) as backlog:
            made = backlog.log("INFO", "lost in the end")
        raise AssertionError("the end of the block said nothing")
    except NotDelivered as error:
        assert [json.loads(record.value)["event_id"] for record in error.records] == [str(made)]
    try:
        with Backlog(config=away) as backlog:
            backlog.log("INFO", "kept for a flush")
            raise KeyError("the block's own")
    except KeyError:
        assert len(backlog.flush()) == 1

    small = Backlog(keep=1, config=away | {"queue.buffering.max.messages": 1})
    small.log("INFO", "first")
    small.log("INFO", "second")  # waits until the first has come back
    refused(BufferError, small.log, "INFO", "one too many")
    assert [json.loads(record.value)["message"] for record in small.flush()] == ["first", "second"]

before = time.time_ns() // 1_000_000
ids = [uuid7() for _ in range(10_000)]
after = time.time_ns() // 1_000_000
assert len(set(ids)) == len(ids)
assert all(made.version == 7 and made.variant == uuid.RFC_4122 and before <= made.int >> 80 <= after for made in ids)
