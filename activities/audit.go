package activities

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/ai-backlog/ingest/batch"
	"github.com/ai-backlog/ingest/kafka"
)

const (
	// auditStep is how many offsets are compared at once: their sets take 128 KiB each, whatever is in them.
	auditStep = 1 << 20
	// maxListed is how many ranges a kind of finding lists: ~20 KB of all four kinds.
	maxListed = 200
)

// AuditRangeInput names offsets of one partition, all of them below the low watermark.
type AuditRangeInput struct {
	Topic   string        `json:"topic"`
	TopicID batch.TopicID `json:"topic_id"`
	Range   batch.Range   `json:"range"`
	// Only is for a second look: offsets of the range beside these are not judged.
	Only batch.Ranges `json:"only,omitempty"`
}

// Findings are offsets with the same fault.
type Findings struct {
	Offsets int64        `json:"offsets"`
	Ranges  batch.Ranges `json:"ranges,omitempty"` // at most maxListed, the first ones
	More    bool         `json:"more,omitempty"`   // not all are listed
}

func (f *Findings) add(r batch.Range) {
	f.Offsets += r.Len()
	f.list(r)
}

func (f *Findings) list(r batch.Range) {
	n := len(f.Ranges)
	switch {
	case f.More:
	case n > 0 && f.Ranges[n-1].Partition == r.Partition && f.Ranges[n-1].Last == r.First-1:
		f.Ranges[n-1].Last = r.Last
	case n < maxListed:
		f.Ranges = append(f.Ranges, r)
	default:
		f.More = true
	}
}

// Add appends what was found behind f.
func (f *Findings) Add(o Findings) {
	f.Offsets += o.Offsets
	for _, r := range o.Ranges {
		f.list(r)
	}
	f.More = f.More || o.More
}

// Audited is what a comparison found. The books: Offsets = Stored + Dead +
// Skipped + Lost + Opened + Holes + Expired + Deleted + Moved + Gaps.
type Audited struct {
	Offsets int64 `json:"offsets"`
	Stored  int64 `json:"stored"`
	Dead    int64 `json:"dead"`    // among the dead letters and not stored, whatever their state
	Skipped int64 `json:"skipped"` // dropped by an operator's decision
	Lost    int64 `json:"lost"`    // deleted by Kafka before they were read
	Opened  int64 `json:"opened"`  // before the group's starting position: never ours
	Holes   int64 `json:"holes"`   // offsets without a record: transactions, compaction
	Expired int64 `json:"expired"` // records that the table's TTL has dropped
	Deleted int64 `json:"deleted"` // neither here nor in Kafka any more: nobody can tell
	Moved   int64 `json:"moved"`   // missing at the first look only: in their place at the second

	// Truncated is how many of the offsets had another record before, which an
	// unclean election took: its row is kept under another topic ID.
	Truncated int64 `json:"truncated,omitempty"`

	Gaps        Findings `json:"gaps"`         // records that are nowhere
	Doubled     Findings `json:"doubled"`      // offsets with more than one row in the table
	DeadDoubled Findings `json:"dead_doubled"` // and in dead_letters
	Both        Findings `json:"both"`         // stored, and a dead letter that no redrive has settled

	// Expiry is the table's TTL if it is none whose effect is known: rows that it dropped are among the gaps.
	Expiry string `json:"expiry,omitempty"`
}

// Balanced tells whether every offset is accounted for.
func (a Audited) Balanced() bool {
	return a.Offsets == a.Stored+a.Dead+a.Skipped+a.Lost+a.Opened+a.Holes+a.Expired+a.Deleted+a.Moved+a.Gaps.Offsets
}

// Faults is the number of findings: an offset counts once for each that it has.
func (a Audited) Faults() int64 {
	return a.Gaps.Offsets + a.Doubled.Offsets + a.DeadDoubled.Offsets + a.Both.Offsets
}

// Add appends what was found in the offsets behind a's.
func (a *Audited) Add(o Audited) {
	a.Offsets += o.Offsets
	a.Stored += o.Stored
	a.Dead += o.Dead
	a.Skipped += o.Skipped
	a.Lost += o.Lost
	a.Opened += o.Opened
	a.Holes += o.Holes
	a.Expired += o.Expired
	a.Deleted += o.Deleted
	a.Moved += o.Moved
	a.Truncated += o.Truncated
	a.Gaps.Add(o.Gaps)
	a.Doubled.Add(o.Doubled)
	a.DeadDoubled.Add(o.DeadDoubled)
	a.Both.Add(o.Both)
	if o.Expiry != "" {
		a.Expiry = o.Expiry
	}
}

// auditProgress travels in heartbeats: the next attempt goes on behind it.
type auditProgress struct {
	Next  int64   `json:"next"`
	Found Audited `json:"found"`
}

// AuditRange compares every offset of the range with the table, the dead
// letters, the exceptions, and, where none of them has it, with Kafka itself.
// It only reads, so it is safe to run twice; a second attempt goes on behind
// the last step that a heartbeat told of.
func (a *Activities) AuditRange(ctx context.Context, in AuditRangeInput) (Audited, error) {
	kind, err := a.kind(in.Topic)
	if err != nil {
		return Audited{}, err
	}
	p := auditProgress{Next: in.Range.First}
	if activity.HasHeartbeatDetails(ctx) {
		var last auditProgress
		if err := activity.GetHeartbeatDetails(ctx, &last); err == nil && last.Next > p.Next {
			p = last
		}
	}
	tell, stop := beating(ctx, p)
	defer stop()
	s := &auditor{a: a, in: in, kind: kind}
	err = blips(ctx, func() (err error) {
		s.expiry, err = a.Looker.Expiry(ctx, kind.Table())
		return err
	})
	for err == nil && p.Next <= in.Range.Last {
		r := batch.Range{Partition: in.Range.Partition, First: p.Next, Last: min(p.Next|(auditStep-1), in.Range.Last)}
		if in.Only == nil || in.Only.Overlaps(batch.Ranges{r}) {
			var found Audited
			if found, err = s.step(ctx, r); err != nil {
				break
			}
			p.Found.Add(found)
		}
		p.Next = r.Last + 1
		tell(p)
	}
	if err != nil {
		return Audited{}, failIn(ctx, auditTrouble(err))
	}
	return p.Found, nil
}

// auditTrouble is troubleOf for one who waits for nothing that an operator has to mend: it says that it could not tell.
func auditTrouble(err error) Trouble {
	t := troubleOf(err)
	switch {
	case errors.Is(err, kafka.ErrNoTopic):
		t.Class, t.Name = Blocked, "KAFKA_NO_TOPIC"
	case errors.Is(err, kafka.ErrTruncated):
		t.Class, t.Name = Blocked, "KAFKA_TRUNCATED"
	case kafka.IsAuth(err):
		t = Trouble{Class: Blocked, Name: "KAFKA_ACCESS_DENIED", Message: kafka.Hint(err).Error()}
	}
	return t
}

// beating heartbeats what tell was told last, so that Temporal knows that the activity lives while a question takes long.
func beating[P any](ctx context.Context, first P) (tell func(P), stop func()) {
	var mu sync.Mutex
	p := first
	beat := func() {
		mu.Lock()
		defer mu.Unlock()
		activity.RecordHeartbeat(ctx, p)
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		t := time.NewTicker(beatEvery)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
				beat()
			}
		}
	}()
	tell = func(to P) {
		mu.Lock()
		p = to
		mu.Unlock()
		beat()
	}
	return tell, func() { cancel(); <-done }
}
