package client

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"
)

// textOf is the value of an attribute as text. It was resolved, and is no group.
func textOf(v slog.Value) string {
	switch v.Kind() {
	case slog.KindTime:
		return v.Time().Format(time.RFC3339Nano)
	case slog.KindAny:
		return textOfAny(v.Any())
	default:
		return v.String()
	}
}

// textOfAny lets no panic of foreign code out: a program must not end because it
// logged a nil pointer.
func textOfAny(v any) (text string) {
	defer func() {
		if p := recover(); p != nil {
			text = fmt.Sprintf("!PANIC: %v", p)
		}
	}()
	switch v := v.(type) {
	case []byte:
		return string(v)
	case error, fmt.Stringer:
		return fmt.Sprint(v) // which knows nil pointers
	case encoding.TextMarshaler:
		if b, err := v.MarshalText(); err == nil {
			return string(b)
		}
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "!ERROR: " + err.Error() // a channel, a NaN, or a cycle, on which fmt would end the program
	}
	return string(bytes.TrimSuffix(buf.Bytes(), []byte("\n")))
}
