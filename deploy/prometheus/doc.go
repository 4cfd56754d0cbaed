// Package prometheus keeps what Prometheus is told of the ingest: its targets and the alerts. It has tests only: Prometheus's own promtool
// says whether they are right.
package prometheus
