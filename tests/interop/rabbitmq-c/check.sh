#!/usr/bin/env bash
# rabbitmq-c by its command-line tools: a work queue with prefetch and redelivery, topic routing,
# large and empty bodies, errors. The tools know no confirms, no header bindings, no direct reply-to.
set -euo pipefail

url=${AMQP_URL:-amqp://guest:guest@127.0.0.1:5672}
run=interop-c-$(od -An -N4 -tx4 /dev/urandom | tr -d ' ')
work=$(mktemp -d)
declared=()

check() { echo "check $1"; }
fail() { echo "not so: $*" >&2; exit 1; }
equal() { if [ "$2" = "$3" ]; then check "$1"; else fail "$1"$'\n'"  got  $2"$'\n'"  want $3"; fi; }
tool() { timeout 10 "amqp-$1" --url="$url" "${@:2}"; }
jobs_from() { seq -f 'job %g' "$1" "$2"; }

declare_queue() {
  declared+=("$1")
  equal "declare-ok names the queue ${1#"$run-"}" "$(tool declare-queue --queue="$1" "${@:2}")" "$1"
}

# Succeeds when the tool fails and says what it must say.
refused() {
  local what=$1 expected=$2 said
  shift 2
  if said=$(tool "$@" 2>&1 </dev/null); then fail "not refused: $what"; fi
  case $said in *"$expected"*) check "$what" ;; *) fail "$what: $said" ;; esac
}

end() {
  for queue in "${declared[@]}"; do tool delete-queue --queue="$queue" >/dev/null 2>&1 || true; done
  rm -rf "$work"
}

# The tool acks a message when its command succeeds; what it has not acked when it ends is requeued.
work_queue() {
  local queue=$run-work
  declare_queue "$queue" --durable
  jobs_from 0 9 | tool publish --routing-key="$queue" --persistent --line-buffered
  equal "of a window of four, the first job is done" \
    "$(tool consume --queue="$queue" --prefetch-count=4 --count=1 cat)" "job 0"
  equal "a job whose command fails is not acked" \
    "$(tool consume --queue="$queue" --prefetch-count=4 --count=1 -- sh -c 'cat; exit 1')" "job 1"
  equal "nothing is lost, and the unacked ones come back in order" \
    "$(tool consume --queue="$queue" --count=9 cat)" "$(jobs_from 1 9)"
  local status=0
  tool get --queue="$queue" >"$work/none" || status=$?
  equal "a get from an empty queue finds nothing" "$status $(wc -c <"$work/none")" "2 0"
  equal "delete counts no messages" "$(tool delete-queue --queue="$queue")" 0
}

# Waits until a command succeeds.
until_true() {
  local _
  for _ in $(seq 100); do
    if "${@:2}"; then return; fi
    sleep 0.1
  done
  fail "waited in vain for $1"
}

exists() { local status=0; tool get --queue="$1" >/dev/null 2>&1 || status=$?; [ "$status" = 2 ]; }

# A consumer in the background binds its queue, and writes what it gets to a file. It is bound when it
# got a first message by way of the default exchange.
start_consumer() {
  local queue=$1 pattern=$2 count=$3
  tool consume --queue="$queue" --exchange=amq.topic --routing-key="$pattern" --count="$count" -- sh -c 'cat; echo' \
    >"$work/$queue" 2>/dev/null &
  until_true "the queue of $pattern" exists "$queue"
  tool publish --routing-key="$queue" --body=bound
  until_true "the consumer of $pattern" grep -q bound "$work/$queue"
}

# * is one word, # is any number of them; keys begin with a word that no other run uses.
topic_routing() {
  local key
  start_consumer "$run-star" "$run.*.orange" 3
  start_consumer "$run-lazy" "$run.lazy.#" 4
  start_consumer "$run-all" "$run.#" 6
  for key in quick.orange lazy lazy.a.b orange lazy.orange; do
    tool publish --exchange=amq.topic --routing-key="$run.$key" --body="$key"
  done
  wait
  equal "topic *.orange" "$(paste -sd ' ' "$work/$run-star")" "bound quick.orange lazy.orange"
  equal "topic lazy.#" "$(paste -sd ' ' "$work/$run-lazy")" "bound lazy lazy.a.b lazy.orange"
  equal "topic #" "$(paste -sd ' ' "$work/$run-all")" "bound quick.orange lazy lazy.a.b orange lazy.orange"
  refused "a queue with auto-delete goes with its last consumer" "error 404" get --queue="$run-all"
}

bodies() {
  local queue=$run-bodies size
  declare_queue "$queue"
  for size in 0 1 131064 1000000; do
    head -c "$size" /dev/urandom >"$work/sent"
    tool publish --routing-key="$queue" --content-type=application/octet-stream --header="size: $size" <"$work/sent"
    tool get --queue="$queue" >"$work/got"
    cmp "$work/sent" "$work/got" || fail "a body of $size bytes came back otherwise"
    check "a body of $size bytes comes back whole"
  done
}

errors() {
  local queue=$run-errors
  declare_queue "$queue"
  refused "get from a missing queue: 404" "error 404" get --queue="$run-missing"
  refused "consume from a missing queue: 404" "error 404" consume --queue="$run-missing" cat
  refused "redeclare with other arguments: 406" "error 406" declare-queue --queue="$queue" --durable
  refused "publish to an unknown exchange: 404" "error 404" publish --exchange="$run-missing" --routing-key=x --body=x
  refused "amq.* is reserved: 403" "error 403" declare-queue --queue=amq.mine
  tool publish --routing-key="$queue" --body=full
  refused "delete of a queue that is not empty, if-empty: 406" "error 406" delete-queue --if-empty --queue="$queue"
  equal "delete counts the message it drops" "$(tool delete-queue --queue="$queue")" 1
  url=${url/guest:guest/guest:wrong} refused "a wrong password is refused: 403" "error 403" get --queue="$queue"
}

trap end EXIT
echo "client rabbitmq-c $(dpkg-query -W -f '${Version}' amqp-tools 2>/dev/null || echo unknown)"
work_queue
topic_routing
bodies
errors
