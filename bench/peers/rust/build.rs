// The compiled model: librf.a, made by tl2cgen and gcc (bench/models.py).
fn main() {
    println!("cargo:rerun-if-env-changed=BENCH_MODEL_DIR");
    if let Ok(dir) = std::env::var("BENCH_MODEL_DIR") {
        println!("cargo:rerun-if-changed={dir}/librf.a");
        println!("cargo:rustc-link-search={dir}");
    }
    println!("cargo:rustc-link-lib=static=rf");
}
