#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
#
# Death under load: a server and clients of vchan, of which CONDUIT_KILLS, 100
# unless told, are killed at some moment each. See vchan_kill.c.
# shellcheck source=tests/support/scripts.sh
source "${BASH_SOURCE[0]%/*}/../support/scripts.sh"

mkdir -m 700 names
"$CONDUIT_BIN/vchan_kill" "$work/names" "${CONDUIT_KILLS:-100}" \
    2>errors || die "$(<errors)"
is "$(<errors)" ''
is "$(ls names)" ''
