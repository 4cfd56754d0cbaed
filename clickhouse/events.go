package clickhouse

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// idsPerQuestion keeps a question's text below the server's max_query_size.
const idsPerQuestion = 4096

// DirectEvents is which of the event IDs the table has in rows that came
// straight from a client. The rows' timestamps are between the two, inclusive:
// they keep the question to the parts of those months. Errors are *Failure.
func (l *Looker) DirectEvents(ctx context.Context, table, topic string, from, to time.Time, ids []uuid.UUID) (map[uuid.UUID]bool, error) {
	there := map[uuid.UUID]bool{}
	err := l.on(ctx, table, func(ask asker) error {
		for some := range slices.Chunk(ids, idsPerQuestion) {
			if err := directEvents(ctx, ask, table, topic, from, to, some, there); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, Wrap(err, "look for events in %s", table)
	}
	return there, nil
}

func directEvents(ctx context.Context, ask asker, table, topic string, from, to time.Time, ids []uuid.UUID, there map[uuid.UUID]bool) error {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	var list strings.Builder
	for i, id := range ids {
		if i > 0 {
			list.WriteByte(',')
		}
		list.WriteString("'" + id.String() + "'")
	}
	rows, err := ask(ctx, fmt.Sprintf("SELECT DISTINCT toString(event_id) FROM %s WHERE _topic = ? AND _topic_id = toUUID('%s') AND _partition = -1"+
		" AND timestamp BETWEEN fromUnixTimestamp64Micro(%d) AND fromUnixTimestamp64Micro(%d) AND event_id IN (%s)",
		Quote(table), uuid.Nil, from.UnixMicro(), to.UnixMicro(), list.String()), topic)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return err
		}
		id, err := uuid.Parse(text)
		if err != nil {
			return err
		}
		there[id] = true
	}
	return rows.Err()
}
