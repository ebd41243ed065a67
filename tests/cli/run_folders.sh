#!/bin/sh
# 'retort run' sees changed files inside an image folder, and results that were removed.
. "$2/tests/cli/lib.sh"
png() { # grey value 0, 127 or 255 of a picture of one pixel
    case $1 in
        0) echo iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg== ;;
        127) echo iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGOoBwAAgQCA05RTSgAAAABJRU5ErkJggg== ;;
        255) echo iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsTj2FAAAAABJRU5ErkJggg== ;;
    esac | base64 -d
}
mkdir -p pictures/cat pictures/dog
for i in 1 2 3; do png 0 > pictures/cat/$i.png; png 255 > pictures/dog/$i.png; done
cat > x.json <<'X'
{"name": "pictures", "out": "R", "steps": [{"name": "data", "do": "import", "with": {"input": "pictures", "format": "images",
 "channels": 1}}]}
X
expect 0 "done" "$retort" run x.json
expect 0 "unchanged" "$retort" run x.json
png 127 > pictures/cat/2.png
expect 0 "done" "$retort" run x.json
expect 0 "unchanged" "$retort" run x.json
mv pictures/dog/3.png pictures/dog/4.png
expect 0 "done" "$retort" run x.json
rm R/data.h5
expect 0 "done" "$retort" run x.json
[ -s R/data.h5 ] || fail "a removed result is not made again"
exit $failed
