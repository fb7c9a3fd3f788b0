# Read right behind project(ggml) when scripts/setup.d/32-llama.sh builds llama.cpp
# (CMAKE_PROJECT_ggml_INCLUDE): puts src/engine/llm/kernels into ggml's CPU backend. Nothing of
# llama.cpp is changed; the sources run on a processor without AVX-512 VNNI too and do nothing there.
if(NOT CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
  return()
endif()
set(MR_LLAMA_ROOT "${CMAKE_CURRENT_LIST_DIR}/..")
function(mr_llama_kernels)
  file(GLOB plain "${MR_LLAMA_ROOT}/src/engine/llm/kernels/*.c")
  file(GLOB vnni "${MR_LLAMA_ROOT}/src/engine/llm/kernels/*_vnni.c")
  file(GLOB plug "${MR_LLAMA_ROOT}/src/engine/llm/kernels/*.cpp")
  target_sources(ggml-cpu PRIVATE ${plain} ${plug})
  set_source_files_properties(${vnni} TARGET_DIRECTORY ggml-cpu PROPERTIES COMPILE_OPTIONS
    "-mavx2;-mfma;-mf16c;-mavx512f;-mavx512dq;-mavx512bw;-mavx512vl;-mavx512vnni;-O3")
  target_include_directories(ggml-cpu PRIVATE "${MR_LLAMA_ROOT}/src" "${CMAKE_CURRENT_SOURCE_DIR}/src/ggml-cpu")
endfunction()
cmake_language(DEFER DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}" CALL mr_llama_kernels)
