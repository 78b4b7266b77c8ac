"""Makes a thumbnail again and again with Pillow, in this process, and prints
the mean CPU time in milliseconds and the peak memory in KiB.

Usage: pillow.py FILE HEIGHT COUNT OUT
"""
import io
import resource
import sys

from PIL import Image, ImageOps


def cpu_ms():
    r = resource.getrusage(resource.RUSAGE_SELF)
    return (r.ru_utime + r.ru_stime) * 1e3


def peak_kib():
    with open("/proc/self/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmHWM:"))


def thumbnail(data, height):
    image = Image.open(io.BytesIO(data))
    image.thumbnail((100000, height))
    image = ImageOps.exif_transpose(image)
    out = io.BytesIO()
    if image.mode in ("RGBA", "LA", "PA"):
        image.save(out, "PNG")
    else:
        image.convert("RGB").save(out, "JPEG", quality=80)
    return out.getvalue()


def main():
    path, height, count, out = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    with open(path, "rb") as f:
        data = f.read()
    if count > 1:
        thumbnail(data, height)  # warms up
    begin = cpu_ms()
    for _ in range(count):
        made = thumbnail(data, height)
    print((cpu_ms() - begin) / count, peak_kib())
    with open(out, "wb") as f:
        f.write(made)


main()
