package main

import (
	"github.com/spf13/cobra"

	"github.com/ai-backlog/ingest/settings"
)

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "starter",
		Short: "Send records to Kafka, and see what became of them",
		Long: "Sends log files and NDJSON to Kafka, lists the batches that carry them into ClickHouse, replays what is missing there,\n" +
			"and shows what could not be stored.\n" +
			"Where Kafka, Temporal and ClickHouse are is told by environment variables (KAFKA_…, TEMPORAL_…, CLICKHOUSE_…; see the README).",
		Version:       settings.VersionLine("starter"), // not empty: it is what adds the flag
		SilenceUsage:  true,                            // an error is one line
		SilenceErrors: true,
	}
	root.SetVersionTemplate("{{.Version}}")
	root.AddCommand(newSend(), newBatches(), newResolve(), newReplay(), newRedrive(), newDeadLetters(), newAudit(), newResume(), newStatus())
	return root
}
