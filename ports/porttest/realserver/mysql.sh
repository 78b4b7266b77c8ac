#!/usr/bin/env bash
# mysql.sh [DIR]: unpacks a MySQL server (not MariaDB) into DIR, by default
# .cache/mysql of this module. Nothing is installed on the system, and no right of
# root is needed. It wants apt and dpkg; the machine's own package lists are neither
# used, for they may be old, nor changed.
#
# The package comes from where the machine's apt gets its own. Where that has no
# MySQL (Debian's releases), it comes from Debian's unstable suite on the same mirror.
#
#   IMAGIFY_APT_SOURCE   lines of sources.list to use instead
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=$(realpath -m "${1:-$here/../../../.cache/mysql}")
if [ -x "$dir/mysqld" ] && "$dir/mysqld" --version >/dev/null; then exit 0; fi
for tool in apt-get apt-cache dpkg; do
	command -v "$tool" >/dev/null || {
		echo "mysql.sh needs $tool: install MySQL 8 or later by hand, so that mysqld is on the PATH" >&2
		exit 1
	}
done
echo "unpacking MySQL (half a minute)"

mkdir -p "$(dirname "$dir")"
work=$(mktemp -d "$dir.new-XXXXXX") # another process may do the same
trap 'rm -rf "$work"' EXIT
apt=$work/.apt
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$work/root"
: >"$apt/status" # as if nothing were installed: the libraries come along
cat >"$apt/apt.conf" <<CONF
Dir::State::status "$apt/status";
Dir::State::lists "$apt/lists";
Dir::Cache "$apt/cache";
Acquire::Retries "3";
Acquire::Check-Valid-Until "false"; // a mirror may be frozen; signatures count all the same
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
APT::Install-Recommends "false";
CONF
[ "$(id -u)" != 0 ] || echo 'APT::Sandbox::User "root";' >>"$apt/apt.conf"
export APT_CONFIG=$apt/apt.conf

# find NAME...: the first package that there is.
find_package() {
	package=
	local name
	for name in "$@"; do
		if apt-cache show --no-all-versions "$name" 2>/dev/null | grep '^Package:' >/dev/null; then
			package=$name
			return
		fi
	done
}

# use_source LINE: take packages from there alone.
use_source() {
	echo "$1" >"$apt/sources.list"
	cat >>"$apt/apt.conf" <<CONF
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "/dev/null";
CONF
}

[ -z "${IMAGIFY_APT_SOURCE:-}" ] || use_source "$IMAGIFY_APT_SOURCE"
apt-get -qq update || true # a source of somebody else's may be away
find_package mysql-server-core-8.4 mysql-server-core mysql-server-core-8.0
if [ -z "$package" ] && [ -z "${IMAGIFY_APT_SOURCE:-}" ]; then
	mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' | sed -n 1p)
	keys=$(ls /usr/share/keyrings/debian-archive-keyring.gpg /usr/share/keyrings/debian-archive-keyring.pgp 2>/dev/null | sed -n 1p || true)
	if [ -n "$mirror" ] && [ -n "$keys" ]; then
		use_source "deb [signed-by=$keys] ${mirror%/} sid main"
		apt-get -qq update
		find_package mysql-server-core mysql-server-core-9.7 mysql-server-core-8.4 mysql-server-core-8.0
	fi
fi
[ -n "$package" ] || {
	echo "mysql.sh: apt has no MySQL server here: set IMAGIFY_APT_SOURCE to a line of sources.list that has one, or install MySQL 8 or later by hand" >&2
	exit 1
}

apt-get -qq install -y --download-only "$package" >/dev/null
for deb in "$apt"/cache/archives/*.deb; do
	case ${deb##*/} in perl* | libperl* | debconf*) continue ;; esac
	dpkg -x "$deb" "$work/root"
done
rm -rf "$apt"

# The server runs on the libraries that came with it.
triple=$(uname -m)-linux-gnu
lib=$work/root/usr/lib/$triple
loader=$(cd "$lib" && ls ld-linux*.so.* | sed -n 1p)
cat >"$work/mysqld" <<SH
#!/bin/sh
root=\$(dirname "\$(readlink -f "\$0")")/root
lib=\$root/usr/lib/$triple
exec "\$lib/$loader" --library-path "\$lib" "\$root/usr/sbin/mysqld" --no-defaults --basedir="\$root/usr" \\
  --lc-messages-dir="\$root/usr/share/mysql" --character-sets-dir="\$root/usr/share/mysql/charsets" \\
  --plugin-dir="\$root/usr/lib/mysql/plugin" "\$@"
SH
chmod +x "$work/mysqld"
"$work/mysqld" --version
chmod 755 "$work"
rm -rf "$dir"
mv -T "$work" "$dir" 2>/dev/null || [ -x "$dir/mysqld" ] # of two processes one was first
