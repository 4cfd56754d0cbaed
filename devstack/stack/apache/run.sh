# sh -c "$(cat run.sh)" kafka JAVA CONFIG FLAG...   in the directory of the data: format it if it is new, then be Kafka.
set -eu
java=$1
printf '%s\n' "$2" >server.properties
shift 2
[ -e data/meta.properties ] ||
	"$java" "$@" kafka.tools.StorageTool format --cluster-id ai-backlog-devstack-00 --config server.properties </dev/null
# Kafka does not look at its standard input. This does, and ends it when the parent is gone: $$ is Kafka's by then.
exec 3<&0 </dev/null
{ cat <&3 >/dev/null && kill "$$"; } 2>/dev/null &
exec "$java" "$@" kafka.Kafka server.properties 3<&-
