#!/usr/bin/env bash
# Shows that a conversation keeps its Claude Code process between requests. See --help.
set -euo pipefail
# A point in decimal numbers, whatever the language.
unset LC_ALL
export LC_NUMERIC=C

usage() {
  cat <<'END'
Usage: script/test_interactive_session.sh [BASE_URL] [--kill]

Checks interactive sessions on a running server, by the guide's example: the number 42 is remembered by the process
that was told, and by no other one.

  BASE_URL   the server to test, such as http://localhost:8000. Without it a server with the offline model is started,
             and stopped at the end: no credentials are needed and nothing is spent.
  --kill     also kills the session's process between two requests and expects the conversation to go on in a new one.
             Works only when the server runs on this machine.

  MODEL      (environment) the model to ask for; claude-3-5-sonnet-20241022 by default.

Needs bash, curl and python3. Exits with 1 when anything is not as it should be.
END
}

REMEMBER="Hello! Remember the number 42."
RECALL="What number did I ask you to remember?"
MODEL="${MODEL:-claude-3-5-sonnet-20241022}"
ROUNDS=3

base=""
kill_child=false
for argument in "$@"; do
  case "$argument" in
    -h | --help) usage && exit 0 ;;
    --kill) kill_child=true ;;
    http://* | https://*) base="${argument%/}" ;;
    *) printf 'Unknown argument: %s\n\n' "$argument" >&2 && usage >&2 && exit 2 ;;
  esac
done
for tool in curl python3; do
  command -v "$tool" > /dev/null || { printf '%s is needed and was not found.\n' "$tool" >&2 && exit 2; }
done

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
scratch="$(mktemp -d)"
run="guide-$(python3 -c 'import uuid; print(uuid.uuid4().hex[:12])')"
failures=0
servers=()
conversations=() # "BASE_URL ID", to be deleted at the end

finish() {
  local status=$? pid
  trap - EXIT
  forget_sessions > /dev/null 2>&1 || true
  for pid in ${servers[@]+"${servers[@]}"}; do
    kill "$pid" 2> /dev/null || true
    wait "$pid" 2> /dev/null || true
  done
  rm -rf "$scratch"
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

give_up() {
  printf '\nFAILED: %s\n' "$*" >&2
  exit 1
}

step() { printf '\n%s\n' "$*"; }

# check DESCRIPTION COMMAND...: prints ok or FAILED, and goes on either way.
check() {
  local what="$1"
  shift
  if "$@"; then
    printf '   ok      %s\n' "$what"
  else
    printf '   FAILED  %s\n' "$what"
    failures=$((failures + 1))
  fi
}

present() { [[ -n "$1" ]]; }
same() { [[ -n "$1" && "$1" == "$2" ]]; }
equal() { [[ "$1" == "$2" ]]; }
differ() { [[ -n "$1" && -n "$2" && "$1" != "$2" ]]; }
contains() { [[ "$1" == *"$2"* ]]; }
lacks() { [[ -n "$1" && "$1" != *"$2"* ]]; }

# field FILE KEY...: a value out of a JSON file; empty for null and for what is not there.
field() {
  python3 - "$@" <<'END'
import json, sys
try:
    with open(sys.argv[1], encoding="utf-8") as file:
        value = json.load(file)
    for key in sys.argv[2:]:
        value = value[int(key)] if isinstance(value, list) else value[key]
except (ValueError, KeyError, IndexError, TypeError):
    value = None
sys.stdout.buffer.write(("" if value is None else str(value)).encode())
END
}

header() {
  local name value
  while IFS=: read -r name value; do
    if [[ "$(printf '%s' "$name" | tr '[:upper:]' '[:lower:]')" == "$1" ]]; then
      value="${value# }"
      printf '%s' "${value%$'\r'}"
    fi
  done < "$scratch/headers"
}

# start_server NAME SETTING=VALUE...: starts one with the offline model; its URL comes back in $started.
start_server() {
  local name="$1" command="$root/.venv/bin/claude-code-api" port pid
  shift
  [[ -x "$command" ]] || command="$(command -v claude-code-api)" ||
    give_up "There is neither .venv/bin/claude-code-api (make run prepares it) nor claude-code-api on the PATH."
  port="$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"
  env CLAUDE_CODE__LOG__LEVEL=warning "$@" "$command" serve --offline --host 127.0.0.1 --port "$port" \
    --data-dir "$scratch/$name" > "$scratch/$name.log" 2>&1 &
  pid=$!
  servers+=("$pid")
  started="http://127.0.0.1:$port"
  for _ in $(seq 150); do
    curl -fsS -o "$scratch/body" "$started/health" 2> /dev/null && return
    kill -0 "$pid" 2> /dev/null || break
    sleep 0.2
  done
  cat "$scratch/$name.log" >&2
  give_up "The server did not start."
}

# ask BASE_URL ID TEXT: sets $answer, $start (X-Session-Start) and $seconds.
ask() {
  local body result status
  body="$(printf '{"model": "%s", "conversation_id": "%s", "messages": [{"role": "user", "content": "%s"}]}' \
    "$MODEL" "$2" "$3")"
  result="$(curl -sS --max-time 300 -X POST "$1/v1/chat/completions" -H 'Content-Type: application/json' \
    -d "$body" -D "$scratch/headers" -o "$scratch/body" -w '%{http_code} %{time_total}')" ||
    give_up "$1 cannot be reached."
  read -r status seconds <<< "$result"
  [[ "$status" == 200 ]] || give_up "HTTP $status: $(cat "$scratch/body")"
  answer="$(field "$scratch/body" choices 0 message content)"
  start="$(header x-session-start)"
}

# converse BASE_URL ID TEXT: the same in a conversation that is deleted at the end, told on the terminal; sets $pid, too.
converse() {
  note_session "$1" "$2"
  printf '   > %s\n' "$3"
  ask "$1" "$2" "$3"
  pid="$(pid_of "$1" "$2")"
  printf '   < %s\n' "$answer"
  printf '     (%.3f s, session %s, process %s)\n' "$seconds" "${start:-unknown}" "${pid:-none}"
}

note_session() {
  local known
  for known in ${conversations[@]+"${conversations[@]}"}; do
    [[ "$known" != "$1 $2" ]] || return 0
  done
  conversations+=("$1 $2")
}

pid_of() {
  curl -sS --max-time 30 -o "$scratch/session" "$1/v1/sessions/$2" && field "$scratch/session" pid
}

forget_sessions() {
  local each url id status
  for each in ${conversations[@]+"${conversations[@]}"}; do
    read -r url id <<< "$each"
    status="$(curl -sS --max-time 30 -X DELETE -o "$scratch/body" -w '%{http_code}' "$url/v1/sessions/$id")" || status=0
    check "DELETE /v1/sessions/$id answers 204" equal "$status" 204
  done
  conversations=()
}

# is_ours PID: a Claude Code process of this machine has that number.
is_ours() {
  local arguments
  [[ -n "$1" ]] || return 1
  if [[ -r "/proc/$1/cmdline" ]]; then
    arguments="$(tr '\0' ' ' < "/proc/$1/cmdline")"
  else
    arguments="$(ps -o args= -p "$1" 2> /dev/null || true)"
  fi
  [[ "$arguments" == *stream-json* ]]
}

# measure BASE_URL NAME: sets $first and $subsequent, medians in seconds.
measure() {
  local round id firsts="" subsequents=""
  for round in $(seq "$ROUNDS"); do
    id="$run-$2-$round"
    note_session "$1" "$id"
    ask "$1" "$id" "$REMEMBER"
    firsts="$firsts $seconds"
    ask "$1" "$id" "$RECALL"
    subsequents="$subsequents $seconds"
  done
  first="$(median "$firsts") s"
  subsequent="$(median "$subsequents") s"
}

median() {
  python3 -c 'import statistics, sys; print(format(statistics.median(map(float, sys.argv[1].split())), ".3f"))' "$1"
}

own=false
if [[ -z "$base" ]]; then
  own=true
  echo "Starting a server with the offline model ..."
  start_server with CLAUDE_CODE__CLAUDE__USE_INTERACTIVE_SESSIONS=true
  base="$started"
fi
echo "Testing interactive sessions on $base"

step "1. A new session is asked to remember the number 42"
converse "$base" "$run-a" "$REMEMBER"
first_pid="$pid"
check "there is an answer" present "$answer"
check "a process of its own was started (X-Session-Start: cold or warm)" differ "$start" live
check "the session's process is listed" present "$first_pid"

step "2. A second request in the same conversation"
converse "$base" "$run-a" "$RECALL"
check "the answer contains 42" contains "$answer" 42
check "the same process answered" same "$pid" "$first_pid"
check "the session was reused (X-Session-Start: live)" equal "$start" live

step "3. Another conversation is another session"
converse "$base" "$run-b" "$RECALL"
check "the answer does not contain 42" lacks "$answer" 42
check "another process answered" differ "$pid" "$first_pid"

if $kill_child; then
  step "4. The first conversation's process is killed"
  if is_ours "$first_pid"; then
    kill -9 "$first_pid"
    for _ in $(seq 50); do
      [[ "$(pid_of "$base" "$run-a")" == "$first_pid" ]] || break
      sleep 0.1
    done
    converse "$base" "$run-a" "$RECALL"
    check "a new process answered" differ "$pid" "$first_pid"
    check "the answer contains 42" contains "$answer" 42
    check "the session was resumed (X-Session-Start: resumed)" equal "$start" resumed
  else
    check "process ${first_pid:-(none)} is a Claude Code process of this machine" false
  fi
else
  step "4. Killing the process: skipped (--kill does it)"
fi

step "5. Times, medians of $ROUNDS"
measure "$base" with
with_first="$first" with_subsequent="$subsequent"
without_first="not measured" without_subsequent="not measured"
if $own; then
  start_server without CLAUDE_CODE__CLAUDE__USE_INTERACTIVE_SESSIONS=false
  measure "$started" without
  without_first="$first" without_subsequent="$subsequent"
fi
row='   | %-19s | %-28s | %-25s |\n'
# shellcheck disable=SC2059
{
  printf "\n$row" "Request Type" "Without Interactive Sessions" "With Interactive Sessions"
  printf "$row" "-------------------" "----------------------------" "-------------------------"
  printf "$row" "First Request" "$without_first" "$with_first"
  printf "$row" "Subsequent Requests" "$without_subsequent" "$with_subsequent"
}

step "6. The sessions are deleted"
forget_sessions

if ((failures > 0)); then
  printf '\n%d checks FAILED.\n' "$failures"
  exit 1
fi
printf '\nAll checks passed.\n'
