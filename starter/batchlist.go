package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"
)

// row is a batch as visibility knows it.
type row struct {
	Number      int64     `json:"number"`
	Topic       string    `json:"topic"`
	State       string    `json:"state"`
	Records     int64     `json:"records"`
	DeadLetters int64     `json:"dead_letters"`
	Started     time.Time `json:"started"`
	Closed      time.Time `json:"closed,omitzero"`
	Error       string    `json:"error,omitempty"`
	Workflow    string    `json:"workflow_id"`
	Run         string    `json:"run_id"`
}

// visibility is the question that batches asks Temporal.
type visibility interface {
	ListWorkflow(context.Context, *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error)
}

// errorName is what names of errors are made of, ClickHouse's and ours.
var errorName = regexp.MustCompile(`^[A-Za-z0-9_]+$`)

// queries are the visibility queries, the one for unfinished batches first.
func (f batchesFlags) queries() ([]string, error) {
	base := "WorkflowType IN ('Ingest', 'MakeWay')"
	if f.group != "" {
		base += fmt.Sprintf(" AND WorkflowId STARTS_WITH %q", f.group+"/")
	}
	if f.topic != "" {
		if strings.ContainsAny(f.topic, `'"\`) {
			return nil, fmt.Errorf("%q is no topic", f.topic)
		}
		base += " AND IngestTopic = '" + f.topic + "'"
	}
	if f.error != "" {
		if !errorName.MatchString(f.error) {
			return nil, fmt.Errorf("--error %q is no name of an error: give one as in the column ERROR, like UNKNOWN_TABLE", f.error)
		}
		base += " AND IngestError = '" + f.error + "'"
	}
	const open, closed = " AND ExecutionStatus = 'Running'", " AND ExecutionStatus != 'Running'"
	switch f.state {
	case "":
		return []string{base + open, base + closed}, nil
	case "running":
		return []string{base + open}, nil
	case "waiting", "blocked", "held", "isolating":
		return []string{base + open + " AND IngestState = '" + f.state + "'"}, nil
	case "stored":
		return []string{base + " AND ExecutionStatus = 'Completed'"}, nil
	case "terminated":
		return []string{base + " AND ExecutionStatus = 'Terminated'"}, nil
	case "canceled":
		return []string{base + " AND ExecutionStatus = 'Canceled'"}, nil
	case "failed":
		return []string{base + " AND ExecutionStatus = 'Failed'"}, nil
	}
	return nil, fmt.Errorf("--state %q is none of running, waiting, blocked, held, isolating, stored, terminated, canceled, failed", f.state)
}

// list asks the queries in turn until there are enough rows.
func list(ctx context.Context, v visibility, queries []string, limit int) ([]row, error) {
	var rows []row
	for _, q := range queries {
		var page []byte
		for len(rows) < limit {
			answer, err := v.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
				Query: q, NextPageToken: page, PageSize: int32(min(limit-len(rows), 1000)), //nolint:gosec // G115: at most 1,000
			})
			if err != nil {
				return nil, err
			}
			for _, w := range answer.GetExecutions() {
				rows = append(rows, rowOf(w))
			}
			if page = answer.GetNextPageToken(); len(page) == 0 {
				break
			}
		}
	}
	return rows[:min(len(rows), limit)], nil
}

func rowOf(w *workflowpb.WorkflowExecutionInfo) row {
	attributes := w.GetSearchAttributes().GetIndexedFields()
	r := row{
		Number: -1, Workflow: w.GetExecution().GetWorkflowId(), Run: w.GetExecution().GetRunId(),
		Topic: text(attributes["IngestTopic"]), Error: text(attributes["IngestError"]),
		Records: number(attributes["IngestRecords"]), DeadLetters: number(attributes["IngestDeadLetters"]),
		Started: w.GetStartTime().AsTime(),
	}
	if w.GetCloseTime() != nil {
		r.Closed = w.GetCloseTime().AsTime()
	}
	if parts := strings.Split(r.Workflow, "/"); len(parts) >= 4 {
		if n, err := strconv.ParseInt(parts[len(parts)-1], 10, 64); err == nil {
			r.Number = n
		}
		if r.Topic == "" {
			r.Topic = parts[len(parts)-3]
		}
	}
	r.State = stateOf(w.GetStatus(), text(attributes["IngestState"]))
	return r
}

// stateOf lets the workflow's status decide where it says more than the state
// that the workflow set last.
func stateOf(status enums.WorkflowExecutionStatus, state string) string {
	switch {
	case status == enums.WORKFLOW_EXECUTION_STATUS_COMPLETED:
		return "stored"
	case status == enums.WORKFLOW_EXECUTION_STATUS_RUNNING && state != "":
		return state
	}
	return strings.ToLower(status.String())
}

func text(p *commonpb.Payload) (s string) {
	if p != nil {
		_ = converter.GetDefaultDataConverter().FromPayload(p, &s) // of another type: as if it were not set
	}
	return s
}

func number(p *commonpb.Payload) (n int64) {
	if p != nil {
		_ = converter.GetDefaultDataConverter().FromPayload(p, &n) // as above
	}
	return n
}

func writeTable(out io.Writer, rows []row, now time.Time) error {
	if len(rows) == 0 {
		_, err := fmt.Fprintln(out, "no batches")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "NUMBER\tTOPIC\tSTATE\tRECORDS\tDEAD\tSTARTED\tAGE\tERROR\tWORKFLOW") // Flush tells of a failure
	for _, r := range rows {
		cells := []string{
			strconv.FormatInt(r.Number, 10), r.Topic, r.State, strconv.FormatInt(r.Records, 10), strconv.FormatInt(r.DeadLetters, 10),
			r.Started.UTC().Format("2006-01-02 15:04:05Z"), now.Sub(r.Started).Round(time.Second).String(), cmp.Or(r.Error, "-"), r.Workflow,
		}
		_, _ = fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	return w.Flush()
}
