//go:build unix

// Package config is what a ClickHouse of devstack is told, whatever serves it: libchdb, an installed program, or a container.
package config

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"text/template"
)

// Options say where the server keeps its data and where it listens.
type Options struct {
	Dir      string // absolute
	Port     int    // native protocol
	HTTPPort int
	Memory   uint64 // bytes until queries are refused
}

// DefaultMemory is of a server of which nobody said how much it may use.
const DefaultMemory = 6_000_000_000

// configXML names every path and port: what is left out would fall back to clickhouse-local's temporary directory.
// Marks get a small cache and the memory a cap, because a laptop runs Kafka, Temporal and the tests beside it.
var configXML = template.Must(template.New("config.xml").Parse(`<clickhouse>
  <logger><level>warning</level><console>1</console></logger>
  <path>{{.Dir}}/data/</path>
  <tmp_path>{{.Dir}}/tmp/</tmp_path>
  <user_files_path>{{.Dir}}/user_files/</user_files_path>
  <format_schema_path>{{.Dir}}/format_schemas/</format_schema_path>
  <listen_host>127.0.0.1</listen_host>
  <tcp_port>{{.Port}}</tcp_port>
  <http_port>{{.HTTPPort}}</http_port>
  <max_concurrent_queries>200</max_concurrent_queries>
  <max_server_memory_usage>{{.Memory}}</max_server_memory_usage>
  <mark_cache_size>67108864</mark_cache_size>
  <uncompressed_cache_size>0</uncompressed_cache_size>
  <query_log><database>system</database><table>query_log</table>
    <flush_interval_milliseconds>1000</flush_interval_milliseconds><ttl>event_date + INTERVAL 1 DAY DELETE</ttl></query_log>
  <part_log><database>system</database><table>part_log</table>
    <flush_interval_milliseconds>1000</flush_interval_milliseconds><ttl>event_date + INTERVAL 1 DAY DELETE</ttl></part_log>
  <kafka><auto_offset_reset>earliest</auto_offset_reset></kafka>
  <users_config>{{.Dir}}/users.xml</users_config>
</clickhouse>
`))

// usersXML has the user default, without a password: the server listens on loopback only. It cannot keep users that are
// created, so restricted is there for tests of rights that are missing.
const usersXML = `<clickhouse>
  <profiles><default><log_queries>1</log_queries></default></profiles>
  <users>
    <default>
      <password></password>
      <networks><ip>127.0.0.1</ip><ip>::1</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
      <access_management>1</access_management>
      <named_collection_control>1</named_collection_control>
    </default>
    <restricted>
      <password></password>
      <networks><ip>127.0.0.1</ip><ip>::1</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
      <grants><query>GRANT SELECT, INSERT ON *.*</query></grants>
    </restricted>
  </users>
  <quotas><default></default></quotas>
</clickhouse>
`

// Write makes the directories and both files anew, so that the options always win, and answers the path of config.xml. What is
// in users.d and config.d beside it is left, and the server merges it.
func Write(o Options) (string, error) {
	for _, sub := range []string{"data", "tmp", "user_files", "format_schemas"} {
		if err := os.MkdirAll(filepath.Join(o.Dir, sub), 0o750); err != nil {
			return "", fmt.Errorf("make data directory: %w", err)
		}
	}
	var xml bytes.Buffer
	if err := configXML.Execute(&xml, o); err != nil {
		return "", fmt.Errorf("config.xml: %w", err)
	}
	config := filepath.Join(o.Dir, "config.xml")
	if err := os.WriteFile(config, xml.Bytes(), 0o600); err != nil {
		return "", fmt.Errorf("write config.xml: %w", err)
	}
	if err := os.WriteFile(filepath.Join(o.Dir, "users.xml"), []byte(usersXML), 0o600); err != nil {
		return "", fmt.Errorf("write users.xml: %w", err)
	}
	return config, nil
}
