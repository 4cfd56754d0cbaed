package kubernetes

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/stretchr/testify/require"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/ai-backlog/ingest/deploy/readmetest"
)

// stopsWithin is what integration's test of stops allows a program.
const stopsWithin = 15 * time.Second

// residentMost is what integration's test of memory lets a worker have resident at WORKER_MEMORY_MIB=400, bytes.
const residentMost = 600_000_000

func TestPodsRunWithoutAnyRight(t *testing.T) {
	for _, file := range cases(t) {
		for _, d := range deployments(objects(t, file)) {
			pod, c := d.Spec.Template.Spec, containerOf(d)
			require.True(t, *pod.SecurityContext.RunAsNonRoot)
			require.Positive(t, *pod.SecurityContext.RunAsUser)
			require.Equal(t, corev1.SeccompProfileTypeRuntimeDefault, pod.SecurityContext.SeccompProfile.Type)
			require.False(t, *pod.AutomountServiceAccountToken)
			require.True(t, *c.SecurityContext.ReadOnlyRootFilesystem)
			require.False(t, *c.SecurityContext.AllowPrivilegeEscalation)
			require.False(t, *c.SecurityContext.Privileged)
			require.Equal(t, []corev1.Capability{"ALL"}, c.SecurityContext.Capabilities.Drop)
			require.Empty(t, c.SecurityContext.Capabilities.Add)
			for _, m := range c.VolumeMounts {
				require.True(t, m.ReadOnly, m.Name)
			}
		}
	}
}

func TestAStopHasTheTimeItTakes(t *testing.T) {
	for _, file := range cases(t) {
		for _, d := range deployments(objects(t, file)) {
			grace := time.Duration(*d.Spec.Template.Spec.TerminationGracePeriodSeconds) * time.Second
			require.Greater(t, grace, stopsWithin, d.Name)
			require.Zero(t, d.Spec.Strategy.RollingUpdate.MaxUnavailable.IntValue(), "the old one ends when the new one is ready")
		}
	}
}

func TestAWorkersMemoryFitsIntoItsContainer(t *testing.T) {
	for _, file := range cases(t) {
		for _, d := range deployments(objects(t, file)) {
			c := containerOf(d)
			limit, request := c.Resources.Limits.Memory().Value(), c.Resources.Requests.Memory().Value()
			require.LessOrEqual(t, request, limit)
			require.Positive(t, c.Resources.Requests.Cpu().MilliValue(), "the autoscaler's percentage is of it")
			if soft, ok := variables(c)["WORKER_MEMORY_MIB"]; ok {
				mib, err := json.Number(soft).Int64()
				require.NoError(t, err)
				require.GreaterOrEqual(t, limit, mib<<20+residentMost-400<<20)
			}
		}
	}
}

func TestSelectorsFindThePodsTheyMean(t *testing.T) {
	for _, file := range cases(t) {
		all := objects(t, file)
		pods := map[string]labels.Set{}
		for _, d := range deployments(all) {
			set := labels.Set(d.Spec.Template.Labels)
			require.True(t, selects(t, d.Spec.Selector, set), d.Name)
			pods[d.Name] = set
		}
		require.Len(t, pods, 2)
		for key, o := range all {
			sel, name := selectorOf(o)
			if sel == nil {
				continue
			}
			for pod, set := range pods {
				require.Equal(t, pod == name, selects(t, sel, set), "%s of %s: %s", key, file, pod)
			}
		}
	}
}

// selectorOf is how the object finds its pods, and the name that it shares with their deployment.
func selectorOf(o runtime.Object) (*metav1.LabelSelector, string) {
	switch o := o.(type) {
	case *corev1.Service:
		return &metav1.LabelSelector{MatchLabels: o.Spec.Selector}, o.Name
	case *policyv1.PodDisruptionBudget:
		return o.Spec.Selector, o.Name
	case *networkingv1.NetworkPolicy:
		return &o.Spec.PodSelector, o.Name
	case *monitoring.ServiceMonitor: // the service's labels, which are the pods' and more
		return &o.Spec.Selector, o.Name
	}
	return nil, ""
}

func selects(t *testing.T, sel *metav1.LabelSelector, set labels.Set) bool {
	t.Helper()
	s, err := metav1.LabelSelectorAsSelector(sel)
	require.NoError(t, err)
	return !s.Empty() && s.Matches(set)
}

func TestProbesAskThePortThatTheProgramsListenOn(t *testing.T) {
	for _, file := range cases(t) {
		for _, d := range deployments(objects(t, file)) {
			c := containerOf(d)
			require.Equal(t, ":9464", variables(c)["METRICS_ADDR"])
			require.Len(t, c.Ports, 1)
			require.EqualValues(t, 9464, c.Ports[0].ContainerPort)
			require.Equal(t, "/healthz", c.LivenessProbe.HTTPGet.Path)
			require.Equal(t, "/readyz", c.ReadinessProbe.HTTPGet.Path)
			for _, p := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe} {
				require.Equal(t, c.Ports[0].Name, p.HTTPGet.Port.String())
			}
		}
	}
}

func TestProgramsAreToldOnlyWhatTheREADMEKnows(t *testing.T) {
	known := append(readmetest.Names(t), sampling...)
	known = append(known, "GOMEMLIMIT") // which Go's runtime reads
	for _, file := range cases(t) {
		for _, d := range deployments(objects(t, file)) {
			for name := range variables(containerOf(d)) {
				require.Contains(t, known, name)
			}
		}
	}
	for _, bad := range []map[string]any{
		{"config": map[string]any{"KAFKA_SERVER": "one letter short"}},
		{"config": map[string]any{"CLICKHOUSE_PASSWORD": "belongs to secrets"}},
		{"secrets": map[string]any{"values": map[string]any{"PASSWORD": "x"}}},
		{"config": map[string]any{"TEMPORAL_ADDRESS": "without-a-port"}},
		{"config": map[string]any{"TEMPORAL_ADDRESS": "a:7233,b:7233"}},
		{"config": map[string]any{"KAFKA_SERVERS": "kafka-1"}}, // whose 1 is no port
		{"config": map[string]any{"KAFKA_SERVERS": "kafka-1:9092,kafka-2"}},
		{"config": map[string]any{"KAFKA_SERVERS": "kafka-1:9092, kafka-2:9092"}},
		{"worker": map[string]any{"config": map[string]any{"TEMPORAL_ADDRESS": "2001:db8::7"}}},
		{"worker": map[string]any{"memoryMiB": 100}},
		{"worker": map[string]any{"terminationGracePeriodSeconds": 5}},
		{"worker": map[string]any{"keda": map[string]any{"enabled": true}}}, // beside the autoscaler
	} {
		_, err := render(bad)
		require.Error(t, err, "%v", bad)
	}
}

func TestEachProgramHasItsOwnOverTheCommonConfiguration(t *testing.T) {
	got := map[string]map[string]string{}
	for _, d := range deployments(objects(t, "testdata/secure.yaml")) {
		c := containerOf(d)
		got[c.Name] = variables(c)
		require.Equal(t, "ingest-passwords", c.EnvFrom[0].SecretRef.Name)
		require.Equal(t, "true", got[c.Name]["CLICKHOUSE_SECURE"])
		require.Equal(t, "9440", got[c.Name]["CLICKHOUSE_PORT"])
		require.Equal(t, "0.01", got[c.Name]["OTEL_TRACES_SAMPLER_ARG"])
	}
	require.Equal(t, "67108864", got["consumer"]["BATCH_BYTES"])
	require.NotContains(t, got["worker"], "BATCH_BYTES")
	require.Equal(t, "600", got["worker"]["WORKER_MEMORY_MIB"])
	require.Equal(t, "4", got["worker"]["WORKER_INSERTS"])
}

// docs/upgrades.md: workers first.
func TestConsumersCanStayAtTheVersionBefore(t *testing.T) {
	images := map[string]string{}
	for _, d := range deployments(objects(t, "testdata/small.yaml")) {
		images[containerOf(d).Name] = containerOf(d).Image
	}
	require.Equal(t, map[string]string{"worker": "registry.example/ingest:0.2.0", "consumer": "registry.example/ingest:0.1.0"}, images)
	for _, d := range deployments(objects(t, "testdata/secure.yaml")) {
		require.Regexp(t, "^ghcr.io/ai-backlog/ingest@sha256:[0-9a-f]{64}$", containerOf(d).Image)
	}
}

func TestPodsReachWhatTheyAreConfiguredFor(t *testing.T) {
	policy := objects(t, "testdata/secure.yaml")["NetworkPolicy/prod-ai-backlog-ingest-worker"].(*networkingv1.NetworkPolicy)
	var ports []string
	for _, e := range policy.Spec.Egress {
		for _, p := range e.Ports {
			ports = append(ports, p.Port.String())
		}
	}
	require.ElementsMatch(t, []string{"53", "53", "9093", "9094", "9440", "19440", "19441", "7233", "4317", "4318", "9464"}, ports)
}

// One that stands by is asked too, so every pod may ask and be asked by each of the release, and by no pod of another release for it.
func TestPodsReadTheMetricsOfTheirOwnRelease(t *testing.T) {
	for _, file := range cases(t) {
		all := objects(t, file)
		for _, o := range all {
			p, ok := o.(*networkingv1.NetworkPolicy)
			if !ok {
				continue
			}
			var out []networkingv1.NetworkPolicyPeer
			for _, e := range p.Spec.Egress {
				if e.Ports != nil && e.Ports[0].Port.IntValue() == 9464 {
					require.Len(t, e.Ports, 1)
					out = e.To
				}
			}
			require.Len(t, out, 1, file)
			in := p.Spec.Ingress[0].From
			for _, peer := range []networkingv1.NetworkPolicyPeer{out[0], in[len(in)-1]} {
				require.Nil(t, peer.NamespaceSelector)
				for _, d := range deployments(all) {
					pod := labels.Set(d.Spec.Template.Labels)
					require.True(t, selects(t, peer.PodSelector, pod), d.Name)
					require.False(t, selects(t, peer.PodSelector, labels.Merge(pod, labels.Set{"app.kubernetes.io/instance": "another"})))
				}
			}
		}
	}
}

// What NOTES says is pasted: starter status asks services that are there, on their port.
func TestTheNotesAskServicesThatAreThere(t *testing.T) {
	for _, file := range cases(t) {
		texts, err := render(valuesOf(t, file))
		require.NoError(t, err)
		notes := texts["ai-backlog-ingest/templates/NOTES.txt"]
		m := regexp.MustCompile(`starter status --metrics (\S+)\n`).FindStringSubmatch(notes)
		require.Len(t, m, 2, notes)
		all := objects(t, file)
		asked := strings.Split(m[1], ",")
		require.Len(t, asked, 2)
		for _, addr := range asked {
			host, port, _ := strings.Cut(addr, ":")
			s, ok := all["Service/"+host].(*corev1.Service)
			require.True(t, ok, "%s of %s", host, file)
			require.Equal(t, corev1.ClusterIPNone, s.Spec.ClusterIP, "its name is every pod's address")
			require.Equal(t, port, fmt.Sprint(s.Spec.Ports[0].Port))
		}
		if file == "" {
			readme, err := os.ReadFile("../README.md")
			require.NoError(t, err)
			require.Contains(t, string(readme), "starter status --metrics "+strings.ReplaceAll(m[1], "prod-", "ingest-"), "whose release is called ingest")
		}
		topic := "ai_backlog_logs"
		if strings.HasSuffix(file, "keda.yaml") {
			topic = "my_logs"
		}
		require.Contains(t, notes, "for topic in "+topic+" ai_backlog_metrics ai_backlog_events; do", file)
	}
}

// The names of jobs are those of deploy/prometheus/prometheus.yml.
func TestPrometheusKnowsThePodsByTheJobsOfTheAlerts(t *testing.T) {
	all := objects(t, "testdata/secure.yaml")
	for _, program := range []string{"consumer", "worker"} {
		m := all["ServiceMonitor/prod-ai-backlog-ingest-"+program].(*monitoring.ServiceMonitor)
		require.Equal(t, "job", m.Spec.Endpoints[0].RelabelConfigs[0].TargetLabel)
		require.Equal(t, "ingest-"+program, *m.Spec.Endpoints[0].RelabelConfigs[0].Replacement)
		require.True(t, *m.Spec.ScrapeNativeHistograms, "as deploy/prometheus/prometheus.yml has it")
	}
}

func TestWorkersAreScaledByOneThing(t *testing.T) {
	hpa := objects(t, "")["HorizontalPodAutoscaler/prod-ai-backlog-ingest-worker"].(*autoscalingv2.HorizontalPodAutoscaler)
	require.Equal(t, "prod-ai-backlog-ingest-worker", hpa.Spec.ScaleTargetRef.Name)
	require.GreaterOrEqual(t, *hpa.Spec.MinReplicas, int32(2))
	for _, file := range cases(t) {
		all := objects(t, file)
		for _, d := range deployments(all) {
			_, scaled := all["HorizontalPodAutoscaler/"+d.Name]
			if scaled || strings.HasSuffix(file, "keda.yaml") && strings.HasSuffix(d.Name, "-worker") {
				require.Nil(t, d.Spec.Replicas, "an upgrade would set back what the autoscaler has chosen")
			} else {
				require.Positive(t, *d.Spec.Replicas)
			}
		}
	}
}
