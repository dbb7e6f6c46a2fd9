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

    /// A run whose results are to be looked at.
    struct Due {
        let run: ActiveRun
        let record: AcquisitionRecord
    }

    private let source: String
    /// By generation and topic.
    private var published: [UInt64: [String: Published]] = [:]
    /// Runs whose results are being computed, and those whose final ones have been collected; by generation.
    private var computing: [UInt64: Set<ObjectIdentifier>] = [:]
    private var final: [UInt64: Set<ObjectIdentifier>] = [:]
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

    /// Finds runs whose results are to be computed now; each is to be given to `collect` when they are. Those whose channels
    /// nobody `wants` are left out.
    mutating func due(in records: [AcquisitionRecord], wants: (String) -> Bool) -> [Due] {
        let generations = Set(records.map(\.description.generation))
        published = published.filter { generations.contains($0.key) }
        computing = computing.filter { generations.contains($0.key) }
        final = final.filter { generations.contains($0.key) }
        finals.formIntersection(generations)
        begun.formIntersection(generations)
        var due: [Due] = []
        for record in records where !hasPublishedFinal(of: record) {
            let generation = record.description.generation
            let isDrained = record.isDrained
            let wanted = record.runs.filter { run in
                !final[generation, default: []].contains(ObjectIdentifier(run))
                    && run.channels.contains { wants(topic(run.name, $0.udf, $0.name)) }
            }
            if isDrained, wanted.isEmpty { finals.insert(generation) }
            for run in wanted
            where (isDrained || run.hasResults)
                && computing[generation, default: []].insert(ObjectIdentifier(run)).inserted
            {
                due.append(Due(run: run, record: record))
            }
        }
        return due
    }

    /// Whether results are being computed, or wait to be sent.
    var isBusy: Bool { !waiting.isEmpty || computing.contains { !$0.value.isEmpty } }

    /// Finds what is new in the results of a run.
    mutating func collect(_ due: Due, wants: (String) -> Bool) {
        let (run, record) = (due.run, due.record)
        let snapshot = run.snapshot()
        computing[record.description.generation]?.remove(ObjectIdentifier(run))
        if snapshot.isFinal { final[record.description.generation, default: []].insert(ObjectIdentifier(run)) }
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
