package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/ai-backlog/ingest/client"
	"github.com/ai-backlog/ingest/kafka"
	"github.com/ai-backlog/ingest/record"
)

// load stands for client.Load: the configuration of a broker that the example has
// for itself.
func load() (cfg client.Config, end func()) {
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "ai_backlog_logs", "ai_backlog_metrics", "ai_backlog_events"))
	if err != nil {
		fmt.Println(err)
		return cfg, func() {}
	}
	return client.Config{Kafka: kafka.Config{Servers: broker.ListenAddrs()}, FallbackAfter: -1, AgentID: "agent-7", Service: "planner"}, broker.Close
}

// An agent stores what it does. Every call returns at once.
func Example() {
	cfg, end := load() // in a program: client.Load()
	defer end()
	c, err := client.New(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	err = errors.Join(
		c.StoreLog(ctx, client.Log{Level: "INFO", Message: "plan made", Attributes: map[string]string{"steps": "3"}}),
		c.StoreMetric(ctx, client.Metric{Name: "llm.tokens", Value: 1834, Unit: "tokens"}),
		c.StoreEvent(ctx, client.Event{Type: "task.done", TaskID: "t-1", Payload: json.RawMessage(`{"ok":true}`)}),
	)
	if err != nil {
		fmt.Println(err)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second) // in half of it Kafka must have all, or it goes straight to ClickHouse
	defer cancel()
	if err := c.Close(ctx); err != nil {
		fmt.Println(err)
	}
	fmt.Println("acknowledged by Kafka:", c.Stats().Sent)
	// Output: acknowledged by Kafka: 3
}

// A program's own log goes the same way.
func ExampleNewHandler() {
	cfg, end := load()
	defer end()
	c, err := client.New(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	log := slog.New(client.NewHandler(c, client.HandlerOptions{Level: slog.LevelInfo}))
	log.Info("tool called", "tool", "search", slog.Group("tokens", "in", 1834, "out", 212))
	log.Debug("is not stored: its level is too low")

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := c.Close(ctx); err != nil {
		fmt.Println(err)
	}
	fmt.Println("lines:", c.Stats().Sent)
	// Output: lines: 1
}

// Flush says that everything accepted before it is stored, or how much is not.
func ExampleClient_Flush() {
	c, err := client.New(client.Config{Kafka: kafka.Config{Servers: []string{"127.0.0.1:1"}}, FallbackAfter: -1}) // nothing listens there
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if err := c.StoreLog(ctx, client.Log{Level: "ERROR", Message: "out of tokens"}); err != nil {
		fmt.Println(err)
	}
	if unsent, ok := errors.AsType[*client.UnsentError](c.Flush(ctx)); ok {
		fmt.Println("stored nowhere yet:", unsent.Unsent+unsent.InDoubt)
	}
	_ = c.Close(ctx)
	// Output: stored nowhere yet: 1
}

// A client is a Prometheus collector: the program that has it serves its metrics where it serves its own.
func ExampleClient_Collect() {
	cfg, end := load()
	defer end()
	c, err := client.New(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close(context.Background()) //nolint:errcheck // nothing was stored

	reg := prometheus.NewRegistry() // or prometheus.DefaultRegisterer
	reg.MustRegister(c)
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if s := c.Stats(); s.BufferedBytes > 32<<20 { // half of CLIENT_BUFFER_BYTES: calls will wait soon
			http.Error(w, "half of the buffer is full", http.StatusServiceUnavailable)
		}
	})
	go func() {
		_ = (&http.Server{Addr: "127.0.0.1:9466", Handler: mux, ReadHeaderTimeout: time.Second}).ListenAndServe()
	}()
}

// What StoreLog returns for a log without a level. Nothing was stored, and the
// same log would be refused again, so a program that goes on counts it and tells
// which field to mend.
func ExampleInvalidError() {
	err := fmt.Errorf("store the answer: %w", &client.InvalidError{Kind: record.Log, Field: "level", Reason: record.MissingField})

	if invalid, ok := errors.AsType[*client.InvalidError](err); ok {
		fmt.Println(invalid.Kind, invalid.Field, invalid.Reason)
	}
	fmt.Println(err)
	// Output:
	// log level missing_field
	// store the answer: log refused: missing_field in level: set it, it must not be empty
}
