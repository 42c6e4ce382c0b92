# SPDX-License-Identifier: ISC
# shellcheck shell=sh disable=SC2034
#
# What tests of guests share. It runs in the lab's dom0, under busybox sh; images
# are in $images, each IMAGE with its configuration IMAGE.xl. A test is a
# function that fails, with the reason in $why; it has one guest, whose domain
# has the name of the test. No daemon of xl's looks after guests (xl create -e),
# so one that has ended stays until it was looked at.

images=${images:-/host/bin}
logs=${logs:-/host/log}
patience=${patience:-20} # seconds for what takes much less

test=   # name of the test that runs
guest=  # name of its domain
domid=  # and its number
why=

because() { # REASON
    why=$*
    return 1
}

# start IMAGE COMMAND-LINE [KEY=VALUE...]: what comes last wins over IMAGE.xl.
# Values are xl's: strings want quotes of their own.
start() {
    prepare "$@" && ask xl unpause "$guest"
}

# prepare, with start's arguments: makes the domain, which does not run yet.
prepare() {
    image=$1
    words=$(printf '%s' "$2" | sed 's/[\\"]/\\&/g')
    shift 2
    ask xl create -q -e -p "$images/$image.xl" "name=\"$guest\"" \
        "kernel=\"$images/$image\"" "cmdline=\"$words\"" "$@" &&
        domid=$(xl domid "$guest")
}

# Runs a command that must succeed and end.
ask() { # COMMAND...
    timeout "$patience" "$@" >/run/ask.log 2>&1 ||
        because "$*: status $?, $(tail -n 1 /run/ask.log)"
}

console() {
    cat "/var/log/xen/guest-$guest.log" 2>/dev/null | tr -d '\r'
}

has_line() { # PATTERN
    console | grep -q -e "$1"
}

# Nothing tells when a console's log grows, so this looks again and again.
await_line() { # PATTERN
    tries=$((patience * 20))
    until has_line "$1"; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] ||
            { because "no line '$1' within $patience s"; return 1; }
        sleep 0.05
    done
}

expect_line() { # PATTERN
    has_line "$1" || because "no line '$1' on the console"
}

# Why the guest has ended, in Xen's words; "no end" while it runs.
reason() {
    case $(xl list -v "$guest" 2>/dev/null | awk 'END { print $(NF - 1) }') in
    0) echo poweroff ;;
    1) echo reboot ;;
    2) echo suspend ;;
    3) echo crash ;;
    4) echo watchdog ;;
    -) echo 'no end' ;;
    *) echo 'another end' ;;
    esac
}

# await_end REASON [SECONDS]: xenstore tells that some domain has ended, and also
# at once that it is watching, so an end before that is seen as well.
await_end() {
    rm -f /run/ends
    mkfifo /run/ends
    timeout "${2:-$patience}" xenstore-watch @releaseDomain >/run/ends &
    watcher=$!
    end='no end'
    while read -r _; do
        end=$(reason)
        [ "$end" = 'no end' ] || break
    done </run/ends
    kill "$watcher" 2>/dev/null
    wait "$watcher" 2>/dev/null
    [ "$end" = "$1" ] || because "$end instead of $1"
}

# Reports what cmocka printed on the console, a line for each of its tests, by
# the program that it belongs to and, where that runs them over several URIs, the
# URI. One that began and has no result took the guest down with it. Fails unless
# all that were announced ended well.
report_parts() {
    console | awk -v test="$test" '
    function result(name, verdict) {
        if (name in begun && !(name in seen)) { seen[name] = 1; print verdict }
    }
    /^guest-tests: [a-z0-9_]+$/ { program = $2 "/"; uri = "" }
    /^over [^ ]+$/ { uri = $2 "/" }
    { name = test "/" program uri $NF }
    /^\[=+\] Running [0-9]+ test/ { announced += $3 }
    /^\[ RUN      \] / { begun[name] = 1; order[++count] = name }
    /^\[       OK \] / { result(name, "ok - " name) }
    /^\[  SKIPPED \] [^ ]+$/ { result(name, "skip - " name ": by itself") }
    /^\[  FAILED  \] [^ ]+$/ {
        if (name in begun && !(name in seen)) bad++
        result(name, "not ok - " name)
    }
    END {
        for (i = 1; i <= count; i++)
            if (!(order[i] in seen)) {
                print "not ok - " order[i] ": the guest ended within it"
                bad++
            }
        exit !(count > 0 && count == announced && !bad)
    }' || because 'not every test within it passed'
}

# Takes the guest away, so that the test can start it anew.
restart() {
    xl destroy "$guest" 2>/dev/null
    rm -f "/var/log/xen/guest-$guest.log"
}

# Takes a guest away, and its console's log out.
clean_up() {
    xl destroy "$guest" 2>/dev/null
    mkdir -p "$logs"
    console >"$logs/$guest.log"
}

run_test() { # NAME
    test=xen.$1
    guest=$(printf '%s' "$1" | tr . -)
    why='no reason given'
    begin=$(cut -d. -f1 /proc/uptime)
    if "test_$(printf '%s' "$1" | tr .- __)"; then
        clean_up
        echo "ok - $test"
    else
        clean_up
        echo "not ok - $test: $why"
        tail -n 40 "$logs/$guest.log" | sed 's/^/    | /'
    fi
    echo "$(($(cut -d. -f1 /proc/uptime) - begin)) s  $test" >>"$logs/times"
}
