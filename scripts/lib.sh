# SPDX-License-Identifier: ISC
# shellcheck shell=bash disable=SC2034
#
# What the scripts share: messages, cleaning up, Debian packages, building, and
# the lines by which a check reports to scripts/test. A bare Debian machine has
# bash, coreutils and apt; until install_packages has run, nothing else is used.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

packages_build=(build-essential cmake ninja-build pkg-config libevent-dev
                libjansson-dev libssl-dev libbearssl-dev)
packages_test=(clang clang-format clang-tidy libclang-rt-dev libcmocka-dev
               musl-dev git curl gnutls-bin openssl socat nginx-light
               libnginx-mod-stream iproute2 dnsmasq-base tcpdump spin
               chromium chromium-driver)
# What conduit is measured against.
packages_bench=(nginx-light libnginx-mod-stream iproute2)
# What guests are built with, and the lab that runs them.
packages_xen=(libxen-dev musl-dev qemu-system-x86 busybox-static cpio kmod
              xz-utils)

say() {
    printf '%s\n' "$*" >&2
}

die() {
    say "${0##*/}: $*"
    exit 1
}

# at_exit COMMAND...: runs it when the script ends, last registered first.
exit_commands=()
at_exit() {
    exit_commands+=("$(printf '%q ' "$@")")
    trap run_exit_commands EXIT
}

run_exit_commands() {
    local status=$? i
    trap : INT TERM
    for ((i = ${#exit_commands[@]} - 1; i >= 0; i--)); do
        eval "${exit_commands[i]}" || true
    done
    exit_commands=()
    return "$status"
}

make_temp_dir() { # VARIABLE
    printf -v "$1" '%s' "$(mktemp -d "${TMPDIR:-/tmp}/conduit.XXXXXX")"
    at_exit rm -rf "${!1}"
}

# As after an earlier run by sudo.
check_build_folder() {
    if [[ -e $root/build && ! -w $root/build ]]; then
        die "$root/build belongs to another user: remove it first"
    fi
}

# quietly LOG COMMAND...: its output goes to LOG and is shown if it fails.
quietly() {
    local log=$1
    shift
    check_build_folder
    mkdir -p "${log%/*}"
    if ! "$@" >"$log" 2>&1; then
        say "failed: $*"
        tail -n 60 "$log" >&2
        return 1
    fi
}

# --- packages ---------------------------------------------------------------

is_installed() {
    [[ $(dpkg-query -W -f='${db:Status-Abbrev}' "$1" 2>/dev/null) == ii* ]]
}

as_root() {
    if ((EUID == 0)); then
        "$@"
    else
        sudo "$@"
    fi
}

# Packages that bring a service would start it. policy-rc.d is how Debian lets
# the administrator say no; one that is there already is the administrator's.
policy=/usr/sbin/policy-rc.d
policy_is_ours=

forbid_services() {
    [[ -e $policy ]] && return 0
    policy_is_ours=yes
    at_exit allow_services
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
}

allow_services() {
    [[ $policy_is_ours ]] || return 0
    as_root rm -f "$policy"
    policy_is_ours=
}

apt_get() {
    quietly "$root/build/apt.log" \
        as_root env DEBIAN_FRONTEND=noninteractive apt-get -y -qq \
        -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3 "$@"
}

install_packages() {
    local package missing=()
    for package in "$@"; do
        is_installed "$package" || missing+=("$package")
    done
    ((${#missing[@]})) || return 0

    command -v apt-get >/dev/null ||
        die "needs these Debian packages, and there is no apt here:" \
            "${missing[*]}"
    if ((EUID != 0)) && ! command -v sudo >/dev/null; then
        die "run this as root: apt-get install ${missing[*]}"
    fi
    say "Installing with apt-get: ${missing[*]}"
    forbid_services
    # Without fresh lists what they name may be gone; without a network the
    # packages may still be here.
    apt_get update || true
    apt_get install --no-install-recommends "${missing[@]}" ||
        die "apt-get could not install: ${missing[*]}"
    allow_services
}

# --- sources of Debian packages -----------------------------------------------

# Few machines have deb-src lines, and theirs is not for us to change: apt gets
# its settings and its sources from a folder of ours. Hooks stay out, since they
# are for when the machine's own lists change.
private_apt() { # APT-GET-ARGUMENT...
    local dir=$root/build/apt-source
    APT_CONFIG=$dir/apt.conf quietly "$dir/apt.log" apt-get -q \
        -o Dir::Etc::sourcelist="$dir/sources.list" \
        -o Dir::Etc::sourceparts="$dir/sources.list.d" \
        -o Dir::State::lists="$dir/lists" -o Dir::Cache="$dir/cache" \
        -o APT::Sandbox::User="$(id -un)" -o Acquire::Retries=3 "$@"
}

# Writes the settings and sources for private_apt(), every deb as a deb-src.
make_private_apt() {
    local dir=$root/build/apt-source list='' lists='' file
    eval "$(apt-config shell list Dir::Etc::sourcelist/f \
        lists Dir::Etc::sourceparts/d)"
    rm -rf "$dir"
    mkdir -p "$dir/sources.list.d" "$dir/lists/partial" \
        "$dir/cache/archives/partial"
    { apt-config dump | grep -v '^[^ ]*Invoke'
      echo 'Dir::Etc::main "/dev/null"; Dir::Etc::parts "/dev/null";'
    } >"$dir/apt.conf"
    : >"$dir/sources.list"
    for file in "$list" "$lists"/*.list; do
        [[ ! -f $file ]] ||
            sed -n 's/^[[:blank:]]*deb\([[:blank:]]\)/deb-src\1/p' "$file"
    done | sort -u >>"$dir/sources.list"
    for file in "$lists"/*.sources; do
        [[ ! -f $file ]] ||
            awk 'tolower($0) ~ /^types:/ { $0 = "Types: deb-src" } { print }' \
                "$file" >"$dir/sources.list.d/${file##*/}"
    done
}

# fetch_source PACKAGE[=VERSION] TARGETDIR: unpacks the source of a Debian
# package, with Debian's patches, unless it is there already. apt checks what it
# gets against the archive's signature. Needs dpkg-dev, which build-essential
# brings.
fetch_source() {
    local target=$2 new=$2.new control unpacked
    [[ $1 != "$(cat "$target/.fetched" 2>/dev/null)" ]] || return 0
    check_build_folder
    say "Fetching the source of $1"
    rm -rf "$target" "$new"
    mkdir -p "$new"
    make_private_apt || return
    # One of many sources may be out of reach, and another have the package.
    private_apt update || true
    (cd "$new" && private_apt source --only-source "$1") || return
    control=("$new"/*/debian/control)
    if [[ ! -f ${control[0]} ]]; then
        say "the source of $1 did not unpack"
        return 1
    fi
    unpacked=${control[0]%/debian/control}
    printf '%s\n' "$1" >"$unpacked/.fetched"
    mv "$unpacked" "$target"
    rm -rf "$new"
}

# lwIP, of which the direct stack is made (cmake/ConduitLwip.cmake).
fetch_lwip() {
    fetch_source lwip=2.1.3+dfsg1-2 "$root/build/sources/lwip"
}

# --- building ---------------------------------------------------------------

# A build folder that came from elsewhere, as after moving the tree, is redone.
# Without a network, and lwIP not here yet, there still is all but the direct
# stack; a check that needs it says so itself.
configure_preset() { # PRESET [CMAKE-ARGUMENT...]
    local build=$root/build/$1 fresh=()
    if [[ -f $build/CMakeCache.txt ]] && ! grep -qxF \
        "CMAKE_HOME_DIRECTORY:INTERNAL=$root" "$build/CMakeCache.txt"; then
        fresh=(--fresh)
    fi
    [[ $1 == xen ]] || fetch_lwip ||
        say "no source of lwIP: building without the direct stack"
    (cd "$root" && quietly "$build/configure.log" \
        cmake "${fresh[@]}" --preset "$@")
}

build_preset() { # PRESET [TARGET...]
    local preset=$1 targets=()
    shift
    (($# == 0)) || targets=(--target "$@")
    configure_preset "$preset" &&
        (cd "$root" && quietly "build/$preset/build.log" \
            cmake --build --preset "$preset" "${targets[@]}")
}

# --- files ------------------------------------------------------------------

# The files of the repository, also those not yet added, one a line.
list_files() { # [PATHSPEC...]
    local file
    git -C "$root" -c safe.directory='*' -c core.quotePath=false \
        ls-files --cached --others --exclude-standard --deduplicate -- "$@" |
        while IFS= read -r file; do
            [[ ! -f $root/$file ]] || printf '%s\n' "$file"
        done
}

# --- reporting --------------------------------------------------------------

# A check prints one of these lines for each thing it looked at; scripts/test
# counts them. All other output is for people.
passed() { # NAME
    printf 'ok - %s\n' "$1"
}

failed() { # NAME [REASON]
    printf 'not ok - %s%s\n' "$1" "${2:+: $2}"
}

skipped() { # NAME REASON
    printf 'skip - %s: %s\n' "$1" "$2"
}

# Whether -k PATTERN, which scripts/test puts into CONDUIT_ONLY, wants this one.
selected() { # NAME
    [[ -z ${CONDUIT_ONLY:-} || $1 =~ $CONDUIT_ONLY ]]
}

any_selected() { # NAME...
    local name
    for name in "$@"; do
        ! selected "$name" || return 0
    done
    return 1
}

# check NAME COMMAND...: reports whether the command succeeds.
check() {
    local name=$1
    shift
    selected "$name" || return 0
    if "$@"; then
        passed "$name"
    else
        failed "$name"
    fi
}
