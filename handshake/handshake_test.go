package handshake

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// certificate is one for 127.0.0.1 that signed itself.
func certificate(t *testing.T, until time.Time, host string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "server"}, NotBefore: until.Add(-48 * time.Hour), NotAfter: until,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	if ip := net.ParseIP(host); ip != nil {
		c.IPAddresses = []net.IP{ip}
	} else if host != "" {
		c.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	require.NoError(t, err)
	c, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(c)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// shake is what a client that reads is told.
func shake(t *testing.T, server, client *tls.Config) error {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a listener on loopback does not wait
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		if server == nil {
			_, _ = c.Write([]byte("hello, here is another protocol"))
		} else {
			_ = tls.Server(c, server).HandshakeContext(t.Context())
		}
		_ = c.(*net.TCPConn).CloseWrite() // a close with bytes unread would be a reset, and overtake the alert
	}()
	d := tls.Dialer{Config: client}
	c, err := d.DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	_, err = c.Read(make([]byte, 1))
	return err
}

func TestAHandshakeThatFailsSaysWhichSettingToCheck(t *testing.T) {
	soon := time.Now().Add(time.Hour)
	good, trusted := certificate(t, soon, "127.0.0.1")
	old, trustsOld := certificate(t, time.Now().Add(-time.Hour), "127.0.0.1")
	named, trustsNamed := certificate(t, soon, "kafka.example.com")
	nameless, trustsNameless := certificate(t, soon, "")
	as := func(c tls.Certificate) *tls.Config { return &tls.Config{Certificates: []tls.Certificate{c}} } //nolint:gosec // the newest version
	by := func(p *x509.CertPool) *tls.Config { return &tls.Config{RootCAs: p} }                          //nolint:gosec // the same
	mutual := as(good)
	mutual.ClientAuth, mutual.ClientCAs = tls.RequireAndVerifyClientCert, trusted
	newer := as(good)
	newer.MinVersion = tls.VersionTLS13
	older := by(trusted)
	older.MaxVersion = tls.VersionTLS12
	stranger := by(trusted)
	stranger.Certificates = []tls.Certificate{named}
	s := Settings{Address: "X_HOST", Encrypted: "X_TLS", Authorities: "X_CA", Certificate: "X_CERT"}
	for name, c := range map[string]struct {
		server, client *tls.Config
		want           string
	}{
		"a stranger signed it":          {as(good), by(trustsNamed), "set X_CA to"},
		"it is over":                    {as(old), by(trustsOld), "renew the certificate of the server that X_HOST names"},
		"it is for another name":        {as(named), by(trustsNamed), "name the server in X_HOST"},
		"it is for no name":             {as(nameless), by(trustsNameless), "name the server in X_HOST"},
		"the client has none":           {mutual, by(trusted), "check X_CERT"},
		"the client has one of another": {mutual, stranger, "check X_CERT"},
		"the server speaks no TLS":      {nil, by(trusted), "check X_TLS, and the port of X_HOST"},
		"the server wants newer TLS":    {newer, older, "check X_TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			err := shake(t, c.server, c.client)
			require.Error(t, err)
			require.Contains(t, s.Check(err), c.want, err)
		})
	}
	require.Empty(t, s.Check(nil))
	require.Empty(t, s.Check(errors.New("connection refused")))
}
