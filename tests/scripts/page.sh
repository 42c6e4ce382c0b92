#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
#
# The counter's page in Chromium: it loads, shows the count and the facts, and a
# click raises the count. Chromium is driven by chromedriver, which speaks HTTP
# and JSON (https://www.w3.org/TR/webdriver2/), so that conduit fetch is all
# that is needed to talk to it. Nothing sleeps here: to find an element the
# driver waits until there is one.
# shellcheck source=tests/support/scripts.sh
source "${BASH_SOURCE[0]%/*}/../support/scripts.sh"
needs chromium chromedriver

# start NAME PATTERN COMMAND...: starts a program and reads what it prints, by
# the descriptor ${output[NAME]}, up to the line that matches; what the
# parentheses of the pattern match is in $found then.
declare -A output
found=
start() {
    local name=$1 pattern=$2 line fd
    shift 2
    mkfifo "$name"
    "$@" >"$name" 2>>errors &
    pids+=($!)
    exec {fd}<"$name"
    output[$name]=$fd
    while read -r -t 30 -u "$fd" line; do
        [[ $line =~ $pattern ]] || continue
        found=${BASH_REMATCH[1]}
        return 0
    done
    die "$name does not print: $pattern"
}

# ended NAME PID: the program prints no more and ends, with status 0.
ended() {
    local status=0
    while ((status == 0)); do
        read -r -t 30 -u "${output[$1]}" || status=$?
    done
    ((status <= 128)) || die "$1 does not end"
    wait "$2" || die "$1 ends with status $?"
}

# ask URI [JSON]: what is answered; POST where there is JSON to be sent.
answer=
ask() {
    local method=(-X GET)
    (($# == 1)) || method=(-H 'Content-Type: application/json' -d "$2")
    answer=$("$CONDUIT_BIN/conduit" fetch -sS -m 30 "${method[@]}" "$1" 2>&1) ||
        die "$1: $answer"
    [[ $answer != '{"value":{"error":'* ]] || die "$1 ${2:-}: $answer"
}

# see XPATH: the page comes to have such an element, which is in $element.
element=
see() {
    ask "$session/element" "{\"using\":\"xpath\",\"value\":\"$1\"}"
    [[ $answer =~ \"element-[0-9a-f-]+\":\"([^\"]+)\" ]] || die "$answer"
    element=${BASH_REMATCH[1]}
}

start counter '^listening (.*)' "$CONDUIT_BIN/counter" \
    --listen http://127.0.0.1:0
page=$found

# What these leave in a home and a folder of temporary files goes with this one.
# timeout makes a process group of the driver and its browser.
export HOME=$work TMPDIR=$work
start chromedriver 'successfully on port ([0-9]+)' \
    timeout 100 chromedriver --port=0
driver=http://127.0.0.1:$found

# No sandbox: root cannot have it, nor can many containers, and all that is
# loaded is our own. What follows keeps Chromium from asking its maker.
ask "$driver/session" '{"capabilities": {"alwaysMatch": {
    "timeouts": {"implicit": 20000, "pageLoad": 30000},
    "goog:loggingPrefs": {"browser": "ALL"},
    "goog:chromeOptions": {"args": [
        "--headless", "--no-sandbox", "--disable-gpu",
        "--disable-dev-shm-usage", "--user-data-dir='"$work"'/profile",
        "--disable-quic", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync"]}}}}'
[[ $answer =~ \"sessionId\":\"([0-9a-f]+)\" ]] || die "$answer"
session=$driver/session/${BASH_REMATCH[1]}

ask "$session/url" "{\"url\":\"$page/\"}"
see "id('value')[.='0']"
see "id('facts')//dt[.='transport']/following-sibling::dd[.='tcp+socket']"
see "id('add')[not(@disabled)]"
ask "$session/element/$element/click" '{}'
see "id('value')[.='1']"
see "id('error')[@hidden]"
ask "$page/api/counter"
is "$answer" '{"counter":1}'

# The console has nothing to complain about.
ask "$session/se/log" '{"type":"browser"}'
[[ $answer == '{"value":[]}' ]] || die "the console: $answer"

# To look at the page: CONDUIT_SCREENSHOT=FILE.
if [[ ${CONDUIT_SCREENSHOT:-} ]]; then
    ask "$session/screenshot"
    answer=${answer#*'"value":"'}
    base64 -d <<<"${answer%%'"'*}" >"$CONDUIT_SCREENSHOT"
fi

# The service ends although the browser keeps its connections; then the rest.
kill -TERM "${pids[0]}"
ended counter "${pids[0]}"
ask "$driver/shutdown"
ended chromedriver "${pids[1]}"
pids=()
