# What is installed works: the program, its manual and completions, and the library for programs of others.
. "$(dirname "$0")/lib.sh"
build=$(dirname "$retort")
cmake --install "$build" --prefix "$tmp/moved" > install.txt 2>&1 || fail "install: $(cat install.txt)"
mv moved there                      # a tree that was moved
there=$tmp/there
[ "$("$there/bin/retort" --version)" = "$("$retort" --version)" ] || fail "another program was installed"

for page in "" $(cd "$root/cli" && ls cmd_*.c | sed "s/^cmd_\(.*\)\.c$/-\1/"); do
    f=$there/share/man/man1/retort$page.1
    # shellcheck disable=SC2086
    "$retort" help man ${page#-} > page.txt && cmp -s page.txt "$f" || fail "$f is not what 'help man ${page#-}' prints"
    [ "$(head -c 4 "$f")" = ".TH " ] || fail "$f is no manual page"
    ! grep -q "^'" "$f" || fail "$f: a line begins with an apostrophe"
    if command -v groff > warnings.txt 2>&1; then
        groff -man -ww -z "$f" > warnings.txt 2>&1
        [ ! -s warnings.txt ] || fail "$f: $(cat warnings.txt)"
    fi
done
grep -q 'train\.epochs \\fR\[20\]' "$there/share/man/man1/retort-train.1" || fail "train.epochs is not in the manual"

# A shell's completion: of a command, an option, a key.
if command -v bash > /dev/null 2>&1; then
    completed() { # words...
        bash -c '. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); compopt() { :; }; _retort; echo "${COMPREPLY[*]}"' \
            "$there/share/bash-completion/completions/retort" "$@"
    }
    [ "$(completed retort la)" = "label labels" ] || fail "bash: la"
    [ "$(completed retort train --fo)" = --force ] || fail "bash: train --fo"
    [ "$(completed retort info --see)" = "" ] || fail "bash: info takes no --seed"
    [ "$(completed retort label labels.to)" = labels.topk= ] || fail "bash: label labels.to"
fi
"$retort" help completion bash | cmp -s - "$there/share/bash-completion/completions/retort" ||
    fail "bash: another completion"
for shell in zsh fish; do
    "$retort" help completion $shell > out.txt
    grep -q allow-numeric-change out.txt || fail "$shell"
done
expect 2 "bash, zsh or fish" "$retort" help completion tcsh
expect 2 "did you mean 'train'" "$retort" help man trian

# The library, as others see it: every header alone, and a program by pkg-config and by find_package.
export PKG_CONFIG_PATH="$there/lib/pkgconfig:$there/lib64/pkgconfig:$(dirname "$(find "$there" -name retort.pc)")"
flags=$(pkg-config --cflags retort) || fail "pkg-config"
cc=${CC:-cc}
# shellcheck disable=SC2086
for h in $(cd "$there/include/retort" && find . -name '*.h'); do
    echo "#include \"$h\"" | $cc -std=c17 -Wall -Werror -fsyntax-only $flags -x c - 2> err.txt || fail "$h: $(cat err.txt)"
done
make_data 300 d.h5
cat > t.json <<'J'
{"model": {"input": [64], "classes": 3, "family": "mlp", "width": 8, "depth": 1}, "data": {"source": "d.h5"}, "train": {"epochs": 2, "batch": 32}}
J
"$retort" train t.json --out r --quiet > out.txt 2> err.txt || fail "train: $(cat err.txt)"
mkdir user
cat > user/user.c <<'C'
#include <stdio.h>

#include "data/source.h"
#include "engine/device.h"
#include "student/predictor.h"

/* Which class is the first row of d.h5? */
int main(void)
{
    rt_model **m;
    rt_source *x;
    rt_predictor *p;
    rt_device *device = rt_device_cpu(1);
    static float z[3];
    static char raw[4096];
    uint64_t row = 0;
    if (!device || rt_models_load(&m, (const char *[]){"r/model.h5"}, 1, NULL) || rt_source_open(&x, "d.h5", "x") ||
        rt_models_bind(m, 1, x, RT_MATCH_NAMES, NULL) || rt_predictor_new(&p, m, 1, device, 0, NULL, 0) ||
        rt_source_read(x, &row, 1, raw)) {
        fprintf(stderr, "%s\n", rt_error_message());
        return 1;
    }
    rt_predict(p, &(rt_feed){.raw = raw, .rows = 1}, z);
    printf("%d\n", z[1] > z[0] ? z[2] > z[1] ? 2 : 1 : z[2] > z[0] ? 2 : 0);
    rt_predictor_free(p);
    rt_source_close(x);
    rt_models_free(m, 1);
    rt_device_close(device);
    return 0;
}
C
"$retort" predict r/model.h5 --data d.h5 --rows 0:1 --out p.csv --quiet > out.txt 2> err.txt || fail "predict: $(cat err.txt)"
want=$(sed -n 2p p.csv | cut -d, -f2)
cached() { sed -n "s/^$1:[A-Z]*=//p" "$build/CMakeCache.txt"; }
if [ -z "$(cached RETORT_SANITIZE)" ] && [ "$(cached RETORT_COVERAGE)" != ON ]; then
    # shellcheck disable=SC2046
    $cc -std=c17 user/user.c -o by_pkg_config $(pkg-config --cflags --libs --static retort) 2> err.txt || fail "link: $(cat err.txt)"
    [ "$(./by_pkg_config)" = "$want" ] || fail "by pkg-config: another answer than $want"
    cat > user/CMakeLists.txt <<'C'
cmake_minimum_required(VERSION 3.25)
project(user C)
find_package(retort 0.1 REQUIRED)
add_executable(user user.c)
target_link_libraries(user PRIVATE retort::retort)
C
    cmake -S user -B user/build -DCMAKE_PREFIX_PATH="$there" > cmake.txt 2>&1 && cmake --build user/build >> cmake.txt 2>&1 ||
        fail "find_package: $(tail -5 cmake.txt)"
    [ "$(user/build/user)" = "$want" ] || fail "by find_package: another answer than $want"
fi

# README's list of keys is what the program prints.
sed -n '/^<!-- keys/,/^<!-- end of keys/p' "$root/README.md" | sed '1d;$d' > readme.md
"$retort" help reference > reference.md
diff readme.md reference.md > diff.txt || fail "README.md's keys differ from 'retort help reference': $(head -5 diff.txt)"
exit $failed
