#!/bin/sh
# Runs moq-relay 0.17.10 in the foreground on 127.0.0.1 for tests: everybody may publish and subscribe, all versions, a
# certificate of its own. Usage: relay.sh PORT [TCP_PORT]
#   UDP PORT: moqt:// and https://     TCP PORT: ws:// (and http://.../certificate.sha256)     TCP_PORT: tcp://
# Prints {"hash":HEX} and {"listening":PORT} when it is ready. MOQ_RELAY names the program. End it with SIGTERM.
port=${1:?usage: relay.sh PORT [TCP_PORT]}
set -- --listen "127.0.0.1:$port" --listen-tls-generate localhost,127.0.0.1 --web-http-listen "127.0.0.1:$port" \
  --auth-public '**' --drain-timeout 0s ${2:+--listen-tcp-bind "127.0.0.1:$2"}
"${MOQ_RELAY:-moq-relay}" "$@" >&2 &
relay=$!
trap 'kill "$relay" 2>/dev/null' EXIT
trap 'exit 143' INT TERM
while ! hash=$(curl -fs --max-time 1 "http://127.0.0.1:$port/certificate.sha256"); do
  kill -0 "$relay" 2>/dev/null || exit 1
  sleep 0.1
done
printf '{"hash":"%s"}\n{"listening":%s}\n' "$hash" "$port"
wait "$relay"
