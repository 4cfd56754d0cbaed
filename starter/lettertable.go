package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxCell is how much of a text a table shows.
const maxCell = 80

// jsonLines writes one object per line.
func jsonLines[T any](out io.Writer, rows []T) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	for _, r := range rows {
		if err := enc.Encode(r); err != nil {
			return err
		}
	}
	return nil
}

func letterTable(out io.Writer, letters []letter) error {
	if len(letters) == 0 {
		_, err := fmt.Fprintln(out, "no dead letters")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "TOPIC/PARTITION/OFFSET\tSTATE\tSINCE\tBYTES\tREASON\tMESSAGE") // Flush tells of a failure
	for _, l := range letters {
		_, _ = fmt.Fprintln(w, strings.Join([]string{l.place(), l.State, stamp(l.At), strconv.FormatUint(l.Bytes, 10), l.Reason, cell(l.Message)}, "\t"))
	}
	return w.Flush()
}

func countTable(out io.Writer, counts []counted) error {
	if len(counts) == 0 {
		_, err := fmt.Fprintln(out, "no dead letters")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "COUNT\tTOPIC\tREASON\tSTATE\tFIRST\tLAST") // as above
	for _, c := range counts {
		_, _ = fmt.Fprintln(w, strings.Join([]string{strconv.FormatUint(c.Count, 10), c.Topic, c.Reason, c.State, stamp(c.First), stamp(c.Last)}, "\t"))
	}
	return w.Flush()
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

// cell is a text on one line of a table, whatever bytes it has.
func cell(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '·'
		}
		return r
	}, s)
	if r := []rune(s); len(r) > maxCell {
		return string(r[:maxCell-1]) + "…"
	}
	return s
}
