import StemwireKernels

// UDFs that this process does not have: others process frames, merge and compute results; here they are declared.

/// What somebody who has a UDF says of it, for one request of a run.
package struct ForeignDeclaration: Sendable {
    /// Buffers that one UDF may have, so that the parts of two partitions fit into one message.
    package static let bufferLimit = 64

    /// The UDF's id in the run.
    package let id: String
    package let name: String
    package let version: Int
    /// As `PlannedUDF.contentHash`, of whoever has the UDF.
    package let contentHash: UInt64
    /// Not `.automatic`.
    package let order: MergeOrder
    package let buffers: [BufferDeclaration]

    package init(
        id: String, name: String, version: Int, contentHash: UInt64, order: MergeOrder, buffers: [BufferDeclaration]
    ) {
        self.id = id
        self.name = name
        self.version = version
        self.contentHash = contentHash
        self.order = order
        self.buffers = buffers
    }

    /// - Parameters:
    ///   - partBytes: The largest buffer of kind sig or single that can travel, in bytes.
    ///   - arrayBytes: The largest nav buffer of a whole run.
    /// - Throws: `UDFError` with the code `badDeclaration` when there are too many buffers, or too large ones.
    package func check(_ meta: UDFMeta, partBytes: Int, arrayBytes: Int) throws(UDFError) {
        guard buffers.count <= Self.bufferLimit else {
            throw UDFError(
                .badDeclaration, udf: id, "it has \(buffers.count) buffers; \(Self.bufferLimit) are possible here")
        }
        for buffer in buffers {
            let limit = buffer.kind == .nav ? arrayBytes : partBytes
            let shape = buffer.shape(meta)
            guard let count = elementCount(shape), count <= limit / buffer.dtype.byteCount else {
                throw UDFError(
                    .badDeclaration, udf: id,
                    "its buffer \(buffer.name) of \(buffer.dtype) \(shape) is larger than the \(limit) bytes that are possible"
                )
            }
        }
    }
}

/// Does with merged buffers what only somebody who has the UDF can do. Its methods may block for long.
package protocol ForeignWork: Sendable {
    /// As `RunPlan.mergeBuffers(of:left:right:)`, called with and giving the buffers of kind sig and single.
    func merge(_ udf: String, left: [ResultArray], right: [ResultArray]) throws(UDFError) -> [ResultArray]

    /// As `RunPlan.computeResults(of:processed:merged:)`.
    func computeResults(
        _ udf: String, processed: PositionSet, merged: [ResultArray]
    ) throws(UDFError) -> [RunPlan.ComputedResult]
}

/// Stands for a UDF that this process does not have: declares what it was told, and processes nothing.
struct ForeignUDF: TileUDF {
    static let name = "foreign"

    /// Nil when it stands for a UDF of which nothing but the name is known.
    let told: ForeignDeclaration?
    private let work: (any ForeignWork)?

    init(_ told: ForeignDeclaration?, work: (any ForeignWork)?) {
        self.told = told
        self.work = work
    }

    init(parameters: NoParameters, meta: UDFMeta) throws {
        throw UDFFailure("a UDF that others have cannot be asked for by this name")
    }

    var order: MergeOrder { told?.order ?? .any }

    func declareBuffers(_ meta: UDFMeta) -> [BufferDeclaration] { told?.buffers ?? [] }

    func process(_ tile: FrameTile, _ context: Context) throws {
        throw UDFFailure("only workers have this UDF; their results are merged here")
    }

    /// Merges the buffers of kind sig and single elsewhere. Blocks.
    func merged(_ id: String, _ left: [ResultArray], _ right: [ResultArray]) throws(UDFError) -> [ResultArray] {
        guard let work else { throw UDFError(.merging, udf: id, "nobody is there who has this UDF") }
        return try work.merge(id, left: left, right: right)
    }

    /// Has the results computed elsewhere. Blocks.
    func results(
        _ id: String, _ merged: [ResultArray], processed: PositionSet
    ) throws(UDFError) -> [RunPlan.ComputedResult] {
        guard let work else { throw UDFError(.results, udf: id, "nobody is there who has this UDF") }
        return try work.computeResults(id, processed: processed, merged: merged)
    }
}

extension UDFRegistry {
    /// The registry with stand-ins for UDFs of which nothing but the names is known: to check a request as far as one can.
    package func adding(namesOnly names: some Sequence<String>) throws(UDFError) -> UDFRegistry {
        var registry = self
        for name in Set(names).sorted() {
            try registry.add(
                Entry(name: name, version: 1) { request, _ throws(UDFError) in
                    (ForeignUDF(nil, work: nil), .object(request.parameters))
                })
        }
        return registry
    }

    /// The registry with stand-ins for UDFs that others have.
    ///
    /// - Parameter work: Who merges custom buffers and computes results; blocks the thread that merges.
    package func adding(
        foreign declarations: [ForeignDeclaration], work: any ForeignWork
    ) throws(UDFError) -> UDFRegistry {
        var registry = self
        for (name, told) in Dictionary(grouping: declarations, by: \.name).sorted(by: { $0.key < $1.key }) {
            try registry.add(
                Entry(name: name, version: told[0].version) { request, _ throws(UDFError) in
                    guard let own = told.first(where: { $0.id == request.id }) else {
                        throw UDFError(.badDeclaration, udf: request.id, "nothing was told of this UDF")
                    }
                    return (ForeignUDF(own, work: work), .object(request.parameters))
                })
        }
        return registry
    }
}

extension RunPlan {
    /// Whether merging needs somebody who has the UDF, since a UDF has a merge of its own.
    package var mergesElsewhere: Bool {
        udfs.contains { planned in
            planned.udf is ForeignUDF && planned.mergedDeclarations.contains { $0.merge == .custom }
        }
    }
}

extension PlannedUDF {
    /// Merges buffers where the UDF is; those with a merge of their own take the place of what was there.
    func combineElsewhere(
        _ foreign: ForeignUDF, _ destination: inout [ResultArray], _ source: [ResultArray]
    ) throws(UDFError) {
        let indices = mergedDeclarations.indices.filter { mergedDeclarations[$0].kind != .nav }
        let merged = try foreign.merged(id, indices.map { destination[$0] }, indices.map { source[$0] })
        try check(merged, are: indices.map { mergedDeclarations[$0] })
        for (index, array) in zip(indices, merged) where mergedDeclarations[index].merge == .custom {
            destination[index] = array
        }
    }

    /// Has the result-only buffers computed where the UDF is.
    func computeElsewhere(
        _ foreign: ForeignUDF, _ merged: [ResultArray], processed: PositionSet
    ) throws(UDFError) -> (arrays: [String: ResultArray], valid: [String: PositionSet]) {
        let resultOnly = declarations.filter { $0.use == .resultOnly }
        let results = try foreign.results(id, merged, processed: processed)
        guard results.map(\.name) == resultOnly.map(\.name) else {
            let names = results.map(\.name).joined(separator: ", ")
            throw UDFError(
                .badResult, udf: id,
                "the results \(names) came where \(resultOnly.map(\.name).joined(separator: ", ")) are expected")
        }
        try check(results.map(\.array), are: resultOnly)
        var arrays: [String: ResultArray] = [:]
        var valid: [String: PositionSet] = [:]
        for result in results {
            arrays[result.name] = result.array
            guard let positions = result.valid else { continue }
            guard positions.size == meta.positionCount else {
                throw UDFError(.badResult, udf: id, "the valid mask of \(result.name) is of another scan")
            }
            valid[result.name] = positions
        }
        return (arrays, valid)
    }
}

extension BufferDeclaration {
    /// A declaration in words that came from outside.
    ///
    /// - Throws: `UDFError` with the code `badDeclaration` for words that do not exist or do not go together. What else
    ///   can be wrong is found when the run is planned.
    package init(
        udf: String, name: String, kind: String, dtype: String, extraShape: [Int], use: String, merge: String
    ) throws(UDFError) {
        guard let kind = Kind(rawValue: kind), let dtype = DType(rawValue: dtype), let use = Use(rawValue: use),
            let merge = Merge(rawValue: merge), (kind == .nav) == (merge == .positions)
        else {
            throw UDFError(
                .badDeclaration, udf: udf,
                "the buffer \"\(name)\" cannot be of kind \"\(kind)\", dtype \"\(dtype)\", use \"\(use)\" and merge \"\(merge)\""
            )
        }
        guard extraShape.count <= 6 else {
            throw UDFError(
                .badDeclaration, udf: udf, "the buffer \"\(name)\" has the impossible extra shape \(extraShape)")
        }
        self.init(name: name, kind: kind, dtype: dtype, extraShape: extraShape, use: use, merge: merge)
    }
}
