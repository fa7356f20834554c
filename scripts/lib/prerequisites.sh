# shellcheck shell=bash
# Installs what is needed to build, test and run Keyward. Sourced by scripts/serve and scripts/test.
#
# `ensure_prerequisites` searches for each prerequisite where the build does. It installs missing
# ones if it may: with apt as root or with passwordless sudo, Rust with rustup in the home folder. Otherwise it prints
# the commands to run. If nothing is missing, it calls no package manager. Works with bash 3.2, the version of macOS.

# Extra arguments for cargo, set by `ensure_prerequisites`. Expand as ${cargo_features[@]+"${cargo_features[@]}"}.
cargo_features=()

say() { printf 'keyward: %s\n' "$*" >&2; }

die() {
    say "$@"
    exit 1
}

# --- Checks ---------------------------------------------------------------------------------------------------------

# Rust links with `cc`, aws-lc-sys compiles C with it, and jemalloc is built with `make`.
have_c_compiler() { command -v cc >/dev/null 2>&1 && command -v make >/dev/null 2>&1; }

# Searches where pq-sys does. The program pg_config alone is not enough: Debian has a package that contains it but not
# libpq.
have_libpq() {
    if [[ -n ${PQ_LIB_DIR:-} ]]; then return 0; fi
    if pkg-config --exists libpq 2>/dev/null; then return 0; fi
    local folder
    folder=$(pg_config --libdir 2>/dev/null) || return 1
    [[ -e $folder/libpq.so || -e $folder/libpq.dylib || -e $folder/libpq.a ]]
}

# Building libpq from source needs the headers of OpenSSL.
have_openssl_headers() { pkg-config --exists openssl 2>/dev/null; }

# Searches where crates/embedded-postgres/src/programs.rs does.
have_postgres_server() {
    local folder
    for folder in \
        "$(dirname "$(command -v postgres 2>/dev/null || echo /nowhere/x)")" \
        "$(pg_config --bindir 2>/dev/null || echo /nowhere)" \
        /usr/lib/postgresql/*/bin \
        /usr/pgsql-*/bin \
        /opt/homebrew/opt/postgresql*/bin \
        /usr/local/opt/postgresql*/bin; do
        if [[ -x $folder/postgres && -x $folder/initdb ]]; then return 0; fi
    done
    return 1
}

# cargo needs the system's certificates for its downloads.
have_certificates() {
    [[ -n ${SSL_CERT_FILE:-} || -n ${SSL_CERT_DIR:-} || -s /etc/ssl/certs/ca-certificates.crt ||
        -s /etc/ssl/cert.pem || -s /etc/pki/tls/certs/ca-bundle.crt ]]
}

have_downloader() { command -v curl >/dev/null 2>&1 || command -v wget >/dev/null 2>&1; }

# --- apt ------------------------------------------------------------------------------------------------------------

# Whether packages can be installed with apt. Sets `as_root` to the prefix of commands that need root.
as_root=()
may_use_apt() {
    if ! command -v apt-get >/dev/null 2>&1; then return 1; fi
    if [[ $(id -u) == 0 ]]; then
        as_root=(env)
    elif sudo -n true 2>/dev/null; then
        # sudo clears the environment; apt may need the proxy variables.
        as_root=(sudo -n env)
        local name
        for name in http_proxy https_proxy no_proxy; do
            if [[ -n ${!name:-} ]]; then as_root+=("$name=${!name}"); fi
        done
    else
        return 1
    fi
}

apt_get() {
    # The timeout waits for another apt process to finish. Output goes to stderr: stdout belongs to the program that the
    # script starts at the end.
    "${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" >&2 </dev/null
}

apt_offers() { [[ $(LC_ALL=C apt-cache policy "$1" 2>/dev/null) == *"Candidate: "[0-9]* ]]; }

apt_install() {
    say "installing with apt: $*"
    local result=0 no_cluster=/etc/postgresql-common/createcluster.d/keyward.conf
    if [[ " $* " == *" postgresql "* ]]; then
        # Only the programs are needed. Without this file Debian's package would also create a cluster and start a
        # server on port 5432. The file is removed afterwards, so that later installations behave as usual.
        # shellcheck disable=SC2016 # expanded by the inner shell
        printf 'create_main_cluster = false\n' |
            "${as_root[@]}" sh -c 'mkdir -p "$(dirname "$1")" && cat >"$1"' sh "$no_cluster" || result=$?
    fi
    if [[ $result == 0 ]]; then
        # --no-remove, --no-upgrade: installed packages stay as they are.
        apt_get install -y --no-install-recommends --no-remove --no-upgrade "$@" || result=$?
    fi
    if [[ -e $no_cluster ]]; then "${as_root[@]}" rm -f "$no_cluster"; fi
    return "$result"
}

# --- Commands for other package managers -----------------------------------------------------------------------------

# Prints the packages of the package manager $1 that contain the prerequisite $2.
package_of() {
    case $1:$2 in
        apt:compiler) echo "gcc libc6-dev make" ;;
        apt:libpq) echo "libpq-dev pkg-config" ;;
        apt:postgres) echo postgresql ;;
        dnf:compiler) echo "gcc glibc-devel make" ;;
        dnf:libpq) echo "libpq-devel pkgconf-pkg-config" ;;
        dnf:postgres) echo postgresql-server ;;
        pacman:compiler) echo "gcc make" ;;
        pacman:libpq) echo "postgresql-libs pkgconf" ;;
        pacman:postgres) echo postgresql ;;
        apk:compiler) echo "gcc musl-dev make" ;;
        apk:libpq) echo "libpq-dev pkgconf" ;;
        apk:postgres) echo postgresql ;;
        brew:libpq | brew:postgres) echo "postgresql@17 pkgconf" ;;
        brew:compiler | brew:certificates | brew:downloader) ;;
        *:certificates) echo ca-certificates ;;
        *:downloader) echo curl ;;
    esac
}

packages_for() {
    local manager=$1 prerequisite
    shift
    for prerequisite in "$@"; do package_of "$manager" "$prerequisite"; done | tr '\n' ' ' | sed 's/ *$//'
}

# Prints the commands that install the given prerequisites with the package manager of this machine.
print_install_commands() {
    if command -v apt-get >/dev/null 2>&1; then
        echo "sudo apt-get update && sudo apt-get install --no-install-recommends $(packages_for apt "$@")"
    elif command -v dnf >/dev/null 2>&1; then
        echo "sudo dnf install $(packages_for dnf "$@")"
    elif command -v pacman >/dev/null 2>&1; then
        echo "sudo pacman -S --needed $(packages_for pacman "$@")"
    elif command -v apk >/dev/null 2>&1; then
        echo "sudo apk add $(packages_for apk "$@")"
    elif command -v brew >/dev/null 2>&1; then
        if [[ " $* " == *" compiler "* ]]; then echo "xcode-select --install"; fi
        echo "brew install $(packages_for brew "$@" | tr ' ' '\n' | sort -u | tr '\n' ' ')"
    else
        echo "(with the package manager of this machine; these are the names in Debian) $(packages_for apt "$@")"
    fi
}

# --- Installation ----------------------------------------------------------------------------------------------------

# Prints the missing prerequisites.
missing_prerequisites() {
    local purpose=$1 with_postgres=$2
    if ! have_c_compiler; then echo compiler; fi
    if ! have_libpq; then echo libpq; fi
    if ! have_certificates; then echo certificates; fi
    if needs_rustup "$purpose" && ! have_downloader; then echo downloader; fi
    if [[ $with_postgres == yes ]] && ! have_postgres_server; then echo postgres; fi
}

ensure_system_packages() {
    local purpose=$1 with_postgres=$2 missing packages
    missing=$(missing_prerequisites "$purpose" "$with_postgres" | tr '\n' ' ')
    if [[ -z $missing ]]; then return 0; fi

    if may_use_apt; then
        # The package lists may be missing or out of date. If the update fails, the installation may still work.
        apt_get update || say "apt-get update failed; trying with the existing package lists"
        # shellcheck disable=SC2086 # a list of words
        packages=$(packages_for apt $missing)
        # shellcheck disable=SC2086
        apt_install $packages || say "apt could not install: $packages"
        missing=$(missing_prerequisites "$purpose" "$with_postgres" | tr '\n' ' ')
    fi

    if [[ " $missing" == *" libpq "* ]] && have_openssl_headers; then
        say "libpq is not installed; building it from source (cargo feature bundled-libpq)"
        # shellcheck disable=SC2034 # read by the scripts that source this file
        cargo_features=(--features bundled-libpq)
        missing=${missing/libpq /}
    fi
    if [[ -n ${missing// /} ]]; then
        say "missing, and this script cannot install it: $missing"
        say "run this command, then start the script again:"
        # shellcheck disable=SC2086
        print_install_commands $missing | sed 's/^/    /' >&2
        if [[ " $missing" == *" postgres "* ]]; then
            say "(or use a PostgreSQL server that is already running: set DATABASE_URL for serve, TEST_DATABASE_URL for test)"
        fi
        exit 1
    fi
}

rustup_by_hand="curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- --profile minimal"

# The version in rust-toolchain.toml.
wanted_rust() { sed -n 's/^channel *= *"\(.*\)"/\1/p' rust-toolchain.toml; }

# Whether the Rust on PATH is new enough. Only used without rustup.
rust_is_new_enough() {
    local found wanted
    found=$(rustc --version 2>/dev/null | sed -n 's/^rustc \([0-9.]*\).*/\1/p')
    wanted=$(wanted_rust)
    [[ -n $found && $(printf '%s\n' "$wanted" "$found" | sort -t. -k1,1n -k2,2n -k3,3n | head -n 1) == "$wanted" ]]
}

# The programs of the toolchain that are needed: formatter and linter only for tests.
programs_for() {
    if [[ $1 == test ]]; then echo cargo rustc rustfmt cargo-fmt cargo-clippy; else echo cargo rustc; fi
}

# Whether rustup has to be installed: neither it nor a complete Rust that is new enough is on PATH.
needs_rustup() {
    if command -v rustup >/dev/null 2>&1; then return 1; fi
    local program
    for program in $(programs_for "$1"); do
        if ! command -v "$program" >/dev/null 2>&1; then return 0; fi
    done
    ! rust_is_new_enough
}

install_rustup() {
    local url=${RUSTUP_UPDATE_ROOT:-https://static.rust-lang.org/rustup}/rustup-init.sh script
    # Debian's package first, because apt checks its signature. Not if Debian's cargo is installed: the packages
    # conflict.
    if ! command -v cargo >/dev/null 2>&1 && may_use_apt; then
        if ! apt_offers rustup; then apt_get update || true; fi
        if apt_offers rustup && apt_install rustup; then return 0; fi
    fi
    if ! have_downloader; then return 1; fi
    say "installing rustup in ${CARGO_HOME:-$HOME/.cargo}"
    # Download all of it before running it, so that a broken connection does not run half a script.
    if command -v curl >/dev/null 2>&1; then
        script=$(curl --proto '=https' --tlsv1.2 -sSfL --retry 3 --connect-timeout 20 "$url") || return 1
    else
        script=$(wget -qO- --tries=3 --timeout=20 "$url") || return 1
    fi
    # Without a toolchain, which `ensure_rust` installs, and without changing the start files of the shell.
    RUSTUP_INIT_SKIP_PATH_CHECK=yes sh -s -- -y --quiet --profile minimal --default-toolchain none --no-modify-path \
        <<<"$script" >&2 || return 1
    PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
    hash -r
}

# Whether the active toolchain has the needed programs. Must not make rustup install a toolchain, because that would
# lack components and print nothing. rustup 1.27 does not know RUSTUP_AUTO_INSTALL, so the list of toolchains is checked
# first.
toolchain_is_complete() {
    local sysroot program
    if [[ -z ${RUSTUP_TOOLCHAIN:-} && $'\n'$(rustup toolchain list 2>/dev/null) != *$'\n'"$(wanted_rust)"* ]]; then
        return 1
    fi
    sysroot=$(RUSTUP_AUTO_INSTALL=0 rustc --print sysroot 2>/dev/null) || return 1
    for program in $(programs_for "$1"); do
        if [[ ! -x $sysroot/bin/$program ]]; then return 1; fi
    done
}

ensure_rust() {
    local purpose=$1 wanted
    wanted=$(wanted_rust)
    if needs_rustup "$purpose"; then
        if ! install_rustup; then
            say "Rust $wanted is needed, but rustup could not be installed; run this command, then start the script again:"
            printf '    %s\n' "$rustup_by_hand" >&2
            exit 1
        fi
    fi
    # Without rustup, `needs_rustup` has found the Rust on PATH new enough.
    if ! command -v rustup >/dev/null 2>&1 || toolchain_is_complete "$purpose"; then return 0; fi
    say "installing Rust $wanted with rustup"
    # If the toolchain is installed, this adds the missing components.
    local install=(rustup toolchain install "$wanted" --profile minimal --component rustfmt --component clippy --no-self-update)
    "${install[@]}" >&2 </dev/null || true
    if ! toolchain_is_complete "$purpose"; then
        say "rustup could not install all of Rust $wanted; run this command, then start the script again:"
        printf '    %s\n' "${install[*]}" >&2
        exit 1
    fi
}

# ensure_prerequisites serve|test yes|no: the purpose, and whether the PostgreSQL server programs are needed.
# The working directory must be the root of the repository.
ensure_prerequisites() {
    # rustup and cargo need HOME, which some containers do not set.
    if [[ -z ${HOME:-} ]]; then
        HOME=$(cd ~ && pwd) || die "HOME is not set"
        export HOME
    fi
    # A shell that has not read its start files does not have rustup's folder in PATH.
    if ! command -v rustup >/dev/null 2>&1 && [[ -x ${CARGO_HOME:-$HOME/.cargo}/bin/rustup ]]; then
        PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
    fi
    ensure_system_packages "$1" "$2"
    ensure_rust "$1"
    export PATH
}
