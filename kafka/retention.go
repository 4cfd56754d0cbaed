package kafka

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Retention is what bounds a topic's log: retention.ms in seconds, and retention.bytes, which is each partition's. +Inf where Kafka does not
// delete by it. It needs DescribeConfigs on the topic.
func Retention(ctx context.Context, cl *kgo.Client, topic string) (seconds, bytes float64, err error) {
	configs, err := kadm.NewClient(cl).DescribeTopicConfigs(ctx, topic)
	var of kadm.ResourceConfig
	if err == nil {
		of, err = configs.On(topic, nil)
	}
	if err = errors.Join(err, of.Err); err != nil {
		return 0, 0, fmt.Errorf("read configuration of %s: %w", topic, Denied(err, "DescribeConfigs on topic %s", topic))
	}
	ms, err := limit(of, "retention.ms")
	if err == nil {
		bytes, err = limit(of, "retention.bytes")
	}
	return ms / 1000, bytes, err
}

// limit is a number among a topic's settings, of which a negative one is none.
func limit(of kadm.ResourceConfig, key string) (float64, error) {
	for _, c := range of.Configs {
		if c.Key != key || c.Value == nil {
			continue
		}
		n, err := strconv.ParseInt(*c.Value, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s of %s: %w", key, of.Name, err)
		}
		if n < 0 {
			return math.Inf(1), nil
		}
		return float64(n), nil
	}
	return 0, errors.New(of.Name + " has no " + key)
}
