#!/bin/sh
# tests/races/races.sh RETORT ROOT DELAY.so [SECONDS COUNT_FILE] - two to four processes with one output. At least one does
# its work, every other says who holds the output, or that it is there, and what is left is what a single run leaves, to
# the byte, without locks or temporaries. RACES (10) of them, or as many as fit in SECONDS; COUNT_FILE keeps their number.
. "$2/tests/cli/lib.sh"
delay=$3 seconds=$4 count_file=$5
make_data 1500 a.h5
make_data 1500 b0.h5
head -700 band.csv > b.csv
"$retort" import b.csv --label -1 --out b.h5 --quiet > /dev/null || fail "import"
cat > t.json <<'X'
{"model": {"input": [64], "classes": 3, "family": "mlp", "width": 8, "depth": 1}, "data": {"source": "a.h5", "validation": 100},
 "train": {"epochs": 2, "batch": 300}}
X
cat > x.json <<'X'
{"name": "x", "out": "X", "steps": [{"name": "data", "do": "import", "with": {"input": "b.csv", "label": "-1"}},
 {"name": "model", "do": "train", "with": {"model": {"input": [64], "classes": 3, "family": "mlp", "width": 4, "depth": 1},
   "data": {"source": "${data}"}, "train": {"epochs": 1, "batch": 100}}},
 {"name": "labels", "do": "label", "with": {"teacher": "${model}", "data": {"source": "${data}"}}},
 {"name": "rows", "do": "export", "with": {"input": "${labels}", "to": "csv"}}]}
X
for s in 1 2; do "$retort" train t.json --out T$s --seed $s --quiet > /dev/null || fail "train"; done
"$retort" label --teacher T1/model.h5 --data a.h5 --out L.h5 --quiet > /dev/null || fail "label"
cat > h.json <<'X'
{"model": {"input": [64], "family": "mlp", "width": 8, "depth": 1, "heads": [{"name": "y", "size": 3}, {"name": "z", "size": 3}]},
 "data": {"source": "a.h5", "validation": 100, "targets": {"z": "y"}}, "train": {"epochs": 1, "batch": 300}}
X
"$retort" train h.json --out T3 --quiet > /dev/null || fail "train heads"
"$retort" label --teacher T3/model.h5 --data a.h5 --out H.h5 --quiet > /dev/null || fail "label heads"

# The commands of a scene: $1 is the process, 0 or 1 which of two contents; "same": both make the same.
command_of() { # scene which out [process processes]
    case $1 in
        import) [ "$2" = 0 ] && echo import band.csv --label -1 --out "$3" || echo import b.csv --label -1 --out "$3" ;;
        import-force) [ "$2" = 0 ] && echo import band.csv --label -1 --force --out "$3" || echo import b.csv --label -1 --force --out "$3" ;;
        label) echo label --teacher T1/model.h5 --data a.h5 --out "$3" ;;
        label-two) echo label --teacher T$(($2 + 1))/model.h5 --data a.h5 --out "$3" ;;
        label-force) echo label --teacher T$(($2 + 1))/model.h5 --data a.h5 --force --out "$3" ;;
        label-shards) echo label --teacher T1/model.h5 --data a.h5 --out "$3" --shard "${4:-0}/${5:-1}" ;;
        label-heads) echo label --teacher T3/model.h5 --data a.h5 --out "$3" ;;
        train-heads) echo train h.json data.labels=H.h5 --out "$3" ;;
        train) echo train t.json --out "$3" ;;
        train-two) echo train t.json --seed $(($2 + 1)) --out "$3" ;;
        train-force) echo train t.json --seed $(($2 + 1)) --force --out "$3" ;;
        run) echo run x.json --out "$3" ;;
        export) echo export L.h5 --to csv --out "$3" ;;
        export-two) [ "$2" = 0 ] && echo export T1/model.h5 --to npz --out "$3" || echo export L.h5 --to npy --out "$3" ;;
        export-force) [ "$2" = 0 ] && echo export T1/model.h5 --to npz --force --out "$3" || echo export L.h5 --to npy --force --out "$3" ;;
        eval) echo eval --teacher T1/model.h5 --student T2/model.h5 --data a.h5 eval.speed=false --out "$3" ;;
    esac
}
# What is left, without times: a file by its bytes, a folder by its names and by the files that hold no time.
state_of() { # path
    if [ -f "$1" ]; then cksum < "$1"; return; fi
    (cd "$1" && find . ! -name '*.retort-id' | LC_ALL=C sort
     for f in config.json metrics.csv evaluation.json data.h5 labels.h5 rows.csv report.md; do
        [ ! -f "$f" ] || sed -e 's/"seconds":.*//; s/"commit":.*//' "$f" | cksum
     done
     for f in result.json model/result.json; do [ ! -f "$f" ] || grep '"digest"' "$f"; done)
}
left() { ls -A "$1" | grep -E 'retort-lock|tmp-|journal' ; }

race() { # scene number
    rm -rf R; mkdir R
    n=$((2 + $2 % 3)) pids="" i=0
    while [ $i -lt $n ]; do
        # shellcheck disable=SC2046
        LD_PRELOAD=$delay DELAY_SEED=$(($2 * 7 + i + 1)) "$retort" $(command_of "$1" $((i % 2)) R/out $i $n) --quiet > /dev/null 2> R.err.$i &
        pids="$pids $!"; i=$((i + 1))
    done
    i=0 won=0
    for p in $pids; do
        wait "$p"; got=$?
        [ "$1" != label-shards ] || [ $got -eq 0 ] || fail "$1 $2: exit $got: $(cat R.err.$i)"
        case $got in
            0) won=$((won + 1))
               case $1 in import|export|export-two) [ $won -eq 1 ] || fail "$1 $2: two won" ;; esac ;;
            4) if ! grep -qE "another process is writing to it: [0-9]+ on" R.err.$i; then fail "$1 $2: exit 4: $(cat R.err.$i)"
               else who=$(sed -nE 's/.*writing to it: ([0-9]+) on.*/\1/p' R.err.$i)
                    case " $pids " in *" $who "*) ;; *) fail "$1 $2: names $who, not one of$pids" ;; esac
               fi ;;
            2) grep -qE "exists; give another|holds labels by another teacher|another configuration" R.err.$i || fail "$1 $2: exit 2: $(cat R.err.$i)" ;;
            *) fail "$1 $2: exit $got: $(cat R.err.$i)" ;;
        esac
        i=$((i + 1))
    done
    [ $won -ge 1 ] || fail "$1 $2: nobody won"
    state=$(state_of R/out)
    [ "$state" = "$(cat "S.$1.0")" ] || [ "$state" = "$(cat "S.$1.1")" ] || fail "$1 $2: what is left is no single run's"
    [ -z "$(left R)" ] || fail "$1 $2: left behind: $(left R)"
    [ ! -d R/out ] || [ -z "$(left R/out)" ] || fail "$1 $2: left behind: $(left R/out)"
}

scenes="label-two label-shards train-two import export-two run label eval export-force train-force label-force import-force export train label-heads train-heads"
for s in $scenes; do
    for w in 0 1; do
        rm -rf R; mkdir R
        # shellcheck disable=SC2046
        "$retort" $(command_of "$s" $w R/out) --quiet > /dev/null || fail "$s alone"
        state_of R/out > "S.$s.$w"
    done
    [ "$s" != eval ] || [ -n "$seconds" ] || break
done
done=0
[ -z "$count_file" ] || [ ! -f "$count_file" ] || done=$(cat "$count_file")
first=$done start=$(date +%s)
while [ $failed -eq 0 ]; do
    for s in $scenes; do
        if [ -n "$seconds" ]; then [ $(($(date +%s) - start)) -lt "$seconds" ] || break 2
        elif [ $((done - first)) -ge "${RACES:-7}" ]; then break 2; fi
        race "$s" $done
        done=$((done + 1))
        [ -z "$count_file" ] || echo $done > "$count_file"
        [ $failed -eq 0 ] || break
    done
done
echo "races: $((done - first)) now, $done in all; $([ $failed -eq 0 ] && echo "none with a second winner's trace, a wrong result or a leftover" || echo FAILED)"
exit $failed
