#!/bin/sh
# tests/power/power.sh RETORT ROOT POWER.so [SECONDS COUNT_FILE] - the power fails at one call after the other that changes
# something on disk, in import, label, train, export, eval, run and a registry's commands. What is left is gone on with:
# nothing that a sync acknowledged is lost, and the end is that of a run that nothing happened to, to the byte, without
# leftovers. Of a registry the commands before the cut were told done, and must be there: the one it was in is there or
# not, whole.
#
# On a loop image with ext4 that is shut down without its log being written, where this machine lets us mount one (root);
# else, and in the short run without SECONDS, in a model in which nothing survives but what was synced. Both have a
# control in which syncs are ignored: at least 80 % of its cuts must be seen. CUTS (10) in the short run; SCENES: these
# alone.
. "$2/tests/cli/lib.sh"
power=$3 seconds=$4 count_file=$5
make_data 5000 a.h5
mkdir in; mv a.h5 band.csv in/
head -600 in/band.csv > in/b.csv
touch -d '2020-01-01' in/*
cat > in/t.json <<X
{"model": {"input": [64], "classes": 3, "family": "mlp", "width": 4, "depth": 1}, "data": {"source": "$tmp/in/a.h5", "validation": 100},
 "train": {"epochs": 3, "batch": 500, "checkpoint_seconds": 0}}
X
cat > in/x.json <<X
{"name": "x", "out": "X", "steps": [{"name": "data", "do": "import", "with": {"input": "$tmp/in/b.csv", "label": "-1"}},
 {"name": "model", "do": "train", "with": {"model": {"input": [64], "classes": 3, "family": "mlp", "width": 4, "depth": 1},
   "data": {"source": "\${data}"}, "train": {"epochs": 1, "batch": 100}}},
 {"name": "rows", "do": "predict", "with": {"model": "\${model}", "data": {"source": "\${data}"}, "to": "csv"}}]}
X
cat > in/h.json <<X
{"model": {"input": [64], "family": "mlp", "width": 4, "depth": 1, "heads": [{"name": "y", "size": 3}, {"name": "z", "size": 3}]},
 "data": {"source": "$tmp/in/a.h5", "validation": 100, "targets": {"z": "y"}},
 "train": {"epochs": 2, "batch": 500, "checkpoint_seconds": 0}}
X
"$retort" train in/h.json --out in/T3 --quiet > /dev/null || fail "train heads"
for s in 1 2; do "$retort" train in/t.json --out in/T$s --seed $s --quiet > /dev/null || fail "train"; done
"$retort" label --teacher in/T1/model.h5 --data in/a.h5 --out in/L.h5 --quiet > /dev/null || fail "label"

command_of() { # scene folder
    case $1 in
        label) echo label --teacher "$tmp/in/T1/model.h5" --data "$tmp/in/a.h5" --out "$2/out.h5" ;;
        label-heads) echo label --teacher "$tmp/in/T3/model.h5" --data "$tmp/in/a.h5" --out "$2/out.h5" ;;
        train-heads) echo train "$tmp/in/h.json" "teacher=$tmp/in/T3/model.h5" --out "$2/out" ;;
        train) echo train "$tmp/in/t.json" --out "$2/out" ;;
        import) echo import "$tmp/in/b.csv" --label -1 --out "$2/out.h5" ;;
        export) echo export "$tmp/in/L.h5" --to csv --out "$2/out.csv" ;;
        eval) echo eval --teacher "$tmp/in/T1/model.h5" --student "$tmp/in/T2/model.h5" --data "$tmp/in/a.h5" eval.speed=false --out "$2/out" ;;
        run) echo run "$tmp/in/x.json" --out "$2/out" ;;
    esac
}
# What is known of data (retort-id) is kept when the data is two seconds old. A lock's file that was removed may be back, as its removal is not synced: nobody holds it, and the next to come takes it.
state_of() { # folder: its names, and what holds no time or path
    (cd "$1" || exit; find . ! -name '*.retort-lock' ! -name .retort-lock ! -name '*.retort-id' | LC_ALL=C sort
     for f in $(find . -name '*.h5' ! -name 'model.h5' ! -path '*/checkpoints/*') $(find . -name '*.csv'); do cksum < "$f"; done
     for f in $(find . -name result.json); do grep '"digest"' "$f"; done)
}

# What the store says is on disk, into the folder $1; $2 is the inode of the folder that it was.
rebuild() {
    mkdir -p "$1"
    [ -f "$tmp/store/d-$2" ] || return 0
    while read -r kind inode name; do
        if [ "$kind" = d ]; then rebuild "$1/$name" "$inode"
        elif [ -f "$tmp/store/f-$inode" ]; then cp --sparse=always --preserve=xattr "$tmp/store/f-$inode" "$1/$name"
        else : > "$1/$name"; fi
    done < "$tmp/store/d-$2"
}

# The file system after the power is back. A reader of the process that is gone may still end.
again() {
    i=0
    until umount disk 2> /dev/null; do
        i=$((i + 1)); [ $i -lt 300 ] || { echo "power: the image cannot be unmounted"; return 1; }
        sleep 0.1
    done
    mount -o loop image disk || { echo "power: the image cannot be mounted again"; return 1; }
}

# Empty folders, on a disk where everything is synced.
begin_cut() {
    verdict=""
    rm -rf store ack; mkdir store; : > ack
    if [ -n "$device" ]; then rm -rf disk/*; sync -f disk; mkdir disk/w; sync -f disk
    else rm -rf disk; mkdir -p disk/w; fi
    work=$tmp/disk/w inode=$(stat -c %i disk/w)
}

# Arguments of retort, with the power failing at call $1; into $ended how that ended: 99 where it failed.
strike() { # call ignore arguments...
    at_call=$1 ignores=$2
    shift 2
    rm -f calls
    # shellcheck disable=SC2046
    env LD_PRELOAD="$power" POWER_ROOT="$work" POWER_ACK="$tmp/ack" POWER_CUT="$at_call" POWER_CALLS="$tmp/calls" \
        ${ignores:+POWER_IGNORE=1} ${device:+POWER_DEVICE="$tmp/disk"} $([ -n "$device" ] || echo POWER_STORE="$tmp/store") \
        "$retort" "$@" --quiet > /dev/null 2> cut.err
    ended=$?
}

# The folder as it is when the power is back.
power_is_back() {
    if [ -n "$device" ]; then
        if [ $ended -eq 0 ]; then sync -f disk; else again || exit 4; fi
        mkdir -p disk/w
    else rm -rf disk; rebuild disk/w "$inode"; fi
}

# ---- a registry: one command after the other ----

steps=10
step_of() { # number folder
    case $1 in
        1) echo registry init --registry "$2/R" ;;
        2) echo registry add m "$tmp/in/T1/model.h5" --registry "$2/R" ;;
        3) echo registry tag m@1 prod --registry "$2/R" ;;
        4) echo registry add m "$tmp/in/T2/model.h5" --eval "$tmp/in/E/evaluation.json" --registry "$2/R" ;;
        5) echo registry tag m@2 --anchor 1.0 --registry "$2/R" ;;
        6) echo registry import "$tmp/in/m.tar.gz" --name other --registry "$2/R" ;;
        7) echo registry tag m@2 prod --reason better --registry "$2/R" ;;
        8) echo registry rm other@1 --registry "$2/R" ;;
        9) echo registry gc --age 0 --registry "$2/R" ;;
        10) echo registry init --protect prod,stable --registry "$2/R" ;;
    esac
}
# Versions, tags, anchors, metrics and the log, without times and places; of what is not there its exit code.
registry_state() { # folder
    for what in list "show m@1" "show m@2" "show other@1" log; do
        # shellcheck disable=SC2086
        "$retort" registry $what --json --registry "$1/R" 2> /dev/null | grep -v '"time"\|"user"\|"registry"\|"file"\|"added"\|"message"\|clock_set_back'
    done
}
# Without objects that nothing names: a command that was cut off may leave some, which gc takes.
registry_is_whole() { # folder
    "$retort" registry verify --registry "$1/R" --quiet > verify.txt 2>&1 || { verdict="verify: $(tail -1 verify.txt)"; return; }
    "$retort" registry gc --age 0 --registry "$1/R" --quiet > verify.txt 2>&1 || { verdict="gc: $(tail -1 verify.txt)"; return; }
    "$retort" registry verify --registry "$1/R" --quiet > verify.txt 2>&1 || verdict="verify after gc: $(tail -1 verify.txt)"
    grep -q '^unfinished_files  *0$' verify.txt && grep -q '^objects_that_nothing_names  *0$' verify.txt || verdict="leaves files"
}

cut_registry() { # call ignore
    begin_cut
    step=0 left=$1 total=0 ended=0
    while [ $step -lt $steps ] && [ $ended -eq 0 ]; do
        step=$((step + 1))
        # shellcheck disable=SC2046
        strike $((left > 0 ? left : 0)) "$2" $(step_of $step "$work")
        [ $ended -eq 99 ] || [ $ended -eq 0 ] || { fail "registry, step $step at call $1: exit $ended: $(cat cut.err)"; return; }
        [ $ended -eq 99 ] && break
        echo "told $step" >> ack
        made=$(cat calls) total=$((total + made))
        [ "$1" -eq 0 ] || left=$((left - made))
        [ "$1" -eq 0 ] || [ $left -gt 0 ] || left=1000000000
    done
    echo $total > calls
    [ $ended -eq 99 ] || step=$((step + 1))
    power_is_back
    now=$(registry_state disk/w)
    if [ "$now" = "$(cat R.$((step - 1)))" ]; then :
    elif [ $step -le $steps ] && [ "$now" = "$(cat R.$step)" ]; then step=$((step + 1))
    else verdict="another state after $(tail -1 ack)"; return; fi
    [ $step -eq 1 ] || registry_is_whole disk/w
    while [ -z "$verdict" ] && [ $step -le $steps ]; do
        # shellcheck disable=SC2046
        "$retort" $(step_of $step disk/w) --quiet > /dev/null 2> go.err || verdict="does not go on with step $step"
        step=$((step + 1))
    done
    [ -n "$verdict" ] || [ "$(registry_state disk/w)" = "$(cat R.$steps)" ] || verdict="ends in another state"
    [ -n "$verdict" ] || registry_is_whole disk/w
}

# One cut of scene $1 at call $2; into $verdict what shows it, when something acknowledged was lost or the end differs.
cut() { # scene call ignore
    if [ "$1" = registry ]; then cut_registry "$2" "$3"; return; fi
    begin_cut
    # shellcheck disable=SC2046
    strike "$2" "$3" $(command_of "$1" "$work")
    [ $ended -eq 99 ] || [ $ended -eq 0 ] || { fail "$1 at call $2: exit $ended: $(cat cut.err)"; return; }
    power_is_back
    [ $ended -ne 0 ] || [ "$(state_of disk/w)" = "$(cat "S.$1")" ] || verdict="after its end another state"
    for f in $(sed -n 's/^file //p' ack | sort -u); do [ -e disk/w/"$f" ] || verdict="$f is gone"; done
    lines=$(sed -n 's/^journal //p' ack | tail -1) batches=$(sed -n 's/^checkpoint //p' ack | tail -1)
    finished=$(find disk/w -name result.json)
    # shellcheck disable=SC2046
    if ! "$retort" $(command_of "$1" "$work") --json > go.json 2> go.err; then
        # an import or an export that was complete is not made twice
        case $1 in import|export) grep -q "exists; give another --out" go.err || verdict="does not go on" ;; *) verdict="does not go on" ;; esac
    fi
    if [ -n "$lines" ]; then
        now=$(sed -n 's/.*"labelled_now":[[:space:]]*\([0-9]*\).*/\1/p' go.json) left=$((5000 - lines * 1024))
        [ $left -ge 0 ] || left=0
        [ "${now:-5000}" -le $left ] || verdict="labels $now rows again"
    fi
    if [ -n "$batches" ] && [ "${1%-heads}" = train ]; then
        from=$(sed -n 's/.*resumed at step \([0-9]*\).*/\1/p' go.err)
        [ -n "$from" ] || { [ -n "$finished" ] && ! grep -q "made again" go.err; } || verdict="starts again"
        [ -z "$from" ] || [ "$from" -ge "$batches" ] || verdict="goes on from $from"
    fi
    for f in $(sed -n 's/^step //p' ack | sort -u); do grep -q "$f: unchanged" go.err || verdict="does step $f again"; done
    [ "$(state_of disk/w)" = "$(cat "S.$1")" ] || verdict="ends in another state"
    ls -A disk/w disk/w/out 2> /dev/null | grep -qE 'tmp-|journal|begun' && verdict="leaves files"
}

device=""
if [ -n "$seconds" ]; then
    rm -rf disk; mkdir disk
    if truncate -s 64M image && mkfs.ext4 -q -F image 2> /dev/null && mount -o loop image disk 2> /dev/null; then
        device=ext4
        trap 'cd /; umount "$tmp/disk" 2> /dev/null; rm -rf "$tmp"' EXIT
    else echo "power: no loop image can be mounted here: cuts are made in the model of POSIX"; fi
fi
export SOURCE_DATE_EPOCH=1600000000
"$retort" eval --student in/T2/model.h5 --data in/a.h5 eval.speed=false --out in/E --quiet > /dev/null || fail "eval"
"$retort" registry init --registry in/R > /dev/null || fail "registry"
"$retort" registry add m "$tmp/in/T3/model.h5" --registry in/R > /dev/null || fail "registry"
"$retort" registry export m@1 --registry in/R --out in/m.tar.gz > /dev/null || fail "registry"
mkdir reference
for n in $(seq 0 $steps); do
    # shellcheck disable=SC2046
    [ "$n" -eq 0 ] || "$retort" $(step_of "$n" reference) --quiet > /dev/null || fail "registry, step $n"
    registry_state reference > "R.$n"
done
scenes=${SCENES:-label train run registry import export eval label-heads train-heads}
for s in $scenes; do
    if [ "$s" = registry ]; then
        cut registry 0
        [ -z "$verdict" ] || fail "the registry without a cut: $verdict"
        cp calls calls.registry
        continue
    fi
    cut "$s" 0 > /dev/null 2>&1                       # the whole run, to count its calls
    mkdir -p disk/w; rm -rf disk/w/*
    # shellcheck disable=SC2046
    "$retort" $(command_of "$s" "$tmp/disk/w") --quiet > /dev/null || fail "$s alone"
    state_of disk/w > "S.$s"
    cp calls "calls.$s"
done
failed=0 cuts=0 lost=0 control=0 seen=0 known=0 n=0
[ -z "$count_file" ] || [ ! -f "$count_file" ] || known=$(cat "$count_file")
start=$(date +%s)
while :; do
    for s in $scenes; do
        if [ -n "$seconds" ]; then [ $(($(date +%s) - start)) -lt "$seconds" ] || break 2
        elif [ $n -ge "${CUTS:-10}" ]; then break 2; fi
        calls=$(cat "calls.$s")
        at=$(awk -v s=$((known + n)) -v m="$calls" 'BEGIN { srand(s * 31 + 7); rand(); print 1 + int(rand() * m) }')
        n=$((n + 1))
        if [ $((n % 5)) -eq 0 ]; then
            cut "$s" "$at" ignore
            # nothing was promised yet: nothing can be lost
            [ -s ack ] || [ $ended -eq 0 ] || continue
            control=$((control + 1)); [ -z "$verdict" ] || seen=$((seen + 1))
        else
            cut "$s" "$at" ""
            cuts=$((cuts + 1))
            [ -z "$verdict" ] || { lost=$((lost + 1)); fail "$s: a cut at call $at of $calls $verdict: acknowledged $(tail -1 ack), $(cat go.err)"; }
            [ -z "$count_file" ] || echo $((known + n)) > "$count_file"
        fi
    done
done
[ $control -eq 0 ] || [ $((seen * 100)) -ge $((control * 80)) ] || fail "the control was seen in $seen of $control cuts"
echo "power (${device:-model}): $cuts cuts, $lost lost something; control without syncs: $seen of $control seen; $((known + n)) in all runs"
exit $failed
