package activities

import (
	"context"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/clickhouse"
	"github.com/ai-backlog/ingest/record"
)

// amendMost is how many letters one statement changes.
const amendMost = 1000

// amend writes today's reasons of those that are refused again to their dead
// letters. It is safe to run twice: the same reasons are written.
func (r *router) amend(ctx context.Context) error {
	block := r.a.lend(r.kind)
	defer r.a.giveBack(r.kind, block)
	r.reasons = map[string]int64{}
	a := amendment{}
	for _, rg := range append(append(batch.Ranges{}, r.in.Ranges...), r.in.Bad...).Sort() {
		err := r.each(ctx, batch.Ranges{rg}, block, decodeMost, func(rec *kgo.Record, bad *record.Rejected) error {
			why, at := r.why(rec, bad)
			if !at {
				return nil
			}
			r.count++
			if a.rows() > 0 && (a.rows() == amendMost || a.partition != rec.Partition) {
				if err := r.change(ctx, &a); err != nil {
					return err
				}
			}
			a.add(rec, why)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return r.change(ctx, &a)
}

// amendment is new reasons for letters of one partition.
type amendment struct {
	partition                                  int32
	offsets, classes, reasons, codes, messages []string
	ranges                                     batch.Ranges
}

func (a *amendment) rows() int { return len(a.offsets) }

func (a *amendment) add(rec *kgo.Record, why cause) {
	a.partition = rec.Partition
	a.offsets = append(a.offsets, fmt.Sprint(rec.Offset))
	a.classes, a.reasons = append(a.classes, text(why.class)), append(a.reasons, text(why.reason))
	a.codes, a.messages = append(a.codes, fmt.Sprint(why.code)), append(a.messages, text(why.message))
	a.ranges = append(a.ranges, batch.Range{Partition: rec.Partition, First: rec.Offset, Last: rec.Offset})
}

// change runs one statement, where something is new.
func (r *router) change(ctx context.Context, a *amendment) error {
	if a.rows() == 0 {
		return nil
	}
	if err := r.allowed(ctx); err != nil {
		return err
	}
	at := "[" + strings.Join(a.offsets, ",") + "]"
	to := func(column string, values []string) string {
		return fmt.Sprintf("transform(_offset, %s, [%s], %s)", at, strings.Join(values, ","), column)
	}
	set := [][2]string{
		{"class", to("toString(class)", a.classes)},
		{"reason", to("toString(reason)", a.reasons)},
		{"code", "toInt32(" + to("toInt64(code)", a.codes) + ")"},
		{"message", to("message", a.messages)},
	}
	var sets, changed []string
	for _, s := range set {
		sets, changed = append(sets, s[0]+" = "+s[1]), append(changed, s[0]+" != "+s[1])
	}
	where := coordinates(r.in.Topic, r.in.TopicID, a.ranges) + " AND state = 'dead' AND (" + strings.Join(changed, " OR ") + ")"
	err := blips(ctx, func() error {
		n, err := r.a.Looker.Count(bigQuery(ctx), deadLetters, "SELECT count() FROM dead_letters WHERE "+where)
		if err != nil {
			return clickhouse.Wrap(err, "compare reasons")
		}
		if n == 0 {
			return nil
		}
		return r.a.alter(ctx, deadLetters, "UPDATE "+strings.Join(sets, ", ")+" WHERE "+where)
	})
	*a = amendment{}
	if err != nil {
		return fmt.Errorf("amend dead letters: %w", err)
	}
	return nil
}
