/// What a subscription of results knows of one acquisition.
struct ResultProgress: Sendable {
    enum Offer: Sendable, Equatable {
        case taken
        /// In the place of an update that the consumer had not taken.
        case superseding
        case stale
    }

    private struct Channel {
        var version: UInt64
        var isFinal: Bool
        var waiting: ChannelUpdate?
        var lastTaken: ContinuousClock.Instant?
    }

    let acquisition: AcquisitionUUID
    let generation: UInt64
    var end: AcquisitionEnd?
    /// Whether nothing more is expected but what waits.
    var isComplete = false
    /// Whether the server still makes results of it, as its status said last: no, only of one that is over. Nil: not said.
    var isWorkedOn: Bool?
    /// When to look after final states.
    var nextLook: ContinuousClock.Instant?
    var lastChange: ContinuousClock.Instant
    private var start: AcquisitionStart?
    private var startIsWaiting = false
    private var channels: [ChannelName: Channel] = [:]
    /// Channels with a waiting update, in the order in which they became so.
    private var order: [ChannelName] = []

    init(acquisition: AcquisitionUUID, generation: UInt64, now: ContinuousClock.Instant) {
        self.acquisition = acquisition
        self.generation = generation
        lastChange = now
    }

    mutating func begin(_ start: AcquisitionStart) {
        guard self.start == nil else { return }
        self.start = start
        startIsWaiting = true
    }

    /// Takes an update unless what is known is as new.
    mutating func offer(_ update: ChannelUpdate, now: ContinuousClock.Instant) -> Offer {
        guard let known = channels[update.name] else {
            guard channels.count < ResultFollower.channelLimit else { return .stale }
            channels[update.name] = Channel(version: update.version, isFinal: update.isFinal, waiting: update)
            order.append(update.name)
            lastChange = now
            return .taken
        }
        // The same state may be told again as the final one.
        let isNewer = update.version > known.version || (update.version == known.version && update.isFinal)
        guard !known.isFinal, isNewer else { return .stale }
        channels[update.name]!.version = update.version
        channels[update.name]!.isFinal = update.isFinal
        channels[update.name]!.waiting = update
        lastChange = now
        guard known.waiting == nil else { return .superseding }
        order.append(update.name)
        return .taken
    }

    /// Nothing more is expected when all results that the end names have become final.
    mutating func completeIfAllFinal(_ filter: ChannelFilter) {
        guard let expected = end?.results.filter(filter.matches), !expected.isEmpty,
            expected.allSatisfy({ channels[$0]?.isFinal == true })
        else { return }
        isComplete = true
    }

    mutating func take(interval: Duration, now: ContinuousClock.Instant) -> TakeResult<ResultEvent> {
        if startIsWaiting, let start {
            startIsWaiting = false
            return .element(.started(start))
        }
        var earliest: ContinuousClock.Instant?
        for (index, name) in order.enumerated() {
            guard let channel = channels[name], let update = channel.waiting else { continue }
            if let last = channel.lastTaken, !update.isFinal, !isComplete, last + interval > now {
                earliest = min(earliest ?? last + interval, last + interval)
                continue
            }
            order.remove(at: index)
            channels[name]!.waiting = nil
            channels[name]!.lastTaken = now
            return .element(.update(update))
        }
        return earliest.map { .later($0) } ?? .nothing
    }

    /// An end for an acquisition whose own was never told.
    func untoldEnd(_ reason: String) -> AcquisitionEnd {
        AcquisitionEnd(
            acquisition: acquisition, generation: generation, reason: .other(reason),
            framesExpected: start?.framesExpected ?? 0, navShape: start?.navShape ?? [])
    }
}
