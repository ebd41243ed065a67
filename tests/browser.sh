#!/bin/sh
# tests/browser.sh RETORT ROOT: every page that retort writes, laid out by headless Chromium at the width of a phone and of a
# screen, light and dark: nothing is wider than the window, there is no script, every drawing has a name, dark is dark, and
# text stands out from what is behind it. PAGES="a.html b.html" looks at these instead.
retort=$1
root=$2
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || { echo "no Chromium here" >&2; exit 4; }
tmp=$(mktemp -d /tmp/retort-browser-XXXXXX) || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' INT TERM
cd "$tmp" || exit 1
failed=0
looked=0

make() { "$retort" "$@" --quiet > out.txt 2> err.txt || [ $? -eq 1 ] || [ $? -eq 6 ] || { echo "FAILED: $*: $(cat err.txt)"; failed=1; }; }

make_pages() {
    awk -v OFS=, 'BEGIN { srand(7); print "size,weight,colour,\"<b>odd</b> name\",kind"
        for (i = 0; i < 1500; i++) { c = int(rand() * 3)
            print rand() + c, rand() * 2 - c, int(rand() * 2), rand(), (rand() < .9 ? "k" c : "k" (c + 1) % 3) } }' > all.csv
    make import all.csv --label kind --out train.h5
    for m in one two; do
        [ $m = one ] && width=4 || width=16
        echo "{\"model\": {\"input\": [4], \"classes\": 3, \"family\": \"mlp\", \"width\": $width, \"depth\": 1}, \"data\": {\"source\": \"train.h5\", \"test\": 400}, \"train\": {\"epochs\": 4, \"batch\": 50}}" > $m.json
        make train $m.json --out $m
    done
    make eval --baseline one/model.h5 --candidate two/model.h5 --data train.h5 data.test=400 --find-slices --out pair
    echo '{"format": "retort-policy-1", "limits": [{"metric": "accuracy", "max_drop": 0.05}, {"metric": "accuracy", "min": 0.99}, {"metric": "recall", "class": "*", "max_drop": 0.2, "min_rows": 100},
        {"metric": "accuracy", "slice": "predicted=*", "max_drop": 0.1}, {"metric": "nfr", "max": 0.001, "note": "none at all"}, {"metric": "latency_p50", "max_ratio": 1.1}],
        "waivers": [{"limit": "nfr", "until": "9999-12-31", "reason": "<b>known</b>, and a long reason that goes on and on, until it needs more than one line of a page that is wide"}], "speed": {"seconds": 1, "rounds": 6, "samples": 64}}' > policy.json
    make gate --baseline one/model.h5 --candidate two/model.h5 --policy policy.json --data train.h5 data.test=400 --out gated
    make eval --teacher two/model.h5 --student one/model.h5 --data train.h5 data.test=400 --out several
    awk -F, -v OFS=, 'NR > 1 { $1 += 0.7 } { print }' all.csv > later.csv
    make import later.csv --label kind --like train.h5 --out later.h5
    make drift two/model.h5 --reference train.h5 --data later.h5 --out drift
    make explain two/model.h5 --data train.h5 --rows 0:8 --against one/model.h5 --out explained
    awk 'BEGIN { for (i = 0; i < 400; i++) { c = i % 3; line = ""
        for (y = 0; y < 8; y++) for (x = 0; x < 8; x++) line = line int(rand() * 120 + (int(y / 3) == c ? 100 : 0)) ","
        print line "k" c } }' > band.csv
    make import band.csv --label -1 --out band.h5
    echo '{"model": {"input": [8, 8, 1], "classes": 3, "family": "cnn", "width": 4, "depth": 1}, "data": {"source": "band.h5"}, "train": {"epochs": 2, "batch": 50}}' > band.json
    make train band.json --out band
    make explain band/model.h5 --data band.h5 --rows 0:6 --out explained_images
    make registry init --registry registry
    for m in one two one two; do
        rm -rf alone
        make eval --student $m/model.h5 --data train.h5 data.test=400 eval.seconds=0.5 --out alone
        make registry add student $m/model.h5 --eval alone/evaluation.json --registry registry --note '<i>a note</i> of '$m
    done
    make registry tag student@1 --anchor 1.0 --registry registry
    make registry history student accuracy --html history.html --registry registry
    make registry history student latency_batch1_1thread.p50_us --html history_p50.html --registry registry
}

# A page in a frame of this width, with a script behind it that tells what was found.
wrap() { # page width
    cat > wrapped.html <<'Y'
<!doctype html><meta charset="utf-8"><body style="margin:0"><script>
Y
    printf 'const width = %s, page = "' "$2" >> wrapped.html
    base64 -w0 < "$1" >> wrapped.html
    cat >> wrapped.html <<'Y'
";
const f = document.createElement("iframe");
f.style = "border:0;height:4000px;width:" + width + "px";
f.srcdoc = new TextDecoder().decode(Uint8Array.from(atob(page), c => c.charCodeAt(0)));
const light = c => { const n = c.match(/[\d.]+/g).map(Number); return n.length > 3 && !n[3] ? null : (n[0] * 299 + n[1] * 587 + n[2] * 114) / 255e3; };
f.onload = () => {
  const w = f.contentWindow, d = f.contentDocument, root = d.documentElement, found = [];
  if (root.scrollWidth > width) {
    found.push("lays out at " + root.scrollWidth + " px");
    for (const e of d.querySelectorAll("body *")) {
      const r = e.getBoundingClientRect();
      let p = e.parentElement, inside = false;
      for (; p && p !== d.body; p = p.parentElement) inside ||= /auto|scroll|hidden/.test(w.getComputedStyle(p).overflowX);
      if (r.right > width + 1 && !inside) { found.push("too wide: " + e.tagName + "." + (e.className.baseVal ?? e.className)); break; }
    }
  }
  for (const s of d.querySelectorAll("svg"))
    if (!s.querySelector("title") && !s.getAttribute("aria-label") && s.getAttribute("aria-hidden") !== "true") { found.push("a drawing without a name"); break; }
  for (const i of d.querySelectorAll("img")) if (!i.hasAttribute("alt")) { found.push("an image without words"); break; }
  if (d.scripts.length) found.push("a script");
  if (!d.title) found.push("no title");
  if (!root.lang) found.push("no language");
  let back = light(w.getComputedStyle(d.body).backgroundColor) ?? light(w.getComputedStyle(root).backgroundColor) ?? 1;
  const dark = w.matchMedia("(prefers-color-scheme: dark)").matches;
  if (dark !== back < 0.5) found.push((dark ? "dark" : "light") + " is asked for and the page's brightness is " + back.toFixed(2));
  for (const e of d.querySelectorAll("p, td, th, h1, h2, h3, li, figcaption, text")) {
    if (!e.textContent.trim() || !e.getClientRects().length) continue;
    const s = w.getComputedStyle(e), ink = light(e.tagName === "text" ? s.fill : s.color);
    let ground = null;
    for (let p = e; p && ground === null; p = p.parentElement) ground = light(w.getComputedStyle(p).backgroundColor);
    if (ink !== null && e.tagName !== "text" && Math.abs(ink - (ground ?? back)) < 0.3) {
      found.push("faint: " + e.tagName + " '" + e.textContent.trim().slice(0, 30) + "' " + ink.toFixed(2) + " on " + (ground ?? back).toFixed(2)); break; }
  }
  document.title = "seen";
  document.body.setAttribute("data-found", JSON.stringify(found));
};
document.body.append(f);
</script>
Y
}

look() { # page
    for width in 390 1280; do
        for scheme in 0 1; do                          # Chromium's numbers of dark and of light
            wrap "$1" $width
            timeout 60 "$browser" --headless --no-sandbox --disable-gpu --blink-settings=preferredColorScheme=$scheme \
                --virtual-time-budget=5000 --dump-dom "file://$tmp/wrapped.html" > dom.txt 2> /dev/null
            said=$(sed -n 's/.*data-found="\([^"]*\)".*/\1/p' dom.txt | head -1 | sed 's/&quot;/"/g')
            looked=$((looked + 1))
            [ "$said" = '[]' ] && continue
            echo "FAILED: $1 at $width px, $([ $scheme = 0 ] && echo dark || echo light): ${said:-was not laid out}"
            failed=1
        done
    done
}

[ -n "$PAGES" ] || make_pages
for page in ${PAGES:-$(find . -name '*.html' ! -name wrapped.html | sort)}; do look "$page"; done
[ $looked -gt 0 ] || { echo "FAILED: no page was looked at"; failed=1; }
echo "$looked layouts looked at"
exit $failed
