// Package kubernetes tests the Helm chart: it is rendered by Helm's own library, with the values of each file in testdata, and every
// object is decoded strictly into Kubernetes' own types, so that no field is misspelt or in the wrong place.
package kubernetes

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/stretchr/testify/require"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

const chartDir = "chart"

// cases are the values files, and "" for the chart's own values alone.
func cases(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	return append(files, "")
}

func valuesOf(t *testing.T, file string) map[string]any {
	t.Helper()
	if file == "" {
		return map[string]any{}
	}
	values, err := common.ReadValuesFile(file)
	require.NoError(t, err)
	return values
}

// render is what Helm makes of the chart with the values.
func render(values map[string]any) (map[string]string, error) {
	c, err := loader.LoadDir(chartDir)
	if err != nil {
		return nil, err
	}
	all, err := util.ToRenderValues(c, values, common.ReleaseOptions{Name: "prod", Namespace: "agents", IsInstall: true}, nil)
	if err != nil {
		return nil, err
	}
	return engine.Render(c, all)
}

// keda is as much of KEDA's ScaledObject as the chart uses: its own module has a tree of dependencies for it.
type keda struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Metadata   map[string]any `json:"metadata"`
	Spec       struct {
		ScaleTargetRef                                                    struct{ APIVersion, Kind, Name string }
		MinReplicaCount, MaxReplicaCount, PollingInterval, CooldownPeriod int
		Triggers                                                          []struct {
			Type              string
			Metadata          map[string]string
			AuthenticationRef struct{ Name string }
		}
	}
}

// objects are the chart's, by kind and name.
func objects(t *testing.T, file string) map[string]runtime.Object {
	t.Helper()
	texts, err := render(valuesOf(t, file))
	require.NoError(t, err)
	types := runtime.NewScheme()
	require.NoError(t, scheme.AddToScheme(types))
	require.NoError(t, monitoring.AddToScheme(types))
	strict := serializer.NewCodecFactory(types, serializer.EnableStrict).UniversalDeserializer()
	all := map[string]runtime.Object{}
	for name, text := range texts {
		if strings.HasSuffix(name, "NOTES.txt") {
			require.NotContains(t, text, "<no value>")
			continue
		}
		for doc := range strings.SplitSeq("\n"+text, "\n---") {
			if strings.TrimSpace(doc) == "" {
				continue
			}
			require.NotContains(t, doc, "<no value>", name)
			if strings.Contains(doc, "kind: ScaledObject") {
				var k keda
				require.NoError(t, yaml.UnmarshalStrict([]byte(doc), &k), doc)
				require.Len(t, k.Spec.Triggers, 3)
				continue
			}
			o, kind, err := strict.Decode([]byte(doc), nil, nil)
			require.NoError(t, err, "%s\n%s", name, doc)
			m := o.(interface{ GetName() string })
			key := fmt.Sprint(kind.Kind, "/", m.GetName())
			require.NotContains(t, all, key)
			all[key] = o
		}
	}
	return all
}

func deployments(all map[string]runtime.Object) (ds []*appsv1.Deployment) {
	for _, o := range all {
		if d, ok := o.(*appsv1.Deployment); ok {
			ds = append(ds, d)
		}
	}
	return ds
}

func TestHelmFindsNothingToSayAboutTheChart(t *testing.T) {
	for _, file := range cases(t) {
		l := lint.RunAll(chartDir, valuesOf(t, file), "agents")
		for _, m := range l.Messages {
			require.LessOrEqual(t, m.Severity, support.InfoSev, "%s: %s", file, m)
		}
	}
}

func TestEveryObjectIsOneThatKubernetesKnows(t *testing.T) {
	kinds := map[string]bool{}
	for _, file := range cases(t) {
		for key := range objects(t, file) {
			kind, _, _ := strings.Cut(key, "/")
			kinds[kind] = true
		}
	}
	for _, kind := range []string{"Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy", "HorizontalPodAutoscaler", "ServiceAccount", "Secret", "ServiceMonitor", "PrometheusRule"} {
		require.True(t, kinds[kind], "no values file makes a %s", kind)
	}
}

func containerOf(d *appsv1.Deployment) corev1.Container { return d.Spec.Template.Spec.Containers[0] }

// variables are the environment that a container is given by name.
func variables(c corev1.Container) map[string]string {
	all := map[string]string{}
	for _, e := range c.Env {
		all[e.Name] = e.Value
	}
	return all
}
