# What the scripts here share. Sourced, never run: leaves the caller at the root of the
# tree with errors fatal and standard input closed.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
root=$PWD
exec </dev/null

say() { printf '[%02d:%02d] %s\n' $((SECONDS / 60)) $((SECONDS % 60)) "$*"; }

die() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# The comment at the top of a script is its manual.
usage() { sed -n '2,/^[^#]/{/^#/!d;s/^# \{0,1\}//;p}' "$0"; }

# stage TITLE COMMAND...: runs it with its output in build/logs, shows a sign of life
# every 20 seconds, and on failure the end of the log.
stage() {
  local title=$1 started=$SECONDS status=0 heartbeat log
  shift
  mkdir -p build/logs
  log=build/logs/$(tr -cs 'a-z0-9\n' - <<<"$title").log
  say "$title"
  : >"$log"
  (while sleep 20 >/dev/null 2>&1; do say "  ... $(tail -n 1 "$log" | cut -c 1-100)"; done) &
  heartbeat=$!
  "$@" >"$log" 2>&1 || status=$?
  kill "$heartbeat" 2>/dev/null || true
  wait "$heartbeat" 2>/dev/null || true
  if ((status != 0)); then
    tail -n 40 "$log" | cut -c 1-300 >&2
    grep -hE '(^|[^-])\b(fatal )?(error|Error)\b' "$log" | cut -c 1-300 | sort -u | head -n 20 >&2 || true
    die "$title: failed after $((SECONDS - started)) s; all of its output is in $log"
  fi
  say "  done in $((SECONDS - started)) s"
}

# How many compilers at once: one a core, as long as each finds 1.5 GB.
jobs() {
  local cores gigabytes
  cores=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
  if [[ -r /proc/meminfo ]]; then
    gigabytes=$(awk '/^MemAvailable/ { print int($2 / 1500000) }' /proc/meminfo)
    ((gigabytes >= cores)) || cores=$((gigabytes > 1 ? gigabytes : 1))
  fi
  echo "$cores"
}

# first_of COMMAND...: the first that exists.
first_of() {
  local candidate
  for candidate in "$@"; do
    if command -v "$candidate" >/dev/null 2>&1; then
      echo "$candidate"
      return
    fi
  done
  return 1
}

# GCC 12 or later, Clang 14 or later; 14 first, since that is the one the code is kept
# working on.
gcc() {
  local candidate
  for candidate in g++ g++-12 g++-13 g++-14 g++-15; do
    if command -v "$candidate" >/dev/null 2>&1 &&
      (($("$candidate" -dumpversion | cut -d . -f 1) >= 12)); then
      echo "$candidate"
      return
    fi
  done
  return 1
}
clang() { first_of clang++-14 clang++-15 clang++-16 clang++-17 clang++-18 clang++-19 clang++; }

# configure PRESET [cmake option...]
configure() {
  local preset=$1 compiler options=()
  shift
  case $preset in
    asan | fuzz) compiler=$(clang) || die "no Clang 14 or later; scripts/install_deps test" ;;
    *) compiler=$(gcc) || die "no GCC 12 or later; scripts/install_deps build" ;;
  esac
  options+=(-DCMAKE_CXX_COMPILER="$compiler")
  if command -v ccache >/dev/null 2>&1; then
    options+=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
  fi
  cmake --preset "$preset" "${options[@]}" "$@"
}

# build PRESET [cmake --build option...]
build() {
  local preset=$1
  shift
  cmake --build "build/$preset" --parallel "$(jobs)" "$@"
}
