#!/bin/sh
# Run a command as one of several workers that train together: TF_CONFIG tells TensorFlow who they are.
#
#     RANK=0 HOSTS="first:2222 second:2222" sh worker.sh edge-meta train --dataset folder:photos --tasks 2 --output RUN
#
# RANK counts from 0, in the order of HOSTS. Each worker runs the same command; all see the folder RUN.
set -eu
workers=""
for host in $HOSTS; do
    workers="$workers${workers:+, }\"$host\""
done
TF_CONFIG=$(printf '{"cluster": {"worker": [%s]}, "task": {"type": "worker", "index": %d}}' "$workers" "$RANK")
export TF_CONFIG
exec "$@"
