package main

import (
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// client is what programs do with their records before Kafka has them.
func client() page {
	return page{
		title: "Client", about: "Do agents get rid of their records?",
		variables: []cog.Builder[dashboard.VariableModel]{choice("instance", "ingest_client_buffer_limit_bytes")},
		rows:      []row{{"Agents", append(clients(), buffers()...)}},
	}
}

const of, byKind = `{instance=~"$instance"}`, "{{kind}}"

func clients() []panel {
	return []panel{
		{
			title: "Fullest buffer", unit: share, look: number, red: 0.5, width: 6,
			about:   "Of CLIENT_BUFFER_BYTES. When it is full, calls wait.",
			queries: []query{{"max(ingest_client_buffered_bytes" + of + " / ingest_client_buffer_limit_bytes" + of + ")", ""}},
		},
		{
			title: "Records in doubt", unit: count, look: number, red: 1, width: 6,
			about:   "Records that were sent to a server that has not answered.",
			queries: []query{{"sum(ingest_client_in_doubt_records" + of + ")", ""}},
		},
		{
			title: "Clients that store directly", unit: count, look: number, red: 1, width: 6,
			about:   "Of some kind, because Kafka does not answer them.",
			queries: []query{{"count(max by (instance) (ingest_client_direct" + of + ") == 1) or 0 * count(ingest_client_direct" + of + ")", ""}},
		},
		{
			title: "Dropped", unit: count, look: number, red: 1, width: 6,
			about:   "Records that both servers refused for good, since the clients started.",
			queries: []query{{`sum(ingest_client_records_total{instance=~"$instance", became="dropped"})`, ""}},
		},
		{
			title: "What becomes of records", unit: perSecond, stacked: true, width: 12,
			about:   "kafka: acknowledged; direct: stored in ClickHouse; marked: stored there at the end, and perhaps in Kafka too; the others were not accepted or were refused.",
			queries: []query{rate("ingest_client_records_total", of, "became", "{{became}}")},
		},
		{
			title: "Records by kind", unit: perSecond, stacked: true, width: 12,
			about:   "Whatever became of them.",
			queries: []query{rate("ingest_client_records_total", of, "kind", byKind)},
		},
	}
}

func buffers() []panel {
	return []panel{
		{
			title: "Buffered records", unit: count,
			about:   "Accepted, and stored nowhere yet.",
			queries: []query{{"max by (instance) (ingest_client_buffered_records" + of + ")", "{{instance}}"}},
		},
		{
			title: "How full the buffers are", unit: share, max: 1,
			about:   "Of CLIENT_BUFFER_BYTES. When one is full, its calls wait.",
			queries: []query{{"max by (instance) (ingest_client_buffered_bytes" + of + " / ingest_client_buffer_limit_bytes" + of + ")", "{{instance}}"}},
		},
		{
			title: "In doubt", unit: count,
			about:   "They wait for Kafka's answer; new ones take the other way meanwhile.",
			queries: []query{{"sum by (kind) (ingest_client_in_doubt_records" + of + ")", byKind}},
		},
		{
			title: "On the direct way", unit: count, width: 12,
			about:   "Clients whose records of a kind go straight to ClickHouse.",
			queries: []query{{"sum by (kind) (ingest_client_direct" + of + ")", byKind}},
		},
		{
			title: "Changes of the way", unit: count, width: 12,
			about:   "To ClickHouse and back. Many are a Kafka that comes and goes.",
			queries: []query{{"sum by (kind) (increase(ingest_client_way_changes_total" + of + "[$__rate_interval]))", byKind}},
		},
	}
}
