package main

import (
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// look is how a panel shows what its queries answer.
type look int

const (
	graph  look = iota // lines over time
	number             // what it is now
	list               // a table of what it is now
)

// panel is one of a dashboard.
type panel struct {
	title, about string
	unit         string
	look         look
	width        uint32 // of 24; 0: 8 for a graph, 4 for a number, 24 for a list
	queries      []query
	red          float64 // from here on a number is red; 0: never
	redBelow     float64 // below it a number is red
	max          float64 // of the axis; 0: what comes
	stacked      bool
	link         link // of each series
}

type query struct{ expr, legend string }

// link leads to another page.
type link struct{ title, url string }

// source is the data source that a reader of the dashboard chose.
func source() common.DataSourceRef {
	return common.DataSourceRef{Type: cog.ToPtr("prometheus"), Uid: cog.ToPtr("${datasource}")}
}

func (p panel) build(id uint32) cog.Builder[dashboard.Panel] {
	switch p.look {
	case number:
		return p.number(id)
	case list:
		return p.list(id)
	default:
		return p.graph(id)
	}
}

func (p panel) targets() []cog.Builder[variants.Dataquery] {
	var all []cog.Builder[variants.Dataquery]
	for i, q := range p.queries {
		t := prometheus.NewDataqueryBuilder().RefId(string(rune('A' + i))).Datasource(source()).Expr(q.expr).LegendFormat(q.legend)
		if p.look == list {
			t = t.Instant().Format(prometheus.PromQueryFormatTable)
		} else {
			t = t.Range()
		}
		all = append(all, t)
	}
	return all
}

func (p panel) links() []cog.Builder[dashboard.DashboardLink] {
	if p.link.url == "" {
		return nil
	}
	return []cog.Builder[dashboard.DashboardLink]{
		dashboard.NewDashboardLinkBuilder(p.link.title).Type(dashboard.DashboardLinkTypeLink).Url(p.link.url).TargetBlank(true),
	}
}

func (p panel) thresholds() cog.Builder[dashboard.ThresholdsConfig] {
	t := []dashboard.Threshold{{Color: "green"}}
	switch {
	case p.red != 0:
		t = append(t, dashboard.Threshold{Value: &p.red, Color: "red"})
	case p.redBelow != 0:
		t = []dashboard.Threshold{{Color: "red"}, {Value: &p.redBelow, Color: "green"}}
	}
	return dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).Steps(t)
}

func (p panel) wide(otherwise uint32) uint32 {
	if p.width != 0 {
		return p.width
	}
	return otherwise
}

func (p panel) graph(id uint32) cog.Builder[dashboard.Panel] {
	b := timeseries.NewPanelBuilder().Id(id).Title(p.title).Description(p.about).Unit(p.unit).Datasource(source()).Height(8).Span(p.wide(8)).
		Targets(p.targets()).Min(0).FillOpacity(8).ShowPoints(common.VisibilityModeNever).DataLinks(p.links()).
		Legend(common.NewVizLegendOptionsBuilder().DisplayMode(common.LegendDisplayModeList).Placement(common.LegendPlacementBottom).ShowLegend(true)).
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).Sort(common.SortOrderDescending))
	if p.max != 0 {
		b = b.Max(p.max)
	}
	if p.stacked {
		b = b.FillOpacity(40).Stacking(common.NewStackingConfigBuilder().Mode(common.StackingModeNormal))
	}
	return b
}

func (p panel) number(id uint32) cog.Builder[dashboard.Panel] {
	return stat.NewPanelBuilder().Id(id).Title(p.title).Description(p.about).Unit(p.unit).Datasource(source()).Height(4).Span(p.wide(4)).
		Targets(p.targets()).Thresholds(p.thresholds()).DataLinks(p.links()).ColorMode(common.BigValueColorModeValue).GraphMode(common.BigValueGraphModeArea).
		ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"}))
}

func (p panel) list(id uint32) cog.Builder[dashboard.Panel] {
	return table.NewPanelBuilder().Id(id).Title(p.title).Description(p.about).Unit(p.unit).Datasource(source()).Height(8).Span(p.wide(24)).
		Targets(p.targets()).DataLinks(p.links()).NoValue("none").
		Footer(common.NewTableFooterOptionsBuilder().Show(false).Reducer([]string{"sum"}))
}
