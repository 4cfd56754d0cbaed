package frontend

import (
	"errors"
	"fmt"
	"strings"

	"go.temporal.io/api/serviceerror"
	"google.golang.org/grpc/codes"

	"github.com/ai-backlog/ingest/handshake"
)

// variables are those that an error of TLS may be about.
var variables = handshake.Settings{
	Address: "TEMPORAL_ADDRESS", Encrypted: "TEMPORAL_TLS, which TEMPORAL_API_KEY switches on", Authorities: "TEMPORAL_TLS_SERVER_CA_CERT_PATH",
	Certificate: "TEMPORAL_TLS_CLIENT_CERT_PATH and TEMPORAL_TLS_CLIENT_KEY_PATH",
}

// Refused tells whether Temporal refused who we are, or where we want to work, which waiting does not cure.
func Refused(err error) bool {
	var none *serviceerror.NamespaceNotFound
	return errors.As(err, &none) || denied(err)
}

func denied(err error) bool {
	code := serviceerror.ToStatus(err).Code()
	return code == codes.PermissionDenied || code == codes.Unauthenticated
}

// Hint adds which setting to look at to a refusal, to an error of TLS, and to a host that is not. Any other stays as it is.
func Hint(err error) error {
	if err == nil {
		return nil
	}
	do := variables.Check(err)
	switch text := err.Error(); {
	case denied(err):
		do = "check TEMPORAL_API_KEY, or TEMPORAL_TLS_CLIENT_CERT_PATH, and whether it is for TEMPORAL_NAMESPACE"
	case do != "":
	case strings.Contains(text, "error reading server preface"), strings.Contains(text, "broken pipe"),
		strings.Contains(text, "connection reset by peer"): // a reset overtakes the alert that would say why
		do = "if it lasts, check TEMPORAL_TLS and TEMPORAL_TLS_CLIENT_CERT_PATH"
	case strings.Contains(text, "no children to pick from"): // gRPC's words, when DNS had no answer
		do = "check TEMPORAL_ADDRESS: its host was not found"
	}
	if do == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, do)
}
