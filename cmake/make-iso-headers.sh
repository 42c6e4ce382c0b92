#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
#
#   make-iso-headers.sh DIR [COMPILER]
#
# Fills DIR with the headers of ISO C11, of jansson and of BearSSL, and no others.
# What compiles with -nostdinc against it needs no operating system. The headers are
# musl's because they show POSIX names only when asked, also in strict mode;
# glibc's drag in a tree of files of their own.
set -euo pipefail

dir=${1:?usage: make-iso-headers.sh DIR [COMPILER]}
compiler=${2:-gcc}
musl=/usr/include/x86_64-linux-musl
[[ -f $musl/features.h ]] || {
    echo "make-iso-headers.sh: no headers in $musl (package musl-dev)" >&2
    exit 1
}

iso=(assert complex ctype errno fenv float inttypes iso646 limits locale math
     setjmp signal stdalign stdarg stdbool stddef stdint stdio stdlib
     stdnoreturn string tgmath threads time uchar wchar wctype)
bits=(alltypes errno fenv float limits setjmp signal stdint)

rm -rf "$dir"
mkdir -p "$dir/bits"
for name in "${iso[@]}" features; do
    cp "$musl/$name.h" "$dir/"
done
for name in "${bits[@]}"; do
    cp "$musl/bits/$name.h" "$dir/bits/"
done
# Not a library's business, so musl has none.
cp "$("$compiler" -print-file-name=include/stdatomic.h)" "$dir/"
if [[ -f /usr/include/bearssl.h ]]; then
    cp -r /usr/include/bearssl.h /usr/include/bearssl "$dir/"
fi
for name in jansson jansson_config; do
    cp "$(pkg-config --variable=includedir jansson)/$name.h" "$dir/"
done
