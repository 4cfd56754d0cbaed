package activities

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/kafka"
)

// AuditScope says what is to be compared. Without From and To that is every
// partition from Kafka's log start to the group's low watermark. With either,
// partitions that are in neither are left out.
type AuditScope struct {
	Group   string           `json:"group"`
	Topic   string           `json:"topic"`
	TopicID batch.TopicID    `json:"topic_id,omitzero"` // zero: as the topic is when the audit begins
	From    []batch.Position `json:"from,omitempty"`    // the first offset
	To      []batch.Position `json:"to,omitempty"`      // one past the last
}

// AuditBounds are the offsets that can be compared.
type AuditBounds struct {
	TopicID batch.TopicID `json:"topic_id"`
	Ranges  batch.Ranges  `json:"ranges,omitempty"` // at most one of a partition
	Untold  []Untold      `json:"untold,omitempty"`
}

// Untold are partitions of which nothing can be said, and why.
type Untold struct {
	Partitions []int32 `json:"partitions,omitempty"` // none: the topic
	Why        string  `json:"why"`
}

// AuditBounds asks Kafka for the topic's partitions and the group's low
// watermarks: below them nothing may be missing. It only reads.
func (a *Activities) AuditBounds(ctx context.Context, in AuditScope) (AuditBounds, error) {
	var out AuditBounds
	var logs map[int32]kafka.Log
	var commits map[int32]kafka.Committed
	if _, err := a.kind(in.Topic); err != nil {
		return out, err
	}
	// The watermarks come first: what is below them then is settled for good.
	commits, err := kafka.Commits(ctx, a.Producer, in.Group, in.Topic)
	if err == nil || errors.Is(err, kerr.GroupIDNotFound) {
		out.TopicID, logs, err = kafka.Logs(ctx, a.Producer, in.Topic)
	}
	if err != nil {
		return out, failIn(ctx, auditTrouble(err))
	}
	if in.TopicID != (batch.TopicID{}) && in.TopicID != out.TopicID {
		return out, fail(Trouble{Class: Blocked, Name: "KAFKA_TOPIC_DELETED", Message: fmt.Sprintf("%s (%s) is %s by now: it was deleted and created again", in.Topic, in.TopicID, out.TopicID)})
	}
	why := map[string][]int32{}
	for _, p := range slices.Sorted(maps.Keys(logs)) {
		r, untold := in.bounds(p, logs[p], commits, out.TopicID)
		if untold != "" {
			why[untold] = append(why[untold], p)
		} else if r.Len() > 0 {
			out.Ranges = append(out.Ranges, r)
		}
	}
	for _, w := range slices.Sorted(maps.Keys(why)) {
		out.Untold = append(out.Untold, Untold{Partitions: why[w], Why: w})
	}
	return out, nil
}

// bounds is what can be compared of a partition, or why nothing can be.
func (in AuditScope) bounds(p int32, log kafka.Log, commits map[int32]kafka.Committed, id batch.TopicID) (r batch.Range, untold string) {
	r = batch.Range{Partition: p, Last: -1} // nothing
	from, hasFrom := at(in.From, p)
	to, hasTo := at(in.To, p)
	if len(in.From)+len(in.To) > 0 && !hasFrom && !hasTo {
		return r, ""
	}
	if !hasFrom {
		from = log.First
	}
	committed, ok := commits[p]
	low, own := committed.Low(id)
	switch {
	case !ok && log.First == log.End:
		return r, "" // nothing was ever planned, and there is nothing
	case !ok:
		return r, "group " + in.Group + " has committed no offset: is KAFKA_GROUP_ID the consumer's, and has it ingested this topic?"
	case !own:
		return r, "the offset that group " + in.Group + " has committed is not the consumer's own: somebody moved it, or the topic was created again; the consumer writes the next one within a minute of its work"
	case low > log.End:
		return r, "the topic ends below what was ingested: Kafka lost records of it"
	}
	if !hasTo || to > low {
		to = low
	}
	r.First, r.Last = from, to-1
	return r, ""
}

func at(ps []batch.Position, p int32) (int64, bool) {
	for _, x := range ps {
		if x.Partition == p {
			return x.Offset, true
		}
	}
	return 0, false
}
