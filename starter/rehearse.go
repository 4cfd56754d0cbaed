package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/ai-backlog/ingest/activities"
	"github.com/ai-backlog/ingest/clickhouse"
	"github.com/ai-backlog/ingest/record"
)

// rehearsal is what a redrive would find, by the reason that a letter has now.
type rehearsal struct {
	Reason    string `json:"reason"`
	Letters   int64  `json:"letters"`
	Decodable int64  `json:"decodable"`
}

// rehearse decodes the dead letters and stores nothing. What decodes may still be refused by the server.
func (f redriveFlags) rehearse(ctx context.Context, l activities.Letters, kind record.Kind, out io.Writer) error {
	conn, _, err := openClickHouse(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	where, args := l.Where()
	sql := "SELECT reason, value FROM dead_letters WHERE " + where + " ORDER BY _topic_id, _partition, _offset LIMIT 1 BY _topic_id, _partition, _offset"
	if f.limit > 0 {
		sql += fmt.Sprintf(" LIMIT %d", f.limit)
	}
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		return clickhouse.Wrap(err, "read the dead letters of %s", l.Topic)
	}
	defer func() { _ = rows.Close() }()
	block, found := record.NewBlock(kind), map[string]*rehearsal{}
	var order []string
	for rows.Next() {
		var reason, value string
		if err := rows.Scan(&reason, &value); err != nil {
			return clickhouse.Wrap(err, "read the dead letters of %s", l.Topic)
		}
		if found[reason] == nil {
			found[reason] = &rehearsal{Reason: reason}
			order = append(order, reason)
		}
		found[reason].Letters++
		if block.Append([]byte(value), record.Coordinates{}) == nil {
			found[reason].Decodable++
		}
		block.Reset()
	}
	if err := rows.Err(); err != nil {
		return clickhouse.Wrap(err, "read the dead letters of %s", l.Topic)
	}
	return f.printRehearsal(out, order, found)
}

func (f redriveFlags) printRehearsal(out io.Writer, order []string, found map[string]*rehearsal) error {
	if f.json {
		all := []*rehearsal{}
		for _, r := range order {
			all = append(all, found[r])
		}
		return json.NewEncoder(out).Encode(map[string]any{"dry_run": all})
	}
	if len(order) == 0 {
		_, err := fmt.Fprintln(out, "no dead letters")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "REASON\tDEAD LETTERS\tDECODABLE NOW") // Flush tells of a failure
	for _, r := range order {
		_, _ = fmt.Fprintf(w, "%s\t%d\t%d\n", r, found[r].Letters, found[r].Decodable)
	}
	return w.Flush()
}
