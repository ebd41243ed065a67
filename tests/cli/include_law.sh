#!/bin/sh
# The include law: a folder includes only from folders below it; every header compiles alone; file names are unique.
# No file has more than 700 lines, tests included, but for recorded values.
root=$2
cd "$root" || exit 1
floor() {
    case $1 in
        engine) echo 0 ;; data) echo 1 ;; student) echo 2 ;; teacher) echo 3 ;; train|export) echo 4 ;; experiments) echo 5 ;; cli) echo 6 ;; *) echo 9 ;;
    esac
}
bad=0
for f in $(find engine data student teacher train export experiments cli -name '*.[ch]' -o -name '*.inc' -o -name '*.cu' -o -name '*.cuh' | sort); do
    own=${f%%/*}
    for inc in $(sed -n 's/^ *# *include "\([a-z]*\)\/.*/\1/p' "$f"); do
        [ "$inc" = "$own" ] && continue
        if [ "$(floor "$inc")" -ge "$(floor "$own")" ]; then
            echo "$f includes from $inc/, which is not below $own/"
            bad=1
        fi
    done
done
for h in $(find engine data student teacher train export experiments cli -name '*.h' -o -name '*.cuh' | sort); do
    flags= as=c standard=gnu17
    case $h in engine/cuda/*) flags="-DRT_CUDA_EMULATED -Itests/cuda/include" ;; esac
    case $h in engine/cuda/device_code.h|*.cuh) as=c++ standard=gnu++17 ;; esac
    case $h in engine/cpu/simd.h|engine/int/int_simd.h) [ "$(uname -m)" = x86_64 ] || continue; flags="-DRT_SIMD_AVX2 -mavx2 -mfma" ;; esac
    echo "#include \"$h\"" | ${CC:-cc} -std=$standard -D_GNU_SOURCE -Wall -Wextra -Werror -Wno-unused-function $flags -I. -fsyntax-only -x $as - || { echo "$h does not compile alone"; bad=1; }
done
plans=$(grep -lE 'rt_plan_|engine/plan(_build)?\.h' $(find data student teacher train export experiments cli -name '*.[ch]'))
[ -z "$plans" ] || { echo "plans are known above engine/: $plans"; bad=1; }
sources=$(find engine data student teacher train export experiments cli tests -type f \( -name '*.[ch]' -o -name '*.cuh' -o -name '*.cu' -o -name '*.cpp' -o -name '*.inc' \))
long=$(echo "$sources" | grep -v '_reference\.h$' | xargs wc -l | awk '$1 > 700 && $2 != "total" { print $2 " (" $1 ")" }')
[ -z "$long" ] || { echo "more than 700 lines: $long"; bad=1; }
twice=$(echo "$sources" | sed 's|.*/||' | sort | uniq -d)
[ -z "$twice" ] || { echo "file names used twice: $twice"; bad=1; }
exit $bad
