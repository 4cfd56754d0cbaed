package kafka

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kprom"
)

// Metrics has a client show what it does, as kafka_*: requests by broker, what it produces by topic. Both sets are closed: the
// brokers are the cluster's (and seed_<n>, one per address in KAFKA_SERVERS), the topics ours. They end with the client.
func Metrics(reg prometheus.Registerer) kgo.Opt {
	return kgo.WithHooks(kprom.NewMetrics("kafka", kprom.Registerer(reg),
		kprom.FetchAndProduceDetail(kprom.ByTopic, kprom.Records, kprom.UncompressedBytes, kprom.CompressedBytes, kprom.ConsistentNaming),
		kprom.Histograms(kprom.RequestDurationE2E, kprom.RequestThrottled)))
}
