"""Makes the calls of standard input, one a line, and prints the event_id of each; what is not delivered is saved in the working directory."""

import json
import sys
from datetime import datetime
from pathlib import Path
from uuid import UUID

import ai_backlog

READ = {"timestamp": datetime.fromisoformat, "event_id": UUID}

backlog = ai_backlog.Backlog(config=json.loads(sys.argv[1]))
for line in sys.stdin:
    kind, fields = json.loads(line)
    print(getattr(backlog, kind)(**{name: READ.get(name, lambda value: value)(value) for name, value in fields.items()}))
undelivered = backlog.flush()
ai_backlog.save(undelivered, Path())
for reason in {record.reason for record in undelivered}:
    print(reason, file=sys.stderr)
sys.exit(1 if undelivered else 0)
