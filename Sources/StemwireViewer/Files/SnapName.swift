import StemwireClient

/// The channel that a path under `/snap/` or `/mjpeg/` names.
///
/// `sumsig.intensity`, `sumsig` (its only or first channel) or, where several runs have such a UDF,
/// `default/sumsig.intensity`; under `/snap/` the extension follows.
enum SnapName {
    /// - Returns: nil when the extension or the channel is not known.
    static func find(_ path: Substring, in channels: some Sequence<ChannelName>) -> (ChannelName, ChannelFile)? {
        guard let dot = path.lastIndex(of: "."),
            let file = ChannelFile(rawValue: String(path[path.index(after: dot)...]))
        else { return nil }
        return channel(path[..<dot], in: channels).map { ($0, file) }
    }

    static func channel(_ wanted: Substring, in channels: some Sequence<ChannelName>) -> ChannelName? {
        let sorted = channels.sorted { $0.description < $1.description }
        return sorted.first { wanted == "\($0.run)/\($0.udf).\($0.channel)" }
            ?? sorted.first { wanted == "\($0.udf).\($0.channel)" }
            ?? sorted.first { wanted == "\($0.run)/\($0.udf)" || wanted == $0.udf }
    }
}
