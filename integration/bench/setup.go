package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/ai-backlog/ingest/integration/rig"
)

// setup is what one measurement differs by from another.
type setup struct {
	name                string
	workers, partitions int
	env                 []string // of every program
}

// setups reads them as they are written: "workers=1; workers=2 BATCH_WINDOW=4".
func setups(text string) ([]setup, error) {
	var all []setup
	for part := range strings.SplitSeq(text, ";") {
		s := setup{name: strings.TrimSpace(part), workers: 1}
		for word := range strings.FieldsSeq(part) {
			key, value, ok := strings.Cut(word, "=")
			var err error
			switch {
			case !ok:
				err = errors.New("want key=value")
			case key == "workers":
				s.workers, err = strconv.Atoi(value)
			case key == "partitions":
				s.partitions, err = strconv.Atoi(value)
			default:
				s.env = append(s.env, word)
			}
			if err != nil {
				return nil, fmt.Errorf("-setups: %q: %w", word, err)
			}
		}
		all = append(all, s)
	}
	return all, nil
}

func (s setup) options(dir string) rig.Options {
	return rig.Options{Dir: dir, NoSync: true, Partitions: s.partitions, Env: s.env}
}
