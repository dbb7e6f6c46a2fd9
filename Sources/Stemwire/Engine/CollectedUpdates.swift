import MerlinProtocol
import StemwireAcquisition
import StemwireClient
import StemwireKernels
import StemwireUDF

/// What a server has sent of one run so far.
struct CollectedUpdates {
    private let requests: [UDFRequest]
    private var start: AcquisitionStart?
    private var newest: [ChannelName: ChannelUpdate] = [:]

    init(_ requests: [UDFRequest]) { self.requests = requests }

    /// The first one counts.
    mutating func begin(_ start: AcquisitionStart) { self.start = self.start ?? start }

    mutating func take(_ update: ChannelUpdate) { newest[update.name] = update }

    /// What is there now; nil before the start was told.
    func update() throws -> RunUpdate? {
        guard let start, let sigShape = start.sigShape, let dtype = DType(rawValue: start.dtype) else { return nil }
        return RunUpdate(
            navShape: start.navShape, sigShape: sigShape, dtype: dtype, channels: try channels(),
            processedPositions: processed, expected: expected ?? start.framesExpected,
            parameterGeneration: parameterGeneration, generations: generations)
    }

    func outcome(_ end: AcquisitionEnd) throws -> RunOutcome {
        guard let start, let sigShape = start.sigShape, let dtype = DType(rawValue: start.dtype) else {
            throw RunError.failed("the acquisition ended (\(end.reason)) before a good frame had come")
        }
        let header = try? start.header.withUnsafeBytes { try AcquisitionHeader.parse($0) }
        var outcome = RunOutcome(
            navShape: start.navShape, sigShape: [sigShape.height, sigShape.width], dtype: dtype,
            accounting: Accounting(end.accounting),
            endReason: EndReason(rawValue: end.reason.description) ?? .connectionClosed,
            seconds: end.seconds, acquisitionHeader: header?.entries.map { ($0.key, $0.value) } ?? [], udfs: requests,
            channels: try channels(), processedPositions: processed, selected: expected ?? start.framesExpected,
            warnings: [],
            udfError: end.framesFailed > 0 ? "\(end.framesFailed) frames failed in a UDF; see the server's status" : nil
        )
        outcome.parameterGeneration = parameterGeneration
        outcome.generations = generations
        return outcome
    }

    private func channels() throws -> [RunOutcome.Channel] {
        let order = Dictionary(uniqueKeysWithValues: requests.enumerated().map { ($1.id, $0) })
        return
            try newest.values
            .sorted { (order[$0.name.udf] ?? 0, $0.name.channel) < (order[$1.name.udf] ?? 0, $1.name.channel) }
            .map { update in
                RunOutcome.Channel(
                    udf: update.name.udf, name: update.name.channel, kind: BufferDeclaration.Kind(update.kind),
                    array: try update.withData { bytes in
                        try ResultArray(dtype: update.dtype, shape: update.shape, bytes: bytes)
                    }, validBitmap: update.withValidMask { Array($0) })
            }
    }

    /// The positions that are to be processed: those of the region of interest.
    private var expected: Int? { newest.values.first?.positionsExpected }

    private var parameterGeneration: UInt32 {
        newest.values.map { UInt32(clamping: $0.parameterGeneration) }.max() ?? 0
    }

    private var generations: [(positions: Range<Int>, generation: UInt32)] {
        let newest = newest.values.max { $0.parameterGeneration < $1.parameterGeneration }
        return newest?.generations.map { ($0.positions, UInt32(clamping: $0.generation)) } ?? []
    }

    /// The positions that are processed in all channels.
    private var processed: PositionSet {
        let count = start?.framesExpected ?? 0
        let sets = newest.values.map { update in PositionSet((0..<count).map { update.isValid(position: $0) }) }
        guard let first = sets.first else { return PositionSet(size: count) }
        return sets.dropFirst().reduce(first) { $0.intersection($1) }
    }
}

extension BufferDeclaration.Kind {
    fileprivate init(_ kind: ChannelUpdate.Kind) {
        switch kind {
        case .nav: self = .nav
        case .sig: self = .sig
        case .single: self = .single
        }
    }
}

extension Accounting {
    fileprivate init(_ wire: FrameAccounting) {
        self.init()
        expected = wire.expected
        placed = wire.placed
        missing = wire.missing
        rejected = wire.rejected
        duplicates = wire.duplicates
        strays = wire.strays
        leadInFrames = wire.leadInFrames
        flybackFrames = wire.flybackFrames
        tailFrames = wire.tailFrames
        malformed = wire.malformed
        garbageBytes = wire.garbageBytes
        otherMessages = wire.otherMessages
        droppedByRingFull = wire.droppedByRingFull
        missingRanges = wire.missingRanges
    }
}
