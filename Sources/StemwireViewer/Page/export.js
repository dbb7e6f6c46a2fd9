// What can be taken away: the picture, the numbers, the lines of code.

import { NUMBERS } from "./shapes.js";

const DESCRIPTIONS = { uint8: "|u1", uint16: "<u2", uint32: "<u4", int32: "<i4", float32: "<f4", float64: "<f8" };

// The bytes of a .npy file (version 1.0) with these values.
export function npy(values, dtype, shape) {
  let header = `{'descr': '${DESCRIPTIONS[dtype]}', 'fortran_order': False, 'shape': (${shape.join(", ")}${shape.length === 1 ? "," : ""}), }`;
  header += " ".repeat(63 - ((10 + header.length) % 64)) + "\n";
  const start = Uint8Array.from([0x93, ...new TextEncoder().encode("NUMPY"), 1, 0, header.length & 255, header.length >> 8]);
  return new Blob([start, header, values], { type: "application/octet-stream" });
}

export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// The picture as it is seen, with the outlines on it.
export function png(pane) {
  const canvas = document.createElement("canvas");
  canvas.width = pane.canvas.width;
  canvas.height = pane.canvas.height;
  const context = canvas.getContext("2d");
  context.drawImage(pane.canvas, 0, 0);
  context.drawImage(pane.over, 0, 0);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

// The lines that give the same channel in a script, Swift and Python.
export function code(channel, detectors, endpoint) {
  const own = detectors.map(({ udf, id, parameters }) => {
    const given = NUMBERS[udf].filter((name) => parameters[name] !== undefined).map((name) => [name, parameters[name]]);
    return { udf, id, given };
  });
  const swift = own.map(({ udf, id, given }) =>
    `UDFSelection("${udf}", id: "${id}", parameters: [${given.map(([name, value]) => `"${name}": "${value}"`).join(", ") || ":"}])`);
  const names = channel ? `run: "${channel.run}", udf: "${channel.udf}", channel: "${channel.channel}"` : "";
  const lines = [
    "// Swift", "import StemwireClient", `let server = try await StemwireConnection.connect(to: "${endpoint}")`,
  ];
  if (swift.length) lines.push(`let run = try await server.startRun([\n    ${swift.join(",\n    ")},\n], joinCurrent: true)`);
  const isOwn = channel && own.some(({ id }) => id === channel.udf);
  lines.push(
    `for try await event in server.updates(${isOwn ? names.replace(/run: "[^"]*"/, "run: run") : names}) {`,
    "    if case .update(let update) = event { print(update.positionsProcessed, update.doubles()) }", "}", "");
  lines.push(
    "# Python: the present state, as the viewer has it", "import io, urllib.request", "import numpy as np",
    `url = "${location.origin}${location.pathname.replace(/[^/]*$/, "")}snap/${channel ? `${channel.run}/${channel.udf}.${channel.channel}` : "sumsig.intensity"}.npy"`,
    "image = np.load(io.BytesIO(urllib.request.urlopen(url).read()))");
  return lines.join("\n") + "\n";
}
