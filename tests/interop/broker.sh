# shellcheck shell=bash
# Sourced by tests/interop/run and examples/run, which set $root and $cache. After start_broker AMQP_URL names a broker: the one of
# --uri, or one of its own that ends with the script. Of its own one LEVERET_URL has the HTTP API, amqps_url the port with TLS, and
# tls_folder the certificates.

# start_broker [URI]
start_broker() {
  if [ -n "${1:-}" ]; then
    export AMQP_URL=$1
    return
  fi
  local binary=${LEVERET_BIN:-$root/target/release/leveret}
  [ -x "$binary" ] || { echo "no broker at $binary: run cargo build --release, or give --uri" >&2; exit 2; }
  broker_folder=$(mktemp -d)
  : >"$broker_folder/stdout"
  tls_folder=$broker_folder/tls
  "$binary" tls self-signed "$tls_folder" >/dev/null || exit 2
  "$binary" serve --amqp-listen 127.0.0.1:0 --http-listen 127.0.0.1:0 --metrics-listen "${LEVERET_METRICS_LISTEN:-none}" --data-dir "$broker_folder/data" \
    --amqps-listen 127.0.0.1:0 --tls-cert "$tls_folder/server_certificate.pem" --tls-key "$tls_folder/server_key.pem" \
    --tls-ca "$tls_folder/ca_certificate.pem" --tls-verify optional \
    >"$broker_folder/stdout" 2>"$broker_folder/stderr" </dev/null &
  broker_pid=$!
  trap stop_broker EXIT
  trap 'exit 130' INT TERM
  local address _
  for _ in $(seq 100); do
    address=$(grep -oE 'amqp://127\.0\.0\.1:[0-9]+' "$broker_folder/stdout" | head -n 1) || true
    if [ -n "$address" ]; then
      export AMQP_URL=${address/'amqp://'/'amqp://guest:guest@'}
      address=$(grep -oE 'amqps://127\.0\.0\.1:[0-9]+' "$broker_folder/stdout" | head -n 1)
      # shellcheck disable=SC2034 # the caller's
      amqps_url=${address/'amqps://'/'amqps://guest:guest@'}
      LEVERET_URL=$(grep -oE 'http://127\.0\.0\.1:[0-9]+' "$broker_folder/stdout" | head -n 1)
      export LEVERET_URL
      return
    fi
    kill -0 "$broker_pid" 2>/dev/null || break
    sleep 0.1
  done
  echo "the broker did not say where it listens:" >&2
  show_broker >&2
  exit 2
}

# What the broker said, when something failed.
show_broker() {
  [ -n "${broker_folder:-}" ] || return 0
  echo "--- the broker's last words"
  # no colours in a log
  tail -n 20 "$broker_folder/stdout" "$broker_folder/stderr" | sed $'s/\033\\[[0-9;]*m//g'
}

# Nothing in it fails: under `set -e` that would be how the script ends.
stop_broker() {
  [ -n "${broker_pid:-}" ] || return 0
  kill "$broker_pid" 2>/dev/null || true
  local _
  for _ in $(seq 50); do
    kill -0 "$broker_pid" 2>/dev/null || break
    sleep 0.1
  done
  kill -KILL "$broker_pid" 2>/dev/null || true
  wait "$broker_pid" 2>/dev/null || true
  rm -rf "$broker_folder"
  broker_pid=
}

# need COMMAND PACKAGE...: installs Debian packages when the command is missing.
need() {
  command -v "$1" >/dev/null || apt_install "${@:2}"
}

# shellcheck disable=SC2154 # $cache is the caller's
apt_install() {
  local sudo=()
  [ "$(id -u)" = 0 ] || sudo=(sudo)
  (
    flock 9 # installs run side by side, but packages one at a time
    "${sudo[@]}" apt-get update -qq &&
      "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
  ) 9>"$cache/apt.lock"
}

# python_environment REQUIREMENTS: a virtual environment with exactly these packages; sets $python.
python_environment() {
  local folder
  folder=$cache/python-$(sha256sum "$1" | cut -c1-12)
  python=$folder/bin/python
  [ -e "$folder/complete" ] && return
  python3 -c 'import ensurepip, venv' 2>/dev/null || apt_install python3 python3-venv || return
  python3 -m venv --clear "$folder" &&
    "$python" -m pip install --quiet --disable-pip-version-check --no-deps --requirement "$1" &&
    touch "$folder/complete"
}
