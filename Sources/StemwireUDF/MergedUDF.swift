import StemwireKernels

/// One UDF's results in a merger.
struct MergedUDF: Sendable {
    let planned: PlannedUDF
    /// The positions that are in it.
    private(set) var processed: PositionSet
    private(set) var version: UInt64 = 0
    private let declarations: [BufferDeclaration]
    /// In the order of `declarations`; of buffers of other kinds than nav only as long as there is no tree.
    private var arrays: [ResultArray]
    private var hasArrays = false
    private var tree: PairwiseTree<[ResultArray]>?
    /// Partitions that are in it, where only whole ones may be merged.
    private var partitions: PositionSet
    /// The highest position in it.
    private var newest = -1
    private var channelsOfVersion: (version: UInt64, channels: [ResultChannel])?

    init(_ planned: PlannedUDF) {
        self.planned = planned
        let meta = planned.meta
        processed = PositionSet(size: meta.positionCount)
        partitions = PositionSet(size: meta.partitionCount)
        declarations = planned.mergedDeclarations
        arrays = declarations.map { declaration in
            var array = ResultArray(zeros: declaration.dtype, shape: declaration.shape(meta))
            if declaration.kind == .nav { declaration.fillMissing(&array) }
            return array
        }
        if planned.order == .fixedTree && declarations.contains(where: { $0.kind != .nav }) {
            tree = PairwiseTree(leafCount: meta.partitionCount)
        }
    }

    enum Novelty {
        case new
        /// All of it is in the results already.
        case known
        /// Some of it is in the results already.
        case overlapping
    }

    func novelty(_ part: PartitionResult.Part, partition: Int) -> Novelty {
        let count = part.positions.reduce(0) { $0 + $1.count }
        let present = part.positions.reduce(0) { $0 + processed.count(in: $1) }
        if present == count { return .known }
        return present == 0 && (planned.canFlush || !partitions.contains(partition)) ? .new : .overlapping
    }

    /// Merges a part that is new.
    mutating func merge(_ part: PartitionResult.Part, partition: Int) throws(UDFError) {
        let last = part.rows.upperBound - 1
        for index in declarations.indices where declarations[index].kind == .nav {
            assignRows(of: part, index)
        }
        if var tree = tree.take() {
            defer { self.tree = tree }
            // The rows of nav buffers have gone to their places.
            let reduced = declarations.indices.map { index in
                declarations[index].kind == .nav
                    ? ResultArray(zeros: declarations[index].dtype, shape: [0]) : part.buffers[index]
            }
            try tree.insert(reduced, at: partition) { destination, source throws(UDFError) in
                // Leaves are ordered by position, so the right one is the newer.
                try combine(&destination, source, sourceIsNewer: true, partition)
            }
        } else if hasArrays {
            var merged = arrays
            arrays = []
            defer { arrays = merged }
            try combine(&merged, part.buffers, sourceIsNewer: last > newest, partition)
        } else {
            for index in declarations.indices where declarations[index].kind != .nav {
                arrays[index] = part.buffers[index]
            }
            hasArrays = true
        }
        newest = max(newest, last)
        partitions.insert(partition..<partition + 1)
        for run in part.positions { processed.insert(run) }
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
                let computed = try computeResults(merged)
                arraysByName.merge(computed.arrays) { _, new in new }
                valid = computed.valid
            }
        } catch {
            failure = error
        }
        let channels = planned.declarations.filter(\.isChannel).compactMap { declaration -> ResultChannel? in
            guard let array = arraysByName[declaration.name] else { return nil }
            return ResultChannel(
                udf: planned.id, name: declaration.name, kind: declaration.kind, array: array,
                valid: declaration.kind == .nav ? valid[declaration.name] ?? processed : nil, version: version)
        }
        channelsOfVersion = (version, channels)
        return (channels, failure)
    }

    private func merged() throws(UDFError) -> [ResultArray] {
        guard let tree else { return arrays }
        let root = try tree.root { destination, source throws(UDFError) in
            try combine(&destination, source, sourceIsNewer: true, nil)
        }
        guard let root else { return arrays }
        return declarations.indices.map { declarations[$0].kind == .nav ? arrays[$0] : root[$0] }
    }

    private func computeResults(
        _ merged: [ResultArray]
    ) throws(UDFError) -> (arrays: [String: ResultArray], valid: [String: PositionSet]) {
        let resultOnly = planned.declarations.filter { $0.use == .resultOnly }
        let results = resultOnly.map { declaration in
            var array = ResultArray(zeros: declaration.dtype, shape: declaration.shape(planned.meta))
            if declaration.kind == .nav { declaration.fillMissing(&array) }
            return array
        }
        let all = 0..<planned.meta.positionCount
        let context = ResultsContext(
            meta: planned.meta, processed: processed,
            merged: UDFBuffers(declarations, merged, planned.meta, positions: all, isWritable: false),
            results: UDFBuffers(resultOnly, results, planned.meta, positions: all, isWritable: true))
        do {
            try planned.udf.computeResults(context)
        } catch {
            throw UDFError(.results, udf: planned.id, "its results cannot be computed: \(error)", cause: error)
        }
        let names = resultOnly.map(\.name)
        return (Dictionary(uniqueKeysWithValues: zip(names, results)), context.valid)
    }

    /// Merges the buffers of kind sig and single.
    private func combine(
        _ destination: inout [ResultArray], _ source: [ResultArray], sourceIsNewer: Bool, _ partition: Int?
    ) throws(UDFError) {
        if declarations.contains(where: { $0.merge == .custom }) {
            for index in declarations.indices where declarations[index].kind != .nav {
                destination[index].makeUnique()
            }
            let positions = 0..<0
            do {
                try planned.udf.merge(
                    into: UDFBuffers(declarations, destination, planned.meta, positions: positions, isWritable: true),
                    from: UDFBuffers(declarations, source, planned.meta, positions: positions, isWritable: false))
            } catch {
                throw UDFError(.merging, udf: planned.id, partition: partition, "\(error)", cause: error)
            }
        }
        for (index, declaration) in declarations.enumerated() where declaration.kind != .nav {
            declaration.merge(&destination[index], source[index], sourceIsNewer: sourceIsNewer)
        }
    }

    private mutating func assignRows(of part: PartitionResult.Part, _ index: Int) {
        let rowBytes = declarations[index].elementsPerRow(planned.meta) * declarations[index].dtype.byteCount
        part.buffers[index].withUnsafeBytes { source in
            arrays[index].withUnsafeMutableBytes { destination in
                for run in part.positions {
                    let first = (run.lowerBound - part.rows.lowerBound) * rowBytes
                    UnsafeMutableRawBufferPointer(
                        rebasing: destination[run.lowerBound * rowBytes..<run.upperBound * rowBytes]
                    ).copyMemory(
                        from: UnsafeRawBufferPointer(rebasing: source[first..<first + run.count * rowBytes]))
                }
            }
        }
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
