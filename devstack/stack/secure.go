//go:build unix

package stack

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Security are the ways into an Apache Kafka that ask who one is, beside the plain one at Addr. Who comes by that one, or with TLS
// and without a certificate, is User:ANONYMOUS, who may do everything.
type Security struct {
	Listeners []Listener
	Users     map[string]string // passwords by name, for PLAIN; users of SCRAM are made by a request
	ACLs      bool              // all others may do what an ACL allows, and nothing else; false: everything
}

// Listener is one more address of the broker, and how to be let in there.
type Listener struct {
	Name       string   // capital letters
	Protocol   string   // SSL, SASL_PLAINTEXT or SASL_SSL
	Mechanisms []string // of SASL; nil: PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512
	Keystore   string   // PEM file, of the broker's key (PKCS #8) and certificates; for TLS
	Truststore string   // PEM file of the authorities of clients' certificates, which clients must show then; "": none is asked for
}

// ListenerAddr is host:port of the listener of that name. It never changes.
func (s *Server) ListenerAddr(name string) string { return loopback(s.listeners[name].port) }

// listen reserves the listeners' ports.
func (s *Server) listen(o *Security) error {
	if o == nil {
		return nil
	}
	s.listeners = map[string]reservation{}
	for _, l := range o.Listeners {
		r, err := reserve(0)
		if err != nil {
			return fmt.Errorf("%s: %w", KafkaName, err)
		}
		s.listeners[l.Name] = r
	}
	return nil
}

// firm are the ports that never change.
func (s *Server) firm() []reservation {
	return append([]reservation{s.port, s.http, s.fixed}, slices.Collect(maps.Values(s.listeners))...)
}

// secureConfig are the properties that go over those of a plain broker: of a property that is given twice the last one counts.
func (s *Server) secureConfig(o *Security) []string {
	if o == nil {
		return nil
	}
	plain := "PLAINTEXT://" + s.Addr()
	listeners, advertised := []string{plain, "CONTROLLER://" + loopback(s.fixed.port)}, []string{plain}
	protocols := []string{"PLAINTEXT:PLAINTEXT", "CONTROLLER:PLAINTEXT"}
	var lines []string
	for _, l := range o.Listeners {
		at := l.Name + "://" + s.ListenerAddr(l.Name)
		listeners, advertised = append(listeners, at), append(advertised, at)
		protocols = append(protocols, l.Name+":"+l.Protocol)
		for _, property := range append(l.tls(), l.sasl(o.Users)...) {
			lines = append(lines, "listener.name."+strings.ToLower(l.Name)+"."+property)
		}
	}
	lines = append(lines, "listeners="+strings.Join(listeners, ","), "advertised.listeners="+strings.Join(advertised, ","),
		"listener.security.protocol.map="+strings.Join(protocols, ","))
	if o.ACLs {
		lines = append(lines, "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer", "super.users=User:ANONYMOUS")
	}
	return lines
}

func (l Listener) tls() []string {
	if !strings.HasSuffix(l.Protocol, "SSL") {
		return nil
	}
	lines := []string{"ssl.keystore.type=PEM", "ssl.keystore.location=" + l.Keystore}
	if l.Truststore == "" {
		return lines
	}
	return append(lines, "ssl.truststore.type=PEM", "ssl.truststore.location="+l.Truststore, "ssl.client.auth=required")
}

func (l Listener) sasl(users map[string]string) []string {
	if !strings.HasPrefix(l.Protocol, "SASL_") {
		return nil
	}
	mechanisms := l.Mechanisms
	if mechanisms == nil {
		mechanisms = []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}
	}
	lines := []string{"sasl.enabled.mechanisms=" + strings.Join(mechanisms, ",")}
	for _, m := range mechanisms {
		module := "scram.ScramLoginModule required"
		if m == "PLAIN" {
			module = "plain.PlainLoginModule required"
			for _, name := range slices.Sorted(maps.Keys(users)) {
				module += fmt.Sprintf(" user_%s=%q", name, users[name])
			}
		}
		lines = append(lines, fmt.Sprintf("%s.sasl.jaas.config=org.apache.kafka.common.security.%s;", strings.ToLower(m), module))
	}
	return lines
}
