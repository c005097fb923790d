#!/bin/sh
# Copal beside Varnish, nginx and HAProxy: CPU per hit, and memory per stored object. See README.md.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
copal=${COPAL:-$here/../../target/release/copal}
if [ ! -x "$copal" ]; then
    echo "benches/peers: $copal is not there: cargo build --release" >&2
    exit 1
fi
for tool in python3 wrk taskset; do
    if ! command -v "$tool" >/dev/null; then
        echo "benches/peers: $tool is needed: apt-get install python3 wrk util-linux" >&2
        exit 1
    fi
done
COPAL=$copal exec python3 -B "$here/peers.py" "$@"
