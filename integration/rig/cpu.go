package rig

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// CPU is the seconds that each process has taken, user and system.
func CPU(pids map[string]int) (map[string]float64, error) {
	out := map[string]float64{}
	for name, pid := range pids {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return nil, fmt.Errorf("CPU of %s: %w", name, err)
		}
		f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+2:]))
		var ticks float64
		for _, s := range f[11:13] { // utime and stime, in hundredths of a second
			n, err := strconv.ParseFloat(s, 64)
			if err != nil {
				return nil, fmt.Errorf("CPU of %s: %w", name, err)
			}
			ticks += n
		}
		out[name] = ticks / 100
	}
	return out, nil
}
