# SPDX-License-Identifier: Apache-2.0
# Sourced by ./run and ./test: installing Debian packages by name, only those that are missing.

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
[ -t 1 ] || say() { printf '==> %s\n' "$*"; }

# need PACKAGE...: asks dpkg only, so that nothing touches the network when all are there.
need() {
  command -v dpkg-query >/dev/null || { say "not a Debian system: please see to these packages yourself: $*"; return 0; }
  local present missing=() package
  present=" $(dpkg-query -W -f='${db:Status-Status}:${Package} ' "$@" 2>/dev/null) "
  for package in "$@"; do [[ $present == *" installed:$package "* ]] || missing+=("$package"); done
  [ ${#missing[@]} -eq 0 ] && return 0
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "missing: ${missing[*]}; install them as root: apt-get install ${missing[*]}" >&2; exit 1; }
    as_root=(sudo)
  fi
  say "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  "${as_root[@]}" apt-get install -y -q --no-install-recommends "${missing[@]}" </dev/null || {
    "${as_root[@]}" apt-get update -q </dev/null
    "${as_root[@]}" apt-get install -y -q --no-install-recommends "${missing[@]}" </dev/null
  } || { echo "could not install: ${missing[*]}" >&2; exit 1; }
}

BUILD_PACKAGES=(g++ cmake ninja-build ccache libboost1.81-dev libcli11-dev libdeflate-dev libuv1-dev)
FUZZ_PACKAGES=(clang libclang-rt-14-dev llvm)  # for the stage `fuzz` only; llvm names the lines in a finding's trace

# build PRESET LOG [TARGET...]: configures once, builds; on a terminal with ninja's own one-line progress.
build() {
  local preset=$1 log=$2
  shift 2
  if [ ! -f "build/$preset/build.ninja" ]; then
    cmake --preset "$preset" >"$log" 2>&1 || { cat "$log" >&2; return 1; }
  fi
  if ninja -C "build/$preset" -n "$@" 2>/dev/null | grep -q 'no work to do'; then return 0; fi
  if [ -t 1 ]; then
    NINJA_STATUS="[%f/%t, %es] " ninja -C "build/$preset" -j "$JOBS" "$@" || return 1
  else
    ninja -C "build/$preset" -j "$JOBS" "$@" >"$log" 2>&1 || { grep -B2 -A12 -E 'FAILED|error:' "$log" | head -60 >&2; tail -5 "$log" >&2; return 1; }
  fi
}
JOBS=${JOBS:-$(nproc)}
