package rig

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Authority signs certificates for tests of TLS.
type Authority struct {
	File string // PEM, its own certificate

	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	text []byte
}

// Pair is a certificate and its key, as PEM files. Store is both in one, with the authority, as Kafka's brokers want it.
type Pair struct{ Cert, Key, Store string }

// NewAuthority is one that nobody trusts yet. Its files are in dir, and named by its name.
func NewAuthority(dir, name string) (*Authority, error) {
	a := &Authority{dir: dir, File: filepath.Join(dir, name+".pem")}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, a.key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	a.text = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a, os.WriteFile(a.File, a.text, 0o600)
}

// Issue makes a certificate of that name, good until the time, for servers at the hosts and for clients.
func (a *Authority) Issue(name string, until time.Time, hosts ...string) (p Pair, err error) {
	template := x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: until.Add(-24 * time.Hour), NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return p, err
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, a.cert, key.Public(), a.key)
	if err != nil {
		return p, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return p, err
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	hidden := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	p = Pair{Cert: filepath.Join(a.dir, name+".pem"), Key: filepath.Join(a.dir, name+".key"), Store: filepath.Join(a.dir, name+".store.pem")}
	for file, parts := range map[string][][]byte{p.Cert: {cert}, p.Key: {hidden}, p.Store: {hidden, cert, a.text}} {
		if err := writeAll(file, parts); err != nil {
			return p, fmt.Errorf("issue %s: %w", name, err)
		}
	}
	return p, nil
}

func writeAll(file string, parts [][]byte) error {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	return os.WriteFile(file, all, 0o600)
}
