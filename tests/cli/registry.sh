#!/bin/sh
# 'retort registry': versions, tags, gates, lineage, archives; versions in the place of models; what must not be.
. "$2/tests/cli/lib.sh"
make_data 1500 band.h5
cat > t.json <<'Y'
{"model": {"input": [64], "classes": 3, "family": "mlp", "width": 8}, "data": {"source": "band.h5", "rows": "0:1000", "validation": 0}, "train": {"epochs": 4, "batch": 100}}
Y
"$retort" train t.json --out a --quiet > /dev/null || fail "train"
"$retort" train t.json --out b --quiet train.epochs=5 > /dev/null || fail "train another"
"$retort" train t.json --out bad --quiet train.epochs=1 train.lr=1e-5 > /dev/null || fail "train a bad one"
"$retort" train --out kid --quiet init=a/model.h5 data.source=band.h5 data.rows=0:1000 train.epochs=1 loss.kind=ce > /dev/null || fail "train on"
"$retort" eval --student a/model.h5 --student b/model.h5 --data band.h5 --rows 1000: --out e eval.speed=false --quiet > /dev/null || fail "eval"
export RETORT_REGISTRY=reg
r() { "$retort" registry "$@"; }
json() { sed -n "s/.*\"$1\":	*\"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p" "${2:-out.txt}" | head -n 1; }
sha() { sha256sum "$1" | cut -d' ' -f1; }

# Before there is one; what it is then.
expect 2 "--registry DIR is required" env -u RETORT_REGISTRY "$retort" registry list
expect 3 "'retort registry init' makes one" r list
expect 0 "" r init
expect 2 "is a registry already" r init
expect 2 "did you mean 'verify'?" r verfy
r init --registry free --protect none > /dev/null || fail "init without protected tags"
r add m a/model.h5 --registry free > /dev/null; r add m b/model.h5 --registry free > /dev/null; r tag m@1 prod --registry free > /dev/null
expect 0 "" r tag m@2 prod --registry free
expect 0 "m@1 is this same file already" r add copy m@1 --registry free
expect 2 "--note would do nothing here" r list --note x
expect 2 "no name" r add 'no good' a/model.h5
expect 2 "no name" r add "$(printf 'x%.0s' $(seq 101))" a/model.h5
expect 3 "" r add m none.h5
expect 3 "" r add m t.json
expect 3 "none of its models has the digest" r add m bad/model.h5 --eval e/evaluation.json
expect 3 "its format is" r add m a/model.h5 --eval t.json
[ -z "$(find reg -type f ! -name registry.db)" ] || fail "refused adds left: $(find reg -type f)"

# Versions: numbers in order, objects under the digests of their bytes, lineage by content.
expect 0 "" r add m a/model.h5 --eval e/evaluation.json --note 'the first' --json
[ "$(json version)" = m@1 ] && [ "$(json sha256)" = "$(sha a/model.h5)" ] || fail "add: $(cat out.txt)"
o=reg/objects/$(sha a/model.h5 | cut -c1-2)/$(sha a/model.h5 | cut -c3-)
cmp -s "$o" a/model.h5 || fail "no object $o"
[ "$(find "$o" -perm /222)" = "" ] || fail "an object can be written"
expect 0 "m@2" r add m b/model.h5 --eval e/evaluation.json
expect 0 "m@1 is this same file already" r add twin a/model.h5
expect 0 "m@3" r add m kid/model.h5
expect 0 "" r show m@3 --json
[ "$(json parent)" = m@1 ] || fail "parent: $(cat out.txt)"
[ "$(json data)" = "$(sed -n 's/.*"data_digest":[^"]*"\([0-9a-f]*\)".*/\1/p' a/result.json a/run.json | head -n 1)" ] || [ -n "$(json data)" ] || fail "no data"
expect 0 "twin@1" r show m@1
expect 0 "m@3" r show m@1
expect 0 "" r list --json
[ "$(grep -c '"version"' out.txt)" = 4 ] || fail "list: $(cat out.txt)"
r list m --last 1 --json > out.txt; [ "$(json version)" = m@3 ] || fail "list --last: $(cat out.txt)"
r list --configuration "$(r show m@2 --json | sed -n 's/.*"configuration":	"\(.*\)",*/\1/p' | cut -c1-12)" --json > out.txt
[ "$(grep -c '"version"' out.txt)" = 1 ] || fail "list --configuration: $(cat out.txt)"
accuracy=$(sed -n 's/^[^a-z]*"accuracy":	\([0-9.]*\),*$/\1/p' e/evaluation.json | head -n 1)
r list m --json > out.txt; [ "$(json accuracy)" = "$accuracy" ] || fail "accuracy $(json accuracy), not $accuracy"
expect 0 "train.epochs" r diff m@1 m@2
r diff m@1 m@2 --json > out.txt
grep -A3 '"key":	"train.epochs"' out.txt | tr -d '\n\t ' | grep -q '"a":4,"b":5,"difference":1' || fail "diff: $(cat out.txt)"

# A filter of what no version has is a mistake, and told with what they have; two that are there and do not meet are none.
for what in teacher data labels configuration; do
    expect 2 "no version has --$what 0123456789abcdef; there" r list --$what 0123456789abcdef
    expect 2 "no version has --$what" r list m --$what zz
    [ "$(wc -l < err.txt)" = 1 ] && [ ! -s out.txt ] || fail "$what: not one line: $(cat err.txt out.txt)"
done
expect 2 "there is: $(r show m@3 --json | sed -n 's/.*"data":	"\(.*\)",*/\1/p' | cut -c1-12)" r list --data zz
expect 2 "no version has --labels zz; there are: none" r list --labels zz
expect 2 "no version has --tag no; there are: none" r list --tag no
expect 0 "" r list --tag prod --json                      # protected, and nobody has it yet
grep -q '"versions":	\[\]' out.txt || fail "list --tag prod: $(cat out.txt)"
r tag twin@1 good > /dev/null; r tag m@2 best > /dev/null
expect 2 "no version has --tag goo; there are: best, good" r list --tag goo
expect 0 "twin@1" r list --tag good
expect 0 "no version" r list m --tag good
expect 0 "no version" r list twin --configuration "$(r show m@2 --json | sed -n 's/.*"configuration":	"\(.*\)",*/\1/p' | cut -c1-12)"
r tag twin good --remove > /dev/null; r tag m best --remove > /dev/null

# Names are told whole, however long.
long=$(printf 'n%.0s' $(seq 97)) tags=$(printf 't%.0s' $(seq 60))
rm -rf wide; r init --registry wide > /dev/null
r add "$long" a/model.h5 --eval e/evaluation.json --registry wide > /dev/null || fail "a long name"
r tag "$long@1" "$tags" --registry wide > /dev/null || fail "a long tag"
for what in list log "history $long" "show $long@1" "diff $long@1 $long@$tags"; do
    # shellcheck disable=SC2086
    expect 0 "$long@1" r $what --registry wide
    case $what in list|log|history*) grep -q "$tags" out.txt || fail "$what: the tag is cut off: $(cat out.txt)" ;; esac
done

# What there is not.
expect 3 "did you mean 'twin'?" r show twim@1
expect 3 "there is no version m@9; the newest is 3" r show m@9
expect 3 "no version of m has the tag 'prod'; tags: none" r show m@prod
expect 3 "" r tag m@9 prod
expect 3 "" r show m@99999999999999999999
expect 2 "an exact version is expected" r tag m@latest prod
expect 2 "is no tag" r tag m@1 12
expect 2 "is no tag" r tag m@1 latest
expect 2 "is no version" r show m
expect 3 "no version has sha256:00000000" r show sha256:00000000

# Tags: a protected one needs the gate, or a reason; of a race one wins; all of it is logged.
expect 0 "" r tag m@1 prod
expect 5 "m@2 was not gated against m@1" r tag m@2 prod
cat > p.json <<'Y'
{"format": "retort-policy-1", "limits": [{"metric": "accuracy", "max_drop": 0.2}]}
Y
g() { env -u RETORT_REGISTRY "$retort" gate --policy p.json --data band.h5 --rows 1000: --quiet "$@"; }
g --baseline a/model.h5 --candidate b/model.h5 --out g > /dev/null || fail "gate: $?"
g --baseline a/model.h5 --candidate bad/model.h5 --out gbad > /dev/null 2>&1; [ $? -eq 1 ] || fail "the bad one passes"
expect 3 "is of another candidate" r add m@3 --gate g/verdict.json
expect 0 "" r add m@2 --gate g/verdict.json
expect 0 "" r add m@2 --gate g/verdict.json
[ "$(r show m@2 --json | grep -c '"verdict":	"pass"')" = 1 ] || fail "one gate run is counted twice"
expect 4 "somebody moved it" r tag m@2 prod --from 3
expect 0 "" r tag m@2 prod --from 1 --json
[ -n "$(json gate_run)" ] || fail "the tag names no gate run: $(cat out.txt)"
expect 0 "m@4" r add m bad/model.h5
expect 0 "" r tag m@2 other
g --baseline b/model.h5 --candidate bad/model.h5 --out gbad --force > /dev/null 2>&1
r add m@4 --gate gbad/verdict.json > /dev/null || fail "add a regression"
expect 1 "with the verdict regression" r tag m@4 prod
expect 2 "say with --reason" r tag m prod --remove
expect 0 "" r tag m@3 prod --reason 'by hand' --from 2
expect 0 "by hand" r log m
expect 2 "has the tag 'prod' already" r tag m@3 prod
expect 0 "" r tag m other --remove
expect 3 "no version of m has the tag 'other'" r tag m other --remove
expect 0 "" r init --protect prod,stable
expect 0 "" r init --protect prod,stable
[ "$(r log --json | grep -c '"detail":[[:space:]]*"prod,stable"')" -eq 1 ] || fail "what is protected already changed again: $(r log --json | grep -c prod,stable)"
expect 0 "" r tag m@1 stable
expect 5 "m@3 was not gated against m@1" r tag m@3 stable
expect 0 "" r tag m@1 --anchor 2027.1
expect 2 "is pinned to m@1" r tag m@2 --anchor 2027.1
for i in 1 2 3 4; do (r tag m@$((i % 2 + 1)) race --from none > race.$i 2>&1; echo $? > code.$i) & done; wait
[ "$(cat code.? | grep -c '^0$')" = 1 ] || fail "a race has not one winner: $(cat code.? race.?)"
SOURCE_DATE_EPOCH=1600000000 r tag m@2 old > /dev/null
r log m > out.txt; [ "$(grep clock_set_back out.txt | grep -c ' old ')" = 1 ] && [ "$(grep -c clock_set_back out.txt)" = 1 ] || fail "the clock that was set back: $(cat out.txt)"

# A version where a model is taken: the digest is told, and what is written names it, not the tag.
expect 0 "" "$retort" info m@prod
grep -q "^m@prod is m@3, sha256:$(sha kid/model.h5)$" err.txt || fail "what the tag meant: $(cat err.txt)"
"$retort" info m@1 --json 2> /dev/null | sed '/"file"/d' > x.txt; "$retort" info a/model.h5 --json | sed '/"file"/d' > y.txt
cmp -s x.txt y.txt || fail "m@1 is not a/model.h5"
expect 0 "" "$retort" predict "sha256:$(sha b/model.h5 | cut -c1-10)" --data band.h5 --out p1.csv
"$retort" predict b/model.h5 --data band.h5 --out p2.csv --quiet > /dev/null
cmp -s p1.csv p2.csv || fail "other answers by digest"
expect 0 "" "$retort" train --out on init=m@prod data.source=band.h5 data.rows=0:1000 train.epochs=1 loss.kind=ce
grep -q "objects/" on/config.json && ! grep -q "m@prod" on/*.json || fail "the run names the tag: $(cat on/config.json)"
echo '{"mix": "logits", "teachers": ["m@1", {"file": "m@2"}]}' > mix.json
expect 0 "" "$retort" label --teacher mix.json --data band.h5 --out l.h5
expect 0 "" "$retort" label "data.source=band.h5" 'teacher=["m@1","m@2"]' --out l2.h5
expect 0 "" "$retort" export m@1 --to npz --out w.npz
expect 0 "" "$retort" quantize m@1 --data band.h5 --out q.h5
expect 0 "m@2" "$retort" eval --teacher m@1 --student m@2 --data band.h5 --rows 1000: --out e2 eval.speed=false
expect 0 "PASS" "$retort" gate --baseline m@1 --candidate m@2 --policy p.json --data band.h5 --rows 1000:
expect 0 "" "$retort" bench m@1 --infer
cat > run.json <<'Y'
{"name": "x", "out": "x", "steps": [{"name": "l", "do": "label", "with": {"teacher": "m@prod", "data": {"source": "band.h5"}}}]}
Y
expect 0 "" "$retort" run run.json
# Several teachers are told each, and stay; so are versions in the configuration of a step; messages name the version.
n=0
for how in teacher=mix.json 'teacher=["m@1","m@2"]' data.labels=l2.h5; do
    n=$((n + 1))
    "$retort" train t.json --out many$n --quiet "$how" train.epochs=1 > /dev/null 2>&1 || fail "train by $how"
    expect 0 "many@$n" r add many many$n/model.h5
    r show many@$n --json | tr -d '\n\t' > show.txt
    for v in 1 2; do
        d=$(r show m@$v --json | sed -n 's/.*"digest":	"\(.*\)",/\1/p' | head -n 1)
        grep -q "\"teachers\":\[.*\"digest\":\"$d\",\"version\":\"\(m@$v\|twin@1\)\"" show.txt || fail "$how: m@$v is no teacher: $(cat show.txt)"
        r show m@$v --json | grep -q "\"students\":.*\"many@$n\"" || fail "$how: many@$n is no student of m@$v"
        [ "$(r list many --teacher "$(echo "$d" | cut -c1-12)" --json | grep -c '"version"')" = $n ] || fail "$how: list --teacher of m@$v"
    done
    expect 2 "teacher of many@$n" r rm m@2
    expect 0 "teachers" r diff m@1 many@$n
done
for n in 1 2 3; do expect 0 "" r rm many@$n; done
echo '{"name": "y", "out": "y", "steps": [{"name": "e", "do": "explain", "with": {"model": "m@2", "against": "m@1", "data": {"source": "band.h5", "rows": "0:20"}}}]}' > why.json
expect 0 "" "$retort" run why.json
expect 5 "m@1 was trained or chosen on" "$retort" gate --baseline m@1 --candidate m@2 --policy p.json --data band.h5 --rows 900: --quiet
expect 0 "" "$retort" import band.csv --label -1 --like m@1 --out like.h5
expect 2 "m@1 (reg/objects/" "$retort" import m@1 --out no.h5
cp b/model.h5 ./m@1
expect 0 "" "$retort" info m@1
grep -q "m@1: the file of this name is taken" err.txt || fail "a file and a version of one name: $(cat err.txt)"
rm m@1
expect 3 "--registry DIR or RETORT_REGISTRY is needed" env -u RETORT_REGISTRY "$retort" info m@1
expect 0 "" env -u RETORT_REGISTRY "$retort" info m@1 --registry reg
expect 2 "--registry does nothing in 'labels'" "$retort" labels verify l.h5 --registry reg

# Removal, collection.
expect 2 "tag prod" r rm m@3
expect 2 "anchor of release 2027.1" r rm m@1
expect 2 "an exact version is expected" r rm m@prod
expect 2 "an exact version is expected" r rm m
expect 0 "" r rm m@4 --reason 'no use'
expect 0 "no use" r log m
expect 3 "there is no version m@4" r show m@4
expect 0 "m@5" r add m q.h5
expect 0 "" r gc --dry-run --age 0
grep -q "$(sha bad/model.h5)" out.txt || fail "gc --dry-run does not name it: $(cat out.txt)"
expect 0 "" r gc
[ -n "$(find reg/objects -name "$(sha bad/model.h5 | cut -c3-)")" ] || fail "gc takes young objects"
expect 0 "" r gc --age 0
[ -z "$(find reg/objects -name "$(sha bad/model.h5 | cut -c3-)")" ] || fail "gc leaves it"
expect 0 "" r rm twin@1
[ -f "$o" ] || fail "another name's file went"
expect 0 "" r verify

# Damage is found and named, the rest works, and the same file heals it.
chmod u+w "$o"; printf 'X' | dd of="$o" bs=1 seek=3000 conv=notrunc 2> /dev/null
expect 3 "m@1" r verify
expect 3 "is damaged" "$retort" info m@1
expect 0 "" "$retort" info m@2
expect 0 "" r list
expect 0 "m@6" r add m a/model.h5
expect 0 "" r verify
k=$(r show m@2 --json | sed -n 's/.*"configuration":	"\(.*\)",*/\1/p'); k=reg/objects/$(echo "$k" | cut -c1-2)/$(echo "$k" | cut -c3-)
mv "$k" away
expect 0 "is missing" r diff m@1 m@2
expect 3 "the configuration of m@2" r verify
mv away "$k"
mv "$o" away
expect 3 "is missing" r verify
expect 3 "is missing" "$retort" predict m@1 --data band.h5 --out no.csv
expect 0 "damaged" r show m@1
mv away "$o"
expect 0 "" r verify

# Archives: the same bytes each time; all of it or nothing.
expect 0 "" r export m@2 --out m2.tar.gz
expect 0 "" r export m@2 --out m2b.tar.gz
cmp -s m2.tar.gz m2b.tar.gz || fail "two exports differ"
[ "$(od -An -tx1 -j4 -N4 m2.tar.gz | tr -d " \n")" = 00000000 ] || fail "an archive has a time"
expect 0 "" r export m@2 --out m2.tar.zst
expect 2 "exists" r export m@2 --out m2.tar.zst
expect 0 "" r export m@2 --out m2.tar.zst --force
expect 2 ".tar.zst or .tar.gz" r export m@2 --out m2.zip
for f in m2.tar.gz m2.tar.zst; do
    rm -rf other; r init --registry other > /dev/null
    expect 0 "m@1" r import $f --registry other
    cmp -s b/model.h5 "other/objects/$(sha b/model.h5 | cut -c1-2)/$(sha b/model.h5 | cut -c3-)" || fail "$f: another model"
    expect 0 "pass" r show m@1 --registry other
    expect 0 "copy@1" r import $f --name copy --registry other
    expect 0 "" r verify --registry other
done
# A parent that was told by hand goes along, where the other registry has it.
expect 0 "" r add odd bad/model.h5 --parent m@2
expect 0 "" r export odd@1 --out odd.tar.gz
expect 0 "odd@1" r import odd.tar.gz --registry other
expect 0 "parent                   copy@1" r show odd@1 --registry other
rm -rf other2; r init --registry other2 > /dev/null
expect 0 "odd@1" r import odd.tar.gz --registry other2
expect 0 "" r show odd@1 --registry other2
grep -q parent out.txt && fail "a parent that is not there: $(cat out.txt)"
find other | sort > before.txt
refuse() { # file "why"
    expect 3 "$2" r import "$1" --registry other
    find other | sort | cmp -s - before.txt || fail "$1 left something: $(find other | sort | diff - before.txt)"
}
size=$(wc -c < m2.tar.gz)
for n in 0 1 20 1000 $((size / 2)) $((size - 10)) $((size - 1)); do head -c "$n" m2.tar.gz > cut.tar.gz; refuse cut.tar.gz "truncated"; done
head -c $(($(wc -c < m2.tar.zst) - 1)) m2.tar.zst > cut.tar.zst; refuse cut.tar.zst "truncated"
mkdir t; (cd t && tar xzf ../m2.tar.gz)
pack() { (cd t && tar czf ../h.tar.gz --sort=none "$@"); }
all=$(tar tzf m2.tar.gz | tr "\n" " ")
pack $all; expect 0 "" r import h.tar.gz --registry other; find other | sort > before.txt
pack manifest.json model.h5 evaluation-1.json; refuse h.tar.gz "it lacks: verdict-1.json"
pack model.h5 manifest.json evaluation-1.json verdict-1.json; refuse h.tar.gz "does not belong there"
pack -P --transform 's|^model.h5|/tmp/model.h5|' $all; refuse h.tar.gz "does not belong there"
pack -P --transform 's|^model.h5|../../model.h5|' $all; refuse h.tar.gz "does not belong there"
pack $all manifest.json; refuse h.tar.gz "more entries"
cp t/model.h5 good.h5; chmod u+w t/model.h5
printf 'X' | dd of=t/model.h5 bs=1 seek=3000 conv=notrunc 2> /dev/null; pack $all; refuse h.tar.gz "another SHA-256"
printf 'X' >> t/model.h5; pack $all; refuse h.tar.gz "another size"
rm t/model.h5; ln -s /etc/passwd t/model.h5; pack $all; refuse h.tar.gz "no regular file"
rm t/model.h5; mkfifo t/model.h5; pack $all; refuse h.tar.gz "no regular file"
rm t/model.h5; cp good.h5 t/model.h5; ln -f t/model.h5 t/evaluation-1.json; pack $all; refuse h.tar.gz "no regular file"
rm t/evaluation-1.json; chmod u+w t/manifest.json; sed -i 's/"number":	2/"number":	3/' t/manifest.json
pack $all 2> /dev/null; refuse h.tar.gz "manifest was changed"
rm -rf t; mkdir t; (cd t && tar xzf ../m2.tar.gz; chmod u+w *; head -c 300000000 /dev/zero > model.h5); pack $all
refuse h.tar.gz "another size"
head -c 200000000 /dev/zero | gzip > h.tar.gz; refuse h.tar.gz ""
echo nonsense > h.tar.gz; refuse h.tar.gz "no archive"
(gzip -dc m2.tar.gz; echo more) | gzip > h.tar.gz; refuse h.tar.gz "something behind its end"

# A folder that cannot be written (root may, so it is a mount or nothing); a newer schema; no database at all.
if [ "$(id -u)" -ne 0 ]; then
    chmod a-w reg reg/registry.db; find reg | sort > before.txt
    expect 0 "" r list
    expect 0 "" "$retort" info m@prod
    expect 4 "cannot be written" r add m a/model.h5
    find reg | sort | cmp -s - before.txt || fail "a read-only registry got files"
    chmod u+w reg reg/registry.db
fi
if command -v sqlite3 > /dev/null; then
    cp -r reg new; sqlite3 new/registry.db 'PRAGMA user_version=99'
    expect 3 "schema 99" r list --registry new
    cp -r reg trig; sqlite3 trig/registry.db 'CREATE TRIGGER t AFTER INSERT ON version BEGIN DELETE FROM tag; END'
    expect 3 "triggers" r list --registry trig
fi
mkdir text; echo "not a database, but a text" > text/registry.db; mkdir text/objects
expect 3 "no registry" r list --registry text
expect 3 "" r init --registry text
head -c 3000 reg/registry.db > short.db; cp -r reg short; cp short.db short/registry.db
expect 3 "" r list --registry short
cp -r reg holes; rm -r holes/objects
expect 3 "missing" r list --registry holes
exit $failed
