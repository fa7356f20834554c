//! The program `keyward`.

fn main() {
    keyward::cli::main()
}
