"""Sends logs, metrics and events of AI agents to Kafka, as docs/producers.md says.

A file to copy. It needs Python 3.10 and what requirements.txt names.

    with Backlog(service="planner", agent_id="a-7") as backlog:
        backlog.log("INFO", "plan made", attributes={"steps": 3})
        backlog.metric("queue.depth", 12, tags={"region": "eu"})
        backlog.event("task.done", task_id="t-1", payload={"ok": True})

A call puts the record into a bounded buffer and returns. Whether Kafka has it is known after flush(), which tells what was not delivered, and at
the end of the with block, which raises NotDelivered. Calls from several threads are safe; after a fork, make a new Backlog.

Refused at the call is only what cannot be sent: NaN and half a surrogate pair (ValueError), what JSON does not have (TypeError), a record over
message.max.bytes (KafkaException). The rest is checked once, where it is stored, and is a dead letter with the reason if it is wrong.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, Message, Producer

Scalar = str | int | float | bool

# Environment variables, the same as those of the Go programs, and librdkafka's names.
SETTINGS = {
    "KAFKA_SERVERS": "bootstrap.servers",
    "KAFKA_COMPRESSION": "compression.type",
    "KAFKA_SECURITY_PROTOCOL": "security.protocol",
    "KAFKA_SASL_MECHANISMS": "sasl.mechanisms",
    "KAFKA_SASL_USERNAME": "sasl.username",
    "KAFKA_SASL_PASSWORD": "sasl.password",
    "KAFKA_SSL_CA_LOCATION": "ssl.ca.location",
    "KAFKA_SSL_CERTIFICATE_LOCATION": "ssl.certificate.location",
    "KAFKA_SSL_KEY_LOCATION": "ssl.key.location",
}
TOPICS = {"log": "TOPIC_LOGS", "metric": "TOPIC_METRICS", "event": "TOPIC_EVENTS"}


def settings(env: Mapping[str, str]) -> dict[str, Any]:
    """The producer's settings: what every producer of these topics should have, and what the environment says."""
    return {
        "bootstrap.servers": "localhost:9092",
        "compression.type": "lz4",
        "partitioner": "murmur2_random",  # as Java and Go: a key has the same partition, whoever sends it
        "enable.idempotence": True,  # a retry neither doubles a record nor overtakes another
        "acks": "all",
        "delivery.timeout.ms": 120_000,  # then the record comes back as not delivered
        "linger.ms": 20,  # fills batches; no call waits for it
        "queue.buffering.max.kbytes": 65_536,  # the buffer: a call waits while it is full
    } | {name: env[variable] for variable, name in SETTINGS.items() if env.get(variable)}


def uuid7() -> uuid.UUID:
    """A UUID of version 7 (RFC 9562, section 5.7): 48 bits of Unix milliseconds, version, 12 random bits, variant, 62 random bits."""
    milliseconds, random = time.time_ns() // 1_000_000, int.from_bytes(os.urandom(10), "big")
    bits = (milliseconds & (1 << 48) - 1) << 80 | random
    bits = bits & ~(0xF << 76) | 0x7 << 76
    return uuid.UUID(int=bits & ~(0x3 << 62) | 0x2 << 62)


class Undelivered(NamedTuple):
    """A record that Kafka did not acknowledge. It may have it all the same: send it again as it is, so that a double has the same event_id."""

    kind: str  # log, metric or event
    value: bytes
    reason: str


class NotDelivered(Exception):
    """Some records were not delivered; they are in records."""

    def __init__(self, records: list[Undelivered]) -> None:
        super().__init__(f"{len(records)} records were not delivered, the first because of: {records[0].reason}")
        self.records = records


class Backlog:
    """Sends records. Service and agent are those of all records, unless a call names others.

    config goes over the settings, by librdkafka's names. At most keep undelivered records wait for flush(); beyond that calls raise BufferError, so
    that an outage takes neither memory without end nor records without a word.
    """

    def __init__(self, *, service: str | None = None, agent_id: str | None = None, keep: int = 10_000,
                 config: Mapping[str, Any] | None = None) -> None:
        self._origin = {"service": service, "agent_id": agent_id}
        self._topics = {kind: os.environ.get(variable) or f"ai_backlog_{kind}s" for kind, variable in TOPICS.items()}
        self._keep, self._undelivered = keep, list[Undelivered]()
        self._producer = Producer(settings(os.environ) | dict(config or {}), logger=logging.getLogger(__name__))

    def log(self, level: str, message: str, *, timestamp: datetime | None = None, event_id: uuid.UUID | None = None, service: str | None = None,
            agent_id: str | None = None, trace_id: str | None = None, span_id: str | None = None,
            attributes: Mapping[str, Scalar] | None = None, **extra: Any) -> uuid.UUID:
        """Sends a line of a log and answers its event_id. Without a timestamp it is of now; what extra names is kept in the column extra."""
        return self._send("log", timestamp, event_id, extra, level=level, message=message, service=service, agent_id=agent_id,
                          trace_id=trace_id, span_id=span_id, attributes=attributes)

    def metric(self, name: str, value: float, *, timestamp: datetime | None = None, event_id: uuid.UUID | None = None, unit: str | None = None,
               service: str | None = None, agent_id: str | None = None, tags: Mapping[str, Scalar] | None = None, **extra: Any) -> uuid.UUID:
        """Sends a measurement and answers its event_id."""
        return self._send("metric", timestamp, event_id, extra, name=name, value=value, unit=unit, service=service, agent_id=agent_id, tags=tags)

    def event(self, type: str, *, timestamp: datetime | None = None, event_id: uuid.UUID | None = None, service: str | None = None,
              agent_id: str | None = None, task_id: str | None = None, trace_id: str | None = None, payload: Any = None, **extra: Any) -> uuid.UUID:
        """Sends something that happened and answers its event_id. The payload is any JSON."""
        return self._send("event", timestamp, event_id, extra, type=type, service=service, agent_id=agent_id, task_id=task_id,
                          trace_id=trace_id, payload=payload)

    def _send(self, kind: str, timestamp: datetime | None, event_id: uuid.UUID | None, extra: Mapping[str, Any], **fields: Any) -> uuid.UUID:
        at, event_id = timestamp or datetime.now(timezone.utc), event_id or uuid7()
        record: dict[str, Any] = {"timestamp": at.astimezone(timezone.utc).isoformat(), "event_id": str(event_id)}  # without a zone: local time
        fields = {name: self._origin.get(name) if value is None else value for name, value in fields.items()}
        record |= {name: value for name, value in fields.items() if value is not None} | dict(extra)
        value = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
        key = fields["agent_id"] or fields["service"] or None  # the records of a key keep their order
        if len(self._undelivered) >= self._keep:
            raise BufferError(f"{len(self._undelivered)} records were not delivered and wait for flush()")
        while True:
            try:
                self._producer.produce(self._topics[kind], value, key, on_delivery=partial(self._report, kind))
                break
            except BufferError:  # full: until a record is delivered or its time is over
                self._producer.poll(0.1)
        self._producer.poll(0)
        return event_id

    def _report(self, kind: str, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._undelivered.append(Undelivered(kind, message.value() or b"", error.str()))

    def flush(self) -> list[Undelivered]:
        """Waits until each record is delivered or its time is over (delivery.timeout.ms); answers those that were not since the last flush."""
        self._producer.flush()
        undelivered = self._undelivered[:]
        del self._undelivered[: len(undelivered)]
        return undelivered

    def __enter__(self) -> Backlog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._producer.flush()
        if self._undelivered and error is None:  # an error of the block goes first; flush() still answers them
            raise NotDelivered(self.flush())


def save(records: Iterable[Undelivered], directory: Path) -> None:
    """Appends the records to log.ndjson, metric.ndjson and event.ndjson, for `starter send --kind log --ndjson log.ndjson` and so on."""
    for record in records:
        with open(directory / f"{record.kind}.ndjson", "ab") as file:
            file.write(record.value + b"\n")


def main() -> int:
    """Sends three records of each kind; those that Kafka does not take are saved in the working directory."""
    backlog = Backlog(service="example", agent_id="python")
    for n in range(3):
        backlog.log("INFO", f"step {n} done", attributes={"step": n, "tool": "search"})
        backlog.metric("step.seconds", 0.25 * n, unit="s", tags={"tool": "search"})
        backlog.event("step.done", task_id="t-1", payload={"step": n, "found": ["a", "b"]})
    undelivered = backlog.flush()
    save(undelivered, Path())
    print(f"delivered {9 - len(undelivered)}, not delivered {len(undelivered)}")
    return 1 if undelivered else 0


if __name__ == "__main__":
    sys.exit(main())
