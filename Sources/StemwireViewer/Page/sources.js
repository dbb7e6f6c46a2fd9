// What a pane can show, and how the viewer is asked for it.
//
// A source has a key: run/udf/channel, @detector/channel for a virtual detector, # for the frame at a scan position.

const OWN_CHANNELS = { com: ["field", "magnitude", "divergence", "curl", "field_y", "field_x"] };

export const ownChannels = (detector) => OWN_CHANNELS[detector.udf] ?? ["intensity"];

// The keys that a pane ("nav" or "sig") can show, with a text for each.
export function sources(state, name) {
  const list = state.channels.filter((channel) => channel.kind === name)
    .map(({ run, udf, channel }) => ({ key: `${run}/${udf}/${channel}`, text: `${udf} · ${channel}${run === "default" ? "" : ` (${run})`}` }));
  if (name === "sig") {
    list.push({ key: "#", text: state.position === null ? "frame at a position (click the scan)" : `frame at ${place(state)}` });
    return list;
  }
  for (const detector of state.detectors) {
    for (const channel of ownChannels(detector)) {
      list.push({ key: `@${detector.id}/${channel}`, text: `${detector.name}${channel === "intensity" ? "" : ` · ${channel}`}` });
    }
  }
  return list;
}

function place({ position, message }) {
  const columns = message?.acquisition?.navShape?.[1];
  return columns ? `row ${Math.floor(position / columns)}, column ${position % columns}` : `${position}`;
}

// What the viewer is asked for, for a pane to show what its key says; null when that is nothing yet.
export function request(state, name) {
  const key = state[name];
  if (key === "#") return state.position === null ? null : { pane: name, source: "position", position: state.position };
  if (key.startsWith("@")) {
    const [id, channel] = key.slice(1).split("/");
    return { pane: name, source: "detector", id, channel };
  }
  const [run, udf, channel] = key.split("/");
  return channel ? { pane: name, source: "channel", run, udf, channel } : null;
}
