#!/bin/sh
# tests/faults/registry_holds.sh RETORT SCENE DONE - after a registry's command was killed or failed in this folder (DONE 0)
# or has said that it is done (1): what was there is there, what was done is done, the rest is not; the same command
# then works, and nothing lies about. Prints what does not hold.
retort=$1 scene=$2 done=$3
bad() { echo "$*"; exit 1; }
run() { "$retort" registry "$@" --registry out --quiet < /dev/null; }
verify() { run verify > verify.txt 2>&1 || bad "verify: $(tail -n 1 verify.txt)"; }
count() { run list --json > list.txt 2>&1 || bad "list: $(tail -n 1 list.txt)"; grep -c '"version"' list.txt; }
has() { run show "$1" --json > show.txt 2>&1; }

if [ "$scene" = registry-init ]; then
    if run list > list.txt 2>&1; then verify; elif [ "$done" = 1 ]; then bad "init said done: $(tail -n 1 list.txt)"; fi
    run init > again.txt 2>&1
    case $? in 0|2) ;; *) bad "init again: $(tail -n 1 again.txt)" ;; esac
    verify
    exit 0
fi
verify
n=$(count)
has m@1 || bad "m@1 is gone"
case $scene in
    registry-add|registry-import)
        [ "$n" -eq 2 ] || [ "$n" -eq 3 ] || bad "$n versions"
        [ "$done" = 0 ] || [ "$n" -eq 3 ] || bad "a version that was told is not there"
        if [ $scene = registry-add ]; then run add m teacher2.h5 --eval evaluation.json > again.txt 2>&1
        else run import m.tar.gz > again.txt 2>&1; fi || bad "again: $(tail -n 1 again.txt)"
        [ "$(count)" -eq $((n + 1)) ] || bad "again gave $(count) versions of $n"
        has "m@$((n + 1))" || bad "the number of the version is not the next one" ;;
    registry-tag)
        has m@prod || bad "the tag is gone: $(cat show.txt)"
        sed -n 2p show.txt | grep -q '"m@[12]"' || bad "the tag is elsewhere: $(head -n 3 show.txt)"
        if sed -n 2p show.txt | grep -q '"m@1"'; then
            [ "$done" = 0 ] || bad "the tag that was told is not there"
            run log m --json | grep -q better && bad "the log has what did not happen"
            run tag m@2 prod --reason better > again.txt 2>&1 || bad "again: $(tail -n 1 again.txt)"
        else
            [ "$(run log m --json | grep -c '"better"')" -eq 1 ] || bad "the log has not what happened"
        fi ;;
    registry-add-more)
        looks() { run show m@1 --json | grep -c '"exit_code"'; }
        k=$(looks)
        [ "$k" -le 1 ] || bad "$k looks at drift"
        [ "$done" = 0 ] || [ "$k" -eq 1 ] || bad "the look at drift that was told is not there"
        run add m@1 --drift drift.json > again.txt 2>&1 || bad "again: $(tail -n 1 again.txt)"
        [ "$(looks)" -eq 1 ] || bad "again gave $(looks) looks at drift" ;;
    registry-protect)
        changes() { run log --json | grep -c '"detail":	"prod,stable"'; }
        k=$(changes)
        [ "$k" -le 1 ] || bad "$k changes of what is protected"
        [ "$done" = 0 ] || [ "$k" -eq 1 ] || bad "the change that was told is not there"
        run init --protect prod,stable > again.txt 2>&1 || bad "again: $(tail -n 1 again.txt)"
        run tag m@1 stable > again.txt 2>&1 || bad "stable: $(tail -n 1 again.txt)"
        run tag m@2 stable > again.txt 2>&1 && bad "stable is not protected" ;;
    registry-anchor)
        anchors() { run show m@2 --json | tr -d '\t\n ' | grep -c '"anchors":\["1.0"\]'; }
        k=$(anchors)
        [ "$done" = 0 ] || [ "$k" -eq 1 ] || bad "the anchor that was told is not there"
        [ "$(run log m --json | grep -c '"what":	"anchor"')" -eq "$k" ] || bad "anchors and log differ"
        run tag m@2 --anchor 1.0 > again.txt 2>&1
        [ $? -eq $((k * 2)) ] || bad "again: $(tail -n 1 again.txt)"
        [ "$(anchors)" -eq 1 ] || bad "again gave no anchor" ;;
    registry-untag)
        k=$(run log m --json | grep -c '"worse"')
        if has m@prod; then
            [ "$done" = 0 ] || bad "the tag that was taken away is there"
            [ "$k" -eq 0 ] || bad "the log has what did not happen"
            run tag m prod --remove --reason worse > again.txt 2>&1 || bad "again: $(tail -n 1 again.txt)"
        else
            [ "$k" -eq 1 ] || bad "the log has not what happened"
        fi ;;
    registry-gate)
        runs() { run log --json | grep -c '"what":	"gate"'; }
        k=$(runs)
        [ "$k" -le 1 ] || bad "$k gate runs"
        if [ "$done" = 1 ]; then [ "$k" -eq 1 ] && [ -s outg/verdict.json ] || bad "a gate run that was told is not there"; fi
        "$retort" gate --baseline m@1 --candidate teacher2.h5 --policy policy.json --data test.h5 --registry out --out outg --force \
            --quiet > again.txt 2>&1 < /dev/null || bad "again: $(tail -n 1 again.txt)"
        [ "$(run log --json | grep -c '"what":	"look"')" -eq 1 ] || bad "one decision is counted twice" ;;
    registry-rm)
        if has m@2; then
            [ "$done" = 0 ] || bad "the version that was removed is there"
            run rm m@2 > again.txt 2>&1 || bad "again: $(tail -n 1 again.txt)"
        fi ;;
    registry-gc)
        [ "$n" -eq 2 ] || bad "$n versions" ;;
esac
run gc --age 0 > gc.txt 2>&1 || bad "gc: $(tail -n 1 gc.txt)"
verify
for key in objects_that_nothing_names unfinished_files; do
    grep -q "^$key  *0\$" verify.txt || bad "after gc: $(grep $key verify.txt)"
done
exit 0
