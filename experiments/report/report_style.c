/* experiments/report/report_style.c - what pages have in common: one file with no script and nothing from elsewhere; on
 * a wide screen and a narrow one, light and dark, on paper. */
#include "experiments/report/report_parts.h"

static const char head[] =
    "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta http-equiv=\"Content-Security-Policy\" "
    "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
    "<meta name=\"viewport\" content=\"width=device-width\"><title>";
static const char style[] =
    "</title><style>"
    ":root{color-scheme:light dark;--t:#1f2328;--b:#fff;--q:#57606a;--l:#d0d7de;--s:#eaeef2;--r:#b3202a;--g:#1a7f37;"
    "--a:#9a6700}"
    "@media(prefers-color-scheme:dark){:root{--t:#e6edf3;--b:#0d1117;--q:#9da7b3;--l:#3d444d;--s:#262c36;--r:#ff7b72;"
    "--g:#56d364;--a:#d29922}}"
    "body{font:14px/1.5 system-ui,sans-serif;margin:2em auto;max-width:1220px;padding:0 1em;color:var(--t);"
    "background:var(--b);overflow-wrap:break-word}"
    "h1{font-size:1.5em}h2{font-size:1.15em;margin-top:2em}h3{font-size:1em;margin-top:1.6em}"
    "table{border-collapse:collapse}"
    "td,th{padding:.25em .5em;text-align:right;vertical-align:top;border-bottom:1px solid var(--l)}"
    "td{white-space:nowrap}"
    "th:first-child,td:first-child,th.x,td.x{text-align:left;white-space:normal}"
    "td:first-child{overflow-wrap:anywhere;min-width:7em}td.x{color:var(--q);font-size:12px}"
    "small{overflow-wrap:anywhere}"
    "th{font-weight:600}td>b{display:none}"
    "figure{display:inline-block;margin:.5em 1em 1em 0;vertical-align:top;max-width:100%}figcaption{font-weight:600}"
    "figure svg{max-width:100%;height:auto}figure.m{max-width:min(100%,900px)}"
    "svg text{font-size:11px;fill:var(--q)}svg .t,svg .n{font-size:12px;fill:var(--t)}svg .s{font-size:10px}"
    ".g{stroke:var(--s)}.f{fill:var(--b);stroke:var(--l)}.k{fill:var(--b);stroke:var(--s)}"
    ".p{fill:none;stroke:var(--q);stroke-dasharray:5 4}.l{stroke:var(--l)}"
    ".vp{fill:var(--g)}.vr{fill:none;stroke:var(--r);stroke-width:2.5}.vu{fill:var(--a)}"
    ".vn{fill:var(--b);stroke:var(--q);stroke-width:1.5}.wh{fill:none;stroke:var(--q)}"
    ".anchor{stroke:var(--t);stroke-dasharray:6 3}.gap{stroke:var(--q);stroke-dasharray:1 4;stroke-width:2}"
    ".limit{stroke:var(--r);stroke-dasharray:8 4}"
    "figure.w,figure.h{margin-right:0}figure.h{display:none}"
    ".key{display:flex;flex-wrap:wrap;gap:.2em 1.2em;padding:0;margin:.3em 0 1em;list-style:none;font-size:13px}"
    ".key svg{width:24px;height:14px;vertical-align:middle;margin-right:.3em}"
    "pre{white-space:pre-wrap;overflow-wrap:anywhere;font-size:12px}"
    "small{color:var(--q)}.note{border-left:3px solid #9a6700;padding-left:.7em;margin:.5em 0}"
    "dt{font-weight:600}dd{margin:0 0 .4em 1.2em}.bad{color:var(--r)}.good{color:var(--g)}.open{color:var(--a)}"
    ".sum{font-size:1.2em;font-weight:600;border-left:4px solid;padding-left:.6em}"
    ".flips{display:flex;flex-wrap:wrap;gap:.6em}.flip{border:1px solid var(--l);border-top:3px solid;padding:.4em;"
    "width:118px;font-size:12px;line-height:1.35}.flip div{color:var(--t)}"
    ".flip img{width:100%;image-rendering:pixelated}"
    ".flip code{display:block;color:var(--q)}"
    ".rows{display:flex;flex-wrap:wrap;gap:.8em}"
    ".row{border:1px solid var(--l);padding:.5em;font-size:12px;max-width:100%}"
    ".row figure{margin:.3em .5em 0 0}.row figcaption{font-weight:400;color:var(--q);max-width:112px}"
    ".over{position:relative;display:block;width:min(112px,27vw);line-height:0}"
    ".over img{width:100%;image-rendering:pixelated;border:1px solid var(--l)}"
    ".over img+img{position:absolute;left:0;top:0}.over.two img:first-child{opacity:.3}"
    ".bar{display:inline-block;height:.8em;vertical-align:baseline}.for{background:#e05a14}.not{background:#286edc}"
    ".ids span{display:inline-block;padding:.1em .3em;margin:1px;border:1px solid var(--l)}"
    "@media screen and (max-width:760px){table,tbody,tr,td{display:block}th{display:none}"
    "tr{padding:.4em 0;border-bottom:"
    "2px solid var(--l)}td,td.x{border:0;text-align:right;padding:.1em 0;white-space:normal}td:first-child{text-align:"
    "left;font-weight:600}td>b{display:inline;float:left;font-weight:400;color:var(--q)}td.x{text-align:left}"
    "svg .t,svg .n,svg text{font-size:13px}figure.w{display:none}figure.h{display:inline-block}}"
    "@media print{body{max-width:none;margin:0;font-size:9pt}td,th,td.x{padding:.15em .3em;font-size:7.5pt}"
    "figure,tr,.flip{break-inside:avoid}h2,h3{break-after:avoid}@page{size:A4;margin:12mm}}"
    "</style></head><body><h1>";

void rt_page_begin(rt_string *t, const char *title, const char *heading)
{
    rt_put(t, "%s", head);
    rt_put_html(t, title);
    rt_put(t, "%s", style);
    rt_put_html(t, heading);
    rt_put(t, "</h1>");
}
