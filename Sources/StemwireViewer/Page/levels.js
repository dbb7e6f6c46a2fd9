// How values become brightness: limits, scales, histogram. Pure functions of arrays.

const OUTLIERS = 0.001;
const SAMPLE = 1 << 14;

// Coverage codes, as the viewer sends them.
export const PENDING = 0, PROCESSED = 1, MISSING = 2, PASSED = 3, REJECTED = 4, FAILED = 5, DUPLICATE = 6;
export const hasValue = (code) => code === PROCESSED || code === DUPLICATE;

// One number for each pixel: the value itself, or the length of a vector (two numbers a pixel).
export function magnitudes(values, components) {
  if (components === 1) return values;
  const lengths = new Float32Array(values.length / components);
  for (let index = 0; index < lengths.length; index++) {
    let sum = 0;
    for (let part = 0; part < components; part++) sum += values[index * components + part] ** 2;
    lengths[index] = Math.sqrt(sum);
  }
  return lengths;
}

// The values that count for limits and histogram: those of processed positions that are numbers, sorted; of large
// arrays a sample.
export function sortedSample(values, coverage) {
  const step = Math.max(1, Math.ceil(values.length / SAMPLE));
  const sample = new Float64Array(Math.ceil(values.length / step));
  let count = 0;
  for (let index = 0; index < values.length; index += step) {
    const value = values[index];
    if ((!coverage || hasValue(coverage[index])) && Number.isFinite(value)) sample[count++] = value;
  }
  return sample.subarray(0, count).sort();
}

// Limits without a thousandth of the values at each end.
export function autoLimits(sorted) {
  if (sorted.length === 0) return [0, 1];
  const cut = Math.min(Math.floor(sorted.length * OUTLIERS), (sorted.length - 1) >> 1);
  const low = sorted[cut], high = sorted[sorted.length - 1 - cut];
  return high > low ? [low, high] : [low, low + 1];
}

// 0 at the lower limit, 1 at the upper one.
export function level(value, [low, high], scale, gamma) {
  if (scale === "log") return Math.log1p(Math.max(0, value - low)) / Math.log1p(high - low);
  const share = (value - low) / (high - low);
  return scale === "gamma" ? Math.pow(Math.min(Math.max(share, 0), 1), gamma) : share;
}

// Counts in `bins` equal steps of `level` between the smallest and the largest value.
export function histogram(sorted, bins, scale) {
  const counts = new Uint32Array(bins);
  if (sorted.length === 0) return { counts, low: 0, high: 1 };
  const low = sorted[0], high = sorted[sorted.length - 1] > low ? sorted[sorted.length - 1] : low + 1;
  const kind = scale === "log" ? "log" : "linear";
  for (const value of sorted) counts[Math.min(bins - 1, Math.floor(level(value, [low, high], kind, 1) * bins))]++;
  return { counts, low, high };
}

// The value at a place of the histogram, 0 … 1.
export function valueAt(place, { low, high }, scale) {
  const share = Math.min(Math.max(place, 0), 1);
  return scale === "log" ? low + Math.expm1(share * Math.log1p(high - low)) : low + share * (high - low);
}

// Where a value stands in the histogram, 0 … 1.
export function placeOf(value, { low, high }, scale) {
  return Math.min(Math.max(level(value, [low, high], scale === "log" ? "log" : "linear", 1), 0), 1);
}

// A number for people: enough digits to tell neighbours apart, no more.
export function format(value) {
  if (!Number.isFinite(value)) return "–";
  if (Number.isInteger(value) && Math.abs(value) < 1e9) return value.toLocaleString("en");
  const size = Math.abs(value);
  return size >= 1e6 || (size < 1e-3 && size > 0) ? value.toExponential(3) : value.toPrecision(5).replace(/\.?0+$/, "");
}
