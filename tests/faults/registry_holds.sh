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
