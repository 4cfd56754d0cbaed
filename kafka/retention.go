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

// RetentionSeconds is the topic's retention.ms, +Inf where Kafka keeps records for ever. It needs DescribeConfigs on the topic.
func RetentionSeconds(ctx context.Context, cl *kgo.Client, topic string) (float64, error) {
	configs, err := kadm.NewClient(cl).DescribeTopicConfigs(ctx, topic)
	var of kadm.ResourceConfig
	if err == nil {
		of, err = configs.On(topic, nil)
	}
	if err = errors.Join(err, of.Err); err != nil {
		return 0, fmt.Errorf("read configuration of %s: %w", topic, Denied(err, "DescribeConfigs on topic %s", topic))
	}
	for _, c := range of.Configs {
		if c.Key != "retention.ms" || c.Value == nil {
			continue
		}
		ms, err := strconv.ParseInt(*c.Value, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("retention.ms of %s: %w", topic, err)
		}
		if ms < 0 {
			return math.Inf(1), nil
		}
		return float64(ms) / 1000, nil
	}
	return 0, errors.New(topic + " has no retention.ms")
}
