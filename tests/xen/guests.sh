# SPDX-License-Identifier: ISC
# shellcheck shell=sh disable=SC2154,SC2317
#
#   guests.sh list       prints the names of the tests, and runs anywhere
#   guests.sh NAME...    runs these, in the lab's dom0
#
# The tests of guests: conduit's own suites inside of them, and how they begin
# and end. The function of a.b-c is test_a_b_c.

tests='
conformance.mem.plain
conformance.mem.chop
conformance.tls.plain
conformance.tls.chop
http
core
memory
clang
start-up
exhaust
trap.write
trap.execute
trap.stack
trap.leap
trap.null
abort
status
command-line
input
shutdown
reboot
suspend
'

# A program of cmocka tests.
suite() { # COMMAND-LINE
    start guest-tests "$1" || return
    await_end poweroff 90
    status=$?
    end_why=$why
    report_parts || return
    why=$end_why
    [ "$status" = 0 ] && expect_line '^\[  PASSED  \] [0-9]* test(s)\.'
}

test_conformance_mem_plain() { suite 'conformance mem plain'; }
test_conformance_mem_chop() { suite 'conformance mem chop'; }
test_conformance_tls_plain() {
    suite 'conformance tls.bearssl.bearssl+mem plain'
}
test_conformance_tls_chop() { suite 'conformance tls.bearssl.bearssl+mem chop'; }
test_http() { suite http; }
test_core() { suite core; }

# Service and client in one guest of 8 MiB.
test_memory() {
    start counter-client '--self --time mem://counter' memory=8 &&
        await_end poweroff &&
        expect_line '^mem://counter	{"counter":1}	[0-9]* us$'
}

# The same by another compiler.
test_clang() {
    images=/host/bin-clang
    start counter-client '--self mem://counter' && await_end poweroff &&
        expect_line '^{"counter":1}$'
    status=$?
    images=/host/bin
    return $status
}

# us from the guest's entry to conduit_main().
start_up_time() {
    start counter-client 'CONDUIT_LOG=info --self mem://counter' &&
        await_end poweroff || return
    console | sed -n 's/.*xen: \([0-9]*\) us from entry to conduit_main.*/\1/p'
}

# us that dom0 takes for work that is always the same: how fast the emulated
# processor is, with whatever else runs on the machine.
pace() {
    read -r before _ </proc/uptime
    i=0
    while [ $i -lt 20000 ]; do i=$((i + 1)); done
    read -r after _ </proc/uptime
    echo $(((${after%.*}${after#*.} - ${before%.*}${before#*.}) * 10000))
}

# The least of nine: whoever else uses the processors, in dom0 or beside the lab,
# takes them away now and then, and the guest's clock goes on. 10 ms where the
# work above takes usual_pace, and more on a slower machine.
usual_pace=600000
test_start_up() {
    : >/run/times
    : >/run/paces
    for _ in 1 2 3 4 5 6 7 8 9; do
        restart
        start_up_time >>/run/times || return
        pace >>/run/paces
    done
    least=$(sort -n /run/times | head -n 1)
    pace=$(sort -n /run/paces | head -n 1)
    echo "us to conduit_main:" $(sort -n /run/times) "at a pace of $pace"
    most=10000
    [ "$pace" -le $usual_pace ] || most=$((most * (pace / 1000) / (usual_pace / 1000)))
    [ "${least:-1000000}" -le "$most" ] ||
        because "$least us to conduit_main, $most at most"
}

test_exhaust() {
    start guest-exhaust '' && await_end poweroff &&
        expect_line '^exhausted: [1-9][0-9]* bytes, then NULL$' &&
        expect_line '^without memory: CONDUIT_ENOMEM, ' &&
        expect_line '^with memory: connected$'
}

# A crash that leaves what one needs to find its cause: a reason, registers, and
# at least one caller.
trap_in() { # WAY REASON
    start guest-trap "$1" && await_end crash &&
        expect_line "^conduit: trap [0-9]*: page fault at [0-9a-f]*: $2\$" &&
        expect_line '^  rip [0-9a-f]* rsp [0-9a-f]* ' &&
        expect_line '^  addr2line -fpe guest-trap [0-9a-f]* [0-9a-f]'
}

test_trap_write() { trap_in write 'a write to read-only memory'; }
test_trap_execute() {
    trap_in execute 'an instruction in memory that holds none'
}
test_trap_stack() { trap_in stack 'the stack is full'; }
test_trap_leap() { trap_in leap 'the stack is full'; }

test_trap_null() { trap_in null 'a null pointer'; }
test_abort() {
    start guest-trap abort && await_end crash &&
        expect_line '^conduit: aborted$' &&
        expect_line '^  addr2line -fpe guest-trap [0-9a-f]* [0-9a-f]'
}

# A program that fails.
test_status() {
    start guest-trap exit3 && await_end crash &&
        expect_line '^conduit: guest-trap ended with status 3$'
}

# What goes wrong before the program has begun is told as well.
test_command_line() {
    start counter "'" && await_end crash &&
        expect_line "^conduit: command line: a ' is not closed"
}

# While it reads, it hears the host; and Enter ends a line.
test_input() {
    start guest-trap read && await_line '^reading$' || return
    ask xl shutdown "$guest" || return
    tty=$(xenstore-read "/local/domain/$domid/console/tty") &&
        printf 'hello\r' >"$tty" &&
        await_line '^read: hello$' && await_end poweroff
}

start_service() {
    start counter '--listen mem://x' && await_line '^listening mem://x$'
}

test_shutdown() {
    start_service && ask xl shutdown "$guest" && await_end poweroff
}

test_reboot() {
    start_service && ask xl reboot "$guest" && await_end reboot
}

# Refused; and the guest goes on, since it does what it is asked for next.
test_suspend() {
    start_service &&
        ask xenstore-write "/local/domain/$domid/control/shutdown" suspend &&
        await_line suspend && [ "$(reason)" = 'no end' ] &&
        ask xl shutdown "$guest" && await_end poweroff
}

if [ "$1" = list ]; then
    for name in $tests; do
        echo "$name"
    done
    exit
fi
. /host/lib.sh
for name in "$@"; do
    run_test "$name"
done
