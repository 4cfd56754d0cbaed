package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"github.com/ai-backlog/ingest/clickhouse"
	"github.com/ai-backlog/ingest/frontend"
	"github.com/ai-backlog/ingest/kafka"
	"github.com/ai-backlog/ingest/monitor"
	"github.com/ai-backlog/ingest/schema"
	"github.com/ai-backlog/ingest/workflows"
)

const minRetention = 3 * 24 * time.Hour // of Temporal's namespace: an operator's weekend

// prepareClickHouse applies the schema and tells what would break the promise.
func prepareClickHouse(ctx context.Context, log *slog.Logger, conn driver.Conn, cfg Config) error {
	what := fmt.Sprintf("ClickHouse at %s (CLICKHOUSE_HOST, CLICKHOUSE_PORT)", strings.Join(cfg.ClickHouse.Addresses(), ", "))
	var warnings []schema.Warning
	within := monitor.AskTimeout
	if cfg.ClickHouse.Cluster != "" {
		within = schema.ClusterTime
	}
	err := monitor.AwaitWithin(ctx, within, log, what, func(ctx context.Context) (err error) {
		if err := clickhouse.CreateDatabase(ctx, cfg.ClickHouse); err != nil {
			return err
		}
		if err := schema.Apply(ctx, conn, schema.Options{Database: cfg.ClickHouse.Database, Cluster: cfg.ClickHouse.Cluster, TTLDays: cfg.TTLDays}); err != nil {
			return err
		}
		warnings, err = schema.Check(ctx, conn, cfg.ClickHouse.Database)
		return err
	}, func(err error) bool {
		var bad *schema.MismatchError
		return errors.As(err, &bad) || clickhouse.Classify(err).Class != clickhouse.Outage
	})
	for _, w := range warnings {
		log.Warn("the promise is at risk", "problem", string(w))
	}
	return cfg.ClickHouse.Hint(err)
}

// checkKafka waits for the brokers and tells which topics would lose records.
func checkKafka(ctx context.Context, log *slog.Logger, cl *kgo.Client, topics []string, cfg kafka.Config) error {
	adm := kadm.NewClient(cl)
	what := fmt.Sprintf("Kafka at %s (KAFKA_SERVERS)", strings.Join(cfg.Servers, ", "))
	var configs kadm.ResourceConfigs
	err := monitor.Await(ctx, log, what, func(ctx context.Context) (err error) {
		configs, err = adm.DescribeTopicConfigs(ctx, topics...)
		return kafka.Hint(kafka.Denied(first(err), "DescribeConfigs on topics %s", strings.Join(topics, ", ")))
	}, kafka.IsAuth)
	if err != nil {
		return err
	}
	for _, c := range configs {
		if errors.Is(c.Err, kerr.UnknownTopicOrPartition) {
			log.Warn("topic is missing: create it, its records are ingested from then on", "topic", c.Name)
		}
		for _, kv := range c.Configs {
			warnTopic(log, c.Name, kv)
		}
	}
	return nil
}

// first is the error of one broker, where each was asked.
func first(err error) error {
	if each, ok := errors.AsType[*kadm.ShardErrors](err); ok && len(each.Errs) > 0 {
		return each.Errs[0].Err
	}
	return err
}

func warnTopic(log *slog.Logger, topic string, c kadm.Config) {
	if c.Value == nil {
		return
	}
	switch {
	case c.Key == "cleanup.policy" && strings.Contains(*c.Value, "compact"):
		log.Warn("the promise is at risk", "problem", "topic "+topic+" is compacted: Kafka drops records that share a key; set cleanup.policy=delete")
	case c.Key == "retention.ms":
		if d, err := time.ParseDuration(*c.Value + "ms"); err == nil && d > 0 && d < 24*time.Hour {
			log.Warn("the promise is at risk", "problem", fmt.Sprintf("topic %s keeps records for %s only: an outage longer than that loses them; raise retention.ms", topic, d))
		}
	}
}

// prepareTemporal connects, registers the search attributes and checks how long
// Temporal remembers.
func prepareTemporal(ctx context.Context, log *slog.Logger, o client.Options) (c client.Client, err error) {
	namespace := orDefault(o.Namespace, client.DefaultNamespace)
	err = monitor.Await(ctx, log, temporalAt(o), func(ctx context.Context) error {
		if c == nil {
			if c, err = client.DialContext(ctx, o); err != nil {
				return frontend.Hint(err)
			}
		}
		d, err := c.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: namespace})
		if err != nil {
			return frontend.Hint(err)
		}
		if r := d.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration(); r > 0 && r < minRetention {
			log.Warn("the promise is at risk", "problem", fmt.Sprintf("Temporal's namespace %s keeps closed workflows for %s only; three days or more are safe", namespace, r))
		}
		return frontend.Hint(registerAttributes(ctx, c, namespace))
	}, frontend.Refused)
	return c, err
}

// temporalAt is what is waited for, with the settings that say where it is.
func temporalAt(o client.Options) string {
	return fmt.Sprintf("Temporal at %s, namespace %s (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE)", orDefault(o.HostPort, client.DefaultHostPort), orDefault(o.Namespace, client.DefaultNamespace))
}

// start starts a worker; what of one that did not come up is thrown away, since it cannot be started again.
func start(ctx context.Context, log *slog.Logger, o client.Options, fresh func() worker.Worker) (w worker.Worker, err error) {
	err = monitor.Await(ctx, log, temporalAt(o), func(context.Context) error {
		w = fresh()
		return frontend.Hint(w.Start())
	}, frontend.Refused)
	return w, err
}

func orDefault(s, d string) string {
	if s == "" {
		return d
	}
	return s
}

// registerAttributes adds those search attributes that the namespace lacks.
func registerAttributes(ctx context.Context, c client.Client, namespace string) error {
	keyword, number := enumspb.INDEXED_VALUE_TYPE_KEYWORD, enumspb.INDEXED_VALUE_TYPE_INT
	want := map[string]enumspb.IndexedValueType{
		workflows.AttributeTopic.GetName(): keyword, workflows.AttributeState.GetName(): keyword, workflows.AttributeError.GetName(): keyword,
		workflows.AttributeRecords.GetName(): number, workflows.AttributeDeadLetters.GetName(): number,
	}
	have, err := c.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if err != nil {
		return err
	}
	for name := range have.GetCustomAttributes() {
		delete(want, name)
	}
	if len(want) == 0 {
		return nil
	}
	_, err = c.OperatorService().AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{Namespace: namespace, SearchAttributes: want})
	var exists *serviceerror.AlreadyExists
	if errors.As(err, &exists) { // another worker was faster
		return nil
	}
	return err
}
