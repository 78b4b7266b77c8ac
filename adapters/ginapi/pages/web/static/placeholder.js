// Placeholders: what stands where a picture will be, at once.

// A ThumbHash (https://evanw.github.io/thumbhash/) is a few terms of a cosine
// transform: luminance, two colour differences, and opacity where there is any.
function decodePlaceholder(text) {
  const b = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  if (b.length < 5) return null;
  const low = b[0] | (b[1] << 8) | (b[2] << 16);
  const high = b[3] | (b[4] << 8);
  const alpha = low >> 23 === 1;
  const landscape = high >> 15 === 1;
  const most = alpha ? 5 : 7;
  const least = Math.max(3, high & 7);
  const lw = landscape ? most : least;
  const lh = landscape ? least : most;
  let at = alpha ? 12 : 10; // in nibbles
  const terms = (nx, ny, scale) => {
    const out = [];
    for (let y = 0; y < ny; y++) {
      for (let x = y ? 0 : 1; x * ny < nx * (ny - y); x++, at++) {
        const nibble = (b[at >> 1] >> (at & 1 ? 4 : 0)) & 15;
        out.push([x, y, (nibble / 7.5 - 1) * scale]);
      }
    }
    return out;
  };
  const ratio = most === 7 || most === 5 ? lw / lh : 1;
  const w = Math.max(1, Math.round(ratio > 1 ? 24 : 24 * ratio));
  const h = Math.max(1, Math.round(ratio > 1 ? 24 / ratio : 24));
  const l = terms(lw, lh, ((low >> 18) & 31) / 31);
  const p = terms(3, 3, (((high >> 3) & 63) / 63) * 1.25);
  const q = terms(3, 3, (((high >> 9) & 63) / 63) * 1.25);
  const a = alpha ? terms(5, 5, (b[5] >> 4) / 15) : [];
  const mean = [(low & 63) / 63, ((low >> 6) & 63) / 31.5 - 1, ((low >> 12) & 63) / 31.5 - 1, alpha ? (b[5] & 15) / 15 : 1];
  const cos = (n, size) => Array.from({ length: n }, (_, k) => Float32Array.from({ length: size }, (_, i) => Math.cos((Math.PI / size) * (i + 0.5) * k)));
  const cx = cos(7, w), cy = cos(7, h);
  const image = new ImageData(w, h);
  for (let y = 0, i = 0; y < h; y++) {
    for (let x = 0; x < w; x++, i += 4) {
      const sum = (list, start) => list.reduce((s, [u, v, k]) => s + k * cx[u][x] * cy[v][y] * 2, start);
      const L = sum(l, mean[0]), P = sum(p, mean[1]), Q = sum(q, mean[2]), A = sum(a, mean[3]);
      const blue = L - (2 / 3) * P;
      const red = (3 * L - blue + Q) / 2;
      image.data[i] = 255 * red;
      image.data[i + 1] = 255 * (red - Q);
      image.data[i + 2] = 255 * blue;
      image.data[i + 3] = 255 * A;
    }
  }
  return image;
}

// A tile's canvas is stretched by its style; a large one keeps its size, and with it its place.
function paint(canvas, image) {
  const small = new OffscreenCanvas(image.width, image.height);
  small.getContext("2d").putImageData(image, 0, 0);
  if (!canvas.dataset.width) {
    canvas.width = image.width;
    canvas.height = image.height;
  }
  canvas.getContext("2d").drawImage(small, 0, 0, canvas.width, canvas.height);
}

function placeholders(root) {
  for (const canvas of root.querySelectorAll("canvas[data-hash]:not([data-done])")) {
    canvas.dataset.done = "";
    const image = canvas.dataset.hash && decodePlaceholder(canvas.dataset.hash);
    if (image) paint(canvas, image);
    const img = canvas.parentElement.querySelector("img");
    if (!img) continue;
    // Once the picture is there, nothing shines through where it is transparent.
    const shown = () => {
      img.classList.remove("coming");
      setTimeout(() => { canvas.hidden = true; }, 300);
    };
    if (img.complete && img.naturalWidth) {
      shown();
      continue;
    }
    img.classList.add("coming");
    img.addEventListener("load", shown, { once: true });
    img.addEventListener("error", () => img.classList.remove("coming"), { once: true });
  }
}

placeholders(document);
document.addEventListener("imagify:added", (e) => placeholders(e.detail));
