//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/ai-backlog/ingest/devstack/stack"
)

// addresses is what --json prints, on one line. What is not known is left out.
type addresses struct {
	Kafka          string `json:"kafka"`
	ClickHouse     string `json:"clickhouse"`
	ClickHouseHTTP string `json:"clickhouse_http,omitempty"`
	Temporal       string `json:"temporal"`
	TemporalUI     string `json:"temporal_ui,omitempty"`
}

func show(out io.Writer, parts []*part, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(collect(parts))
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, p := range parts {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", p.title, p.addr(), p.how)
		if second := p.secondAddr(); second != "" {
			_, _ = fmt.Fprintf(table, "%s\thttp://%s\t%s\n", p.secondTitle, second, p.how)
		}
	}
	return table.Flush()
}

func collect(parts []*part) addresses {
	var a addresses
	for _, p := range parts {
		url := p.secondAddr()
		if url != "" {
			url = "http://" + url
		}
		switch p.name {
		case stack.KafkaName:
			a.Kafka = p.addr()
		case stack.ClickHouseName:
			a.ClickHouse, a.ClickHouseHTTP = p.addr(), url
		case stack.TemporalName:
			a.Temporal, a.TemporalUI = p.addr(), url
		}
	}
	return a
}
