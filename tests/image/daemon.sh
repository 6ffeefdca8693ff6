# A Docker daemon for tests, sourced: find_daemon, stop_daemon. Takes $scratch, a folder, and `die`.
daemon=

# Sets DOCKER_HOST if none is running. Nothing of the host's network is changed.
find_daemon() {
  command -v dockerd >/dev/null || { apt-get update -qq && apt-get install -qq -y --no-install-recommends docker.io iptables >/dev/null; }
  if docker info >/dev/null 2>&1; then return; fi
  export DOCKER_HOST=unix://$scratch/socket
  dockerd --iptables=false --ip6tables=false --bridge=none --storage-driver=vfs --data-root "$scratch/data" --exec-root "$scratch/exec" \
    --pidfile "$scratch/pid" -H "$DOCKER_HOST" >"$scratch/log" 2>&1 &
  daemon=$!
  for _ in $(seq 100); do
    if docker info >/dev/null 2>&1; then return; fi
    sleep 0.1
  done
  cat "$scratch/log"
  die 'dockerd does not start'
}

stop_daemon() {
  [ -n "$daemon" ] || return 0
  kill "$daemon" && wait "$daemon" || true
  umount "$scratch/data" 2>/dev/null || true
}
