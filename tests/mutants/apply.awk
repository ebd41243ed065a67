# Applies the mutant called NAME of a list to the file on standard input:
#   awk -v NAME=name -v LIST=mutants.txt -f apply.awk < file > mutated
# The old text must stand in the file exactly once; else the exit code is 3.
function chomp(s) { sub(/\n$/, "", s); return s }
BEGIN {
    while ((getline line < LIST) > 0) {
        if (line ~ /^== /) { take = substr(line, 4) == NAME; part = "" }
        else if (take && line ~ /^- /) old = old substr(line, 3) "\n"
        else if (take && line ~ /^\+ ?/) new = new substr(line, 3) "\n"
    }
    old = chomp(old); new = chomp(new)
    while ((getline line) > 0) text = text line "\n"
    at = index(text, old)
    if (old == "" || at == 0 || index(substr(text, at + 1), old)) exit 3
    printf "%s%s%s", substr(text, 1, at - 1), new, substr(text, at + length(old))
}
