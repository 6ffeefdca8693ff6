# A Docker daemon for tests, sourced: find_daemon, stop_daemon. Takes $scratch, a folder, and `die`.
daemon=

# Finds programs, and a client that can build.
find_docker() {
  command -v dockerd >/dev/null || { apt-get update -qq && apt-get install -qq -y --no-install-recommends docker.io iptables >/dev/null; }
  # A client that has BuildKit as a plugin, and has not that plugin, builds nothing; Debian's has it within.
  if ! docker buildx version >/dev/null 2>&1 && [ -x /usr/bin/docker ]; then
    mkdir "$scratch/bin"
    ln -s /usr/bin/docker "$scratch/bin/docker"
    export PATH=$scratch/bin:$PATH
  fi
}

# start_daemon DOCKERD OPTION...: with a folder of its own. Sets DOCKER_HOST.
start_daemon() {
  export DOCKER_HOST=unix://$scratch/socket
  "$@" --data-root "$scratch/data" --exec-root "$scratch/exec" --pidfile "$scratch/pid" -H "$DOCKER_HOST" >"$scratch/log" 2>&1 &
  daemon=$!
  for _ in $(seq 100); do
    if docker info >/dev/null 2>&1; then return; fi
    sleep 0.1
  done
  cat "$scratch/log"
  die 'dockerd does not start'
}

# Sets DOCKER_HOST if none is running. Nothing of the host's network is changed.
find_daemon() {
  find_docker
  if docker info >/dev/null 2>&1; then return; fi
  start_daemon dockerd --iptables=false --ip6tables=false --bridge=none
}

# One in a network of its own, with bridges and names as usual; from there nothing leads out. `apart` runs a command there.
start_daemon_apart() {
  find_docker
  start_daemon unshare --net sh -c 'ip link set lo up && exec dockerd "$@"' dockerd
}

apart() { nsenter --net="/proc/$daemon/ns/net" "$@"; }

stop_daemon() {
  [ -n "$daemon" ] || return 0
  kill "$daemon" && wait "$daemon" || true
  # Its own folder, and networks of containers, are still mounted.
  awk -v within="$scratch/" 'index($2, within) == 1 { print $2 }' /proc/mounts | tac | xargs -r umount || true
}
