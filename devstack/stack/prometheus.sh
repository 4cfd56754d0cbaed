# sh -c "$(cat prometheus.sh)" prometheus UI PROGRAM FLAG...   in the directory of the data: be Prometheus, which looks for its pages there.
set -eu
if [ -n "$1" ]; then
	mkdir -p web/ui
	ln -sfn "$1" static
	ln -sfn "$1" web/ui/static # if the directory is called prometheus
fi
shift
# Prometheus does not look at its standard input. This does, and ends it when the parent is gone: $$ is Prometheus's by then.
exec 3<&0 </dev/null
{ cat <&3 >/dev/null && kill "$$"; } 2>/dev/null &
exec "$@" 3<&-
