// What can be taken away: the picture, the numbers, the lines of code.

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

// The bytes of a TIFF file (baseline 6.0) with one image of 32-bit floating-point numbers, little-endian, in one strip.
export function tiff(values, rows, columns) {
  const SHORT = 3, LONG = 4, bytes = 4 * rows * columns;
  const entries = [
    [256, LONG, columns], [257, LONG, rows], [258, SHORT, 32], [259, SHORT, 1], [262, SHORT, 1], [273, LONG, 0], [277, SHORT, 1],
    [278, LONG, rows], [279, LONG, bytes], [339, SHORT, 3],
  ];
  const start = Math.ceil((8 + 2 + 12 * entries.length + 4) / 16) * 16;
  const head = new DataView(new ArrayBuffer(start));
  [0x49, 0x49, 42, 0, 8, 0, 0, 0].forEach((byte, place) => head.setUint8(place, byte));
  head.setUint16(8, entries.length, true);
  entries.forEach(([tag, type, value], index) => {
    const place = 10 + 12 * index;
    head.setUint16(place, tag, true);
    head.setUint16(place + 2, type, true);
    head.setUint32(place + 4, 1, true);
    head.setUint32(place + 8, tag === 273 ? start : value, true);
  });
  return new Blob([head.buffer, Float32Array.from(values)], { type: "image/tiff" });
}

// The lines that give the same channel in a script, Swift and Python, with the colours and limits that it is seen with.
export function code(channel, detectors, look, endpoint) {
  const own = detectors.map(({ udf, id, parameters }) => ({
    udf, id, given: Object.entries(parameters).filter(([, value]) => value !== undefined && value !== null),
  }));
  const isOwn = channel && own.some(({ id }) => id === channel.udf);
  // What the server computes by itself needs no run of the page's.
  const used = isOwn ? own : [];
  return [...swift(channel, used, isOwn, endpoint), "", ...python(channel, used, isOwn, look, endpoint), ""].join("\n");
}

function swift(channel, own, isOwn, endpoint) {
  const lines = ["// Swift", "import StemwireClient", "", `let server = try await StemwireConnection.connect(to: "${endpoint}")`];
  if (own.length) {
    const selections = own.map(({ udf, id, given }) =>
      `        UDFSelection("${udf}", id: "${id}", parameters: [${given.map(([name, value]) => `"${name}": "${value}"`).join(", ") || ":"}])`);
    lines.push("// Joins the scan that runs, or begins with the next one.", "let run = try await server.startRun(", "    [", selections.join(",\n"),
      "    ], joinCurrent: true, fromStart: true)");
  }
  const names = channel ? `run: ${isOwn ? "run" : `"${channel.run}"`}, udf: "${channel.udf}", channel: "${channel.channel}"` : "";
  lines.push(`for try await event in server.updates(${names}) {`,
    "    if case .update(let update) = event { print(update.positionsProcessed, update.doubles()) }",
    "    if case .ended = event { break }", "}");
  return lines;
}

function python(channel, own, isOwn, look, endpoint) {
  const lines = ["# Python", "import matplotlib.pyplot as plt", "import stemwire", "", `with stemwire.connect("${endpoint}") as server:`];
  if (own.length) {
    const udfs = own.map(({ udf, id, given }) => `        "${id}": "${udf}${given.map(([name, value], index) => `${index ? "," : ":"}${name}=${value}`).join("")}",`);
    lines.push("    # Joins the scan that runs, or begins with the next one.", "    run = server.start_run({", ...udfs, "    }, acquisitions=1, join_current=True)",
      "    for results in server.updates(run):", "        pass  # the newest state; the last one is final");
  }
  if (!channel) return lines.concat(own.length ? [] : ["    print(server.status())"]);
  if (!isOwn) lines.push(`    results = server.snapshot("${channel.run}")`);
  const [low, high] = look.limits.map((limit) => Number(limit.toPrecision(6)));
  lines.push(`image = results["${channel.udf}${channel.channel === "intensity" ? "" : `.${channel.channel}`}"].masked`);
  if (channel.shape.length === 2) {
    const map = look.map === "grey" ? "gray" : look.map;
    const norm = { log: `norm="log"`, linear: `vmin=${low}, vmax=${high}`, gamma: `norm=plt.matplotlib.colors.PowerNorm(${look.gamma}, ${low}, ${high})` }[look.scale];
    lines.push(`plt.imshow(image, cmap="${map}", ${norm})`, "plt.show()");
  }
  return lines;
}
