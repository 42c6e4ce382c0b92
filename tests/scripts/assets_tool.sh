#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
#
# conduit-assets: what it writes is compiled and asked for every file again,
# because only that shows that names and bytes survive a C compiler. The rules
# it writes for make are given to make and to ninja, whichever are here.
#
# CONDUIT_SOURCE is the folder of the source.
#
# Dollars, backslashes and quotes in names are meant as they stand:
# shellcheck disable=SC2016,SC1003

# shellcheck source=tests/support/scripts.sh
source "${BASH_SOURCE[0]%/*}/../support/scripts.sh"
: "${CONDUIT_SOURCE:?folder of conduit}"
tool=$CONDUIT_BIN/conduit-assets

# refused STATUS MESSAGE ARGUMENT...: the tool must fail so and write nothing.
refused() {
    local want=$1 message=$2 status=0
    shift 2
    rm -rf none
    mkdir none
    timeout 20 "$tool" "$@" >stdout 2>stderr || status=$?
    [[ $status = "$want" ]] || die "status $status, not $want: $*"
    grep -qF -- "$message" stderr || die "no '$message': $(<stderr)"
    [[ -z $(ls -A none) ]] || die "output left behind: $*"
}

# refused_folder MESSAGE DIR: refused() for a folder that cannot be taken.
refused_folder() {
    refused 1 "$1" -n t -o none/t.c -H none/t.h -d none/t.d "$2"
}

# build NAME DIR: makes ./show from a folder, through NAME.c and NAME.h.
build() {
    "$tool" -n "$1" -o "$1.c" -H "$1.h" "$2"
    printf '#include "%s.h"\n#define TABLE %s\n' "$1" "$1" >table.h
    "${CC:-cc}" -std=c11 -O0 -Wall -Wextra -Wpedantic -Werror -I. \
        -I"$CONDUIT_SOURCE/include" -o show \
        show.c "$1.c" "$CONDUIT_SOURCE/src/http/assets.c"
}

cat >show.c <<'END'
#include "table.h"
#include <stdio.h>
#include <string.h>

/* show: every path, a line each. show FIELD PATH: that of the asset. */
int main(int argc, char **argv)
{
    const struct conduit_asset *asset;

    for (size_t i = 1; i < TABLE.count; i++) {
        if (strcmp(TABLE.items[i - 1].path, TABLE.items[i].path) >= 0) {
            fprintf(stderr, "out of order: %s\n", TABLE.items[i].path);
            return 3;
        }
    }
    for (size_t i = 0; argc == 1 && i < TABLE.count; i++) {
        printf("%s\n", TABLE.items[i].path);
    }
    if (argc != 3) {
        return argc == 1 ? 0 : 2;
    }
    asset = conduit_assets_find(&TABLE, argv[2], strlen(argv[2]));
    if (asset == NULL || asset->data == NULL) {
        fprintf(stderr, "not found: %s\n", argv[2]);
        return 1;
    }
    if (strcmp(argv[1], "data") == 0) {
        return fwrite(asset->data, 1, asset->size, stdout) != asset->size;
    }
    puts(strcmp(argv[1], "type") == 0 ? asset->type : asset->etag);
    return 0;
}
END

# --- every file comes back, byte for byte, whatever it is called

mkdir -p site/sub/deep site/empty
printf '<!doctype html>' >site/index.html
printf 'below' >site/sub/index.html
printf 'deepest' >'site/sub/deep/last one.css'
: >site/empty.txt
for ((i = 0; i < 256; i++)); do
    printf -v octal '\\%03o' "$i"
    printf '%b' "\\0${octal#\\}"
done >site/all.bin
[[ $(wc -c <site/all.bin) = 256 ]] || die "all.bin"
head -c 300000 /dev/urandom >site/large.bin
names=(
    'a b.js' "it's.txt" 'say "hi".txt' '$HOME.txt' '$(x)' 'a#b' 'a%sb%n'
    '100%' "what??'n" 'back\slash' 'end\' 'star*' 'co:lon' 'a=b' '-o' '~tilde'
    $'\303\244rger.txt' $'\303\2441' $'bytes\377\3761' $'tab\there' $'bell\a7'
    'a' 'a.b' 'a-b' 'A' 'no.extension.xyz' 'UPPER.HTML' 'x.tar.gz' 'index'
)
for name in "${names[@]}"; do
    printf 'content of %s\n' "$name" >"site/$name"
done
mkdir -p 'site/*' 'site/sub/$d #'
printf 'x' >'site/*/x'
printf 'y' >'site/sub/$d #/y'
ln -s ../index.html site/sub/link.html
ln -s sub/deep site/linked

# none of these is to be found again
printf 'left out' | tee site/.hidden site/index.html~ 'site/#index.html#' \
    site/a.bak site/.index.html.swp site/b.swp >/dev/null
mkdir site/.git
printf 'left out' >site/.git/config

build odd site
./show >paths
find -L site -name '.?*' -prune -o -type f ! -name '*~' ! -name '*.bak' \
    ! -name '*.swp' ! -name '#*#' -printf '/%P\n' |
    LC_ALL=C sort >expected
diff expected paths || die "not the files that are there"
count=0
while IFS= read -r path; do
    ./show data "$path" | cmp - "site$path" || die "content of $path"
    [[ $(./show etag "$path") =~ ^\"[0-9a-f]{16}-[0-9a-f]+\"$ ]] ||
        die "entity tag of $path"
    count=$((count + 1))
done <paths
((count > 35)) || die "only $count files were compared"
[[ $(./show data /) = '<!doctype html>' ]] || die "index of the folder"
[[ $(./show data /sub/) = below ]] || die "index of a folder below"

# a line break, which a list of lines could not show
mkdir broken
printf 'two lines' >$'broken/a\nb'
build broken broken
[[ $(./show data $'/a\nb') = 'two lines' ]] || die "name of two lines"
for name in $'a\nb' 'a\b' 'a:b'; do
    rm -f broken/*
    printf 'x' >"broken/$name"
    refused_folder 'a dependency file cannot hold this name' broken
done

mkdir bare
build bare bare
[[ -z $(./show) ]] || die "something in an empty folder"
build oddly site
build _x1 site

# --- media types and entity tags

mkdir kinds
while read -r name type; do
    printf 'a' >"kinds/$name"
    printf '%s %s\n' "$name" "$type"
done >types <<'END'
x.html text/html; charset=utf-8
x.HTM text/html; charset=utf-8
x.css text/css; charset=utf-8
x.js text/javascript; charset=utf-8
x.mjs text/javascript; charset=utf-8
x.txt text/plain; charset=utf-8
x.md text/markdown; charset=utf-8
x.json application/json
x.map application/json
x.webmanifest application/manifest+json
x.xml application/xml
x.wasm application/wasm
x.pdf application/pdf
x.pem application/x-pem-file
x.svg image/svg+xml
x.png image/png
x.jpg image/jpeg
x.JPEG image/jpeg
x.gif image/gif
x.webp image/webp
x.ico image/vnd.microsoft.icon
x.woff font/woff
x.woff2 font/woff2
x.ttf font/ttf
x.min.js text/javascript; charset=utf-8
x.js.unknown application/octet-stream
html application/octet-stream
x. application/octet-stream
END
: >kinds/empty
mkdir kinds/x.css.d
printf 'b' >kinds/x.css.d/plain
build kinds kinds
while read -r name type; do
    [[ $(./show type "/$name") = "$type" ]] || die "type of $name"
done <types
[[ $(./show type /x.css.d/plain) = application/octet-stream ]] ||
    die "a folder's name gave a type"

# FNV-1a's published values of nothing and of "a"
[[ $(./show etag /empty) = '"cbf29ce484222325-0"' ]] || die "tag of nothing"
[[ $(./show etag /x.js) = '"af63dc4c8601ec8c-1"' ]] || die "tag of a"
[[ $(./show etag /html) = '"af63dc4c8601ec8c-1"' ]] || die "tag of a name"
printf 'b' >kinds/x.js
build kinds kinds
[[ $(./show etag /x.js) != '"af63dc4c8601ec8c-1"' ]] || die "tag did not change"
[[ $(./show etag /x.css) = '"af63dc4c8601ec8c-1"' ]] || die "tag changed"

# --- the same folder gives the same output, from anywhere

mkdir -p elsewhere/below
cp -a site elsewhere/below/copied
ln -s below/copied elsewhere/link
for locale in C C.UTF-8 en_US.UTF-8; do
    for dir in elsewhere/below/copied elsewhere/below/copied// \
        "$work/elsewhere/below/copied" elsewhere/link; do
        LC_ALL=$locale "$tool" -n odd -o again.c -H again.h "$dir" 2>stderr
        [[ ! -s stderr ]] || die "said: $(<stderr)"
        cmp odd.c again.c || die "source differs: $locale $dir"
        cmp odd.h again.h || die "header differs: $locale $dir"
    done
done
(cd site && "$tool" -n odd -o ../again.c -H ../again.h .)
cmp odd.c again.c || die "differs from within"
! grep -qF "$work" odd.c odd.h || die "the folder's place is in the output"

# --- the header keeps its time where it stays the same, the source does not

touch -d 2001-01-01 again.c again.h
"$tool" -n odd -o again.c -H again.h site
[[ $(stat -c %Y again.c) -gt $(stat -c %Y again.h) ]] ||
    die "the source was not written"
[[ again.h -ot odd.h ]] || die "the header was written without need"
"$tool" -n even -o again.c -H again.h kinds
grep -qx 'extern const struct conduit_assets even;' again.h ||
    die "the header was not written"
(umask 027 && "$tool" -n even -o mode.c -H mode.h kinds)
[[ $(stat -c %a mode.c) = 640 ]] || die "mode $(stat -c %a mode.c)"

# --- dependencies

mkdir -p 'in put/su$b'
printf '1' >'in put/a b#1.txt'
printf '2' >'in put/su$b/$2'
printf '3' >'in put/c%=3'
find 'in put' -exec touch -d 2001-01-01 {} +
"$tool" -n d -o 'd.c' -H d.h -d d.d 'in put/'
cat >expected <<'END'
d.c: \
  in\ put \
  in\ put/su$$b \
  in\ put/a\ b\#1.txt \
  in\ put/c%=3 \
  in\ put/su$$b/$$2
END
diff expected d.d || die "dependencies"

printf '%s\n' 'd.c:' \
    $'\t"$(TOOL)" -n d -o d.c -H d.h -d d.d "in put"' '-include d.d' >Makefile
printf '%s\n' 'rule assets' \
    '  command = "$$TOOL" -n d -o d.c -H d.h -d d.d "in put"' \
    '  depfile = d.d' 'build d.c: assets' >build.ninja

# changed BUILDER: whether it finds something to do, and then does it.
changed() {
    TOOL=$tool "$1" >log 2>&1 || die "$1: $(<log)"
    ! grep -qE 'up to date|no work to do' log
}

builders=0
for builder in make ninja; do
    command -v "$builder" >/dev/null || continue
    builders=$((builders + 1))
    rm -f d.c d.d
    find 'in put' -exec touch -d 2001-01-01 {} +
    changed "$builder" || die "$builder: nothing built"
    ! changed "$builder" || die "$builder: built twice"
    for path in 'in put/a b#1.txt' 'in put/su$b/$2' 'in put/c%=3'; do
        touch -d 2099-01-01 "$path"
        changed "$builder" || die "$builder: did not see $path change"
        touch -d 2001-01-01 "$path"
        ! changed "$builder" || die "$builder: built twice after $path"
    done
    printf 'new' >'in put/su$b/new'
    touch -d 2099-01-01 'in put/su$b'
    changed "$builder" || die "$builder: did not see a file come"
    grep -q '/new"' d.c || die "$builder: the new file is not there"
    rm 'in put/su$b/new'
    [[ $builder = ninja ]] || continue # make wants a rule for what is gone
    changed "$builder" || die "$builder: did not see a file go"
    ! grep -q '/new"' d.c || die "$builder: the file is still there"
done
((builders > 0)) || die "neither make nor ninja is here"

# --- what it refuses to take in

mkdir outside site-other
printf 'secret' >outside/secret
printf 'secret' >site-other/secret
refuse_link() {
    rm -rf links
    mkdir -p links/sub
    ln -s "$2" links/sub/link
    refused_folder "links/sub/link: symbolic link$1" links
}
refuse_link ' leads out of the folder' ../../outside/secret
refuse_link ' leads out of the folder' ../../outside
refuse_link ' leads out of the folder' "$work/outside/secret"
refuse_link ' leads out of the folder' ../..
refuse_link ' leads out of the folder' /
refuse_link ' to a folder it is in' ..
refuse_link ' to a folder it is in' .
refuse_link ': ' nowhere
refuse_link ': ' link
ln -s ../site-other/secret site/other
refused_folder 'site/other: symbolic link leads out of the folder' site
rm site/other

mkdir pipe
mkfifo pipe/fifo
refused_folder 'pipe/fifo: neither a file nor a folder' pipe
refused_folder 'missing: No such file or directory' missing
refused_folder 'show.c: not a folder' show.c

# --- what it cannot write

refused 1 'No such file or directory' \
    -n t -o none/missing/t.c -H none/t2/t.h site
mkdir full
printf 'old' >full/t.c
status=0
(
    trap '' XFSZ
    ulimit -f 8
    exec "$tool" -n t -o full/t.c -H full/t.h site 2>full.log
) || status=$?
[[ $status = 1 ]] || die "status $status where the disk was full"
grep -q 'full/t.c: File too large' full.log || die "said: $(<full.log)"
[[ $(<full/t.c) = old ]] || die "half a file was left"
[[ $(ls full) = $'t.c\nt.h' ]] || die "left behind: $(ls full)"

# --- commands that make no sense

for name in '' 1a a-b 'a b' $'\303\244' a.b 'a;' int while ' '; do
    refused 2 'not an identifier' -n "$name" -o none/t.c -H none/t.h site
done
refused 2 'not an identifier' -o none/t.c -H none/t.h site
refused 2 'are needed' -n t -H none/t.h site
refused 2 'are needed' -n t -o none/t.c site
refused 2 'one folder' -n t -o none/t.c -H none/t.h
refused 2 'one folder' -n t -o none/t.c -H none/t.h site kinds
refused 2 'a file of its own' -n t -o none/t.c -H none/t.c site
refused 2 'a file of its own' -n t -o none/t.c -H none/t.h -d none/t.h site
refused 2 '' -n t -o none/t.c -H none/t.h -x site
"$tool" -h >usage
grep -q '^usage: conduit-assets' usage || die "no usage"

echo "assets_tool: $count files came back, with $builders builders"
