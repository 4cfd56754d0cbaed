//go:build unix

package stack

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

//go:embed apache/run.sh
var runApache string

//go:embed apache/server.properties
var apacheProperties string

// ApacheFlags of Java are for a quick start and little memory; what a broker can do at most is not measured on it.
func ApacheFlags() []string {
	return []string{"-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Dlog4j2.disableJmx=true"}
}

// ApacheKafka is one Apache Kafka, not yet started: broker and controller in one process, with the same topics as the stand-in.
// It never waits for the disk, as Kafka does not: what was acknowledged is safe against SIGKILL.
func ApacheKafka(o KafkaOptions) (*Server, error) {
	if o.Advertise != "" && o.Secure != nil {
		return nil, errors.New("kafka: a broker with secure listeners advertises their own addresses")
	}
	s, err := newApache(o, o.Dir)
	if err != nil {
		return nil, err
	}
	s.join(o, []*Server{s}, 1)
	return s, nil
}

// ApacheKafkaCluster is several brokers, not yet started, each a Server and a voter of the cluster's quorum, with its data in a
// directory of its own below Dir. Every topic is on all of them, and a record is acknowledged when all but one have it. Start them
// at once: the first to start waits for the others.
func ApacheKafkaCluster(o KafkaOptions, brokers int) ([]*Server, error) {
	if o.Port != 0 || o.Advertise != "" {
		return nil, errors.New("kafka: the brokers of a cluster choose their ports, and advertise these")
	}
	servers := make([]*Server, brokers)
	for i := range servers {
		var err error
		if servers[i], err = newApache(o, filepath.Join(o.Dir, strconv.Itoa(i+1))); err != nil {
			for _, s := range servers[:i] {
				s.Release()
			}
			return nil, err
		}
	}
	for i, s := range servers {
		s.join(o, servers, i+1)
	}
	return servers, nil
}

// newApache has the port of the controller as its fixed one.
func newApache(o KafkaOptions, dir string) (*Server, error) {
	if o.Binaries.Java == "" {
		return nil, errors.New("kafka: Binaries of " + ApacheKafkaName + " are required")
	}
	s, err := newServer(KafkaName, "/bin/sh", dir, o.Port, nil, 0)
	if err != nil {
		return nil, err
	}
	if s.fixed, err = reserve(0); err != nil {
		s.Release()
		return nil, fmt.Errorf("%s: %w", KafkaName, err)
	}
	if err := s.listen(o.Secure); err != nil {
		s.Release()
		return nil, err
	}
	return s, nil
}

// join makes the server the broker of that ID among all.
func (s *Server) join(o KafkaOptions, all []*Server, id int) {
	b, brokers := o.Binaries, make([]Broker, len(all))
	for i, x := range all {
		brokers[i] = Broker{x.Addr(), loopback(x.fixed.port)}
	}
	properties := ApacheProperties(o, brokers, id) + "\n" + strings.Join(s.secureConfig(o.Secure), "\n")
	args := append([]string{"-c", runApache, KafkaName, b.Java, properties}, ApacheFlags()...)
	args = append(args, b.javaFlags...)
	args = append(args, "-cp", b.KafkaJars)
	if b.KafkaArchive != "" {
		args = append(args, "-XX:SharedArchiveFile="+b.KafkaArchive)
	}
	s.args = func() []string { return args }
	s.ready = func(ctx context.Context) error { return AskApache(ctx, o, s.Addr(), id, len(all)) }
}

// Broker is where one of a cluster's brokers listens, host:port for clients and for the other controllers.
type Broker struct{ Addr, Controller string }

// ApacheProperties are the server.properties of the broker of that ID, from 1 on, among all. They name no directory but data.
func ApacheProperties(o KafkaOptions, all []Broker, id int) string {
	voters := make([]string, len(all))
	for i, x := range all {
		voters[i] = fmt.Sprintf("%d@%s", i+1, x.Controller)
	}
	acknowledge := max(1, len(all)-1)
	_, partitions := o.topics()
	own := all[id-1]
	return apacheProperties + strings.Join([]string{
		"node.id=" + strconv.Itoa(id),
		"controller.quorum.voters=" + strings.Join(voters, ","),
		"listeners=PLAINTEXT://" + own.Addr + ",CONTROLLER://" + own.Controller,
		"advertised.listeners=PLAINTEXT://" + cmp.Or(o.Advertise, own.Addr),
		"auto.create.topics.enable=" + strconv.FormatBool(o.AutoCreate),
		"num.partitions=" + strconv.Itoa(partitions),
		fmt.Sprintf("default.replication.factor=%d", len(all)),
		fmt.Sprintf("min.insync.replicas=%d", acknowledge),
		fmt.Sprintf("offsets.topic.replication.factor=%d", len(all)),
		fmt.Sprintf("transaction.state.log.replication.factor=%d", len(all)),
		fmt.Sprintf("transaction.state.log.min.isr=%d", acknowledge),
		fmt.Sprintf("share.coordinator.state.topic.replication.factor=%d", len(all)),
		fmt.Sprintf("share.coordinator.state.topic.min.isr=%d", acknowledge),
	}, "\n")
}

// AskApache is nil if the broker says that it is one of the cluster, and that each of the topics, which are made on that many brokers
// if they are missing, has a leader for every partition.
func AskApache(ctx context.Context, o KafkaOptions, broker string, id, replicas int) error {
	topics, partitions := o.topics()
	if err := AskKafka(ctx, broker); err != nil { // a quick no, while it starts
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.RequestRetries(0), Direct(broker, o.Advertise))
	if err != nil {
		return err
	}
	defer cl.Close()
	know, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, cl) // of all topics
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(know.Brokers, func(b kmsg.MetadataResponseBroker) bool { return int(b.NodeID) == id }) {
		return errors.New("the cluster has not let it in yet")
	}
	missing := slices.Clone(topics)
	for _, t := range know.Topics {
		missing = slices.DeleteFunc(missing, func(name string) bool { return name == *t.Topic })
		if !slices.Contains(topics, *t.Topic) {
			continue
		}
		for _, p := range t.Partitions {
			if p.Leader < 0 {
				return fmt.Errorf("partition %d of %s has no leader yet", p.Partition, *t.Topic)
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if err := makeTopics(ctx, cl, missing, partitions, replicas); err != nil {
		return err
	}
	return errors.New("topics were just made")
}

func makeTopics(ctx context.Context, cl *kgo.Client, topics []string, partitions, replicas int) error {
	request := kmsg.NewPtrCreateTopicsRequest()
	for _, name := range topics {
		t := kmsg.NewCreateTopicsRequestTopic()
		t.Topic, t.NumPartitions, t.ReplicationFactor = name, int32(partitions), int16(replicas) //nolint:gosec // small numbers
		request.Topics = append(request.Topics, t)
	}
	answer, err := request.RequestWith(ctx, cl)
	if err != nil {
		return err
	}
	for _, t := range answer.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			return fmt.Errorf("make topic %s: %w", t.Topic, err)
		}
	}
	return nil
}
