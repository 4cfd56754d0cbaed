package client_test

import (
	"errors"
	"fmt"

	"github.com/ai-backlog/ingest/client"
	"github.com/ai-backlog/ingest/record"
)

// What StoreLog returns for a log without a level. Nothing was stored, and the
// same log would be refused again, so a program that goes on counts it and tells
// which field to mend.
func ExampleInvalidError() {
	err := fmt.Errorf("store the answer: %w", &client.InvalidError{Kind: record.Log, Field: "level", Reason: record.MissingField})

	if invalid, ok := errors.AsType[*client.InvalidError](err); ok {
		fmt.Println(invalid.Kind, invalid.Field, invalid.Reason)
	}
	fmt.Println(err)
	// Output:
	// log level missing_field
	// store the answer: log refused: missing_field in level: set it, it must not be empty
}
