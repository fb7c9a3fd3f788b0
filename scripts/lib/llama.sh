# Sourced: llama_fetch DIR puts the pinned llama.cpp into DIR/llama.cpp; llama_cmake DIR BUILD
# OPTION… configures it for this machine's CPU. One revision and one set of options for the library
# and for the peer of bench/llm.
llama_revision=0c1e57098 # of scripts/requirements/llama.txt

llama_fetch() {
    local dir="$1"
    mkdir -p "$dir"
    [ -e "$dir/llama.cpp/CMakeLists.txt" ] && return 0
    # pip asks the archive's build back-end for its metadata; nothing is compiled.
    PIP_DISABLE_PIP_VERSION_CHECK=1 python3 -m pip download -q --no-deps \
        --no-binary llama-cpp-python --require-hashes -d "$dir" -r scripts/requirements/llama.txt
    tar -xzf "$dir"/llama_cpp_python-*.tar.gz -C "$dir" --strip-components=2 \
        --wildcards '*/vendor/llama.cpp'
    rm -f "$dir"/llama_cpp_python-*.tar.gz
}

llama_cmake() {
    local dir="$1" build="$2"
    shift 2
    cmake -G Ninja -S "$dir/llama.cpp" -B "$build" -DCMAKE_BUILD_TYPE=Release \
        -DCMAKE_INSTALL_RPATH='$ORIGIN' -DCMAKE_INSTALL_LIBDIR=lib -DBUILD_SHARED_LIBS=ON \
        -DGGML_NATIVE=ON -DGGML_CCACHE=OFF -DGGML_OPENMP=ON -DLLAMA_BUILD_TESTS=OFF \
        -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF -DLLAMA_USE_PREBUILT_UI=OFF \
        -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_NUMBER=1 -DLLAMA_BUILD_COMMIT="$llama_revision" "$@" \
        >/dev/null
}
