# cmake -DFILES=a;b -DOUT=x.c -DHEADER=h -DTYPE=t -DTABLE=name -P embed_files.cmake: a C table
# {file name, text} of text files, ended by {NULL, NULL}.
set(rows "")
foreach(path IN LISTS FILES)
  get_filename_component(name "${path}" NAME)
  file(READ "${path}" text)
  string(REPLACE "\\" "\\\\" text "${text}")
  string(REPLACE "\"" "\\\"" text "${text}")
  string(REPLACE "\n" "\\n\"\n     \"" text "${text}")
  string(APPEND rows "    {\"${name}\",\n     \"${text}\"},\n")
endforeach()
file(WRITE "${OUT}" "#include \"${HEADER}\"\n\n#include <stddef.h>\n\n"
  "const struct ${TYPE} ${TABLE}[] = {\n${rows}    {NULL, NULL},\n};\n")
