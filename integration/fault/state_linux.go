package fault

import (
	"bytes"
	"fmt"
	"os"
)

// state is the letter that the kernel gives to what a process does, or 0 if there is none.
func state(pid int) byte {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	return b[bytes.LastIndexByte(b, ')')+2]
}
