// Package handshake tells which setting to look at when TLS with a server does not come about.
package handshake

import "strings"

// Settings are the names of the variables that say how to reach a server.
type Settings struct {
	Address     string // where it is
	Encrypted   string // whether to use TLS
	Authorities string // who may have signed its certificate
	Certificate string // what to show it
}

// Check is what to do about the error, empty if it is not one of TLS. It goes by the words of Go's own errors: of most, Temporal's
// client keeps nothing else, and those of a server's alerts have no type.
func (s Settings) Check(err error) string {
	if err == nil {
		return ""
	}
	text := err.Error()
	says := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(text, w) {
				return true
			}
		}
		return false
	}
	switch {
	case says("certificate signed by unknown authority", "certificate is not trusted"):
		return "set " + s.Authorities + " to the PEM file of the authority that signed the server's certificate"
	case says("x509: certificate has expired or is not yet valid"):
		return "renew the certificate of the server that " + s.Address + " names, or set this machine's clock"
	case says("x509: certificate is valid for", "x509: cannot validate certificate for", "x509: certificate is not valid for any names"):
		return "name the server in " + s.Address + " as its certificate does, or give it one for this name"
	case says("remote error: tls:") && says("certificate", "unknown certificate authority"):
		return "the server wants a certificate of a client, by an authority that it trusts: check " + s.Certificate
	case says("remote error: tls:"):
		return "the server does not agree on how to encrypt: check " + s.Encrypted
	case says("first record does not look like a TLS handshake"):
		return "the server speaks no TLS there: check " + s.Encrypted + ", and the port of " + s.Address
	}
	return ""
}
