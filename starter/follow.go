package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"golang.org/x/term"
)

const (
	// followEvery is how often a workflow is asked how far it is. Its long poll can be 20 s late.
	followEvery = 500 * time.Millisecond
	followLimit = 5 * time.Second // for one answer
	// hintAfter is how long nothing may begin before it is said what may be missing.
	hintAfter = 30 * time.Second
	// interrupted is a shell's exit code for what ctrl-C ended.
	interrupted = 130
)

// exitError is an error with an exit code of its own.
type exitError struct {
	code int
	error
}

func (e *exitError) Unwrap() error { return e.error }

// exitCode is the process's, for an error of any command.
func exitCode(err error) int {
	var e *exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		return e.code
	}
	return 1
}

// progress is how far a workflow is.
type progress struct {
	done, total int64
	doing       string    // one or two words
	begun       bool      // something was done for it
	notBefore   time.Time // nothing is to begin before
}

// following is a person's, or a script's, wait for what goes on as a workflow.
type following struct {
	c     temporal
	id    string
	what  string // as in "replay"
	kind  string // type of the workflow
	log   io.Writer
	again string // the command that waits again; "": --attach
	hint  string // what may be missing when nothing begins
	ask   func(context.Context) (progress, error)

	bar    *progressbar.ProgressBar
	since  time.Time
	hinted bool
}

// wait returns when the workflow has ended, with its result in the pointer. Whatever keeps Temporal from answering is waited for.
// At ctrl-C the workflow goes on, and the error says how to wait for it again.
func (f *following) wait(ctx context.Context, result any) error {
	if file, ok := f.log.(*os.File); ok && term.IsTerminal(int(file.Fd())) { //nolint:gosec // G115: a file descriptor
		f.bar = progressbar.NewOptions64(-1, progressbar.OptionSetWriter(f.log), progressbar.OptionShowCount(), progressbar.OptionSetDescription(f.what), progressbar.OptionClearOnFinish())
		defer func() { _ = f.bar.Clear() }()
	}
	f.since = time.Now()
	t := time.NewTicker(followEvery)
	defer t.Stop()
	for {
		over, err := f.over(ctx)
		if ctx.Err() != nil {
			again := f.again
			if again == "" {
				again = fmt.Sprintf("starter %s --attach %s", f.what, f.id)
			}
			return &exitError{interrupted, fmt.Errorf("detached, the %s goes on; to wait for it again: %s", f.what, again)}
		}
		if err != nil {
			return err
		}
		if over && f.c.GetWorkflow(ctx, f.id, "").Get(ctx, result) == nil {
			return nil
		}
		f.show(ctx)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
	}
}

// over tells whether the workflow has completed. Its error is that it has ended otherwise, or never was.
func (f *following) over(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, followLimit)
	defer cancel()
	d, err := f.c.DescribeWorkflowExecution(ctx, f.id, "")
	var unknown *serviceerror.NotFound
	if errors.As(err, &unknown) {
		return false, fmt.Errorf("there is no %s %s at %s", f.what, f.id, f.c)
	}
	if err != nil {
		f.describe("no answer from Temporal")
		return false, nil
	}
	if kind := d.GetWorkflowExecutionInfo().GetType().GetName(); kind != f.kind {
		return false, fmt.Errorf("%s is no %s: its type is %s", f.id, f.what, kind)
	}
	switch s := d.GetWorkflowExecutionInfo().GetStatus(); s {
	case enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED:
		return true, nil
	case enumspb.WORKFLOW_EXECUTION_STATUS_FAILED:
		return false, fmt.Errorf("the %s failed: %w", f.what, f.c.GetWorkflow(ctx, f.id, "").Get(ctx, nil))
	case enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED, enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED, enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT:
		return false, fmt.Errorf("the %s was ended from outside: %s", f.what, s)
	default:
		return false, nil
	}
}

func (f *following) show(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, followLimit)
	defer cancel()
	p, err := f.ask(ctx)
	if ctx.Err() == nil && err != nil || errors.Is(ctx.Err(), context.DeadlineExceeded) {
		p.doing = "no worker answers"
	}
	f.describe(p.doing)
	if f.bar != nil && p.total > 0 {
		f.bar.ChangeMax64(p.total)
		_ = f.bar.Set64(p.done) // a bar that cannot be drawn is no reason to stop
	}
	if f.since.Before(p.notBefore) {
		f.since = p.notBefore
	}
	if f.hinted = f.hinted || p.begun; !f.hinted && time.Since(f.since) > hintAfter {
		f.hinted = true
		_, _ = fmt.Fprintf(f.log, "the %s has not begun for %s: %s\n", f.what, hintAfter, f.hint)
	}
}

func (f *following) describe(doing string) {
	if f.bar != nil {
		f.bar.Describe(f.what + ": " + doing)
	}
}
