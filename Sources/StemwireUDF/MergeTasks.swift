import StemwireKernels

// What only somebody who has the UDF can do with merged buffers: for this process, or as a worker for a server that does
// not have it.

extension PlannedUDF {
    /// Merges the buffers of kind sig and single.
    ///
    /// - Parameters:
    ///   - destination: In the order of `mergedDeclarations`; those of kind nav stay as they are.
    ///   - sourceIsNewer: Whether the source has seen the higher scan position.
    func combine(
        _ destination: inout [ResultArray], _ source: [ResultArray], sourceIsNewer: Bool, _ partition: Int?
    ) throws(UDFError) {
        let declarations = mergedDeclarations
        if declarations.contains(where: { $0.merge == .custom }), let foreign = udf as? ForeignUDF {
            try combineElsewhere(foreign, &destination, source)
        } else if declarations.contains(where: { $0.merge == .custom }) {
            for index in declarations.indices where declarations[index].kind != .nav {
                destination[index].makeUnique()
            }
            let positions = 0..<0
            do {
                try udf.merge(
                    into: UDFBuffers(declarations, destination, meta, positions: positions, isWritable: true),
                    from: UDFBuffers(declarations, source, meta, positions: positions, isWritable: false))
            } catch {
                throw UDFError(.merging, udf: id, partition: partition, "\(error)", cause: error)
            }
        }
        for (index, declaration) in declarations.enumerated() where declaration.kind != .nav {
            declaration.merge(&destination[index], source[index], sourceIsNewer: sourceIsNewer)
        }
    }

    /// Computes the result-only buffers.
    ///
    /// - Parameters:
    ///   - merged: In the order of `mergedDeclarations`, each for the whole run.
    ///   - processed: The positions that are in them.
    /// - Returns: The buffers by name, and the positions worth showing of those where these are others than `processed`.
    func computeResults(
        _ merged: [ResultArray], processed: PositionSet
    ) throws(UDFError) -> (arrays: [String: ResultArray], valid: [String: PositionSet]) {
        if let foreign = udf as? ForeignUDF { return try computeElsewhere(foreign, merged, processed: processed) }
        let resultOnly = declarations.filter { $0.use == .resultOnly }
        let results = resultOnly.map { $0.emptyArray(meta) }
        let all = 0..<meta.positionCount
        let context = ResultsContext(
            meta: meta, processed: processed,
            merged: UDFBuffers(mergedDeclarations, merged, meta, positions: all, isWritable: false),
            results: UDFBuffers(resultOnly, results, meta, positions: all, isWritable: true))
        do {
            try udf.computeResults(context)
        } catch {
            throw UDFError(.results, udf: id, "its results cannot be computed: \(error)", cause: error)
        }
        return (Dictionary(uniqueKeysWithValues: zip(resultOnly.map(\.name), results)), context.valid)
    }
}

extension RunPlan {
    /// Merges two neighbouring parts of a scan for a server that does not have the UDF.
    ///
    /// - Parameters:
    ///   - id: The UDF's id in the run.
    ///   - left: The buffers of kind sig and single that are merged, in the order of their declarations: of the part with
    ///     the lower scan positions.
    ///   - right: The same of the part with the higher ones.
    /// - Returns: The merged buffers with their names.
    /// - Throws: `UDFError`: `badResult` when the buffers are not those of the UDF, `merging` when its own merge fails.
    package func mergeBuffers(
        of id: String, left: [ResultArray], right: [ResultArray]
    ) throws(UDFError) -> (names: [String], arrays: [ResultArray]) {
        let planned = try find(id)
        let reduced = planned.mergedDeclarations.filter { $0.kind != .nav }
        try planned.check(left, are: reduced)
        try planned.check(right, are: reduced)
        // The rows of nav buffers have no part in it.
        func complete(_ arrays: [ResultArray]) -> [ResultArray] {
            var rest = arrays[...]
            return planned.mergedDeclarations.map { declaration in
                declaration.kind == .nav ? ResultArray(zeros: declaration.dtype, shape: [0]) : rest.removeFirst()
            }
        }
        var merged = complete(left)
        try planned.combine(&merged, complete(right), sourceIsNewer: true, nil)
        let arrays = zip(planned.mergedDeclarations, merged).filter { $0.0.kind != .nav }.map(\.1)
        return (reduced.map(\.name), arrays)
    }

    /// One result-only buffer, as `computeResults(of:processed:merged:)` made it.
    package struct ComputedResult: Sendable {
        package let name: String
        package let array: ResultArray
        /// The positions worth showing, when these are not the processed ones.
        package let valid: PositionSet?

        package init(name: String, array: ResultArray, valid: PositionSet?) {
            self.name = name
            self.array = array
            self.valid = valid
        }
    }

    /// Computes the result-only buffers for a server that does not have the UDF.
    ///
    /// - Parameters:
    ///   - id: The UDF's id in the run.
    ///   - processed: The scan positions that are in the merged buffers.
    ///   - merged: The merged buffers of all kinds, in the order of their declarations, each for the whole run.
    /// - Returns: The results in the order of their declarations.
    /// - Throws: `UDFError`: `badResult` when the buffers are not those of the UDF, `results` when it fails.
    package func computeResults(
        of id: String, processed: PositionSet, merged: [ResultArray]
    ) throws(UDFError) -> [ComputedResult] {
        let planned = try find(id)
        try planned.check(merged, are: planned.mergedDeclarations)
        guard processed.size == meta.positionCount else {
            throw UDFError(.badResult, udf: id, "positions of a scan of \(processed.size), not \(meta.positionCount)")
        }
        guard planned.declarations.contains(where: { $0.use == .resultOnly }) else { return [] }
        let (arrays, valid) = try planned.computeResults(merged, processed: processed)
        return planned.declarations.compactMap { declaration in
            guard declaration.use == .resultOnly, let array = arrays[declaration.name] else { return nil }
            return ComputedResult(name: declaration.name, array: array, valid: valid[declaration.name])
        }
    }

    private func find(_ id: String) throws(UDFError) -> PlannedUDF {
        guard let planned = udfs.first(where: { $0.id == id }) else {
            throw UDFError(.badResult, udf: id, "buffers of a UDF that the run does not have")
        }
        return planned
    }
}

extension PlannedUDF {
    /// - Throws: `UDFError` with the code `badResult` when arrays from elsewhere are not the buffers.
    func check(_ arrays: [ResultArray], are declarations: [BufferDeclaration]) throws(UDFError) {
        guard arrays.count == declarations.count else {
            throw UDFError(.badResult, udf: id, "\(arrays.count) buffers where \(declarations.count) are expected")
        }
        for (array, declaration) in zip(arrays, declarations) {
            let shape = declaration.shape(meta)
            guard array.dtype == declaration.dtype, array.shape == shape else {
                throw UDFError(
                    .badResult, udf: id,
                    "a buffer of \(array.dtype) \(array.shape) where \(declaration.name) of \(declaration.dtype) \(shape) "
                        + "is expected")
            }
        }
    }
}
