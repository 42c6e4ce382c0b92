# SPDX-License-Identifier: ISC
# shellcheck shell=bash
#
# What tests/scripts/*.sh share, which source it first of all: they work in a
# folder of their own, $work, and whatever happens, that folder and the
# processes in ${pids[@]} are gone when they end.
#
# CONDUIT_BIN is the folder of the programs.

set -euo pipefail
: "${CONDUIT_BIN:?folder of the programs}"

# needs PROGRAM...: skips the test, by status 77, where one is not installed.
needs() {
    local program
    for program in "$@"; do
        if ! command -v "$program" >/dev/null; then
            echo "skipped: $program is not installed"
            exit 77
        fi
    done
}

work=$(mktemp -d)
pids=()
clean_up() {
    local pid
    for pid in "${pids[@]}"; do # some lead a process group
        kill -KILL -- "$pid" "-$pid" || true
    done
    wait
    rm -rf "$work"
} 2>/dev/null
trap clean_up EXIT
trap 'exit 1' HUP INT TERM
cd "$work"

# The line is that of the test, however deep it failed.
die() {
    printf 'FAILED at line %s: %s\n' "${BASH_LINENO[-2]}" "$*" >&2
    cat errors log >&2 2>/dev/null || true
    exit 1
}

# is TEXT WANTED
is() {
    [[ $1 = "$2" ]] || die "'$1' is not '$2'"
}

# until_so WHAT COMMAND...: tries for ten seconds.
until_so() {
    local what=$1 i
    shift
    for ((i = 0; i < 200; i++)); do
        ! "$@" || return 0
        sleep 0.05
    done
    die "waited in vain for: $what"
}

# is_gone PID: the process has ended.
is_gone() {
    ! kill -0 "$1" 2>/dev/null
}

# stop PID: ends it in good order.
stop() {
    local status=0
    kill -TERM "$1"
    until_so "the end of $1" is_gone "$1"
    wait "$1" || status=$?
    is "$status" 0
}
