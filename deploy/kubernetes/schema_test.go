package kubernetes

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/deploy/readmetest"
)

// sampling are OpenTelemetry's variables that docs/operations.md advises, beside the README's.
var sampling = []string{"OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"}

var update = flag.Bool("update", false, "write the README's variables into values.schema.json")

// Of a misspelt variable Helm should say so, not a program that runs with the default.
func TestTheSchemaKnowsTheVariablesOfTheREADME(t *testing.T) {
	const path = chartDir + "/values.schema.json"
	have, err := os.ReadFile(path)
	require.NoError(t, err)
	var schema map[string]any
	require.NoError(t, json.Unmarshal(have, &schema))
	var config, secrets []string
	for _, v := range readmetest.Variables(t) {
		if v.Client() || v.Name == "METRICS_ADDR" || v.Name == "WORKER_MEMORY_MIB" { // which are the chart's
			continue
		}
		secrets = append(secrets, v.Name)
		if !v.Secret() {
			config = append(config, v.Name)
		}
	}
	config = append(config, sampling...)
	slices.Sort(config)
	at(schema, "$defs", "config")["propertyNames"] = map[string]any{"enum": config}
	at(schema, "properties", "secrets", "properties", "values")["propertyNames"] = map[string]any{"enum": secrets}
	var want bytes.Buffer
	e := json.NewEncoder(&want)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	require.NoError(t, e.Encode(schema))
	if *update {
		require.NoError(t, os.WriteFile(path, want.Bytes(), 0o644)) //nolint:gosec // a file of the sources
	}
	require.Equal(t, want.String(), string(have), "the README's table has changed: go test ./kubernetes -update")
}

func at(in map[string]any, path ...string) map[string]any {
	for _, key := range path {
		in, _ = in[key].(map[string]any)
	}
	return in
}
