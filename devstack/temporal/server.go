//go:build unix

package main

import (
	"fmt"
	"time"

	uiserver "github.com/temporalio/ui-server/v2/server"
	uiconfig "github.com/temporalio/ui-server/v2/server/config"
	uioptions "github.com/temporalio/ui-server/v2/server/server_options"
	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	tlog "go.temporal.io/server/common/log"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/primitives"
	"go.temporal.io/server/temporal"
)

const loopback = "127.0.0.1"

// historyShards cannot change once the file exists. Four keep the idle server cheap and are more than two cores can use.
const historyShards = 4

func newServer(o options, store *config.SQL) (temporal.Server, error) {
	cfg := serverConfig(o, store)
	authorizer, err := authorization.GetAuthorizerFromConfig(&cfg.Global.Authorization)
	if err != nil {
		return nil, fmt.Errorf("authorizer: %w", err)
	}
	hosts := map[primitives.ServiceName]static.Hosts{}
	for name, service := range cfg.Services {
		hosts[primitives.ServiceName(name)] = static.SingleLocalHost(address(service.RPC.GRPCPort))
	}
	logger := tlog.NewZapLogger(tlog.BuildZapLogger(tlog.Config{Level: o.logLevel}))
	server, err := temporal.NewServer(
		temporal.WithConfig(cfg),
		temporal.ForServices(temporal.DefaultServices),
		temporal.WithStaticHosts(hosts),
		temporal.WithLogger(logger),
		temporal.WithAuthorizer(authorizer),
		temporal.WithDynamicConfigClient(dynamicConfig()),
	)
	if err != nil {
		return nil, fmt.Errorf("new server: %w", err)
	}
	return server, nil
}

func serverConfig(o options, store *config.SQL) *config.Config {
	var cfg config.Config
	cfg.Global.Membership.MaxJoinDuration = 30 * time.Second
	cfg.Global.Membership.BroadcastAddress = loopback
	cfg.Persistence.DefaultStore = "sqlite"
	cfg.Persistence.VisibilityStore = "sqlite"
	cfg.Persistence.NumHistoryShards = historyShards
	cfg.Persistence.DataStores = map[string]config.DataStore{"sqlite": {SQL: store}}
	cfg.ClusterMetadata = &cluster.Config{
		FailoverVersionIncrement: 10,
		MasterClusterName:        clusterName,
		CurrentClusterName:       clusterName,
		ClusterInformation: map[string]cluster.ClusterInformation{clusterName: {
			Enabled:                true,
			InitialFailoverVersion: 1,
			RPCAddress:             address(o.port),
			HTTPAddress:            address(o.internal[0]),
			ClusterID:              "2f6f7c1e-6a43-4b57-9c0d-1f5a6b1f0d11",
		}},
	}
	cfg.DCRedirectionPolicy.Policy = "noop"
	cfg.Services = map[string]config.Service{
		string(primitives.FrontendService): service(o.port, o.internal[0]),
		string(primitives.HistoryService):  service(o.internal[1], 0),
		string(primitives.MatchingService): service(o.internal[2], 0),
		string(primitives.WorkerService):   service(o.internal[3], 0),
	}
	cfg.Archival.History.State = "disabled"
	cfg.Archival.Visibility.State = "disabled"
	cfg.NamespaceDefaults.Archival.History.State = "disabled"
	cfg.NamespaceDefaults.Archival.Visibility.State = "disabled"
	cfg.PublicClient.HostPort = address(o.port)
	return &cfg
}

func service(grpcPort, httpPort int) config.Service {
	var s config.Service
	s.RPC.BindOnIP = loopback
	s.RPC.GRPCPort = grpcPort
	s.RPC.HTTPPort = httpPort
	return s
}

func address(port int) string { return fmt.Sprintf("%s:%d", loopback, port) }

// dynamicConfig differs from the defaults for these reasons:
//   - a waiting Get is answered at the latest after 2 s instead of 20 s when the server drops its notification;
//   - workflows can be paused and unpaused, which the operators' handbook relies on;
//   - search attributes are not read from disk at each start of a workflow, as the server does for SQLite otherwise;
//   - idle queues are polled 20 times a second at most, so that an idle stack leaves the processor alone.
func dynamicConfig() dynamicconfig.Client {
	return dynamicconfig.StaticClient{
		dynamicconfig.MakeKey("history.longPollExpirationInterval"):             2 * time.Second,
		dynamicconfig.MakeKey("frontend.WorkflowPauseEnabled"):                  true,
		dynamicconfig.MakeKey("system.forceSearchAttributesCacheRefreshOnRead"): false,
		dynamicconfig.MakeKey("history.transferProcessorMaxPollRPS"):            20,
		dynamicconfig.MakeKey("history.timerProcessorMaxPollRPS"):               20,
		dynamicconfig.MakeKey("frontend.namespaceRPS.visibility"):               100,
		dynamicconfig.MakeKey("history.hostLevelCacheMaxSize"):                  8096,
	}
}

// startUI answers a channel that gets the error if the UI ends; without a UI it stays silent.
func startUI(o options) <-chan error {
	failed := make(chan error, 1)
	if o.uiPort == 0 {
		return failed
	}
	ui := uiserver.NewServer(uioptions.WithConfigProvider(&uiconfig.Config{
		Host:                loopback,
		Port:                o.uiPort,
		TemporalGRPCAddress: address(o.port),
		DefaultNamespace:    namespace,
		EnableUI:            true,
		DisableNewsFetch:    true,
		HideLogs:            true,
		CORS:                uiconfig.CORS{CookieInsecure: true},
	}))
	go func() {
		if err := ui.Start(); err != nil {
			failed <- fmt.Errorf("ui: %w", err)
		}
	}()
	return failed
}
