#!/bin/sh
# Tests the MLflow connector against a real MLflow server, in a virtual environment of its own (850 MB, once).
# Run by `make test-connectors`; the server and its data live only as long as this script.
set -eu

cd "$(dirname "$0")/.."
venv=.venv-mlflow
version=3.17.2
python=${PYTHON:-python3}

if ! "$venv/bin/python" -c "import importlib.metadata as m; assert m.version('mlflow') == '$version'" 2>/dev/null; then
    echo "== Installing mlflow $version into $venv (once; 850 MB)"
    "$python" -m venv "$venv" || { echo "python3-venv is needed: apt-get install python3-venv"; exit 2; }
    echo '*' >"$venv/.gitignore"
    "$venv/bin/python" -m pip install --disable-pip-version-check --progress-bar off "mlflow==$version"
fi

data=$(mktemp -d)
port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
server=
stop() {
    if [ -n "$server" ]; then
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$data"
}
trap stop EXIT
trap 'exit 130' INT TERM

# Loopback upstreams are what the tests need and what MLflow refuses by default.
export MLFLOW_GATEWAY_API_BASE_ALLOWED_SCHEMES=http,https
export MLFLOW_GATEWAY_API_BASE_ALLOW_PRIVATE_IPS=true
export MLFLOW_CRYPTO_KEK_PASSPHRASE=only-for-this-test-of-connectors
export MLFLOW_DISABLE_TELEMETRY=true
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false

echo "== Starting MLflow on 127.0.0.1:$port"
"$venv/bin/mlflow" server --backend-store-uri "sqlite:///$data/ml.db" --artifacts-destination "$data/artifacts" \
    --host 127.0.0.1 --port "$port" --workers 1 >"$data/server.log" 2>&1 &
server=$!

waited=0
until "$python" -c "import urllib.request as u; u.urlopen('http://127.0.0.1:$port/health', timeout=2)" 2>/dev/null; do
    if ! kill -0 "$server" 2>/dev/null || [ "$waited" -ge 180 ]; then
        echo "MLflow did not start within 180 seconds; its log says:"
        tail -n 40 "$data/server.log"
        exit 1
    fi
    sleep 1
    waited=$((waited + 1))
done

PAGERUNNER_TEST_MLFLOW="http://127.0.0.1:$port" .venv/bin/python -m pytest tests/connectors -m connectors -v --durations=3 || {
    echo "== The end of MLflow's log:"
    tail -n 40 "$data/server.log"
    exit 1
}
