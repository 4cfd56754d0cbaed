package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// whole is a dead letter as it is in Kafka. What is not UTF-8 is in JSON only as base64: it would not survive otherwise.
type whole struct {
	letter
	Key, Value string
	Headers    [][2]string // in their order, with repeated keys
}

// letterShow are the flags of show.
type letterShow struct {
	value, json bool
}

func newLetterShow() *cobra.Command {
	var f letterShow
	cmd := &cobra.Command{
		Use:   "show TOPIC PARTITION OFFSET | show TOPIC/PARTITION/OFFSET",
		Short: "Show a dead letter whole: headers, key and value as they are",
		Long: "Shows a dead letter whole. The value comes last, byte for byte; --value prints nothing else.\n" +
			"A topic that was deleted and created again uses the same offsets for other records: all of them are shown, the newest first.",
		Example: "  starter deadletters show ai_backlog_logs/2/17\n  starter deadletters show --value ai_backlog_logs/2/17 >record",
		Args:    cobra.RangeArgs(1, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd.Context(), args, cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&f.value, "value", false, "only the value, byte for byte")
	cmd.Flags().BoolVar(&f.json, "json", false, "one JSON object per line; what is not UTF-8 is key_base64, value_base64, headers_base64")
	return cmd
}

// parsePlace reads topic/partition/offset, or the three apart.
func parsePlace(args []string) (topic string, partition int32, offset int64, err error) {
	parts := args
	if len(args) == 1 {
		parts = strings.Split(args[0], "/")
	}
	if len(parts) == 3 {
		p, e1 := strconv.ParseInt(parts[1], 10, 32)
		o, e2 := strconv.ParseInt(parts[2], 10, 64)
		if e1 == nil && e2 == nil && parts[0] != "" {
			return parts[0], int32(p), o, nil //nolint:gosec // G115: parsed as 32 bits
		}
	}
	return "", 0, 0, fmt.Errorf("%q is no dead letter: give topic/partition/offset, like ai_backlog_logs/2/17", strings.Join(args, " "))
}

func (f letterShow) run(ctx context.Context, args []string, out io.Writer) error {
	if f.value && f.json {
		return errors.New("give --value or --json, not both")
	}
	topic, partition, offset, err := parsePlace(args)
	if err != nil {
		return err
	}
	found, err := readLetters(ctx, topic, partition, offset)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return fmt.Errorf("there is no dead letter %s/%d/%d", topic, partition, offset)
	}
	for i, w := range found {
		switch {
		case f.value:
			_, err = io.WriteString(out, w.Value)
			return err // of the newest
		case f.json:
			err = jsonLines(out, []whole{w})
		default:
			if i > 0 {
				_, _ = fmt.Fprintln(out) // print tells of a failure
			}
			err = w.print(out)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func readLetters(ctx context.Context, topic string, partition int32, offset int64) (found []whole, err error) {
	conn, err := openLetters(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	// A Map is an array of pairs; as a Go map it would lose order and repeated keys.
	sql := "SELECT " + letterColumns + ", key, value, mapKeys(headers), mapValues(headers) FROM dead_letters WHERE _topic = ? AND _partition = ? AND _offset = ? ORDER BY _inserted_at DESC"
	rows, err := conn.Query(ctx, sql, topic, partition, offset)
	if err != nil {
		return nil, fmt.Errorf("read dead letter: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var w whole
		var keys, values []string
		l := &w.letter
		if err := rows.Scan(&l.Topic, &l.TopicID, &l.Partition, &l.Offset, &l.State, &l.Class, &l.Reason, &l.Code, &l.Message, &l.Batch, &l.Sent, &l.At, &l.Bytes,
			&w.Key, &w.Value, &keys, &values); err != nil {
			return nil, fmt.Errorf("read dead letter: %w", err)
		}
		for i, k := range keys {
			w.Headers = append(w.Headers, [2]string{k, values[i]})
		}
		found = append(found, w)
	}
	return found, rows.Err()
}

// print writes what is known in lines, and then the value as it is.
func (w whole) print(out io.Writer) error {
	var b bytes.Buffer
	for _, l := range [][2]string{
		{"record", w.place()},
		{"topic id", w.TopicID},
		{"kafka time", w.Sent.UTC().Format("2006-01-02T15:04:05.000Z07:00")},
		{"state", w.State + " since " + stamp(w.At)},
		{"reason", w.Reason + " (" + w.Class + ")"},
		{"message", w.Message},
		{"batch", w.Batch},
		{"key", w.Key},
	} {
		fmt.Fprintf(&b, "%-11s %s\n", l[0], l[1])
	}
	if w.Code != 0 {
		fmt.Fprintf(&b, "%-11s %d\n", "code", w.Code)
	}
	for _, h := range w.Headers {
		fmt.Fprintf(&b, "%-11s %s: %s\n", "header", h[0], h[1])
	}
	fmt.Fprintf(&b, "%-11s %d bytes\n%s", "value", len(w.Value), w.Value)
	if !strings.HasSuffix(w.Value, "\n") {
		_ = b.WriteByte('\n')
	}
	_, err := out.Write(b.Bytes())
	return err
}

// MarshalJSON gives bytes that are no text as base64.
func (w whole) MarshalJSON() ([]byte, error) {
	v := struct {
		letter
		Key           *string     `json:"key,omitempty"`
		KeyBase64     string      `json:"key_base64,omitempty"`
		Headers       [][2]string `json:"headers,omitempty"`
		HeadersBase64 [][2]string `json:"headers_base64,omitempty"`
		Value         *string     `json:"value,omitempty"`
		ValueBase64   string      `json:"value_base64,omitempty"`
	}{letter: w.letter}
	encode := base64.StdEncoding.EncodeToString
	if v.Key = &w.Key; !utf8.ValidString(w.Key) {
		v.Key, v.KeyBase64 = nil, encode([]byte(w.Key))
	}
	if v.Value = &w.Value; !utf8.ValidString(w.Value) {
		v.Value, v.ValueBase64 = nil, encode([]byte(w.Value))
	}
	v.Headers = w.Headers
	if slices.ContainsFunc(w.Headers, func(h [2]string) bool { return !utf8.ValidString(h[0] + h[1]) }) {
		v.Headers = nil
		for _, h := range w.Headers {
			v.HeadersBase64 = append(v.HeadersBase64, [2]string{encode([]byte(h[0])), encode([]byte(h[1]))})
		}
	}
	return json.Marshal(v)
}
