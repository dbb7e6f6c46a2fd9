import StemwireKernels

/// One UDF's results in a merger.
///
/// Rows of nav buffers may be of several generations of parameters, one row at a time; buffers of the other kinds hold
/// what was made with the present parameters.
struct MergedUDF: Sendable {
    private(set) var planned: PlannedUDF
    /// The positions that are in it with the present parameters.
    private(set) var current: PositionSet
    /// Those that have rows in nav buffers, of any parameters.
    private var rows: PositionSet
    /// Those that were in it with the present or with earlier parameters.
    private var seen: PositionSet
    private var epochs: ParameterEpochs
    private(set) var version: UInt64 = 0
    private var declarations: [BufferDeclaration]
    /// In the order of `declarations`; of buffers of other kinds than nav only as long as there is no reduction.
    private var arrays: [ResultArray]
    private var hasArrays = false
    private var reduction: FixedReduction<[ResultArray]>?
    /// Partitions that are in it, where only whole ones may be merged.
    private var partitions: PositionSet
    /// The highest position in it.
    private var newest = -1
    private var channelsOfVersion: (version: UInt64, channels: [ResultChannel])?

    /// - Parameter generation: The run's first generation of parameters.
    init(_ planned: PlannedUDF, generation: UInt32) {
        self.planned = planned
        let meta = planned.meta
        current = PositionSet(size: meta.positionCount)
        (rows, seen) = (current, current)
        partitions = PositionSet(size: meta.partitionCount)
        epochs = ParameterEpochs(generation)
        declarations = planned.mergedDeclarations
        arrays = declarations.map { $0.emptyArray(meta) }
        reduction = Self.makeReduction(planned, declarations)
    }

    private static func makeReduction(
        _ planned: PlannedUDF, _ declarations: [BufferDeclaration]
    ) -> FixedReduction<[ResultArray]>? {
        guard declarations.contains(where: { $0.kind != .nav }) else { return nil }
        return switch planned.order {
        case .fixedTree: .tree(PairwiseTree(leafCount: planned.meta.partitionCount))
        case .sequence: .sequence(RisingFold())
        case .automatic, .any, .partition: nil
        }
    }

    /// Whether something is added up over positions, which one can therefore not be replaced in.
    private var hasReductions: Bool { declarations.contains { $0.kind != .nav } }

    /// Whether it has results that are kept row by row.
    private var hasRows: Bool { !hasReductions || declarations.contains { $0.kind == .nav } }

    /// The positions that are in all of its results.
    var processed: PositionSet { hasReductions ? current : rows }

    /// The positions that were in it with earlier parameters, and are not with the present ones.
    var outdated: PositionSet { seen.subtracting(current) }

    func hasOutdated(in positions: Range<Int>) -> Bool {
        hasSeam && seen.ranges(in: positions).contains { current.count(in: $0) < $0.count }
    }

    /// Whether parameters have been changed.
    var hasSeam: Bool { epochs.count > 1 }

    /// The newest generation that a processed position agrees with; nil for the present one.
    func lastGeneration(at position: Int) -> UInt32? {
        current.contains(position) ? nil : epochs.lastGeneration(at: position)
    }

    /// Takes other parameters, or the same ones: then nothing changes.
    mutating func adopt(_ next: PlannedUDF, generation: UInt32) {
        guard !next.hasSameParameters(as: planned) else { return }
        let meta = next.meta
        let layout = next.mergedDeclarations
        let keepsRows = layout.filter { $0.kind == .nav } == declarations.filter { $0.kind == .nav }
        epochs.begin(generation, positionCount: meta.positionCount, keepsRows: keepsRows)
        let empty = PositionSet(size: meta.positionCount)
        arrays = layout.map { declaration in
            guard keepsRows, declaration.kind == .nav,
                let index = declarations.firstIndex(of: declaration)
            else { return declaration.emptyArray(meta) }
            return arrays[index]
        }
        if !keepsRows { rows = empty }
        current = empty
        partitions = PositionSet(size: meta.partitionCount)
        (hasArrays, newest) = (false, -1)
        (planned, declarations) = (next, layout)
        reduction = Self.makeReduction(next, layout)
        version += 1
    }

    enum Novelty {
        case new
        /// All of it is in the results already.
        case known
        /// Some of it is in the results already.
        case overlapping
        /// It was made with parameters that have been changed since.
        case outdated
    }

    func novelty(_ part: PartitionResult.Part, partition: Int, generation: UInt32) -> Novelty {
        guard epochs.isCurrent(generation) else { return .outdated }
        let count = part.positions.reduce(0) { $0 + $1.count }
        let present = part.positions.reduce(0) { $0 + current.count(in: $1) }
        if present == count { return .known }
        return present == 0 && (planned.canFlush || !partitions.contains(partition)) ? .new : .overlapping
    }

    /// Takes the rows of a part that was made with earlier parameters, where there are no newer ones.
    ///
    /// - Returns: Whether there were such rows.
    mutating func mergeOutdated(_ part: PartitionResult.Part, generation: UInt32) -> Bool {
        for run in part.positions { seen.insert(run) }
        guard hasRows, let epoch = epochs.index(ofRowsMadeWith: generation) else { return false }
        var isUseful = false
        for run in part.positions {
            var rest = run
            while !rest.isEmpty {
                let first = rest.first { lacksRow(at: $0, ofEpoch: epoch) } ?? rest.upperBound
                let end = (first..<rest.upperBound).first { !lacksRow(at: $0, ofEpoch: epoch) } ?? rest.upperBound
                rest = end..<rest.upperBound
                guard first < end else { continue }
                take(first..<end, of: part)
                epochs.mark(first..<end, index: epoch)
                isUseful = true
            }
        }
        if isUseful { version += 1 }
        return isUseful
    }

    /// Whether a position has no row, or an older one than of this epoch.
    private func lacksRow(at position: Int, ofEpoch epoch: Int) -> Bool {
        !rows.contains(position) || epochs.index(at: position) < epoch
    }

    private mutating func take(_ run: Range<Int>, of part: PartitionResult.Part) {
        for index in declarations.indices where declarations[index].kind == .nav { assignRows(run, of: part, index) }
        rows.insert(run)
    }

    /// Merges a part that is new.
    mutating func merge(_ part: PartitionResult.Part, partition: Int) throws(UDFError) {
        let last = part.rows.upperBound - 1
        for run in part.positions { take(run, of: part) }
        if var reduction = reduction.take() {
            defer { self.reduction = reduction }
            // The rows of nav buffers have gone to their places.
            let reduced = declarations.indices.map { index in
                declarations[index].kind == .nav
                    ? ResultArray(zeros: declarations[index].dtype, shape: [0]) : part.buffers[index]
            }
            try reduction.insert(reduced, at: partition) { destination, source throws(UDFError) in
                // Leaves are ordered by position, so the right one is the newer.
                try planned.combine(&destination, source, sourceIsNewer: true, partition)
            }
        } else if hasArrays {
            var merged = arrays
            arrays = []
            defer { arrays = merged }
            try planned.combine(&merged, part.buffers, sourceIsNewer: last > newest, partition)
        } else {
            for index in declarations.indices where declarations[index].kind != .nav {
                arrays[index] = part.buffers[index]
            }
            hasArrays = true
        }
        newest = max(newest, last)
        partitions.insert(partition..<partition + 1)
        for run in part.positions {
            current.insert(run)
            seen.insert(run)
            epochs.markCurrent(run)
        }
        version += 1
    }

    /// The exported channels. Unchanged ones are those of the last call, without any work.
    ///
    /// - Returns: The channels that there are, and what kept the others from being computed.
    mutating func channels() -> (channels: [ResultChannel], failure: UDFError?) {
        if let known = channelsOfVersion, known.version == version { return (known.channels, nil) }
        var arraysByName: [String: ResultArray] = [:]
        var valid: [String: PositionSet] = [:]
        var failure: UDFError?
        do throws(UDFError) {
            let merged = try merged()
            for (declaration, array) in zip(declarations, merged) { arraysByName[declaration.name] = array }
            if planned.declarations.contains(where: { $0.use == .resultOnly }) {
                let computed = try planned.computeResults(merged, processed: processed)
                arraysByName.merge(computed.arrays) { _, new in new }
                valid = computed.valid
            }
        } catch {
            failure = error
        }
        let channels = planned.declarations.filter(\.isChannel).compactMap { declaration -> ResultChannel? in
            guard let array = arraysByName[declaration.name] else { return nil }
            let isNav = declaration.kind == .nav
            // Rows that were filled while processing stay, whatever has become of the reductions beside them.
            let filled = declaration.isMerged ? rows : processed
            return ResultChannel(
                udf: planned.id, name: declaration.name, kind: declaration.kind, array: array,
                valid: isNav ? valid[declaration.name] ?? filled : nil, version: version,
                generation: epochs.generation, outdated: isNav ? outdated(in: valid[declaration.name] ?? filled) : nil)
        }
        // What a worker could not compute another one may.
        if failure == nil || !(planned.udf is ForeignUDF) { channelsOfVersion = (version, channels) }
        return (channels, failure)
    }

    private func outdated(in valid: PositionSet) -> PositionSet? {
        guard hasSeam, case let older = valid.subtracting(current), !older.isEmpty else { return nil }
        return older
    }

    private mutating func merged() throws(UDFError) -> [ResultArray] {
        guard var reduction = reduction.take() else { return arrays }
        defer { self.reduction = reduction }
        let root = try reduction.root { destination, source throws(UDFError) in
            try planned.combine(&destination, source, sourceIsNewer: true, nil)
        }
        guard let root else { return arrays }
        return declarations.indices.map { declarations[$0].kind == .nav ? arrays[$0] : root[$0] }
    }

    private mutating func assignRows(_ run: Range<Int>, of part: PartitionResult.Part, _ index: Int) {
        let rowBytes = declarations[index].elementsPerRow(planned.meta) * declarations[index].dtype.byteCount
        let first = (run.lowerBound - part.rows.lowerBound) * rowBytes
        part.buffers[index].withUnsafeBytes { source in
            arrays[index].withUnsafeMutableBytes { destination in
                UnsafeMutableRawBufferPointer(
                    rebasing: destination[run.lowerBound * rowBytes..<run.upperBound * rowBytes]
                ).copyMemory(from: UnsafeRawBufferPointer(rebasing: source[first..<first + run.count * rowBytes]))
            }
        }
    }
}

extension BufferDeclaration {
    /// The merged buffer before anything is in it.
    func emptyArray(_ meta: UDFMeta) -> ResultArray {
        var array = ResultArray(zeros: dtype, shape: shape(meta))
        if kind == .nav { fillMissing(&array) }
        return array
    }
}

extension UDFBuffers {
    /// Access to merged arrays. Writable ones must not be shared.
    convenience init(
        _ declarations: [BufferDeclaration], _ arrays: [ResultArray], _ meta: UDFMeta, positions: Range<Int>,
        isWritable: Bool
    ) {
        let slots = zip(declarations, arrays).map { declaration, array in
            UDFBuffers.Slot(
                declaration, perRow: declaration.elementsPerRow(meta), pointer: array.storage.pointer)
        }
        self.init(slots: slots, owners: arrays.map(\.storage), positions: positions, isWritable: isWritable)
    }
}
