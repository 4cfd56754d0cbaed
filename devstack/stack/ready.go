//go:build unix

package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// askWithin bounds one question to a server: one that is frozen accepts connections and never answers.
const askWithin = 2 * time.Second

// AskClickHouse is nil if a ClickHouse answers /ping on the HTTP address and something listens on the native one.
func AskClickHouse(ctx context.Context, native, httpAddr string) error {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	if err := get(ctx, "http://"+httpAddr+"/ping", "Ok.\n"); err != nil {
		return err
	}
	conn, err := dial(ctx, native)
	if err != nil {
		return err
	}
	return conn.Close()
}

// AskTemporal is nil if a Temporal frontend says it serves, and, unless ui is empty, its UI answers.
func AskTemporal(ctx context.Context, frontend, ui string) error {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	conn, err := grpc.NewClient("passthrough:///"+frontend, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	answer, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{
		Service: "temporal.api.workflowservice.v1.WorkflowService",
	})
	if err != nil {
		return err
	}
	if answer.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		return fmt.Errorf("frontend is %s", answer.GetStatus())
	}
	if ui == "" {
		return nil
	}
	return get(ctx, "http://"+ui+"/healthz", "")
}

// AskKafka is nil if a Kafka broker answers an ApiVersions request.
func AskKafka(ctx context.Context, broker string) error {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	conn, err := dial(ctx, broker)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	const correlation = 7
	request := kmsg.NewPtrApiVersionsRequest() // version 0, which every broker answers
	if _, err := conn.Write(kmsg.NewRequestFormatter(kmsg.FormatterClientID("devstack")).AppendRequest(nil, request, correlation)); err != nil {
		return err
	}
	var head [8]byte // size, correlation ID
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if head[4] != 0 || head[5] != 0 || head[6] != 0 || head[7] != correlation {
		return errors.New("the answer is not Kafka's")
	}
	return nil
}

func dial(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", addr)
}

// get is nil if the answer is 200 and, unless want is empty, has that body.
func get(ctx context.Context, url, want string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	request.Close = true // no connection is kept to a server that may be killed
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 4096))
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", url, answer.Status)
	}
	if want != "" && string(body) != want {
		return fmt.Errorf("%s did not answer as expected", url)
	}
	return nil
}
