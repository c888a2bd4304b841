# A person at a terminal, for the programs that are shell: `. "$(dirname "$FILE")/lib/terminal.sh"`.

# redis-cli with its lines from standard input, or as arguments. It shows what it shows at a terminal,
# but for a TTL of which a second has passed: all that are set are minutes or hundreds of seconds.
cli() { redis-cli -p "$PORT" --no-raw "$@" | untimed | awk '/^\(integer\) [0-9]*(59|99)$/ { $2++ } 1'; }

# Without how long a slow reply took. Not with awk, which may hold back what it has read.
untimed() { sed -uE '/^\([0-9.]+s\)$/d'; }

# A reply whose order is nobody's promise, each of its lines on its own.
sorted() { redis-cli -p "$PORT" "$@" | sort; }

# Asks again until the command succeeds.
until_true() {
  local deadline=$((SECONDS + 60))
  while ((SECONDS < deadline)); do "$@" && return; sleep 0.01; done
  echo "waited in vain: $*"
  exit 1
}

# One more terminal, with a name. What it shows is in the file of that name.
declare -A keyboards terminals
open_terminal() {
  local name=$1 keyboard
  shift
  mkfifo "$name.keys"
  : >"$name"
  redis-cli -p "$PORT" --no-raw "$@" <"$name.keys" > >(untimed >>"$name") 2>&1 &
  terminals[$name]=$!
  exec {keyboard}>"$name.keys"
  keyboards[$name]=$keyboard
}

# What somebody types there.
enter() { echo "$2" >&"${keyboards[$1]}"; }

shows() { grep -qF -- "$2" "$1"; }

# Waits until the terminal shows the text.
until_shows() { until_true shows "$1" "$2"; }

close_terminal() {
  local keyboard=${keyboards[$1]}
  kill "${terminals[$1]}"
  wait "${terminals[$1]}" || true
  exec {keyboard}>&-
}
