// The Fourier transform of an image, to see periods in it: lattices, scan noise, drift.

import { hasValue } from "./levels.js";

const LARGEST = 1024;
const powerOfTwo = (length) => Math.min(LARGEST, 2 ** Math.ceil(Math.log2(Math.max(2, length))));

// In place, radix 2, of `count` numbers that stand `step` apart from `start` on.
function transform(real, imaginary, start, step, count) {
  for (let i = 1, j = 0; i < count; i++) {
    let bit = count >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      const a = start + i * step, b = start + j * step;
      [real[a], real[b]] = [real[b], real[a]];
      [imaginary[a], imaginary[b]] = [imaginary[b], imaginary[a]];
    }
  }
  for (let size = 2; size <= count; size *= 2) {
    const half = size / 2, angle = (-2 * Math.PI) / size;
    for (let k = 0; k < half; k++) {
      const cosine = Math.cos(angle * k), sine = Math.sin(angle * k);
      for (let block = k; block < count; block += size) {
        const a = start + block * step, b = a + half * step;
        const re = real[b] * cosine - imaginary[b] * sine, im = real[b] * sine + imaginary[b] * cosine;
        real[b] = real[a] - re;
        imaginary[b] = imaginary[a] - im;
        real[a] += re;
        imaginary[a] += im;
      }
    }
  }
}

// Magnitudes, zero frequency in the middle, without the mean and under a Hann window, so that borders make no cross. The image is
// filled up with zeros to powers of two; of one that is larger than 1024 the middle is taken. Positions without a value count as the mean.
export function fourier(values, rows, columns, coverage) {
  const [height, width] = [powerOfTwo(rows), powerOfTwo(columns)];
  const [high, wide] = [Math.min(rows, height), Math.min(columns, width)];
  const [top, left] = [(rows - high) >> 1, (columns - wide) >> 1];
  const isGood = (index) => (!coverage || hasValue(coverage[index])) && Number.isFinite(values[index]);
  let sum = 0, count = 0;
  for (let y = 0; y < high; y++) for (let x = 0; x < wide; x++) {
    const index = (top + y) * columns + left + x;
    if (isGood(index)) { sum += values[index]; count++; }
  }
  const mean = count ? sum / count : 0;
  const real = new Float64Array(height * width), imaginary = new Float64Array(height * width);
  const hann = (place, length) => (length > 2 ? 0.5 - 0.5 * Math.cos((2 * Math.PI * (place + 0.5)) / length) : 1);
  for (let y = 0; y < high; y++) for (let x = 0; x < wide; x++) {
    const index = (top + y) * columns + left + x;
    if (isGood(index)) real[y * width + x] = (values[index] - mean) * hann(y, high) * hann(x, wide);
  }
  for (let y = 0; y < height; y++) transform(real, imaginary, y * width, 1, width);
  for (let x = 0; x < width; x++) transform(real, imaginary, x, width, height);
  const magnitudes = new Float32Array(height * width);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
    const index = y * width + x;
    magnitudes[((y + height / 2) % height) * width + ((x + width / 2) % width)] = Math.hypot(real[index], imaginary[index]);
  }
  return { values: magnitudes, shape: [height, width] };
}

// What a pane shows for the transform of what another one shows; null for what has none.
export function transformOf(told, content) {
  if (!told || !content || content.components !== 1) return null;
  const made = fourier(content.values, content.rows, content.columns, content.coverage);
  return { ...told, ...made, kind: "fft", dtype: "float32", sourceDtype: "float32", map: null, seams: [], coverage: null };
}

// The period of a place in the transform, in pixels of the image; infinite in the middle.
export function period({ x, y }, [height, width]) {
  return 1 / Math.hypot((Math.floor(y) - height / 2) / height, (Math.floor(x) - width / 2) / width);
}
