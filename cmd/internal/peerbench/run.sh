#!/bin/sh
# Measures the native resizer against libvips, Pillow, djpeg and the plain Go way
# on real photographs, and prints the table. On Debian and Ubuntu; as root it installs
# what is missing, else it says what to install. Prepared pictures stay in the cache folder.
#
# Usage: run.sh [-quick] [-heights 200,400,1080] [-rounds N] [-only PART-OF-A-NAME]
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${IMAGIFY_PEERBENCH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/imagify-peerbench}

packages="gcc libc6-dev pkg-config libvips-tools libvips-dev python3-pil fonts-dejavu-core libjpeg-turbo-progs lomiri-wallpapers-16.04 lomiri-wallpapers-20.04 mate-backgrounds ukui-wallpapers"
missing=
for p in $packages; do
	dpkg -s "$p" >/dev/null 2>&1 || missing="$missing $p"
done
if [ -n "$missing" ]; then
	install="apt-get update && apt-get install -y --no-install-recommends$missing"
	if [ "$(id -u)" != 0 ]; then
		echo "The peers are not all here. As root: $install" >&2
	else
		(apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing) >&2 ||
			echo "Not all peers could be installed: $missing" >&2
	fi
fi
if ! command -v vipsthumbnail >/dev/null || ! command -v jpegtran >/dev/null; then
	echo "libvips-tools and libjpeg-turbo-progs are needed to prepare the pictures." >&2
	exit 1
fi

mkdir -p "$cache/in" "$cache/out"
cd "$cache"

# A picture is made once: prepare NAME COMMAND… where the command takes the file to write as its last argument.
prepare() {
	[ -e "in/$1" ] && return
	for source; do
		case $source in
		in/* | "$photographs"/*) [ -e "$source" ] || { echo "missing: $1 (no $source)"; return; } ;;
		esac
	done
	echo "preparing $1" >&2
	name=$1
	shift
	"$@" "new-$name"
	mv "new-$name" "in/$name"
}
photo() { # SOURCE WIDTHxHEIGHT OUT: cropped to the shape, 4:2:0 as a camera saves it
	vipsthumbnail "$1" -s "$2" -m centre -o "$PWD/$3[Q=90,subsample_mode=on,strip]"
}
photographs=/usr/share/backgrounds
prepare p2.jpg photo $photographs/picosdeeuropa_by_Aitzol_Berasategi.jpg 1632x1224
prepare e10.jpg photo $photographs/mate/abstract/Elephants_5640x3172.jpg 4268x2400
prepare p12.jpg photo $photographs/Dragonfly_by_Bolly.jpg 4000x3000
prepare p24.jpg photo $photographs/Kleiber_by_Lukas_Baubkus.jpg 6000x4000
prepare p48.jpg photo $photographs/Kleiber_by_Lukas_Baubkus.jpg 8000x6000
progressive() { jpegtran -copy none -progressive -outfile "$2" "$1"; }
prepare p12-progressive.jpg progressive in/p12.jpg
prepare p24-progressive.jpg progressive in/p24.jpg
copy() { vips copy "$1" "$3$2"; }
gray() { vips colourspace "$1" "$2[Q=95]" b-w; }
full() { # SOURCE OUT: 4:4:4, of a picture that has the colours for it
	vipsthumbnail "$1" -s 4000x3000 -m centre -o "$PWD/$2[Q=95,subsample_mode=off,strip]"
}
prepare p12-444.jpg full $photographs/Dragonfly_by_Bolly.jpg
prepare p12-gray.jpg gray in/p12.jpg
prepare p12.png copy in/p12.jpg '[filter=all]' # as libpng does unless told otherwise
prepare p12-unfiltered.png copy in/p12.jpg '[filter=none]'
draw() { /usr/bin/python3 "$here/prepare.py" "$1" "$2" "$3"; }
prepare p2-rgba.png draw rgba in/p2.jpg
prepare phone-rgba.png draw phone in/p2.jpg
prepare desktop-palette.png draw desktop in/p2.jpg
prepare p2-palette.png draw palette in/p2.jpg
prepare p2.gif draw gif in/p2.jpg
prepare p12-q75.webp copy in/p12.jpg '[Q=75]'
prepare p2-lossless.webp copy in/p2.jpg '[lossless]'
prepare phone-lossless.webp draw phone-webp in/p2.jpg
# What a WebP shows, by libwebp: x/image takes a lossy one's range of luma for JPEG's.
mkdir -p shown
for f in in/*.webp; do
	[ -e "shown/${f#in/}.png" ] || vips copy "$f" "shown/${f#in/}.png"
done

cp "$here/pillow.py" pillow.py
rm -f loop
cc -O2 "$here/libvips/loop.c" -o loop $(pkg-config --cflags --libs vips) ||
	echo "libvips is not measured in process: its loop cannot be built" >&2
(cd "$here" && CGO_ENABLED=0 go build -o "$cache/peerbench" .)
echo "$(nproc) processors, $(vips --version), Pillow $(/usr/bin/python3 -c 'import PIL; print(PIL.__version__)' 2>/dev/null || echo missing), $(djpeg -version 2>&1 | head -n 1)"
exec ./peerbench -dir "$cache" "$@"
