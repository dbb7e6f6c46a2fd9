import StemwireAcquisition
import StemwireProtocol
import StemwireUDF
import StemwireWire
import ZeroMQ

/// Which channels have changed since they were published last, and in which order they are to be sent.
///
/// I/O-free: knows versions only.
struct UpdatePlan {
    /// One channel to be sent.
    struct Item {
        let topic: String
        let start: AcquisitionDescription
        let run: String
        let channel: ResultChannel
        /// The positions that the run has processed.
        let processed: PositionSet
        let expected: Int
        let isFinal: Bool
        let manifest: RunManifest
        /// Frames placed at positions of the run.
        let received: Int
    }

    private struct Published {
        var version: UInt64
        var isFinal: Bool
    }

    private let source: String
    /// By generation and topic.
    private var published: [UInt64: [String: Published]] = [:]
    private var finals: Set<UInt64> = []
    private var begun: Set<UInt64> = []
    private var waiting: [Item] = []

    init(source: String) {
        self.source = source
    }

    func hasPublishedFinal(of record: AcquisitionRecord) -> Bool {
        finals.contains(record.description.generation)
    }

    /// Whether first or final results are there, which are not to wait for the next turn; once each.
    mutating func isUrgent(_ record: AcquisitionRecord) -> Bool {
        if record.isDrained { return !hasPublishedFinal(of: record) }
        return record.runs.contains { $0.hasResults } && begun.insert(record.description.generation).inserted
    }

    /// Finds what is new in `records`; channels that nobody `wants` are left out.
    mutating func collect(from records: [AcquisitionRecord], wants: (String) -> Bool) {
        let generations = Set(records.map(\.description.generation))
        published = published.filter { generations.contains($0.key) }
        finals.formIntersection(generations)
        begun.formIntersection(generations)
        for record in records where !hasPublishedFinal(of: record) {
            let isDrained = record.isDrained
            for run in record.runs { collect(run, of: record, wants: wants) }
            if isDrained { finals.insert(record.description.generation) }
        }
    }

    private mutating func collect(_ run: ActiveRun, of record: AcquisitionRecord, wants: (String) -> Bool) {
        guard run.channels.contains(where: { wants(topic(run.name, $0.udf, $0.name)) }) else { return }
        let snapshot = run.snapshot()
        let generation = record.description.generation
        for channel in snapshot.channels {
            let topic = topic(run.name, channel.udf, channel.name)
            let last = published[generation, default: [:]][topic]
            let isNew = channel.version > (last?.version ?? 0) || (snapshot.isFinal && last?.isFinal != true)
            guard isNew, wants(topic) else { continue }
            published[generation, default: [:]][topic] = Published(version: channel.version, isFinal: snapshot.isFinal)
            waiting.append(
                Item(
                    topic: topic, start: record.description, run: run.name, channel: channel,
                    processed: snapshot.processed, expected: snapshot.expected, isFinal: snapshot.isFinal,
                    manifest: snapshot.manifest, received: record.receivedCount(of: run)))
        }
    }

    private func topic(_ run: String, _ udf: String, _ channel: String) -> String {
        Topic.result(source: source, run: run, udf: udf, channel: channel).text
    }

    mutating func takeNext() -> Item? {
        waiting.isEmpty ? nil : waiting.removeFirst()
    }
}

extension UpdatePlan.Item {
    /// The header, and the valid mask's bytes.
    func wireUpdate(withChecksums: Bool) -> (header: WireUpdate, mask: [UInt8]) {
        var update = WireUpdate()
        update.acquisition = .init(start.id.bytes)
        update.generation = start.generation
        update.run = run
        update.udf = channel.udf
        update.channel = channel.name
        update.version = channel.version
        update.kind = channel.kind.rawValue
        update.dtype = channel.array.dtype.rawValue
        update.shape = channel.array.shape.map { UInt32(clamping: $0) }
        update.positionsProcessed = UInt64(processed.count)
        update.positionsExpected = UInt64(expected)
        update.final = isFinal
        update.parameterGeneration = manifest.generation
        if manifest.generations.count > 1 {
            // The rest of a map that is cut into very many pieces is not told.
            update.generations = manifest.generations.prefix(WireLimits.missingRanges).map { stretch in
                var range = WireGenerationRange()
                range.range = WirePositionRange(stretch.positions)
                range.parameterGeneration = stretch.generation
                return range
            }
        }
        if isFinal { update.manifest = WireManifest(manifest, received: received, of: channel.array) }
        update.navShape = start.navShape.wire
        update.sigShape = [UInt32(start.sigShape.height), UInt32(start.sigShape.width)]
        let mask = (channel.valid ?? processed).bitmap
        if withChecksums {
            update.checksum = channel.array.withUnsafeBytes { Checksum.xxh3($0) }
            update.maskChecksum = mask.withUnsafeBytes { Checksum.xxh3($0) }
        }
        return (update, mask)
    }
}

extension ResultArray {
    /// The array's bytes as a message part, without a copy: the storage is held until they are sent.
    func message() -> Message {
        let holder = ArrayHolder(array: self)
        // The storage stays at its address as long as the holder lives.
        return Message(holder.array.withUnsafeBytes { $0 }, owner: holder)
    }
}

/// Keeps an array's storage while libzmq reads it; a merger that goes on copies before it writes.
private final class ArrayHolder: Sendable {
    let array: ResultArray
    init(array: ResultArray) { self.array = array }
}
