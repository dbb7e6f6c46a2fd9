import StemwireProtocol
import ZeroMQ

/// The newest state of one result channel, as the server sent it.
struct RelayedChannel: Sendable {
    let update: WireUpdate
    let array: ReceivedPart
    let mask: ReceivedPart

    /// - Returns: nil unless the bytes are those that the header tells of. A sender that leaves checksums out is believed.
    init?(_ update: WireUpdate, payload: ArraySlice<ReceivedPart>) {
        guard payload.count == 2, let array = payload.first, let mask = payload.last else { return nil }
        for (part, checksum) in [(array, update.checksum), (mask, update.maskChecksum)] where checksum != 0 {
            guard part.withUnsafeBytes({ Checksum.xxh3($0) }) == checksum else { return nil }
        }
        self.update = update
        self.array = array
        self.mask = mask
    }

    var name: WireResultName {
        var name = WireResultName()
        (name.run, name.udf, name.channel) = (update.run, update.udf, update.channel)
        return name
    }
}

/// What a relay keeps of one acquisition: start, end, and the newest state of each channel.
///
/// No input or output.
struct RelayedAcquisition: Sendable {
    /// Channels that are kept; a well-behaved server has one for each result.
    static let channelLimit = 4096

    let id: [UInt8]
    let generation: UInt64
    var start: WireStart?
    private(set) var end: WireEnd?
    private(set) var channels: [RelayedChannel] = []
    private var places: [WireResultName: Int] = [:]
    /// When upstream is to be asked for what is missing; nil when nothing is, or it cannot be had.
    var nextLook: ContinuousClock.Instant?
    private(set) var lastChange: ContinuousClock.Instant

    init(id: [UInt8], generation: UInt64, now: ContinuousClock.Instant) {
        self.id = id
        self.generation = generation
        lastChange = now
    }

    /// Whether nothing is missing that the server has told of.
    var isWhole: Bool {
        guard start != nil else { return false }
        guard let end else { return true }
        return end.results.allSatisfy { isFinal($0) } && channels.allSatisfy(\.update.final)
    }

    private func isFinal(_ name: WireResultName) -> Bool { places[name].map { channels[$0].update.final } ?? false }

    mutating func finish(_ end: WireEnd, now: ContinuousClock.Instant) {
        guard self.end == nil else { return }
        self.end = end
        lastChange = now
    }

    /// Takes a channel's state unless what is known is as new: the rule by which clients join late.
    mutating func offer(_ channel: RelayedChannel, now: ContinuousClock.Instant) {
        guard let place = places[channel.name] else {
            guard channels.count < Self.channelLimit else { return }
            places[channel.name] = channels.count
            channels.append(channel)
            lastChange = now
            return
        }
        let known = channels[place].update
        // The same state may be told again as the final one.
        let isNewer =
            channel.update.version > known.version || (channel.update.version == known.version && channel.update.final)
        guard !known.final, isNewer else { return }
        channels[place] = channel
        lastChange = now
    }
}
