"""Draws or converts one of the benchmark's pictures.

Usage: prepare.py KIND [SOURCE] OUT
"""
import sys

from PIL import Image, ImageDraw, ImageFont

FONTS = "/usr/share/fonts/truetype/dejavu/"
LINES = (
    "Your images, by tier", "Basic: thumbnails of 200 px", "Premium: 200 px, 400 px and the original",
    "Enterprise: expiring links as well", "The quick brown fox jumps over the lazy dog", "0123456789 @ # % & * ( ) { } [ ] / \\ | ~",
    "Last changed 12 minutes ago by somebody else", "Nothing is shared until you make a link",
)


def screen(width, height, photograph):
    """A page as a browser shows it: flat areas, text with smoothed edges, lines, three photographs."""
    page = Image.new("RGB", (width, height), "#fafafa")
    draw = ImageDraw.Draw(page)
    big, small = (ImageFont.truetype(FONTS + name, size) for name, size in (("DejaVuSans-Bold.ttf", 40), ("DejaVuSans.ttf", 26)))
    draw.rectangle((0, 0, width, 110), fill="#22313f")
    draw.text((40, 30), "imagify", font=big, fill="white")
    tile = Image.open(photograph).convert("RGB")
    tile.thumbnail((300, 225))
    for row, top in enumerate(range(150, height - 280, 300)):
        draw.rounded_rectangle((30, top, width - 30, top + 270), 16, fill="white", outline="#d0d7de", width=2)
        if row % 3 == 0:
            page.paste(tile, (50, top + 20))
        for n in range(6):
            draw.text((380, top + 16 + 40 * n), LINES[(row + n) % len(LINES)], font=small, fill=("#111111", "#57606a", "#0a58ca")[n % 3])
    return page


def see_through(image):
    """Opaque in the middle, and softly nothing at the edges."""
    image.putalpha(Image.radial_gradient("L").resize(image.size).point(lambda v: min(255, 2 * (255 - v))))
    return image


def main():
    kind, source, out = sys.argv[1:]
    image = Image.open(source).convert("RGB")
    if kind == "rgba":
        see_through(image).save(out, "PNG")
    elif kind == "phone":
        screen(1080, 2400, source).convert("RGBA").save(out, "PNG")
    elif kind == "desktop":
        screen(1920, 1200, source).quantize(256).save(out, "PNG")
    elif kind == "palette":
        image.quantize(256).save(out, "PNG")
    elif kind == "gif":
        image.quantize(256).save(out, "GIF")
    elif kind == "phone-webp":
        screen(1080, 2400, source).save(out, "WEBP", lossless=True)
    else:
        sys.exit("no such kind: " + kind)


main()
