package schema

import (
	"context"
	"fmt"
	"regexp"

	"github.com/ai-backlog/ingest/clickhouse"
)

// ours is the expiry that Apply sets, as the server prints it. The first form,
// which earlier versions set, wraps in 2106 and deletes what is later at once.
var ours = regexp.MustCompile(`^TTL (toDateTime\(timestamp\)|timestamp) \+ toIntervalDay\((\d+)\)$`)

// expiry is the TTL clause in a table's engine.
var expiry = regexp.MustCompile(`\bTTL .+?( SETTINGS |$)`)

// expire sets the expiry where TTLDays asks for another than there is. One that
// an administrator wrote is not replaced.
func (a applier) expire(ctx context.Context, have map[string]found) error {
	if a.TTLDays == 0 {
		return nil
	}
	want := fmt.Sprintf("TTL timestamp + toIntervalDay(%d)", a.TTLDays)
	for _, t := range tables {
		if !t.expires {
			continue
		}
		is := clause(have[t.name].engine)
		if is == want {
			continue
		}
		if is != "" && !ours.MatchString(is) {
			return &MismatchError{Database: a.Database, Problems: []string{fmt.Sprintf("table %s has an expiry of its own (%s): unset TTL_DAYS, or ALTER TABLE %s REMOVE TTL", t.name, is, t.name)}}
		}
		sql := fmt.Sprintf("ALTER TABLE %s.%s MODIFY TTL timestamp + INTERVAL %d DAY", clickhouse.Quote(a.Database), t.name, a.TTLDays)
		if err := a.exec(ctx, sql, "set the expiry of table %s to %d days", t.name, a.TTLDays); err != nil {
			return err
		}
	}
	return nil
}

func clause(engine string) string {
	m := expiry.FindStringSubmatchIndex(engine)
	if m == nil {
		return ""
	}
	return engine[m[0]:m[2]]
}
