package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// series names one value of a program's metrics.
type series struct{ name, topic, rest string } // rest: the other labels, as in "place=stored"

// sample is what one program's metrics were, as far as they are ours.
type sample struct {
	values  map[series]float64
	buckets map[series][]bucket
}

// bucket is how many observations were at most so large.
type bucket struct{ limit, count float64 }

// reading is what the programs answered at about one time.
type reading struct {
	at       time.Time
	programs map[string]sample // by address; those that answered
	errs     map[string]error  // of those that did not
}

// readMetrics asks all programs at once.
func readMetrics(ctx context.Context, addresses []string) reading {
	r := reading{at: time.Now(), programs: map[string]sample{}, errs: map[string]error{}}
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	var mu sync.Mutex
	var asking sync.WaitGroup
	for _, addr := range addresses {
		asking.Go(func() {
			s, err := scrape(ctx, addr)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				r.errs[addr] = err
				return
			}
			r.programs[addr] = s
		})
	}
	asking.Wait()
	return r
}

func scrape(ctx context.Context, addr string) (s sample, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/metrics", http.NoBody)
	if err != nil {
		return s, err
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the request, which the line names anyhow
		}
		return s, err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return s, errors.New(answer.Status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(answer.Body)
	if err != nil {
		return s, fmt.Errorf("its answer is none of Prometheus: %w", err)
	}
	return sampleOf(families), nil
}

func sampleOf(families map[string]*dto.MetricFamily) sample {
	s := sample{values: map[series]float64{}, buckets: map[series][]bucket{}}
	for name, family := range families {
		if !strings.HasPrefix(name, "ingest_") {
			continue
		}
		for _, m := range family.GetMetric() {
			id := series{name: name}
			var rest []string
			for _, l := range m.GetLabel() {
				if l.GetName() == "topic" {
					id.topic = l.GetValue()
				} else {
					rest = append(rest, l.GetName()+"="+l.GetValue())
				}
			}
			slices.Sort(rest)
			id.rest = strings.Join(rest, ",")
			switch {
			case m.GetCounter() != nil:
				s.values[id] = m.GetCounter().GetValue()
			case m.GetGauge() != nil:
				s.values[id] = m.GetGauge().GetValue()
			case m.GetHistogram() != nil:
				for _, b := range m.GetHistogram().GetBucket() {
					s.buckets[id] = append(s.buckets[id], bucket{b.GetUpperBound(), float64(b.GetCumulativeCount())})
				}
			}
		}
	}
	return s
}

// all are the values of the topic's series of that name that any program has.
func (r reading) all(name, topic string) (values []float64) {
	for _, p := range r.programs {
		for id, v := range p.values {
			if id.name == name && id.topic == topic {
				values = append(values, v)
			}
		}
	}
	return values
}

// sum is nil if no program has the series.
func (r reading) sum(name, topic string) *float64 {
	values := r.all(name, topic)
	if len(values) == 0 {
		return nil
	}
	var sum float64
	for _, v := range values {
		sum += v
	}
	return &sum
}

// most is nil if no program has the series.
func (r reading) most(name, topic string) *float64 {
	values := r.all(name, topic)
	if len(values) == 0 {
		return nil
	}
	most := slices.Max(values)
	return &most
}

// topics are those of the consumers, whoever plans them.
func (r reading) topics() (found []string) {
	for _, p := range r.programs {
		for id := range p.values {
			if id.name == "ingest_planner" && !slices.Contains(found, id.topic) {
				found = append(found, id.topic)
			}
		}
	}
	slices.Sort(found)
	return found
}

// planners are those that say that they plan the topic.
func (r reading) planners(topic string) []string {
	var found []string
	for addr, p := range r.programs {
		if p.values[series{name: "ingest_planner", topic: topic}] == 1 {
			found = append(found, addr)
		}
	}
	slices.Sort(found)
	return found
}
