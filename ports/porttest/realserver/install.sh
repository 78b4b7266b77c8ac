#!/usr/bin/env bash
# Installs the servers that the adapters' tests run on: Debian's into the system, Go's
# into the module's .cache/bin. As root it does all of it; otherwise it says in one
# line what is left to do, and exits 1. Where all is there it does nothing.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=$(cd "$here/../../.." && pwd)/.cache/bin
mkdir -p "$bin"
build=
policy=
trap 'rm -rf $build $policy' EXIT

# has PROGRAM...: one of them is there; Debian keeps servers outside of a user's PATH.
has() {
	local program
	for program in "$@"; do
		if PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null; then return 0; fi
	done
	return 1
}

packages=()
has redis-server || packages+=(redis-server)
has redis-cli || packages+=(redis-tools)
has redis-sentinel || packages+=(redis-sentinel)
has mariadbd || packages+=(mariadb-server)
has curl || packages+=(curl ca-certificates)
has nginx || packages+=(nginx-light)
has chromium chromium-browser google-chrome || packages+=(chromium)

# again COMMAND...: twice more if it fails, for mirrors and locks that are busy.
again() {
	local try
	for try in 1 2; do
		if "$@"; then return 0; fi
		sleep $((try * 5))
	done
	"$@"
}

if [ ${#packages[@]} -gt 0 ]; then
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		echo "missing: run 'sudo apt-get update && sudo apt-get install -y --no-install-recommends ${packages[*]}' (or your system's like) and try again" >&2
		exit 1
	fi
	echo "installing ${packages[*]}"
	export DEBIAN_FRONTEND=noninteractive
	if [ ! -e /usr/sbin/policy-rc.d ]; then # the tests start their own: none is to run on the system
		policy=/usr/sbin/policy-rc.d
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod 755 "$policy"
	fi
	again apt-get -o Acquire::Retries=3 update -qq
	again apt-get -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
fi

# go_program NAME PACKAGE VERSION: the file carries its version, so that a new one replaces it.
go_program() {
	local name=$1 package=$2 version=$3
	if [ ! -x "$bin/$name-$version" ]; then
		build=$(mktemp -d "$bin/.build-XXXXXX")
		echo "installing $name $version (a minute)"
		(cd "$build" && GOBIN=$build GOFLAGS='' CGO_ENABLED=0 again go install "$package@$version")
		mv "$build/$(basename "$package")" "$bin/$name-$version"
		rm -rf "$build"
		build=
	fi
	ln -sfn "$name-$version" "$bin/$name"
}

go_program versitygw github.com/versity/versitygw/cmd/versitygw v1.8.0
go_program toxiproxy-server github.com/Shopify/toxiproxy/v2/cmd/server v2.5.0

bash "$here/mysql.sh"
