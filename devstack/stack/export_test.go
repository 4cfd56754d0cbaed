//go:build unix

package stack

import "time"

// EndInput does what the death of this process does to the server, without the kernel's own kill: its input ends. It answers
// how the server ended.
func (s *Server) EndInput() string {
	p := s.process()
	_ = p.stdin.Close()
	select {
	case <-p.done:
		return p.cmd.ProcessState.String()
	case <-time.After(stopWithin):
		_ = s.Kill()
		return "not at all"
	}
}

// SparePorts are those that only the server itself uses.
func (s *Server) SparePorts() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	ports := make([]int, len(s.spare))
	for i, r := range s.spare {
		ports[i] = r.port
	}
	return ports
}

// SourceKey names a build.
var SourceKey = sourceKey
