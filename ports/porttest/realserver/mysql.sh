#!/usr/bin/env bash
# mysql.sh [DIR]: unpacks a MySQL server (not MariaDB) into DIR, by default
# .cache/mysql of this module. Nothing is installed on the system, and no right of
# root is needed. It wants apt and dpkg.
#
# The package comes from where the machine's apt gets its own. Where that has no
# MySQL (Debian's releases), it comes from Debian's unstable suite on the same mirror.
#
#   IMAGIFY_APT_SOURCE   a line of sources.list to use instead
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=$(realpath -m "${1:-$here/../../../.cache/mysql}")
if [ -x "$dir/mysqld" ] && "$dir/mysqld" --version; then exit 0; fi
for tool in apt-get apt-cache dpkg; do
  command -v "$tool" >/dev/null || { echo "mysql.sh needs $tool: install MySQL 8 or later by hand, so that mysqld is on the PATH" >&2; exit 1; }
done

work=$dir.new
rm -rf "$work"
apt=$work/.apt
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$work/root"
: > "$apt/status" # as if nothing were installed: the libraries come along

available() { apt-cache show --no-all-versions "$1" 2>/dev/null | grep -q '^Package:'; }
package=
for p in mysql-server-core-8.4 mysql-server-core-8.0 mysql-server-core; do
  if [ -z "${IMAGIFY_APT_SOURCE:-}" ] && available "$p"; then package=$p; break; fi
done

{
  echo "Dir::State::status \"$apt/status\";"
  echo "Dir::State::lists \"$apt/lists\";"
  echo "Dir::Cache \"$apt/cache\";"
  echo 'Acquire::Languages "none";'
  echo 'Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";'
  echo 'Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";'
  echo 'APT::Install-Recommends "false";'
  [ "$(id -u)" != 0 ] || echo 'APT::Sandbox::User "root";'
  if [ -z "$package" ]; then
    echo "Dir::Etc::sourcelist \"$apt/sources.list\";"
    echo 'Dir::Etc::sourceparts "/dev/null";'
  fi
} > "$apt/apt.conf"
if [ -z "$package" ]; then
  package=mysql-server-core
  source=${IMAGIFY_APT_SOURCE:-}
  if [ -z "$source" ]; then
    mirror=$(apt-get indextargets --format '$(REPO_URI)' | grep -v security | head -n 1)
    [ -n "$mirror" ] || { echo "mysql.sh: apt knows no mirror; set IMAGIFY_APT_SOURCE" >&2; exit 1; }
    source="deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror%/} sid main"
  fi
  echo "$source" > "$apt/sources.list"
fi

export APT_CONFIG=$apt/apt.conf
apt-get -qq update
apt-get -qq install -y --download-only "$package" >/dev/null
for deb in "$apt"/cache/archives/*.deb; do
  case ${deb##*/} in *perl*|debconf*) continue ;; esac
  dpkg -x "$deb" "$work/root"
done
rm -rf "$apt"

# The server runs on the libraries that came with it.
lib=$work/root/usr/lib/$(uname -m)-linux-gnu
loader=$(cd "$lib" && ls ld-linux*.so.* | head -n 1)
cat > "$work/mysqld" <<SH
#!/bin/sh
root=\$(dirname "\$(readlink -f "\$0")")/root
lib=\$root/usr/lib/$(uname -m)-linux-gnu
exec "\$lib/$loader" --library-path "\$lib" "\$root/usr/sbin/mysqld" --no-defaults --basedir="\$root/usr" \\
  --lc-messages-dir="\$root/usr/share/mysql" --character-sets-dir="\$root/usr/share/mysql/charsets" \\
  --plugin-dir="\$root/usr/lib/mysql/plugin" "\$@"
SH
chmod +x "$work/mysqld"
rm -rf "$dir"
mv "$work" "$dir"
"$dir/mysqld" --version
