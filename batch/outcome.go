package batch

// Outcome is the result of a batch's workflow. The books: Offsets = Stored +
// Present + DeadLettered + Skipped + Lost + Holes.
type Outcome struct {
	Offsets      int64 `json:"offsets"`       // of the ranges
	Stored       int64 `json:"stored"`        // rows that this batch sent
	Present      int64 `json:"present"`       // rows and dead letters that were there before
	DeadLettered int64 `json:"dead_lettered"` // records that this batch routed
	Skipped      int64 `json:"skipped"`       // dropped by an operator's decision
	Lost         int64 `json:"lost"`          // deleted by Kafka before they were read
	Holes        int64 `json:"holes"`         // offsets without a record: transactions, compaction
	Bytes        int64 `json:"bytes"`         // keys and values that were read
	Turns        int   `json:"turns"`         // looks that were followed by an insert
	Retries      int   `json:"retries"`       // attempts after the first
	// KeptRows and KeptLetters are what an entry that makes way has moved aside.
	KeptRows    int64 `json:"kept_rows,omitempty"`
	KeptLetters int64 `json:"kept_letters,omitempty"`
	// Decisions are what operators decided, MaxDecisions at most.
	Decisions []string `json:"decisions,omitempty"`
}

// MaxDecisions bounds what an outcome tells of decisions.
const MaxDecisions = 20

// Balanced tells whether every offset is accounted for.
func (o Outcome) Balanced() bool {
	return o.Offsets == o.Stored+o.Present+o.DeadLettered+o.Skipped+o.Lost+o.Holes
}
