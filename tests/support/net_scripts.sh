# SPDX-License-Identifier: ISC
# shellcheck shell=bash
#
# What tests/scripts/direct*.sh share, over scripts.sh: network namespaces of
# their own, which are gone when they end, TAPs, and programs in them.
# shellcheck source=tests/support/scripts.sh
source "${BASH_SOURCE[0]%/*}/scripts.sh"
needs ip setpriv

if ((EUID != 0)) || ! unshare -n true 2>/dev/null; then
    echo "skipped: not allowed to make a network namespace"
    exit 77
fi
if [[ ! -c /dev/net/tun ]]; then
    echo "skipped: there is no /dev/net/tun"
    exit 77
fi
unset CONDUIT_NET CONDUIT_LOG CONDUIT_RUNTIME_DIR

nets=()
clean_up_nets() {
    local name
    clean_up
    for name in "${nets[@]}"; do
        ip netns del "$name" 2>/dev/null || true
    done
}
trap clean_up_nets EXIT

# new_net VARIABLE: a namespace; its name goes to the variable. It has nothing
# of IPv6 but what it is given, and confirms that at once.
new_net() {
    local -n made=$1
    made=conduit-$$-${#nets[@]}-$RANDOM
    ip netns add "$made"
    nets+=("$made")
    ip -n "$made" link set lo up
}

# within NET COMMAND...: runs it there. In the background it has to be written
# out, with exec, for $! to be the command's process.
within() {
    ip netns exec "$@"
}

# new_tap NET NAME [ADDRESS/PREFIX]...: a TAP, up, and the addresses that the
# system has on it.
new_tap() {
    local net=$1 name=$2 address
    shift 2
    ip -n "$net" tuntap add dev "$name" mode tap vnet_hdr
    ip -n "$net" link set "$name" up
    for address in "$@"; do
        add_address "$net" "$name" "$address"
    done
}

add_address() { # NET DEVICE ADDRESS/PREFIX
    local options=()
    [[ $3 != *:* ]] || options=(nodad)
    ip -n "$1" addr add "$3" dev "$2" "${options[@]}"
}

# start NET CONDUIT_NET PROGRAM ARGUMENT...: a service; waits until it listens.
# Its process is $service, its first URI $uri, and what it says on standard
# error goes to $errors.
service='' uri='' errors='' started=0
has_text() {
    [[ -s $1 ]]
}
listens_or_ended() { # FILE
    grep -q '^listening ' "$1" || is_gone "$service"
}
start() {
    local net=$1 stack=$2 lines=lines.$((++started))
    errors=errors.$started
    shift 2
    : >"$lines"
    CONDUIT_NET=$stack exec ip netns exec "$net" "$CONDUIT_BIN/$1" "${@:2}" \
        >"$lines" 2>"$errors" &
    service=$!
    pids+=("$service")
    until_so "$* listens" listens_or_ended "$lines"
    uri=$(sed -n '1s/^listening //p' "$lines")
    [[ $uri ]] || die "$* with $stack: $(<"$errors")"
}

# is_quiet FILE: nothing was said but of a link that we took down.
is_quiet() {
    ! grep -v 'direct: the link is down$' "$1" >complaints ||
        die "$(<complaints)"
}

killed() {
    kill -KILL "$1"
    wait "$1" || true
} 2>/dev/null

# ask NET CONDUIT_NET ARGUMENT...: conduit fetch, which has to succeed.
ask() {
    local net=$1 stack=$2
    shift 2
    CONDUIT_NET=$stack within "$net" timeout -k 5 60 "$CONDUIT_BIN/conduit" \
        fetch -m 30 "$@" 2>err || die "fetch $* with $stack: $? $(<err)"
}

# fails STATUS NET CONDUIT_NET PROGRAM ARGUMENT...: its messages are in err.
fails() {
    local want=$1 net=$2 stack=$3 status=0
    shift 3
    CONDUIT_NET=$stack within "$net" timeout -k 5 30 "$CONDUIT_BIN/$1" \
        "${@:2}" >out 2>err || status=$?
    [[ $status = "$want" ]] || die "$* answers $status, not $want: $(<err)"
}

# says TEXT: the last of them did.
says() {
    grep -qF -- "$1" err || die "no '$1' in: $(<err)"
}
