# Texts into a header of arrays, at build time: cmake -DHEADER=... -DFOLDER=... -DNAMES="a.c;b.c" -P embed.cmake
# NAMES is a list.
set(text "")
foreach(name ${NAMES})
  file(READ ${FOLDER}/${name} hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
  string(REGEX REPLACE "\\.c$" "" id ${name})
  string(APPEND text "static const char ${id}_text[] = {${hex}0};\n")
endforeach()
file(WRITE ${HEADER} "${text}")
