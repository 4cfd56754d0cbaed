package client

import (
	"fmt"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ai-backlog/ingest/kafka"
	"github.com/ai-backlog/ingest/record"
)

// Stats is where a client's records are, at one moment. Counts are of records
// since New, and of what they say now.
type Stats struct {
	Buffered      int64 // accepted, and stored nowhere as far as is known
	BufferedBytes int64 // of them, bookkeeping included
	InDoubt       int64 // of them, sent to a server that has not answered
	Sent          int64 // acknowledged by Kafka
	Direct        int64 // stored straight in ClickHouse
	Marked        int64 // stored straight in ClickHouse at the end, and perhaps in Kafka too
	Refused       int64 // not accepted: not valid, or too large
	Dropped       int64 // accepted, and refused by both servers for good
	Away          bool  // of some kind, records go straight to ClickHouse
}

// Stats may be called at any time.
func (c *Client) Stats() Stats {
	var s Stats
	s.Buffered, s.BufferedBytes = c.buffer.size()
	for k, l := range c.lanes {
		s.Sent += c.sent[k].Load()
		s.Direct += c.direct[k].Load()
		s.Marked += c.marked[k].Load()
		s.Refused += c.invalid[k].Load() + c.tooLarge[k].Load()
		s.Dropped += c.dropped[k].Load()
		s.InDoubt += l.doubt()
		s.Away = s.Away || c.cfg.falls() && l.isDirect()
	}
	return s
}

var (
	recordsDesc = prometheus.NewDesc("ingest_client_records_total", "Records by what became of them: kafka acknowledged them, direct: ClickHouse stored them, marked: ClickHouse stored them and Kafka may have them too, invalid or too_large: not accepted, dropped: refused by both servers.", []string{"kind", "became"}, nil)
	bufferDesc  = prometheus.NewDesc("ingest_client_buffered_records", "Records that are accepted and stored nowhere yet.", nil, nil)
	bytesDesc   = prometheus.NewDesc("ingest_client_buffered_bytes", "Bytes of them, bookkeeping included.", nil, nil)
	limitDesc   = prometheus.NewDesc("ingest_client_buffer_limit_bytes", "Bytes at which calls wait.", nil, nil)
	doubtDesc   = prometheus.NewDesc("ingest_client_in_doubt_records", "Records that were sent to a server that has not answered.", []string{"kind"}, nil)
	awayDesc    = prometheus.NewDesc("ingest_client_direct", "1 while records of the kind go straight to ClickHouse, because Kafka does not answer.", []string{"kind"}, nil)
	changesDesc = prometheus.NewDesc("ingest_client_way_changes_total", "Times that records of the kind changed their way: to ClickHouse, because Kafka did not answer, and back.", []string{"kind"}, nil)
)

// Describe implements prometheus.Collector.
func (c *Client) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{recordsDesc, bufferDesc, bytesDesc, limitDesc, doubtDesc, awayDesc, changesDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *Client) Collect(ch chan<- prometheus.Metric) {
	records, bytes := c.buffer.size()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(bufferDesc, float64(records))
	gauge(bytesDesc, float64(bytes))
	gauge(limitDesc, float64(c.cfg.BufferBytes))
	for _, k := range record.Kinds() {
		away := 0.0
		if c.lanes[k].isDirect() {
			away = 1
		}
		gauge(awayDesc, away, k.String())
		ch <- prometheus.MustNewConstMetric(changesDesc, prometheus.CounterValue, float64(c.lanes[k].changed()), k.String())
		gauge(doubtDesc, float64(c.lanes[k].doubt()), k.String())
		for became, n := range map[string]int64{
			"kafka": c.sent[k].Load(), "direct": c.direct[k].Load(), "marked": c.marked[k].Load(),
			"invalid": c.invalid[k].Load(), "too_large": c.tooLarge[k].Load(), "dropped": c.dropped[k].Load(),
		} {
			ch <- prometheus.MustNewConstMetric(recordsDesc, prometheus.CounterValue, float64(n), k.String(), became)
		}
	}
}

// unsent is what is stored nowhere, and why.
func (c *Client) unsent(why error, lost bool) *UnsentError {
	s := c.Stats()
	e := &UnsentError{Unsent: max(0, s.Buffered-s.InDoubt), InDoubt: s.InDoubt, Lost: lost, why: why}
	e.kafka, e.clickhouse = c.Problems()
	e.kafka = c.at(e.kafka)
	return e
}

// away is the best reason that is known why Kafka does not answer; nil if none is.
func (c *Client) away(last error) error { return c.at(kafka.Hint(c.watcher.why(last))) }

// at says of which Kafka the error is.
func (c *Client) at(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("KAFKA_SERVERS=%s: %w", strings.Join(c.cfg.Kafka.Servers, ","), err)
}

// refuse ends a record that no server takes. It is settled after that was told, so
// that whoever waits for it knows.
func (c *Client) refuse(it item, err error) {
	c.dropped[it.kind].Add(1)
	if c.cfg.OnRefused != nil {
		c.cfg.OnRefused(it.kind, it.value, err)
	} else {
		c.cfg.Logger.Error("record is refused", "kind", it.kind, "event_id", it.id, "bytes", len(it.value), "error", err)
	}
	c.buffer.settle(it)
}
