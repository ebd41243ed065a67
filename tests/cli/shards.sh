#!/bin/sh
# One store by one process, by shards, by the processes of an mpirun, by parts that are merged, and of a source that grew: the
# same bytes. The teacher is a program that answers with the row's number: each row is looked at.
. "$2/tests/cli/lib.sh"
export XDG_CACHE_HOME="$tmp/cache"
number() { sed -n "s/.*\"$1\":[[:space:]]*\([-0-9.e+]*\).*/\1/p" "$2" | head -1; }
child=$(dirname "$retort")/tests/child_teacher
[ -x "$child" ] || { echo "skipped: $child is not built"; exit 77; }
N=40500 OLD=30100
awk -v n=$N 'BEGIN { print "r"; for (i = 0; i < n; i++) print i }' > all.csv
head -n $((OLD + 1)) all.csv > old.csv
for f in all old; do "$retort" import $f.csv --out $f.h5 --quiet > /dev/null || fail "import"; done
touch -d 2020-01-01 all.h5 old.h5
# logit 0 of row r is -5 / 8 r, exactly (tests/teacher/linear.h)
echo "{\"command\": [\"$child\", \"3\", \"env\"], \"version\": \"1\", \"classes\": [\"a\", \"b\", \"c\"]}" > t.json
export CHILD_HOW=right
words="label --teacher t.json --json --quiet --data"
label() { "$retort" $words "${data:-all.h5}" "$@"; }
rows_right() { # store
    "$retort" export "$1" --out rows.npy --force --quiet > /dev/null || fail "export $1"
    tail -c $((N * 12)) rows.npy | od -An -v -tf4 -w12 | awk -v n=$N '{ d = $1 + 0.625 * (NR - 1); if (d * d > 1e-4) bad++ }
        END { exit bad > 0 || NR != n }' || fail "$1: a row does not have the answer to its number"
}
same() { cmp -s one.h5 "$1" || fail "$2: not the bytes of one process"; }
left() { ls -A | grep -E "retort-lock|tmp-|journal|grown" && fail "$1: left behind"; }
label --out one.h5 > one.txt || fail "one process"
rows_right one.h5

# Four shards at once; what all of them labelled is all there is, each row once.
pids=""
for i in 0 1 2 3; do label --out four.h5 --shard $i/4 > s$i.txt 2> s$i.err & pids="$pids $!"; done
for p in $pids; do wait "$p" || fail "a shard of four: $(cat s?.err)"; done
same four.h5 "four shards"; rows_right four.h5; left "four shards"
[ "$(cat s?.txt | awk -F'[:,]' '/labelled_now/ { n += $2 } END { print n }')" = $N ] || fail "rows labelled by four: $(cat s?.txt)"
grep -q '"complete":.*true' s?.txt || fail "nobody completed it: $(cat s?.txt)"

# One of four alone does it all; another number of shards, and a process alone, go on with it.
label --out a.h5 --shard 3/4 > out.txt || fail "a shard alone"
same a.h5 "a shard alone"
label --out a.h5 --shard 0/2 > out.txt || fail "a shard of a complete store"
[ "$(number labelled_now out.txt)" = 0 ] && grep -q '"complete":.*true' out.txt || fail "a complete store: $(cat out.txt)"
left "a shard alone"

# Killed at different moments, the rest by others and by the same; what was on disk is not labelled again.
kill_later() { sleep "$2"; kill -9 "$1" 2> /dev/null; wait "$1" 2> /dev/null; }
slow() { export CHILD_HOW="slow $1"; }
for wait in 0.3 0.7 1.4; do
    rm -f k.h5
    slow 0.06
    "$retort" $words all.h5 --out k.h5 --shard 0/3 > k0.txt 2>&1 & p=$!
    "$retort" $words all.h5 --out k.h5 --shard 1/3 > k1.txt 2>&1 & q=$!
    kill_later $p $wait
    "$retort" $words all.h5 --out k.h5 --shard 0/3 > k2.txt 2>&1 & p=$!
    kill_later $q 0.4
    kill_later $p 0.4
    export CHILD_HOW=right
    there=0
    if [ -e k.h5 ]; then
        "$retort" info k.h5 --json > info.txt 2>&1 || fail "info of a store in the making: $(cat info.txt)"
        there=$(number rows_labelled info.txt)
    fi
    if [ $wait = 0.7 ]; then label --out k.h5 > k3.txt; else label --out k.h5 --shard 1/3 > k3.txt; fi
    same k.h5 "killed shards"; left "killed shards"
    [ "$(number labelled_now k3.txt)" = $((N - there)) ] || fail "rows on disk are labelled again: $there, $(cat k3.txt)"
done

# A shard that is stopped has its place taken; when it wakes it cannot commit, and says so.
slow 0.05
"$retort" $words all.h5 --out z.h5 --shard 0/2 > z0.txt 2> z0.err & p=$!
while ! grep -q "^[0-9]" z.h5.journal.0-2 2> /dev/null; do sleep 0.05; kill -0 $p || break; done
kill -STOP $p
export CHILD_HOW=right
expect 4 "its shard 0/2: another process is writing to it: $p on" "$retort" label --teacher t.json --data all.h5 --out z.h5 --shard 0/2
grep -qF -- "--takeover puts this process in its place" err.txt || fail "a shard that hangs: $(cat err.txt)"
expect 4 "its shard 0/2: another process is writing to it" "$retort" label --teacher t.json --data all.h5 --out z.h5
label --out z.h5 --shard 1/2 > z1.txt || fail "beside a stopped shard"
grep -q '"complete":.*false' z1.txt || fail "complete beside a stopped shard: $(cat z1.txt)"
label --out z.h5 --shard 0/2 --takeover > z1.txt || fail "take-over"
same z.h5 "take-over"
kill -CONT $p
wait $p
[ $? -eq 4 ] || fail "a replaced shard ends otherwise: $(cat z0.txt z0.err)"
grep -q "was put in the place of this shard 0/2" z0.err || fail "a replaced shard says: $(cat z0.err)"
same z.h5 "a replaced shard woke"; rows_right z.h5; left "take-over"

# Refused: numbers, mixtures, force, another teacher.
expect 2 "of 4 shards the numbers are 0 to 3" label --out x.h5 --shard 4/4
for s in 1 a/2 1/ /3 1/2/3 -1/2 1/-2 0/0 00001/4 " 0/2"; do expect 2 "label.shard" label --out x.h5 --shard "$s"; done
expect 2 "label.takeover" label --out x.h5 --takeover
expect 2 "--force would let each shard begin anew" label --out one.h5 --shard 0/2 --force
sed 's/"1"/"2"/' t.json > u.json
expect 2 "by another teacher" "$retort" label --teacher u.json --data all.h5 --out one.h5 --shard 0/2
[ -e x.h5 ] && fail "a refused shard left a store"
same four.h5 "refusals"

# A source that grew: only what is new is asked about, by one process and by shards.
for how in one shards; do
    for coding in labels.type=f32 labels.topk=2 labels.type=f16 labels.type=q8; do
        [ $how = shards ] && [ $coding != labels.type=q8 ] && continue
        rm -f g.h5 want.h5
        data=old.h5 label --out g.h5 $coding > out.txt || fail "before it grew"
        cp all.h5 now.h5; touch -d 2020-01-01 now.h5
        if [ $how = one ]; then data=now.h5 label --out g.h5 $coding > g.txt || fail "grown: $(cat g.txt)"
        else
            "$retort" $words now.h5 --out g.h5 $coding --shard 0/2 > g0.txt & p=$!
            data=now.h5 label --out g.h5 $coding --shard 1/2 > g1.txt || fail "grown, shard 1"
            wait $p || fail "grown, shard 0"
            cat g0.txt g1.txt > g.txt
        fi
        [ "$(awk -F'[:,]' '/labelled_now/ { n += $2 } END { print n }' g.txt)" = $((N - OLD)) ] || fail "$how $coding: rows asked again: $(cat g.txt)"
        data=now.h5 label --out want.h5 $coding > out.txt
        cmp -s g.h5 want.h5 || fail "$how $coding: not the bytes of a store of the whole source"
        left "grown, $how $coding"
    done
done
data=old.h5 label --out g2.h5 > out.txt
label --out g2.h5 --dry-run > out.txt || fail "an estimate for a grown source"
[ "$(number rows_labelled out.txt)" = $OLD ] || fail "an estimate for a grown source: $(cat out.txt)"
mkdir several
for i in 1 2; do sed -n "1p;$(((i - 1) * 9000 + 2)),$((i * 9000 + 1))p" all.csv > part.csv; "$retort" import part.csv --out several/$i.h5 --quiet > /dev/null; done
touch -d 2020-01-01 several/*
data="several/*.h5" label --out s.h5 > out.txt || fail "of several files"
sed -n "1p;18002,19001p" all.csv > part.csv; "$retort" import part.csv --out several/3.h5 --quiet > /dev/null
touch -d 2020-01-01 several/3.h5
data="several/*.h5" label --out s.h5 > out.txt || fail "a file more"
[ "$(number labelled_now out.txt)" = 1000 ] || fail "a file more: rows asked again: $(cat out.txt)"
data="several/*.h5" label --out s2.h5 > out.txt
cmp -s s.h5 s2.h5 || fail "a file more: not the bytes of a store of the whole source"
left "a file more"
sed '20001s/.*/7/' all.csv > changed.csv
"$retort" import changed.csv --out changed.h5 --quiet > /dev/null
expect 2 "of the source have changed since" "$retort" label --teacher t.json --data changed.h5 --out g2.h5
left "a refused change"
data=old.h5 label --out g2.h5 > out.txt
[ "$(number labelled_now out.txt)" = 0 ] || fail "a refused change cost labels"
expect 2 "of other data" "$retort" label --teacher t.json --data old.h5 --out one.h5

# Parts of hosts without a common disk: merged, the bytes of one process; in any order, with rows by hand, in every coding.
part() { label --rows "$1" --out "$2" $3 > out.txt || fail "part $1: $(cat out.txt)"; }
merge() { rm -f all1.h5; expect 0 "" "$retort" labels merge "$@" --out all1.h5 --json; }
for coding in labels.type=f32 labels.topk=2; do
    rm -f p?.h5 want.h5
    part 0:10000 p0.h5 $coding; part 10000:10001 p1.h5 $coding; part 10001: p2.h5 $coding
    label --out want.h5 $coding > out.txt
    merge p2.h5 p0.h5 p1.h5
    cmp -s all1.h5 want.h5 || fail "merged, $coding: not the bytes of one process"
    [ "$(number rows_labelled out.txt)" = $N ] || fail "merged: $(cat out.txt)"
done
rm -f q?.h5 want.h5
part 100:10340 q0.h5 labels.type=q8; part 10340:12388 q1.h5 labels.type=q8; part 12388:12400 q2.h5 labels.type=q8
part 100:12400 want.h5 labels.type=q8
merge q0.h5 q1.h5 q2.h5
cmp -s all1.h5 want.h5 || fail "merged, 8 bits: not the bytes of one process"
grep -q "the source has rows before or behind these" out.txt || fail "not all of the source: $(cat out.txt)"
part 10000:10341 q3.h5 labels.type=q8; part 100:10000 q4.h5 labels.type=q8
refused() { # code text parts...
    code=$1 text=$2; shift 2; rm -f all2.h5
    expect $code "$text" "$retort" labels merge "$@" --out all2.h5
    [ -e all2.h5 ] && fail "a refused merge left a store"
}
refused 2 "q3.h5: begins at row 10000: parts in 8 bits can be merged where they begin at multiples of 1024" q4.h5 q3.h5
rm p?.h5
part 0:10000 p0.h5; part 10000:20000 p1.h5; part 20000: p2.h5; part 9000:10001 p3.h5; part 20000:30000 f.h5 labels.type=f16
refused 2 "rows 10000 to 19999 are in no part: p0.h5 ends before them, and p2.h5 begins behind them" p2.h5 p0.h5
refused 2 "rows 9000 to 9999 are in two parts: p0.h5 and p3.h5" p0.h5 p3.h5 p2.h5
refused 2 "rows 0 to 9999 are in two parts" p0.h5 p0.h5 p1.h5
refused 2 "f.h5: is in another coding than" p0.h5 p1.h5 f.h5
"$retort" label --teacher u.json --data all.h5 --rows 10000:20000 --out u.h5 --quiet > /dev/null
refused 2 "u.h5: is by another teacher" p0.h5 u.h5
"$retort" label --teacher t.json --data changed.h5 --rows 20000: --out c.h5 --quiet > /dev/null
refused 2 "is of other data than p1.h5: rows 0 to 4194303 of the source differ" p0.h5 p1.h5 c.h5
data=old.h5 part 20000: o.h5
refused 2 "o.h5: is of other data than p0.h5" p0.h5 p1.h5 o.h5
refused 3 "is no label store" p0.h5 all.h5
slow 0.2
"$retort" $words all.h5 --rows 10000:20000 --out half.h5 > out.txt 2>&1 & p=$!
while [ ! -e half.h5 ]; do sleep 0.02; done; kill -9 $p; wait $p 2> /dev/null
rm -f .half.h5.retort-lock
export CHILD_HOW=right
refused 3 "half.h5: labelling is not finished" p0.h5 half.h5
rm -f half.h5*
cp p1.h5 d.h5
"$retort" export p1.h5 --out p1.npy --quiet > /dev/null
at=$(LC_ALL=C grep -obUaP "$(tail -c 12000 p1.npy | head -c 12 | od -An -tx1 | tr -d '\n' | sed 's/ /\\x/g')" d.h5 | head -1 | cut -d: -f1)
printf '\377' | dd of=d.h5 bs=1 seek="$at" conv=notrunc 2> /dev/null
refused 3 "d.h5: block" p0.h5 d.h5 p2.h5
expect 2 "is an input" "$retort" labels merge p0.h5 p1.h5 --out p0.h5 --force
expect 2 "--out ALL.h5 is required" "$retort" labels merge p0.h5 p1.h5
expect 2 "takes one label store; 'p1.h5' is too many" "$retort" labels verify p0.h5 p1.h5
printf 'row,label\n5,b\n' > hand0.csv
printf 'row,label\n10003,a\n' > hand1.csv
sed 1d hand1.csv | cat hand0.csv - > hand.csv
expect 0 "" "$retort" labels append p0.h5 --hand hand0.csv
expect 0 "" "$retort" labels append p1.h5 --hand hand1.csv
merge p0.h5 p1.h5 p2.h5
cp one.h5 hand.h5
expect 0 "" "$retort" labels append hand.h5 --hand hand.csv
cmp -s all1.h5 hand.h5 || fail "merged, by hand: not the bytes of labels by hand in the whole"
# A source that grew under labels by hand: they stay.
data=old.h5 label --out h.h5 > out.txt
expect 0 "" "$retort" labels append h.h5 --hand hand.csv
label --out h.h5 > out.txt
cmp -s h.h5 hand.h5 || fail "grown, by hand: not the bytes of labels by hand in the whole"

# While it grows, what would be replaced by what comes is not changed; it goes on, also when the source grew again.
data=old.h5 label --out w.h5 > out.txt
slow 0.3
"$retort" $words all.h5 --out w.h5 > out.txt 2>&1 & p=$!
while ! grep -q "^[0-9]" w.h5.grown-$N.journal 2> /dev/null; do sleep 0.05; kill -0 $p || break; done
kill -9 $p; wait $p 2> /dev/null
export CHILD_HOW=right
expect 2 "rows that its source has grown by are being labelled (w.h5.grown-$N)" "$retort" labels append w.h5 --hand hand.csv
"$retort" export w.h5 --out w.npy --quiet > /dev/null || fail "the store of before is not there while it grows"
awk 'BEGIN { print "r"; for (i = 0; i < 42000; i++) print i }' > more.csv
"$retort" import more.csv --out more.h5 --quiet > /dev/null; touch -d 2020-01-01 more.h5
cp w.h5 w1.h5
data=more.h5 label --out w.h5 > out.txt
data=more.h5 label --out want2.h5 > want.txt
cmp -s w.h5 want2.h5 || fail "grown again: not the bytes of a store of the whole source"
data=more.h5 label --out w1.h5 > want.txt              # without what was labelled in between
[ "$(number labelled_now out.txt)" -lt "$(number labelled_now want.txt)" ] || fail "grown again: $(number labelled_now out.txt) rows, none taken over"
left "grown again"

# The processes of an mpirun; one of three has nothing to do where there are two blocks.
if [ -e "$(dirname "$retort")/retort_mpi.so" ] && command -v mpirun > /dev/null; then
    export ASAN_OPTIONS="$ASAN_OPTIONS:detect_leaks=0"          # Open MPI keeps much of what it takes
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
    mpirun -n 3 "$retort" label --teacher t.json --data all.h5 --out m.h5 --json --quiet > m.txt 2> m.err || fail "mpirun: $(cat m.err)"
    same m.h5 "mpirun"; rows_right m.h5; left "mpirun"
    [ "$(grep -c teacher_digest m.txt)" = 1 ] || fail "more than one process tells a result: $(cat m.txt)"
    label --rows 0:1500 --out two.h5 > out.txt
    mpirun -n 3 "$retort" label --teacher t.json --data all.h5 --rows 0:1500 --out m2.h5 --quiet > m.txt 2> m.err || fail "mpirun of two blocks: $(cat m.err)"
    cmp -s two.h5 m2.h5 || fail "mpirun of two blocks"
    slow 0.05
    mpirun -n 3 "$retort" label --teacher t.json --data all.h5 --out m3.h5 --json > m.txt 2> m.err & p=$!
    while ! ls m3.h5.journal.?-3 > /dev/null 2>&1; do sleep 0.1; kill -0 $p || break; done
    sleep 0.5
    lost=$(sed -n 's/^pid //p' .m3.h5.shard-1-3.retort-lock)
    kill -9 "$lost"
    wait $p && fail "a lost process is no failure"
    export CHILD_HOW=right
    label --out m3.h5 > m3.txt || fail "after a lost process: $(cat m3.txt)"
    same m3.h5 "a lost process of an mpirun"; left "a lost process"
    expect 2 "the processes of an mpirun are shards already" mpirun -n 1 "$retort" label --teacher t.json --data all.h5 --out m4.h5 --shard 0/2 label.mpi=on
else echo "no mpirun here, or no MPI in this build"; fi
mkdir alone; cp "$retort" alone/retort
expect 4 "no MPI in this build" alone/retort label --teacher t.json --data all.h5 --out m5.h5 label.mpi=on
for who in OMPI_COMM_WORLD_SIZE=2 PMI_SIZE=3; do
    expect 4 "(it is not there); build with Open MPI or MPICH" env $who alone/retort label --teacher t.json --data all.h5 --out m5.h5
done
echo "no library" > alone/retort_mpi.so
expect 4 "no MPI in this build: retort_mpi.so cannot be used (" env PMI_SIZE=3 alone/retort label --teacher t.json --data all.h5 --out m5.h5
zstd=$(ldd "$retort" | awk '/libzstd/ { print $3 }')        # a library, and not this one
[ -z "$zstd" ] || { cp "$zstd" alone/retort_mpi.so
    expect 4 "it is of another version of retort" env PMI_SIZE=3 alone/retort label --teacher t.json --data all.h5 --out m5.h5; }
ls -A | grep m5 && fail "without MPI: something is left"
expect 0 "" env OMPI_COMM_WORLD_SIZE=1 alone/retort label --teacher t.json --data all.h5 --rows 0:9 --out m6.h5
expect 0 "" env PMI_SIZE=3 alone/retort label --teacher t.json --data all.h5 --out m5.h5 label.mpi=off
same m5.h5 "without MPI"
exit $failed
