package main

import (
	"fmt"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// page is a dashboard.
type page struct {
	title, about string
	variables    []cog.Builder[dashboard.VariableModel]
	rows         []row
}

type row struct {
	title  string
	panels []panel
}

// board is a dashboard in the schema of files that every Grafana since 9 is provisioned with; the newer one is for its API.
type board = dashboard.Dashboard //nolint:staticcheck // see above

// build puts a page together. Panels are numbered in their order, and rows from 1000 on.
func (p page) build(uid string) (board, error) {
	b := dashboard.NewDashboardBuilder("Ingest: " + p.title) //nolint:staticcheck // see board
	b = b.Uid(uid).Description(p.about).Tags([]string{"ingest"}).
		Time("now-1h", "now").Refresh("30s").Timezone("browser").Tooltip(dashboard.DashboardCursorSyncCrosshair).Editable().
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Label("data source").Type("prometheus")).
		Link(dashboard.NewDashboardLinkBuilder("Ingest").Type(dashboard.DashboardLinkTypeDashboards).Tags([]string{"ingest"}).KeepTime(true).IncludeVars(true))
	for _, v := range p.variables {
		b = b.WithVariable(v)
	}
	id := uint32(0)
	for n, r := range p.rows {
		b = b.WithRow(dashboard.NewRowBuilder(r.title).Id(1000 + uint32(n))) //nolint:gosec // a handful
		for _, p := range r.panels {
			id++
			b = b.WithPanel(p.build(id))
		}
	}
	return b.Build()
}

// choice is a variable of the values that a label has; all of them unless some are chosen.
func choice(label, metric string) cog.Builder[dashboard.VariableModel] {
	return dashboard.NewQueryVariableBuilder(label).Label(label).Datasource(source()).
		Query(dashboard.StringOrMap{String: cog.ToPtr(fmt.Sprintf("label_values(%s, %s)", metric, label))}).
		Refresh(dashboard.VariableRefreshOnTimeRangeChanged).Sort(dashboard.VariableSortAlphabeticalAsc).
		Multi(true).IncludeAll(true).AllValue(".+").
		Current(dashboard.VariableOption{Text: one("All"), Value: one("$__all")})
}

// given is a variable that is typed in.
func given(name, label, value string) cog.Builder[dashboard.VariableModel] {
	return dashboard.NewTextBoxVariableBuilder(name).Label(label).DefaultValue(dashboard.StringOrMap{String: &value}).
		Current(dashboard.VariableOption{Text: one(value), Value: one(value)})
}

func one(value string) dashboard.StringOrArrayOfString {
	return dashboard.StringOrArrayOfString{String: &value}
}

// quantile is one of a histogram that is scraped as a native one, or as a classic one where it is one, or where Prometheus keeps those.
func quantile(q, metric, labels, by, legend string) query {
	le := "le"
	if by != "" {
		le = by + ", le"
	}
	return query{fmt.Sprintf("histogram_quantile(%[1]s, sum by (%[4]s) (rate(%[2]s%[3]s[$__rate_interval]))) or histogram_quantile(%[1]s, sum by (%[5]s) (rate(%[2]s_bucket%[3]s[$__rate_interval])))", q, metric, labels, by, le), legend}
}

// quantiles are 50, 95 and 99 % of it, of the chosen topics.
func quantiles(metric string) []query {
	return []query{quantile("0.5", metric, ofTopic, "", "50 %"), quantile("0.95", metric, ofTopic, "", "95 %"), quantile("0.99", metric, ofTopic, "", "99 %")}
}

// rate is the rate of a counter, by some labels.
func rate(metric, labels, by, legend string) query {
	return query{fmt.Sprintf("sum by (%s) (rate(%s%s[$__rate_interval]))", by, metric, labels), legend}
}

// units, as Grafana names them.
const (
	count      = "short"
	perSecond  = "cps"
	seconds    = "s"
	inBytes    = "bytes"
	bytesASec  = "binBps"
	share      = "percentunit"
	sinceThen  = "dateTimeFromNow"
	ofTopic    = `{topic=~"$topic"}`
	legendOf   = "{{topic}}"
	filterHead = "${temporal}/namespaces/${namespace}/workflows?query="
)
