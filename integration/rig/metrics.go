package rig

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// Metrics are the series that a program serves at one moment, by name and labels as the text has them.
type Metrics map[string]float64

// served is where a program says that its metrics are.
var served = regexp.MustCompile(`msg="metrics are served" address=(\S+)`)

// MetricsAnywhere has a program serve metrics at a port of its own choice, for Metrics.
const MetricsAnywhere = "METRICS_ADDR=127.0.0.1:0"

// MetricsAddr is host:port of the metrics of a program; "" before it serves any.
func (p *Process) MetricsAddr() string {
	said := served.FindAllStringSubmatch(p.Log(), -1)
	if len(said) == 0 {
		return ""
	}
	return said[len(said)-1][1]
}

// Metrics asks a program that serves them.
func (p *Process) Metrics(ctx context.Context) (Metrics, error) {
	addr := p.MetricsAddr()
	if addr == "" {
		return nil, errors.New(p.name + " serves no metrics yet")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	m := Metrics{}
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		series, value, ok := cutLast(lines.Text())
		if !ok || strings.HasPrefix(series, "#") {
			continue
		}
		if m[series], err = strconv.ParseFloat(value, 64); err != nil {
			return nil, fmt.Errorf("metrics of %s: %q: %w", p.name, lines.Text(), err)
		}
	}
	return m, nil
}

func cutLast(line string) (before, after string, ok bool) {
	i := strings.LastIndexByte(line, ' ')
	if i < 0 {
		return line, "", false
	}
	return line[:i], line[i+1:], true
}

// Sum is of all series of the name that have these labels, like `topic="logs"`.
func (m Metrics) Sum(name string, labels ...string) (sum float64) {
	for _, v := range m.of(name, labels) {
		sum += v
	}
	return sum
}

// Max is the largest of them, 0 if there is none.
func (m Metrics) Max(name string, labels ...string) (most float64) {
	for _, v := range m.of(name, labels) {
		most = max(most, v)
	}
	return most
}

// Count is how many there are.
func (m Metrics) Count(name string, labels ...string) int { return len(m.of(name, labels)) }

func (m Metrics) of(name string, labels []string) (vs []float64) {
series:
	for series, v := range m {
		of, rest, _ := strings.Cut(series, "{")
		if of != name {
			continue
		}
		for _, l := range labels {
			if !strings.Contains("{"+rest, "{"+l) && !strings.Contains(rest, ","+l) {
				continue series
			}
		}
		vs = append(vs, v)
	}
	return vs
}
