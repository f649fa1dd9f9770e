#!/usr/bin/env bash
# Run in an empty folder. LOGINLAKE names the command line of the release that writes the lake.
set -euo pipefail
python3 make_events.py
export LOGINLAKE_ROOT=$PWD/lake LOGINLAKE_STATE=$PWD/state LOGINLAKE_KAFKA=127.0.0.1:19392 LOGINLAKE_TOPIC_PARTITIONS=2
$LOGINLAKE broker & broker=$!
trap 'kill $broker; wait $broker || true' EXIT
sleep 15
$LOGINLAKE produce replay first.ndjson
$LOGINLAKE produce replay auth.log --format sshd --year 2026
$LOGINLAKE bronze --once
$LOGINLAKE refresh
$LOGINLAKE produce replay second.ndjson
$LOGINLAKE bronze --once
$LOGINLAKE refresh
$LOGINLAKE verify
$LOGINLAKE sql 'SELECT format, verdict, count(*) AS n FROM silver.events GROUP BY ALL ORDER BY ALL'
$LOGINLAKE sql 'SELECT * FROM gold.detections'
$LOGINLAKE sql 'SELECT * FROM gold.restatements'
