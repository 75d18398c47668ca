#!/usr/bin/env bash
# A real single-node Kafka for tests and for trying things out, without Docker.
#
#   kafka.sh up                  start it (the first time it downloads the jars); idempotent
#   kafka.sh down                stop it; the data stay
#   kafka.sh wipe                stop it and delete its data
#   kafka.sh status              exit code 0 if it runs, 3 if not
#   kafka.sh topics NAME:PARTS…  create topics that are not there; without names, list
#   kafka.sh signal NAME         send it a signal: KILL, STOP, CONT
#   kafka.sh env                 LIMPID_KAFKA=… for the broker tests
#   kafka.sh client [mtls]       librdkafka settings for the TLS + SCRAM listener, or the mTLS one
#   kafka.sh tool CLASS ARGS…    one of Kafka's own tools
#
# Needs bash and Java 17 or newer; Maven for the first `up`. Listens on 127.0.0.1 only, and protects
# nothing: not for production. From the environment:
#
#   LIMPID_KAFKA_PORT      of the plain listener (29092); the four after it are taken, too
#   LIMPID_KAFKA_DIR       its files (target/kafka)
#   LIMPID_KAFKA_HEAP      of Java (1g)
#   LIMPID_KAFKA_TLS=1     two more listeners, which need openssl once: SASL_SSL (SCRAM-SHA-512, user
#                          limpid, password limpid-dev), and SSL with client certificates (CN=limpid)
#   LIMPID_KAFKA_ACL=1     the authorizer is on: who comes by the plain listener may do everything,
#                          others what `tool kafka.admin.AclCommand …` gives them
#   LIMPID_KAFKA_PROXY     a port: a listener for a proxy that listens there, so that clients who
#                          begin at the proxy are told to stay with it
#   LIMPID_KAFKA_SETTINGS  more lines of server.properties
set -euo pipefail

version="${LIMPID_KAFKA_VERSION:-4.1.1}"
port="${LIMPID_KAFKA_PORT:-29092}"
tls="${LIMPID_KAFKA_TLS:-0}"
acl="${LIMPID_KAFKA_ACL:-0}"
proxy="${LIMPID_KAFKA_PROXY:-}"
heap="${LIMPID_KAFKA_HEAP:-1g}"
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
jars="${LIMPID_KAFKA_JARS:-${XDG_CACHE_HOME:-$HOME/.cache}/limpid/kafka-$version}"
dir="${LIMPID_KAFKA_DIR:-$here/../../target/kafka}"
mkdir -p "$dir"
dir="$(cd "$dir" && pwd)"
pid_file="$dir/pid"
controller_port=$((port + 1))
tls_port=$((port + 2))
proxied_port=$((port + 3))
mtls_port=$((port + 4))

say() { echo "kafka.sh: $*" >&2; }
fail() { say "$*"; exit 1; }

running() {
  local pid
  pid="$(cat "$pid_file" 2>/dev/null)" && [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null || return 1
  # The number may have been given to another process since.
  [ ! -r "/proc/$pid/cmdline" ] || tr '\0' '\n' <"/proc/$pid/cmdline" | grep -qxF "$dir/server.properties"
}

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

download() {
  [ -e "$jars/complete" ] && return
  command -v mvn >/dev/null || fail "Maven is needed once, to download Kafka $version"
  say "downloading Kafka $version into $jars"
  local work
  mkdir -p "$(dirname "$jars")"
  work="$(mktemp -d "$(dirname "$jars")/download.XXXXXX")"
  cat >"$work/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>limpid</groupId><artifactId>dev-kafka</artifactId><version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$version</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>$version</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.25.2</version></dependency>
  </dependencies>
</project>
POM
  mvn -q -B -f "$work/pom.xml" dependency:copy-dependencies -DincludeScope=runtime \
    -DoutputDirectory="$work/jars" >"$work/log" 2>&1 || { tail -20 "$work/log" >&2; fail "the download failed"; }
  touch "$work/jars/complete"
  rm -rf "$jars"
  mv "$work/jars" "$jars"
  rm -rf "$work"
}

java_tool() {
  java -Xmx256m -XX:TieredStopAtLevel=1 -Dlog4j2.level=ERROR -Dlog4j2.configurationFile="$dir/log4j2.xml" \
    -cp "$jars/*" "$@"
}

certificates() {
  [ -e "$dir/tls/broker.p12" ] && return
  command -v openssl >/dev/null || fail "openssl is needed for LIMPID_KAFKA_TLS=1"
  mkdir -p "$dir/tls"
  ( cd "$dir/tls"
    openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj /CN=limpid-dev-ca -keyout ca.key -out ca.pem
    openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout broker.key -out broker.csr
    echo 'subjectAltName=DNS:localhost,IP:127.0.0.1' >names
    openssl x509 -req -days 365 -in broker.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile names -out broker.pem
    openssl pkcs12 -export -in broker.pem -inkey broker.key -certfile ca.pem -passout pass:limpid -out broker.p12
    openssl req -newkey rsa:2048 -nodes -subj /CN=limpid -keyout client.key -out client.csr
    openssl x509 -req -days 365 -in client.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out client.pem
    # librdkafka takes the CA as it is, Java in a store of its own.
    keytool -importcert -noprompt -alias ca -file ca.pem -keystore trusted.p12 -storetype PKCS12 -storepass limpid
  ) 2>"$dir/tls/log" || { cat "$dir/tls/log" >&2; fail "no certificates"; }
}

configure() {
  local more="" advertised="" protocols="" settings=""
  if [ "$tls" = 1 ]; then
    certificates
    more=",SASL_SSL://127.0.0.1:$tls_port,SSL://127.0.0.1:$mtls_port"
    advertised="$more"
    protocols=",SASL_SSL:SASL_SSL,SSL:SSL"
    settings="sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PKCS12
ssl.keystore.location=$dir/tls/broker.p12
ssl.keystore.password=limpid
ssl.truststore.type=PKCS12
ssl.truststore.location=$dir/tls/trusted.p12
ssl.truststore.password=limpid
listener.name.ssl.ssl.client.auth=required
ssl.principal.mapping.rules=RULE:^CN=(.*)\$/\$1/"
  fi
  if [ "$acl" = 1 ]; then
    settings+="
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS"
  fi
  if [ -n "$proxy" ]; then
    more+=",PROXIED://127.0.0.1:$proxied_port"
    advertised+=",PROXIED://127.0.0.1:$proxy"
    protocols+=",PROXIED:PLAINTEXT"
  fi
  cat >"$dir/server.properties" <<CONF
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller_port
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller_port$more
advertised.listeners=PLAINTEXT://127.0.0.1:$port$advertised
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT$protocols
inter.broker.listener.name=PLAINTEXT
log.dirs=$dir/data
auto.create.topics.enable=false
num.partitions=8
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
# Test records carry old timestamps: they must not be deleted for their age.
log.retention.ms=-1
message.max.bytes=10485760
$settings
${LIMPID_KAFKA_SETTINGS:-}
CONF
  cat >"$dir/log4j2.xml" <<'XML'
<Configuration status="ERROR">
  <Appenders><Console name="out"><PatternLayout pattern="%d %p %c{1} %m%n"/></Console></Appenders>
  <Loggers><Root level="${sys:log4j2.level:-INFO}"><AppenderRef ref="out"/></Root></Loggers>
</Configuration>
XML
}

format() {
  [ -e "$dir/data/meta.properties" ] && return
  local users=() id
  [ "$tls" = 1 ] && users=(--add-scram 'SCRAM-SHA-512=[name=limpid,password=limpid-dev]')
  id="A$(head -c 32 /dev/urandom | base64 | tr -dc 'A-Za-z0-9' | head -c 21)"
  java_tool kafka.tools.StorageTool format -t "$id" -c "$dir/server.properties" "${users[@]}" \
    >"$dir/format.log" 2>&1 || { tail -5 "$dir/format.log" >&2; fail "the data folder was not made"; }
}

up() {
  command -v java >/dev/null || fail "Java 17 or newer is needed"
  exec 9>"$dir/lock"
  if command -v flock >/dev/null; then flock 9; fi
  if running && answers "$port"; then say "already runs on 127.0.0.1:$port"; return; fi
  if answers "$port"; then fail "port $port is taken: set LIMPID_KAFKA_PORT"; fi
  download
  configure
  format
  nohup java "-Xms$heap" "-Xmx$heap" -XX:+UseG1GC -XX:+ExitOnOutOfMemoryError \
    -Dlog4j2.configurationFile="$dir/log4j2.xml" -cp "$jars/*" kafka.Kafka "$dir/server.properties" \
    >"$dir/broker.log" 2>&1 </dev/null 9>&- &
  echo $! >"$pid_file"
  for _ in $(seq 600); do
    if grep -q 'Kafka Server started' "$dir/broker.log"; then say "runs on 127.0.0.1:$port"; return; fi
    kill -0 $! 2>/dev/null || { tail -20 "$dir/broker.log" >&2; fail "it ended while starting"; }
    sleep 0.1
  done
  tail -20 "$dir/broker.log" >&2
  fail "not ready after a minute"
}

down() {
  running || { rm -f "$pid_file"; say "does not run"; return; }
  local pid
  pid="$(cat "$pid_file")"
  kill "$pid"
  for _ in $(seq 200); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
  if kill -0 "$pid" 2>/dev/null; then kill -9 "$pid"; fi
  rm -f "$pid_file"
  say "stopped"
}

signal() {
  kill "-$1" "$(cat "$pid_file")"
  [ "$1" = KILL ] || return 0
  # The port stays taken until the memory is given back.
  for _ in $(seq 200); do running || answers "$port" || return 0; sleep 0.05; done
  fail "it does not end"
}

topics() {
  local tool=(java_tool org.apache.kafka.tools.TopicCommand --bootstrap-server "127.0.0.1:$port") topic
  [ $# -gt 0 ] || "${tool[@]}" --list
  for topic in "$@"; do
    "${tool[@]}" --create --if-not-exists --topic "${topic%%:*}" --partitions "${topic#*:}" --replication-factor 1
  done
}

case "${1:-}" in
  up) up ;;
  down) down ;;
  wipe) down; rm -rf "${dir:?}/data" "${dir:?}/tls" ;;
  status) if running; then say "runs on 127.0.0.1:$port"; else say "does not run"; exit 3; fi ;;
  topics) shift; topics "$@" ;;
  signal) signal "${2:?which signal}" ;;
  env) echo "LIMPID_KAFKA=127.0.0.1:$port" ;;
  client)
    if [ "${2:-}" = mtls ]; then
      printf '%s\n' "bootstrap.servers=127.0.0.1:$mtls_port" security.protocol=SSL "ssl.ca.location=$dir/tls/ca.pem" \
        "ssl.certificate.location=$dir/tls/client.pem" "ssl.key.location=$dir/tls/client.key"
      exit
    fi
    printf '%s\n' "bootstrap.servers=127.0.0.1:$tls_port" security.protocol=SASL_SSL sasl.mechanism=SCRAM-SHA-512 \
      sasl.username=limpid sasl.password=limpid-dev "ssl.ca.location=$dir/tls/ca.pem" ;;
  tool) shift; java_tool "$@" ;;
  *) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 2 ;;
esac
