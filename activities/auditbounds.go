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

// AuditScope says what is to be compared.
type AuditScope struct {
	Group   string        `json:"group"`
	Topic   string        `json:"topic"`
	TopicID batch.TopicID `json:"topic_id,omitzero"` // zero: as the topic is when the audit begins
	Ranges  batch.Ranges  `json:"ranges,omitempty"`  // none: all that Kafka has
}

// AuditBounds are the offsets that can be compared.
type AuditBounds struct {
	TopicID batch.TopicID `json:"topic_id"`
	Ranges  batch.Ranges  `json:"ranges,omitempty"` // below the low watermarks
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
	commits, err := kafka.Fetch(ctx, a.Producer, in.Group, in.Topic)
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
		ranges := in.of(p, logs[p])
		if len(ranges) == 0 {
			continue
		}
		low, untold := in.low(p, logs[p], commits, out.TopicID)
		if untold != "" {
			why[untold] = append(why[untold], p)
		}
		for _, r := range ranges {
			if r.Last = min(r.Last, low-1); r.Len() > 0 {
				out.Ranges = append(out.Ranges, r)
			}
		}
	}
	for _, w := range slices.Sorted(maps.Keys(why)) {
		out.Untold = append(out.Untold, Untold{Partitions: why[w], Why: w})
	}
	return out, nil
}

// of is what there is to be compared of a partition: there are no records behind its end.
func (in AuditScope) of(p int32, log kafka.Log) (out batch.Ranges) {
	if len(in.Ranges) == 0 {
		return batch.Ranges{{Partition: p, First: log.First, Last: log.End - 1}}.Sort()
	}
	for _, r := range in.Ranges {
		if r.Last = min(r.Last, log.End-1); r.Partition == p {
			out = append(out, r)
		}
	}
	return out.Sort()
}

// low is a partition's low watermark, or why it is not known.
func (in AuditScope) low(p int32, log kafka.Log, commits map[int32]kafka.Committed, id batch.TopicID) (low int64, untold string) {
	committed, ok := commits[p]
	if !ok {
		return 0, "group " + in.Group + " has committed no offset: is KAFKA_GROUP_ID the consumer's, and has it ingested this topic?"
	}
	low, own := committed.Low(id)
	switch {
	case !own:
		return 0, "the offset that group " + in.Group + " has committed is not the consumer's own: somebody moved it, or the topic was created again; a consumer that works writes the next one within a minute"
	case low > log.End:
		return 0, "the topic ends below what was ingested: Kafka lost records of it"
	}
	return low, ""
}
