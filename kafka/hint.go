package kafka

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ai-backlog/ingest/handshake"
)

// variables are those that an error of TLS may be about.
var variables = handshake.Settings{
	Address: "KAFKA_SERVERS", Encrypted: "KAFKA_SECURITY_PROTOCOL", Authorities: "KAFKA_SSL_CA_LOCATION",
	Certificate: "KAFKA_SSL_CERTIFICATE_LOCATION and KAFKA_SSL_KEY_LOCATION",
}

// advisedError is an error that says what to do about it.
type advisedError struct {
	error
	do string
}

func (e *advisedError) Error() string { return e.error.Error() + ": " + e.do }
func (e *advisedError) Unwrap() error { return e.error }

// ErrCloses says that a broker ends connections instead of answering: often one that wants TLS or a login, or does not want TLS.
var ErrCloses = errors.New("the broker closes connections before it answers")

// Advised tells whether Hint has something to say.
func Advised(err error) bool { return err != nil && advice(err) != "" }

// Hint adds which setting to look at, or what to grant, to a refusal and to an error of TLS. Any other stays as it is, and so does
// one that has its hint.
func Hint(err error) error {
	var advised *advisedError
	if err == nil || errors.As(err, &advised) {
		return err
	}
	if do := advice(err); do != "" {
		return &advisedError{err, do}
	}
	return err
}

func advice(err error) string {
	var early *kgo.ErrFirstReadEOF
	switch {
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return "check KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD, and whether the user was made for KAFKA_SASL_MECHANISMS"
	case errors.Is(err, kerr.UnsupportedSaslMechanism), errors.Is(err, kerr.IllegalSaslState):
		return "check KAFKA_SECURITY_PROTOCOL and KAFKA_SASL_MECHANISMS"
	case IsDenied(err):
		return "grant it to " + grantee
	case errors.As(err, &early), errors.Is(err, ErrCloses), strings.Contains(err.Error(), "the broker connection has died"): // franz-go gives it no type
		return "if it lasts, check KAFKA_SECURITY_PROTOCOL, and the port of KAFKA_SERVERS"
	case errors.Is(err, syscall.ECONNRESET): // it overtakes the alert that would say why
		return "if it lasts, check KAFKA_SECURITY_PROTOCOL, the port of KAFKA_SERVERS, and KAFKA_SSL_CERTIFICATE_LOCATION"
	case strings.Contains(err.Error(), "appear to be a tls alert record"): // franz-go gives it no type
		return "check KAFKA_SECURITY_PROTOCOL: the broker speaks TLS there"
	}
	return variables.Check(err)
}

// grantee is who a right is granted to.
const grantee = "KAFKA_SASL_USERNAME, or to the subject of KAFKA_SSL_CERTIFICATE_LOCATION"

// Denied names the right that is missing, as in "Read on topic x", if Kafka refused for want of one. Any other error stays as it is.
func Denied(err error, right string, args ...any) error {
	var advised *advisedError
	if !IsDenied(err) || errors.As(err, &advised) {
		return err
	}
	return &advisedError{err, fmt.Sprintf("grant "+right+" to "+grantee, args...)}
}

// IsDenied tells whether Kafka knows who we are and refused for want of a right. Whoever waits goes on once it is granted.
func IsDenied(err error) bool {
	return isAny(err, kerr.ClusterAuthorizationFailed, kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed)
}

// IsRefused tells whether Kafka refused who we are, which waiting does not cure.
func IsRefused(err error) bool {
	return isAny(err, kerr.SaslAuthenticationFailed, kerr.UnsupportedSaslMechanism, kerr.IllegalSaslState)
}

// IsAuth tells whether Kafka refused who we are or what we ask for.
func IsAuth(err error) bool { return IsRefused(err) || IsDenied(err) }

func isAny(err error, of ...*kerr.Error) bool {
	for _, e := range of {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
