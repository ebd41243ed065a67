#!/bin/sh
# tests/mutants/run.sh ROOT - plants one fault at a time from the lists beside this script in a copy of the tree, builds, and
# runs the tests that must fail. A mutant that passes them all survives, and so fails this script.
#
# A list entry:
#     == name
#     file: train/loss_policy.c
#     tests: test_losses cli_cases        (ctest names; the first that fails is enough)
#     - old text, exactly once in the file (several lines: several '- ')
#     + new text
#
# MUTANT_SECONDS (default 3600) bounds a run; verdicts are kept in build-mutants/verdicts, by the text of mutant, file and
# tests, so the next run goes on where this one stopped and looks again only at what has changed. MUTANTS=pattern: only these;
# MUTANT_LISTS="trainer rows": only these lists.
set -e
root=$1
here=$root/tests/mutants
work=$root/build-mutants
budget=${MUTANT_SECONDS:-3600}
start=$(date +%s)
mkdir -p "$work"
copy=$work/tree
verdicts=$work/verdicts
touch "$verdicts"

# The copy is the tree as it is, changed files included; unchanged ones keep their times, so that little is built anew.
mkdir -p "$copy"
(cd "$root" && git ls-files -co --exclude-standard) > "$work/files"
while IFS= read -r f; do
    [ -f "$root/$f" ] || continue
    if ! cmp -s "$root/$f" "$copy/$f"; then mkdir -p "$copy/$(dirname "$f")"; cp -p "$root/$f" "$copy/$f"; touch "$copy/$f"; fi
done < "$work/files"
(cd "$copy" && find . -type f ! -path './build*' | sed 's|^\./||' | sort) > "$work/there"
sort "$work/files" | comm -13 - "$work/there" | while IFS= read -r f; do rm -f "$copy/$f"; done

cmake -S "$copy" -B "$copy/build" -DRETORT_TESTS=ON -DCMAKE_BUILD_TYPE=Release > /dev/null
cmake --build "$copy/build" -j "$(nproc)" > "$work/build.log" 2>&1 || { tail -n 20 "$work/build.log"; exit 4; }

(cd "$copy/build" && ctest -N) | sed -n 's/^ *Test *#[0-9]*: //p' > "$work/tests"

lists=$(ls "$here"/*.txt)
[ -z "$MUTANT_LISTS" ] || lists=$(for l in $MUTANT_LISTS; do echo "$here/$l.txt"; done)
cat $lists > "$work/all.txt"
grep '^== ' "$work/all.txt" | sed 's/^== //' > "$work/names"
[ -z "$(sort "$work/names" | uniq -d)" ] || { echo "mutants: a name stands twice: $(sort "$work/names" | uniq -d)" >&2; exit 2; }
total=0 killed=0 survived=0 left=0 bad=0 known=0

field() { awk -v NAME="$1" -v F="$2" '/^== /{t = substr($0, 4) == NAME} t && index($0, F ": ") == 1 {print substr($0, length(F) + 3); exit}' "$work/all.txt"; }
entry() { awk -v NAME="$1" '/^== /{t = substr($0, 4) == NAME} t' "$work/all.txt"; }

# What the verdict depends on: the mutant, the file that it changes, and the tests' sources.
key_of() {
    { entry "$1"; cat "$root/$(field "$1" file)"
      for t in $(field "$1" tests); do cat "$root"/tests/*/"$t".c "$root"/tests/*/"$t".sh 2> /dev/null || true; done; } | cksum | tr ' ' '-'
}

while IFS= read -r name; do
    case $name in ${MUTANTS:-*}) ;; *) continue ;; esac
    total=$((total + 1))
    file=$(field "$name" file) tests=$(field "$name" tests)
    if [ -z "$file" ] || [ -z "$tests" ] || [ ! -f "$root/$file" ]; then
        echo "mutants: '$name' has no file or no tests" >&2; bad=$((bad + 1)); continue
    fi
    unknown=$(for t in $tests; do grep -qxF "$t" "$work/tests" || echo "$t"; done)
    if [ -n "$unknown" ]; then
        echo "mutants: '$name' names no test by '$unknown'" >&2; bad=$((bad + 1)); continue
    fi
    key=$(key_of "$name")
    if grep -qxF "killed $key $name" "$verdicts"; then killed=$((killed + 1)); known=$((known + 1)); continue; fi
    if [ $(($(date +%s) - start)) -ge "$budget" ]; then left=$((left + 1)); continue; fi
    if ! awk -v NAME="$name" -v LIST="$work/all.txt" -f "$here/apply.awk" < "$root/$file" > "$work/mutated"; then
        echo "mutants: the old text of '$name' does not stand exactly once in $file" >&2; bad=$((bad + 1)); continue
    fi
    cp "$work/mutated" "$copy/$file"
    targets=retort
    for t in $tests; do ls "$copy"/tests/*/"$t".c > /dev/null 2>&1 && targets="$targets $t"; done
    verdict=survived
    if ! cmake --build "$copy/build" -j "$(nproc)" --target $targets > "$work/build.log" 2>&1; then
        echo "mutants: '$name' does not build: $(grep -m 1 'error:' "$work/build.log")" >&2
        bad=$((bad + 1)) verdict=broken
    else
        for t in $tests; do
            if ! (cd "$copy/build" && ctest --no-tests=error --timeout 300 -R "^$t\$" > "$work/test.log" 2>&1); then
                verdict=killed; break
            fi
        done
    fi
    cp "$root/$file" "$copy/$file"
    case $verdict in
        killed) killed=$((killed + 1)); echo "killed $key $name" >> "$verdicts" ;;
        survived) survived=$((survived + 1)) ;;
    esac
    printf '%-9s %-34s %s%s\n' "$verdict" "$name" "$file" "$([ $verdict = killed ] && echo " by $t")"
done < "$work/names"
cmake --build "$copy/build" -j "$(nproc)" > "$work/build.log" 2>&1 || true
echo "mutants: $total in the lists, $killed killed ($known of them known from earlier runs), $survived survived, $bad unusable, $left left for the next run"
[ $survived -eq 0 ] && [ $bad -eq 0 ]
