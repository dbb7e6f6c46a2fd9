import StemwireProtocol
import ZeroMQ

/// The present results of one acquisition.
public struct ResultSnapshot: Sendable {
    /// The acquisition; nil when there was none yet.
    public let start: AcquisitionStart?
    /// Its end; nil while it runs.
    public let end: AcquisitionEnd?
    /// The newest state of each channel.
    public let channels: [ChannelUpdate]
    /// Channels that were told but made no sense, and were left out.
    public let malformedChannels: Int

    init(_ wire: WireSnapshot, payloads: ArraySlice<ReceivedPart>, verifiesChecksums: Bool) throws(MalformedMessage) {
        guard payloads.count == 2 * wire.channels.count else {
            throw MalformedMessage("a snapshot of \(wire.channels.count) channels with \(payloads.count) payload parts")
        }
        start = wire.hasStart ? try AcquisitionStart(wire.start) : nil
        end = wire.hasEnd ? try AcquisitionEnd(wire.end) : nil
        var channels: [ChannelUpdate] = []
        var malformed = 0
        for (index, update) in wire.channels.enumerated() {
            let first = payloads.startIndex + 2 * index
            do throws(MalformedMessage) {
                channels.append(
                    try ChannelUpdate(
                        update, array: payloads[first], mask: payloads[first + 1], verifiesChecksums: verifiesChecksums)
                )
            } catch {
                malformed += 1
            }
        }
        self.channels = channels
        malformedChannels = malformed
    }

    private init() {
        start = nil
        end = nil
        channels = []
        malformedChannels = 0
    }

    /// Of a server that has no results.
    static let empty = ResultSnapshot()

    /// The state of one channel; the first one of that name when `run` is nil.
    public func channel(udf: String, _ channel: String, run: String? = nil) -> ChannelUpdate? {
        channels.first {
            $0.name.udf == udf && $0.name.channel == channel && (run == nil || $0.name.run == run)
        }
    }
}

/// Which channels of which run; nil stands for all.
struct ChannelFilter: Sendable, Hashable {
    var run: String?
    var udf: String?
    var channel: String?

    func matches(_ name: ChannelName) -> Bool {
        (run == nil || run == name.run) && (udf == nil || udf == name.udf)
            && (channel == nil || channel == name.channel)
    }

    /// What to subscribe to; wider than the filter when a name in the middle is open.
    func topic(source: String) -> String {
        if let run, let udf, let channel {
            return Topic.result(source: source, run: run, udf: udf, channel: channel).text
        }
        return Topic.results(source: source, run: run, udf: udf).text
    }

    var request: WireRequest {
        var request = WireRequest()
        request.snapshot.run = run ?? ""
        request.snapshot.udf = udf ?? ""
        request.snapshot.channel = channel ?? ""
        return request
    }

    var impossibleName: String? { [run, udf, channel].compactMap { $0 }.first { !Topic.isValidSegment($0) } }
}
