import StemwireKernels

/// What UDFs made of a partition, or of a part of it: to be merged here, or sent to where it is merged.
public struct PartitionResult: Sendable, Equatable {
    /// The index of the partition.
    public let partition: Int
    /// The generation of parameters it was made with.
    public let generation: UInt32
    /// Whether no more will come of this partition.
    public let isFinal: Bool
    /// For each UDF that has something to add.
    public let parts: [Part]

    /// What one UDF made.
    public struct Part: Sendable, Equatable {
        /// The UDF's index in the plan of the whole run.
        public let udf: Int
        /// The scan positions that went into it, as ranges, rising and never touching each other.
        public let positions: [Range<Int>]
        /// The buffers in the order of their declarations, those `.exported` and `.private`. Those of kind nav have the
        /// shape rows + extra, with a row for each position from the first to the last of `positions`.
        public let buffers: [ResultArray]

        /// The scan positions that nav buffers have rows for.
        public var rows: Range<Int> { Self.rows(of: positions) }

        static func rows(of positions: [Range<Int>]) -> Range<Int> {
            guard let first = positions.first, let last = positions.last else { return 0..<0 }
            return first.lowerBound..<last.upperBound
        }
    }

    init(partition: Int, generation: UInt32, isFinal: Bool, parts: [Part]) {
        self.partition = partition
        self.generation = generation
        self.isFinal = isFinal
        self.parts = parts
    }
}

extension PartitionResult {
    /// One UDF's part of a result as it travels; the buffers' bytes travel beside it, in the same order.
    public struct Section: Sendable, Hashable {
        /// The UDF's id in the run.
        public var udf: String
        /// The UDF's name, version and parameters, as in `PlannedUDF.contentHash`.
        public var contentHash: UInt64
        /// As in `Part.positions`.
        public var positions: [Range<Int>]
        public var buffers: [BufferHeader]

        public init(udf: String, contentHash: UInt64, positions: [Range<Int>], buffers: [BufferHeader]) {
            self.udf = udf
            self.contentHash = contentHash
            self.positions = positions
            self.buffers = buffers
        }
    }

    /// What the bytes of a buffer are.
    public struct BufferHeader: Sendable, Hashable {
        public var name: String
        public var dtype: DType
        public var shape: [Int]

        public init(name: String, dtype: DType, shape: [Int]) {
            self.name = name
            self.dtype = dtype
            self.shape = shape
        }
    }

    /// The result as it travels: what is in it, and the buffers one after the other, UDF by UDF.
    public func flattened(_ plan: RunPlan) -> (sections: [Section], payloads: [ResultArray]) {
        let sections = parts.map { part in
            guard let planned = plan.udfs.first(where: { $0.index == part.udf }) else {
                preconditionFailure("a result of another plan")
            }
            let headers = zip(planned.mergedDeclarations, part.buffers).map { declaration, buffer in
                BufferHeader(name: declaration.name, dtype: buffer.dtype, shape: buffer.shape)
            }
            return Section(
                udf: planned.id, contentHash: planned.contentHash, positions: part.positions, buffers: headers)
        }
        return (sections, parts.flatMap(\.buffers))
    }

    /// Takes a result that travelled. Everything is checked against the plan before memory is taken for it.
    ///
    /// - Parameters:
    ///   - plan: The one it was made with, which the work was handed out under: the run's present plan may be a later one
    ///     of other layout.
    ///   - payloads: The bytes of the buffers, section by section, in native (little-endian) byte order. They are copied.
    /// - Throws: `UDFError` with the code `badResult` when the result is not one of this plan's.
    public init(
        plan: RunPlan, partition: Int, generation: UInt32, isFinal: Bool, sections: [Section],
        payloads: [UnsafeRawBufferPointer]
    ) throws(UDFError) {
        guard partition >= 0, partition < plan.meta.partitionCount else {
            throw UDFError(
                .badResult, "a result of partition \(partition); the run has \(plan.meta.partitionCount)")
        }
        guard generation <= plan.generation else {
            throw UDFError(
                .badResult, partition: partition,
                "a result of parameter generation \(generation); the run is at \(plan.generation)")
        }
        let range = plan.meta.positions(ofPartition: partition)
        var rest = payloads[...]
        var parts: [Part] = []
        var seen: Set<String> = []
        for section in sections {
            func fault(_ reason: String) -> UDFError {
                UDFError(.badResult, udf: section.udf, partition: partition, reason)
            }
            guard let index = plan.udfs.firstIndex(where: { $0.id == section.udf }) else {
                throw fault("a result of a UDF that the run does not have")
            }
            guard seen.insert(section.udf).inserted else { throw fault("two results of the same UDF") }
            let planned = plan.udfs[index]
            if generation == plan.generation && section.contentHash != planned.contentHash {
                throw fault("the result was made by another version of the UDF, or with other parameters")
            }
            guard Self.arePositions(section.positions, in: range) else {
                throw fault("the positions do not rise, or leave the partition's \(range)")
            }
            let declarations = planned.mergedDeclarations
            guard section.buffers.count == declarations.count, rest.count >= declarations.count else {
                throw fault("\(section.buffers.count) buffers, \(rest.count) left of \(declarations.count) expected")
            }
            let rows = Part.rows(of: section.positions)
            var buffers: [ResultArray] = []
            for (declaration, header) in zip(declarations, section.buffers) {
                let shape =
                    declaration.kind == .nav ? [rows.count] + declaration.extraShape : declaration.shape(plan.meta)
                guard header.name == declaration.name, header.dtype == declaration.dtype, header.shape == shape else {
                    throw fault(
                        "buffer \(header.name) of \(header.dtype) \(header.shape) where \(declaration.name) of "
                            + "\(declaration.dtype) \(shape) is expected")
                }
                do {
                    buffers.append(try ResultArray(dtype: header.dtype, shape: shape, bytes: rest.removeFirst()))
                } catch {
                    throw fault("buffer \(header.name): \(error)")
                }
            }
            parts.append(Part(udf: planned.index, positions: section.positions, buffers: buffers))
        }
        guard rest.isEmpty else {
            throw UDFError(.badResult, partition: partition, "\(rest.count) buffers belong to no UDF")
        }
        self.init(partition: partition, generation: generation, isFinal: isFinal, parts: parts)
    }

    private static func arePositions(_ positions: [Range<Int>], in range: Range<Int>) -> Bool {
        var last = range.lowerBound - 1
        for run in positions {
            guard !run.isEmpty, run.lowerBound > last, run.upperBound <= range.upperBound else { return false }
            last = run.upperBound
        }
        return true
    }
}
