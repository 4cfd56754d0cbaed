package rig

import (
	"fmt"
	"regexp"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

// length is a length of time in an expression.
var length = regexp.MustCompile(`\b[0-9]+(ms|s|m|h|d)\b`)

// Shortened are the same rules with every length of time, of windows, of what is compared, and of how long it has to last, divided by
// the number that its group has: so a test need not wait for hours, and tests these very expressions.
func Shortened(rules []byte, by map[string]int) ([]byte, error) {
	var file struct {
		Groups []struct {
			Name  string           `yaml:"name"`
			Rules []map[string]any `yaml:"rules"`
		} `yaml:"groups"`
	}
	if err := yaml.Unmarshal(rules, &file); err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	for _, g := range file.Groups {
		if by[g.Name] == 0 {
			return nil, fmt.Errorf("by how much is the group %q to be shortened?", g.Name)
		}
		for _, r := range g.Rules {
			for _, key := range []string{"expr", "for"} {
				if text, ok := r[key].(string); ok {
					r[key] = length.ReplaceAllStringFunc(text, func(l string) string { return divided(l, by[g.Name]) })
				}
			}
		}
	}
	return yaml.Marshal(file)
}

func divided(text string, by int) string {
	d, err := model.ParseDuration(text)
	if err != nil {
		return text
	}
	return model.Duration(max(time.Duration(d)/time.Duration(by), time.Millisecond).Round(time.Millisecond)).String()
}
