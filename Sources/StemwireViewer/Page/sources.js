// What a pane can show, and how the viewer is asked for it.
//
// A source has a key: run/udf/channel, @detector/channel for a virtual detector, # for the frame at a scan position,
// ~acquisition/run/udf/channel for an acquisition before the present one, fft for the transform of the scan's image.

const OWN_CHANNELS = { com: ["field", "magnitude", "divergence", "curl", "field_y", "field_x"] };
export const KEY = /^(#|fft|@\w+\/[\w.-]+|~[\w-]+\/[\w.-]+\/[\w.-]+\/[\w.-]+|[\w.-]+\/[\w.-]+\/[\w.-]+)$/;

export const ownChannels = (detector) => OWN_CHANNELS[detector.udf] ?? ["intensity"];

const text = ({ run, udf, channel }) => `${udf}${channel === "intensity" ? "" : ` · ${channel}`}${run === "default" ? "" : ` (${run})`}`;

// The keys that a pane ("nav", "sig" or "side") can show, with a text for each, in groups.
export function sources(state, name) {
  const groups = [], isSide = name === "side";
  const group = (label, list) => { if (list.length) groups.push({ label, list }); };
  const fits = ({ kind }) => isSide || kind === name;
  group("Results", state.channels.filter(fits).map((each) => ({ key: `${each.run}/${each.udf}/${each.channel}`, text: text(each) })));
  if (name !== "sig") {
    group("Virtual detectors", state.detectors.flatMap((detector) => ownChannels(detector).map((channel) => (
      { key: `@${detector.id}/${channel}`, text: `${detector.name}${channel === "intensity" ? "" : ` · ${channel}`}` }))));
  }
  const other = [];
  if (name !== "nav") other.push({ key: "#", text: state.position === null ? "frame at a position (click the scan)" : `frame at ${place(state)}` });
  if (isSide) other.push({ key: "fft", text: "Fourier transform of the scan's image" });
  group("Frames and transforms", other);
  for (const past of state.past) {
    group(`Acquisition ${past.generation}`, past.channels.filter(fits).map((each) => (
      { key: `~${past.id}/${each.run}/${each.udf}/${each.channel}`, text: `${text(each)} of acquisition ${past.generation}` })));
  }
  return groups;
}

export const keysOf = (groups) => groups.flatMap(({ list }) => list.map(({ key }) => key));

function place({ position, message }) {
  const columns = message?.acquisition?.navShape?.[1];
  return columns ? `row ${Math.floor(position / columns)}, column ${position % columns}` : `${position}`;
}

// What the viewer is asked for, for a pane to show what its key says; null when that is nothing, or made in the page.
export function request(state, name) {
  const key = state[name];
  if (key === "#") return state.position === null ? null : { pane: name, source: "position", position: state.position };
  if (key.startsWith("@")) {
    const [id, channel] = key.slice(1).split("/");
    return { pane: name, source: "detector", id, channel };
  }
  if (key.startsWith("~")) {
    const [acquisition, run, udf, channel] = key.slice(1).split("/");
    return { pane: name, source: "past", acquisition, run, udf, channel };
  }
  const [run, udf, channel] = key.split("/");
  return channel ? { pane: name, source: "channel", run, udf, channel } : null;
}
