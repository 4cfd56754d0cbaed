package main

import (
	"runtime/debug"

	"github.com/spf13/cobra"
)

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "starter",
		Short: "Send records to Kafka, and see what became of them",
		Long: "Sends log files and NDJSON to Kafka, lists the batches that carry them into ClickHouse, replays what is missing there,\n" +
			"and shows what could not be stored.\n" +
			"Where Kafka, Temporal and ClickHouse are is told by environment variables (KAFKA_…, TEMPORAL_…, CLICKHOUSE_…; see the README).",
		Version:       version(),
		SilenceUsage:  true, // an error is one line
		SilenceErrors: true,
	}
	root.AddCommand(newSend(), newBatches(), newResolve(), newReplay(), newRedrive(), newDeadLetters(), newAudit(), newResume(), newStatus())
	return root
}

// version is what the Go tool recorded in the binary.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v += " (" + s.Value + ")"
		}
	}
	return v + ", " + info.GoVersion
}
