package clickhouse

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2"
)

// Class says what an error means for whoever waits for an insert.
type Class int

// The classes. The zero value is the one that can lose nothing.
const (
	Outage   Class = iota // wait and try again, for ever
	Blocked               // an operator must mend it; nothing is dead-lettered
	Rejected              // a value is at fault
)

func (c Class) String() string {
	switch c {
	case Blocked:
		return "blocked"
	case Rejected:
		return "rejected"
	case Outage:
	}
	return "outage"
}

// Unreachable is the name of a failure that no server spoke of: the connection,
// DNS or TLS failed, or a deadline passed.
const Unreachable = "UNREACHABLE"

// Failure is an error of ClickHouse, or of reaching it.
type Failure struct {
	Class   Class
	Code    int32  // 0: no server answered
	Name    string // the code's name, e.g. TOO_MANY_PARTS; Unreachable without a code
	Message string
	// Sent is false only when certainly nothing reached the server. After any
	// other failure of an insert the outcome is unknown, even when the server
	// answered: a materialized view throws after the table took the rows.
	Sent bool

	doing string
	err   error
}

// Error says what was being done, which Message does only without a Code.
func (f *Failure) Error() string {
	if f.Code == 0 {
		return f.Message
	}
	return fmt.Sprintf("%sClickHouse %s (%d): %s", f.doing, f.Name, f.Code, f.Message)
}

// Unwrap is the driver's error.
func (f *Failure) Unwrap() error { return f.err }

type meaning struct {
	class Class
	name  string
}

// codes are the server's error codes that a decision rests on. Any other is an
// outage: waiting loses nothing, and somebody sees it waiting.
var codes = map[int32]meaning{
	16:  {Blocked, "NO_SUCH_COLUMN_IN_TABLE"},
	60:  {Blocked, "UNKNOWN_TABLE"},
	81:  {Blocked, "UNKNOWN_DATABASE"},
	192: {Blocked, "UNKNOWN_USER"},
	193: {Blocked, "WRONG_PASSWORD"},
	194: {Blocked, "REQUIRED_PASSWORD"},
	201: {Blocked, "QUOTA_EXCEEDED"},
	243: {Blocked, "NOT_ENOUGH_SPACE"},
	497: {Blocked, "ACCESS_DENIED"},
	516: {Blocked, "AUTHENTICATION_FAILED"},

	6:   {Rejected, "CANNOT_PARSE_TEXT"},
	26:  {Rejected, "CANNOT_PARSE_QUOTED_STRING"},
	27:  {Rejected, "CANNOT_PARSE_INPUT_ASSERTION_FAILED"},
	38:  {Rejected, "CANNOT_PARSE_DATE"},
	41:  {Rejected, "CANNOT_PARSE_DATETIME"},
	53:  {Rejected, "TYPE_MISMATCH"},
	69:  {Rejected, "ARGUMENT_OUT_OF_BOUND"},
	70:  {Rejected, "CANNOT_CONVERT_TYPE"},
	72:  {Rejected, "CANNOT_PARSE_NUMBER"},
	131: {Rejected, "TOO_LARGE_STRING_SIZE"},
	349: {Rejected, "CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN"},
	469: {Rejected, "VIOLATED_CONSTRAINT"},

	159: {Outage, "TIMEOUT_EXCEEDED"},
	164: {Outage, "READONLY"},
	202: {Outage, "TOO_MANY_SIMULTANEOUS_QUERIES"},
	203: {Outage, "NO_FREE_CONNECTION"},
	209: {Outage, "SOCKET_TIMEOUT"},
	210: {Outage, "NETWORK_ERROR"},
	241: {Outage, "MEMORY_LIMIT_EXCEEDED"},
	242: {Outage, "TABLE_IS_READ_ONLY"},
	252: {Outage, "TOO_MANY_PARTS"},
	285: {Outage, "TOO_FEW_LIVE_REPLICAS"},
	319: {Outage, "UNKNOWN_STATUS_OF_INSERT"},
	425: {Outage, "SYSTEM_ERROR"},
	999: {Outage, "KEEPER_EXCEPTION"},
}

// Classify turns the error of either driver into a Failure, nil into nil. It
// decides by the server's code, never by text; what no server answered is an
// outage. Unless err is a Failure that knows better, something was sent.
func Classify(err error) *Failure {
	if err == nil {
		return nil
	}
	var f *Failure
	if errors.As(err, &f) {
		return f
	}
	f = &Failure{Class: Outage, Name: Unreachable, Message: err.Error(), Sent: true, err: err}
	var block *ch.Exception
	var query *clickhouse.Exception
	switch {
	case errors.As(err, &block):
		f.Code, f.Message = int32(block.Code), block.Message //nolint:gosec // the wire carries 32 bits
	case errors.As(err, &query):
		f.Code, f.Message = query.Code, query.Message
	default:
		if do := check(err); do != "" {
			f.Message += ": " + do
		}
		return f
	}
	f.Class, f.Name = codes[f.Code].class, Name(f.Code)
	f.Message = oneLine(f.Message)
	return f
}

// oneLine is the first paragraph in one line: what follows is the server's advice
// to whoever has installed it.
func oneLine(message string) string {
	first, _, _ := strings.Cut(message, "\n\n")
	return strings.Join(strings.Fields(first), " ")
}

// Name is the error's name in ClickHouse's sources. The native protocol carries
// only the code.
func Name(code int32) string {
	if m, ok := codes[code]; ok {
		return m.name
	}
	return proto.Error(code).String()
}

// Known tells whether the code means something here. Any other counts as an
// outage too: whoever cannot wait for ever has to tell the two apart.
func Known(code int32) bool {
	_, ok := codes[code]
	return ok
}

// Wrap is Classify with what was being done, for Error. The error must not be
// nil; a Failure stays as it is.
func Wrap(err error, format string, args ...any) *Failure {
	var known *Failure
	if errors.As(err, &known) {
		return known
	}
	doing := fmt.Sprintf(format, args...)
	f := Classify(fmt.Errorf("%s: %w", doing, err))
	f.doing = doing + ": "
	return f
}
